//! Where answers are typed: a terminal, or lines from a file or a pipe.
//!
//! At a terminal that can move its cursor the line is edited with dialoguer. One that cannot (`TERM=dumb`, a serial console without a
//! type) gets plain lines, edited by the kernel, and no escape code. So does a pipe, whose lines are shown after their
//! questions.

use std::fmt::Display;
use std::io::Write;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dialoguer::{Input, theme::SimpleTheme};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};
use nix::unistd::Pid;

use super::conversation::{Console, ended};
use crate::cli::screen::{moves_cursor, write_line};
use crate::cli::surroundings::Surroundings;
use crate::cli::text::Text;
use crate::error_code::ErrorCode;
use crate::run::Stop;
use crate::run::signals::Asking;
use crate::shown::Shown;

/// How long is waited for a line before a signal is looked for, in milliseconds.
const GLANCE: u16 = 200;
/// How often it is looked whether a signal went unnoticed.
const BLINK: Duration = Duration::from_millis(50);

/// Shows a question.
fn show(around: &Surroundings, prompt: &str, default: Option<&str>) {
    let default = default.map(|default| format!(" [{}]", default.shown())).unwrap_or_default();
    // A terminal that has gone away is noticed when the answer is read.
    let _ = around.errors.write(&format!("{}{default}: ", prompt.shown()).into());
}

fn take(around: &Surroundings, prompt: &str) -> Result<String, Stop> {
    around.line().map_err(broken)?.ok_or_else(|| no_more(prompt))
}

/// A line at a terminal that cannot move its cursor.
fn typed(around: &Surroundings, prompt: &str, default: Option<&str>, reading: &Asking) -> Result<String, Stop> {
    show(around, prompt, default);
    let stdin = std::io::stdin();
    loop {
        let mut waited = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(GLANCE)) {
            _ if reading.interrupted() => return Err(interrupted()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return take(around, prompt),
            Err(error) => return Err(broken(error)),
        }
    }
}

impl Console for &Surroundings {
    fn show(&mut self, text: Text<'_>) {
        write_line(&self.errors, &text);
    }

    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Stop> {
        self.signals.catch().map_err(broken)?;
        if !self.patient() {
            // The line of a file or a pipe is shown after its question. There is no Ctrl-C in a pipe, and a signal may end the
            // program at once.
            show(self, prompt, default);
            let line = take(self, prompt);
            let text = line.as_deref().unwrap_or_default();
            let _ = self.errors.write(&(Text::from(text.shown()) + "\n"));
            return line;
        }
        let reading = self.signals.asking();
        let edited = moves_cursor(self).then(|| edited(prompt, default, reading.flag())).flatten();
        let read = edited.unwrap_or_else(|| typed(self, prompt, default, &reading));
        if reading.interrupted() || matches!(&read, Err(stop) if stop.code == ErrorCode::Interrupted) {
            // What is said next starts on its own line.
            self.say("");
            return Err(interrupted());
        }
        read
    }

    fn patient(&self) -> bool {
        self.is_typed()
    }

    fn size(&self) -> Option<(usize, usize)> {
        self.errors.size().filter(|_| self.patient())
    }
}

fn interrupted() -> Stop {
    ended(ErrorCode::Interrupted, "interrupted")
}

fn no_more(prompt: &str) -> Stop {
    ended(ErrorCode::NoTerminal, &format!("the input ended at the question {prompt:?}"))
}

fn broken(error: impl Display) -> Stop {
    ended(ErrorCode::NoTerminal, &format!("the terminal cannot be used: {error}"))
}

/// A line at a terminal that can move its cursor; `None` if the editor has given up: dialoguer panics if the window becomes one
/// column wide while a line is being corrected.
fn edited(prompt: &str, default: Option<&str>, signal: Arc<AtomicBool>) -> Option<Result<String, Stop>> {
    let _raw = match Raw::enter(signal) {
        Ok(raw) => raw,
        Err(error) => return Some(Err(broken(error))),
    };
    let mut input = Input::<String>::with_theme(&SimpleTheme).with_prompt(prompt.shown()).allow_empty(true);
    match default.map(|default| (default, default.shown())) {
        Some((default, shown)) if default == shown => input = input.default(default.to_owned()),
        // dialoguer would show it raw. Without an answer the caller takes it.
        Some((_, shown)) => input = input.with_prompt(format!("{} [{shown}]", prompt.shown())),
        None => {}
    }
    // The message of a panic helps no user, and the line is asked for once more.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let read = catch_unwind(AssertUnwindSafe(|| input.interact_text()));
    set_hook(hook);
    let Ok(read) = read else {
        let _ = writeln!(std::io::stderr(), "\r");
        return None;
    };
    Some(read.map_err(|dialoguer::Error::IO(error)| match error.kind() {
        std::io::ErrorKind::Interrupted => interrupted(),
        std::io::ErrorKind::UnexpectedEof => no_more(prompt),
        _ => broken(error),
    }))
}

/// The terminal without echo and line discipline, and back again at the end. dialoguer sets and resets it for every single
/// key; what arrives in between would be shown twice, and a Ctrl-C be lost.
#[must_use = "it ends when it is dropped"]
struct Raw {
    before: Termios,
    over: Arc<AtomicBool>,
}

impl Raw {
    fn enter(signal: Arc<AtomicBool>) -> Result<Self, Errno> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        // A line feed still is a new line.
        raw.output_flags |= before.output_flags & (OutputFlags::OPOST | OutputFlags::ONLCR);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw)?;
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        // A signal wakes a thread that waits for a key, but not if it comes just before the waiting begins. So it is sent again
        // until the question is over.
        std::thread::spawn(move || {
            // The signal must reach the thread that waits, not this one.
            if SigSet::all().thread_block().is_err() {
                return;
            }
            while !watched.load(Ordering::SeqCst) {
                std::thread::sleep(BLINK);
                if signal.load(Ordering::SeqCst) && !watched.load(Ordering::SeqCst) {
                    // A process may always signal itself.
                    let _ = kill(Pid::this(), Signal::SIGINT);
                }
            }
        });
        Ok(Self { before, over })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Without a terminal there is nothing to put back.
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
