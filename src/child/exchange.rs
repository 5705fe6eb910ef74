//! What goes to a child and comes from it, with an eye on everything else meanwhile.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Running;

/// How often it is looked whether to leave, in milliseconds.
const LOOK: u16 = 100;

/// How much is moved at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// What is wrong with one that says nothing.
const SILENT: &str = "was silent for";

/// Called between two pieces, and some ten times a second while nothing moves. An error of it ends the waiting.
pub type Meanwhile<'a> = &'a mut dyn FnMut() -> io::Result<()>;

impl Running {
    /// Reads from its standard output; 0 at the end of that.
    ///
    /// # Errors
    /// It said nothing for `silence`, and was killed; `meanwhile` failed; or the pipe did.
    pub fn read(&mut self, buffer: &mut [u8], silence: Duration, meanwhile: Meanwhile<'_>) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            meanwhile()?;
            if let Some(count) = self.read_soon(buffer)? {
                return Ok(count);
            }
            self.look_after(began, silence, SILENT)?;
        }
    }

    /// Gives it all of `input`, or as much as it takes, and returns what it says, which is at most `limit` bytes long.
    ///
    /// # Errors
    /// As for [`Running::read`]; or it says more, or `input` cannot be read.
    pub fn exchange(
        &mut self,
        input: &mut impl Read,
        limit: usize,
        silence: Duration,
        meanwhile: Meanwhile<'_>,
    ) -> io::Result<Vec<u8>> {
        let (mut output, mut said) = (Vec::new(), vec![0; PIECE]);
        let (mut piece, mut pending) = (vec![0; PIECE], 0..0);
        let mut moved = Instant::now();
        loop {
            meanwhile()?;
            if pending.is_empty() && self.stdin.is_some() {
                pending = 0..input.read(&mut piece)?;
                if pending.is_empty() {
                    self.stdin = None;
                }
            }
            let (says, takes) = self.ready(true, true)?;
            if takes {
                pending.start += self.write(&piece[pending.clone()])?;
            }
            if let (true, Some(stdout)) = (says, &mut self.stdout) {
                let count = stdout.read(&mut said)?;
                output.extend_from_slice(&said[..count]);
                if count == 0 {
                    return Ok(output);
                }
                if output.len() > limit {
                    return Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        format!("it says more than {limit} bytes"),
                    ));
                }
            }
            match says || takes {
                true => moved = Instant::now(),
                false => self.look_after(moved, silence, SILENT)?,
            }
        }
    }

    /// Reads from its standard output as soon as something comes; `None` after a while.
    pub(super) fn read_soon(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.ready(true, false)?.0 {
            return Ok(None);
        }
        self.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(buffer)).map(Some)
    }

    /// Writes to its standard input what that takes at once. One that has closed it has read enough; its output says why.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stdin) = &mut self.stdin else { return Ok(0) };
        // Otherwise this would wait for a child that waits for us to read, or does not read at all.
        fcntl(&*stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        match stdin.write(bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdin = None;
                Ok(0)
            }
            written => written,
        }
    }

    /// Whether its output can be read, and whether its input takes more, as soon as one of them is so that is asked for;
    /// neither after a while.
    pub(super) fn ready(&self, to_read: bool, to_write: bool) -> io::Result<(bool, bool)> {
        let reads = self.stdout.iter().filter(|_| to_read);
        let reads = reads.map(|stdout| PollFd::new(stdout.as_fd(), PollFlags::POLLIN));
        let writes = self.stdin.iter().filter(|_| to_write);
        let writes = writes.map(|stdin| PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        let mut asked: Vec<PollFd<'_>> = reads.chain(writes).collect();
        match poll(&mut asked, PollTimeout::from(LOOK)) {
            // A signal: whoever asks for the time that passes sees it.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |at: usize| asked.get(at).is_some_and(|asked| asked.any().unwrap_or(true));
        let first = usize::from(to_read && self.stdout.is_some());
        Ok((to_read && (self.stdout.is_none() || is_ready(0)), is_ready(first)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const LONG: Duration = Duration::from_secs(60);

    fn running(script: &str) -> Running {
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Running::of(shell.spawn().unwrap(), tempfile::tempfile().unwrap())
    }

    fn exchange(script: &str, limit: usize, silence: Duration) -> io::Result<Vec<u8>> {
        running(script).exchange(&mut &*vec![b'x'; 3_000_000], limit, silence, &mut || Ok(()))
    }

    #[test]
    fn neither_side_waits_for_the_other() {
        assert_eq!(exchange("cat", 3_000_000, LONG).unwrap().len(), 3_000_000);
        // It says all before it reads anything, and the other way round.
        let says_first = "head -c 1000000 /dev/zero; cat >/dev/null";
        assert_eq!(exchange(says_first, 3_000_000, LONG).unwrap().len(), 1_000_000);
        assert_eq!(exchange("cat >/dev/null; echo done", 3_000_000, LONG).unwrap(), b"done\n");
        assert_eq!(exchange("head -c 9 >/dev/null; echo enough", 3_000_000, LONG).unwrap(), b"enough\n");
        assert_eq!(exchange("exec <&-; echo none", 3_000_000, LONG).unwrap(), b"none\n");
    }

    #[test]
    fn one_that_says_too_much_or_nothing_is_an_error() {
        let kind = |script: &str, silence| exchange(script, 100_000, silence).unwrap_err().kind();
        assert_eq!(kind("cat /dev/zero", LONG), io::ErrorKind::FileTooLarge);
        let began = Instant::now();
        assert_eq!(kind("sleep 600", Duration::from_millis(300)), io::ErrorKind::TimedOut);
        let read = running("sleep 600").read(&mut [0; 9], Duration::from_millis(300), &mut || Ok(()));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn whoever_waits_can_leave() {
        let mut asked = 0;
        let left = running("sleep 600").read(&mut [0; 9], LONG, &mut || {
            asked += 1;
            if asked > 2 { Err(io::Error::other("enough")) } else { Ok(()) }
        });
        assert_eq!((left.unwrap_err().to_string().as_str(), asked), ("enough", 3));
    }
}
