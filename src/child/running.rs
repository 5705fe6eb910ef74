//! A child that runs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{REFUSAL, REFUSED};

/// The longest pause between two looks at it.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often a child that is stopped (SIGSTOP) is told to go on. Its user can do that to it, and must not hold us up.
const MOST_STOPS: u32 = 100;

/// How long one may take to end after its last word.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A child process. One that has not ended when this is dropped is killed, with all of its process group.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    /// Its standard input after its order, for a role that reads on; dropping it ends the input.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    stderr: File,
    /// How it ended.
    status: Option<ExitStatus>,
    stops: u32,
}

impl Running {
    pub(super) fn of(child: Child, stderr: File) -> Self {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        Self { pid, stdin: child.stdin, stdout: child.stdout, stderr, status: None, stops: 0 }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It was stopped over and over, and has been killed.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        while self.status.is_none() {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED))? {
                WaitStatus::Exited(_, code) => self.status = Some(ExitStatus::from_raw(code << 8)),
                WaitStatus::Signaled(_, signal, _) => self.status = Some(ExitStatus::from_raw(signal as i32)),
                WaitStatus::Stopped(..) if self.stops < MOST_STOPS => {
                    self.stops += 1;
                    kill(self.pid, Signal::SIGCONT)?;
                }
                WaitStatus::Stopped(..) => {
                    self.end()?;
                    return Err(io::Error::other("somebody stopped it (SIGSTOP) over and over, so it was killed"));
                }
                _ => return Ok(None),
            }
        }
        Ok(self.status)
    }

    /// Waits for its end, and calls `meanwhile` between two looks. Nothing more is sent to its standard input.
    ///
    /// # Errors
    /// It has not ended within `limit`, or was stopped over and over; it has been killed. Or `meanwhile` failed.
    pub fn wait(
        &mut self,
        limit: Option<Duration>,
        meanwhile: &mut dyn FnMut(Duration) -> io::Result<()>,
    ) -> io::Result<ExitStatus> {
        self.stdin = None;
        let (began, mut pause) = (Instant::now(), Duration::from_micros(500));
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            limit.map_or(Ok(()), |limit| self.look_after(began, limit, "had not ended after"))?;
            meanwhile(began.elapsed())?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Continues one that was stopped, and ends one whose time, since then, is over.
    pub(super) fn look_after(&mut self, since: Instant, limit: Duration, what: &str) -> io::Result<()> {
        self.try_wait()?;
        if since.elapsed() < limit {
            return Ok(());
        }
        self.end()?;
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("it {what} {} s, and was killed", limit.as_secs())))
    }

    /// Waits for the end of one that has said its last word. Why it failed, if it did.
    ///
    /// # Errors
    /// It did not end soon, or its standard error cannot be read.
    pub fn failure(&mut self) -> io::Result<Option<String>> {
        let status = self.wait(Some(END_LIMIT), &mut |_| Ok(()))?;
        if status.success() {
            return Ok(None);
        }
        let mut said = vec![0; 4096];
        let count = self.stderr.read_at(&mut said, 0)?;
        let said = String::from_utf8_lossy(&said[..count]);
        let why = refusal(status, &said).map_or_else(|| format!("{status} {}", said.trim()), str::to_owned);
        Ok(Some(why.trim().to_owned()))
    }

    /// Kills it, with all of its process group.
    ///
    /// # Errors
    /// waitpid(2) failed.
    pub fn end(&mut self) -> io::Result<()> {
        if self.status.is_none() {
            // It leads a group only once it has its session; both may be gone already.
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = kill(self.pid, Signal::SIGKILL);
            waitpid(self.pid, None)?;
            self.status = Some(ExitStatus::from_raw(Signal::SIGKILL as i32));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to whom a failure would matter.
        let _ = self.end();
    }
}

/// Why a child did not take on its role, from its status and standard error; `None` if it did.
pub fn refusal(status: ExitStatus, stderr: &str) -> Option<&str> {
    let last = stderr.lines().last()?.strip_prefix(REFUSAL)?;
    (status.code() == Some(i32::from(REFUSED))).then_some(last)
}
