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
            if self.ready(false)?.0 {
                return self.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(buffer));
            }
            self.look_after(began, silence)?;
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
        if let Some(stdin) = &self.stdin {
            // Otherwise a write would wait for a child that waits for us to read.
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
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
            let (says, takes) = self.ready(true)?;
            if let (true, Some(stdin)) = (takes, &mut self.stdin) {
                match stdin.write(&piece[pending.clone()]) {
                    Ok(count) => pending.start += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // It has read enough; its output says why.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.stdin = None,
                    Err(error) => return Err(error),
                }
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
                false => self.look_after(moved, silence)?,
            }
        }
    }

    /// Whether its output can be read, and whether its input takes more, as soon as one of them is so; neither after a
    /// while.
    fn ready(&self, to_write: bool) -> io::Result<(bool, bool)> {
        let reads = self.stdout.iter().map(|stdout| PollFd::new(stdout.as_fd(), PollFlags::POLLIN));
        let writes = self.stdin.iter().filter(|_| to_write);
        let writes = writes.map(|stdin| PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        let mut asked: Vec<PollFd<'_>> = reads.chain(writes).collect();
        match poll(&mut asked, PollTimeout::from(LOOK)) {
            // A signal: whoever asks for the time that passes sees it.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |at: usize| asked.get(at).is_some_and(|asked| asked.any().unwrap_or(true));
        let first = usize::from(self.stdout.is_some());
        Ok((self.stdout.is_none() || is_ready(0), is_ready(first)))
    }

    /// Continues one that was stopped, and ends one that has been silent since `moved`.
    fn look_after(&mut self, moved: Instant, silence: Duration) -> io::Result<()> {
        self.try_wait()?;
        if moved.elapsed() < silence {
            return Ok(());
        }
        self.end()?;
        let text = format!("it was silent for {} s, and was killed", silence.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
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
        Running::of(shell.spawn().unwrap())
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
