//! A child that is talked with: a line of JSON at a time, in both directions.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Confinement, Running, start};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 2 * 1024 * 1024;

/// What is wrong with one whose time is over.
const LATE: &str = "had not ended after";

/// The conversation. The child is killed when this is dropped.
pub struct Conversation {
    running: Running,
    limit: Duration,
    began: Instant,
    heard: Vec<u8>,
}

impl Conversation {
    /// Starts a child for a role, which gets the task first. All of the conversation has to end within `limit`.
    ///
    /// # Errors
    /// As for [`start`].
    pub fn begin(
        role: &str,
        confinement: &Confinement,
        task: &impl Serialize,
        environment: &[(String, String)],
        limit: Duration,
    ) -> io::Result<Self> {
        let running = start(role, confinement, task, environment, Stdio::piped(), tempfile::tempfile()?)?;
        Ok(Self::with(running, limit))
    }

    /// Has a child do a task, which it answers with one line.
    ///
    /// # Errors
    /// As for [`Conversation::begin`] and [`Conversation::hear`].
    pub fn ask<T: DeserializeOwned>(
        role: &str,
        confinement: &Confinement,
        task: &impl Serialize,
        environment: &[(String, String)],
        limit: Duration,
    ) -> io::Result<T> {
        Self::begin(role, confinement, task, environment, limit)?.hear()
    }

    fn with(running: Running, limit: Duration) -> Self {
        Self { running, limit, began: Instant::now(), heard: Vec::new() }
    }

    /// Sends a line.
    ///
    /// # Errors
    /// write(2) failed, or the child takes too long or was stopped over and over. Not if it is gone: the next
    /// [`Conversation::hear`] says why.
    pub fn say(&mut self, line: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(line)? + "\n";
        let mut left = line.as_bytes();
        while !left.is_empty() && self.running.stdin.is_some() {
            self.running.look_after(self.began, self.limit, LATE)?;
            if self.running.ready(false, true)?.1 {
                left = &left[self.running.write(left)?..];
            }
        }
        Ok(())
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// The child has ended, takes too long, was stopped over and over, or says something else than it should.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        self.hear_unless(&mut || Ok(()))
    }

    /// The same, and calls `meanwhile` between two looks.
    ///
    /// # Errors
    /// `meanwhile` failed, or as for [`Conversation::hear`].
    pub fn hear_unless<T: DeserializeOwned>(&mut self, meanwhile: &mut dyn FnMut() -> io::Result<()>) -> io::Result<T> {
        let wrong = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut buffer = [0; 16 * 1024];
        let mut searched = 0;
        loop {
            if let Some(end) = self.heard[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=searched + end).collect();
                // The library's own words could quote a secret.
                return serde_json::from_slice(&line).map_err(|_| wrong("it says something else than it should"));
            }
            searched = self.heard.len();
            if searched > LONGEST_LINE {
                return Err(wrong("it says more than it should"));
            }
            self.running.look_after(self.began, self.limit, LATE)?;
            meanwhile()?;
            match self.running.read_soon(&mut buffer)? {
                None => {}
                Some(0) => {
                    let why = self.running.failure()?.unwrap_or_else(|| "it ended without an answer".to_owned());
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Some(length) => self.heard.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::process::Command;

    const LONG: Duration = Duration::from_secs(60);

    fn with(script: &str, limit: Duration) -> Conversation {
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Conversation::with(Running::of(shell.spawn().unwrap(), tempfile::tempfile().unwrap()), limit)
    }

    /// More than a pipe takes at once.
    fn long_line() -> String {
        "x".repeat(1_000_000)
    }

    #[test]
    fn a_child_that_does_not_read_holds_nobody_up() {
        let began = Instant::now();
        let error = with("exec sleep 600", Duration::from_millis(300)).say(&long_line()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_long_line_is_sent_whole_to_a_child_that_takes_its_time() {
        let mut conversation = with("sleep 1; head -n 1 | wc -c", LONG);
        conversation.say(&long_line()).unwrap();
        // With quotes and the end of the line.
        assert_eq!(conversation.hear::<usize>().unwrap(), 1_000_003);
    }

    #[test]
    fn what_a_child_that_is_gone_was_told_is_no_error_but_what_it_says_is() {
        let mut conversation = with("exit 9", LONG);
        conversation.say(&long_line()).unwrap();
        let error = conversation.hear::<usize>().unwrap_err();
        assert!(error.to_string().contains("exit status: 9"), "{error}");
    }
}
