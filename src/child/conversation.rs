//! A child that is talked with: a line of JSON at a time, in both directions.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Confinement, Running, refusal, start};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 2 * 1024 * 1024;

/// The longest wait for a line before it is looked whether the child was stopped or its time is over, in milliseconds.
const LOOK: u16 = 50;

/// How long a child that has closed its standard output may take to end.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How much of a child's standard error is read, in bytes.
const LONGEST_COMPLAINT: u64 = 4096;

/// The conversation. The child is killed when this is dropped.
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
        Ok(Self { running, stderr, limit, began: Instant::now(), heard: Vec::new() })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// write(2) failed. Not if the child is gone: the next [`Conversation::hear`] says why.
    pub fn say(&mut self, line: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(line)? + "\n";
        match self.running.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(line.as_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
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
            if self.began.elapsed() >= self.limit {
                self.running.end()?;
                let text = format!("it had not ended after {} s, and was killed", self.limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            // One that was stopped goes on.
            self.running.try_wait()?;
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
