//! A child that is talked with: a line of JSON at a time, in both directions.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Confinement, Running, refusal, start};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 2 * 1024 * 1024;

/// The longest wait for the child before it is looked whether the child was stopped or its time is over, in milliseconds.
const LOOK: u16 = 50;

/// How long a child that has closed its standard output may take to end.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How much of a child's standard error is read, in bytes.
const LONGEST_COMPLAINT: u64 = 4096;

/// The conversation. The child is killed when this is dropped.
#[derive(Debug)]
pub struct Conversation {
    running: Running,
    stderr: File,
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
        let stderr = tempfile::tempfile()?;
        let running = start(role, confinement, task, environment, Stdio::piped(), stderr.try_clone()?.into())?;
        Self::with(running, stderr, limit)
    }

    fn with(running: Running, stderr: File, limit: Duration) -> io::Result<Self> {
        if let Some(stdin) = &running.stdin {
            // Otherwise a child that does not read would hold us up for ever.
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { running, stderr, limit, began: Instant::now(), heard: Vec::new() })
    }

    /// Begins anew with the same child: what follows has to end within `limit` from now.
    pub fn go_on(&mut self, limit: Duration) {
        (self.limit, self.began) = (limit, Instant::now());
    }

    /// Sends a line.
    ///
    /// # Errors
    /// write(2) failed, or the child takes too long or was stopped over and over. Not if it is gone: the next
    /// [`Conversation::hear`] says why.
    pub fn say(&mut self, line: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(line)? + "\n";
        let mut left = line.as_bytes();
        while !left.is_empty() {
            self.look_after()?;
            let Some(stdin) = self.running.stdin.as_mut() else { break };
            match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(LOOK)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            match stdin.write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // Its output says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// The child has ended, takes too long, was stopped over and over, or says something else than it should.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
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
            self.look_after()?;
            let Some(stdout) = self.running.stdout.as_mut() else { return Err(wrong("it cannot be heard")) };
            match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            match stdout.read(&mut buffer) {
                Ok(0) => return Err(self.why_ended()?),
                Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends one whose time is over, and continues one that was stopped.
    fn look_after(&mut self) -> io::Result<()> {
        if self.began.elapsed() < self.limit {
            return self.running.try_wait().map(drop);
        }
        self.running.end()?;
        let text = format!("it had not ended after {} s, and was killed", self.limit.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Why the child says no more.
    fn why_ended(&mut self) -> io::Result<io::Error> {
        let status = self.running.wait(Some(LAST_WAIT), &mut |_| Ok(()))?;
        let mut complaint = Vec::new();
        let mut stderr = &self.stderr;
        stderr.rewind()?;
        stderr.take(LONGEST_COMPLAINT).read_to_end(&mut complaint)?;
        let complaint = String::from_utf8_lossy(&complaint);
        let why = match refusal(status, &complaint) {
            Some(why) => why.to_owned(),
            None => format!("it ended without an answer ({status}) {}", complaint.trim()).trim_end().to_owned(),
        };
        Ok(io::Error::new(io::ErrorKind::UnexpectedEof, why))
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
        let running = Running::of(shell.spawn().unwrap());
        Conversation::with(running, tempfile::tempfile().unwrap(), limit).unwrap()
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
