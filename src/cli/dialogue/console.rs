//! Where somebody types: a terminal, or lines from a file or a pipe.
//!
//! At a terminal that can move its cursor the line is edited with dialoguer. One that cannot (`TERM=dumb`, a serial console without a
//! type) gets plain lines, edited by the kernel, and no escape code; so does a pipe, whose lines are shown behind their
//! questions.

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

use super::conversation::{Console, Ended};
use crate::cli::screen::{moves_cursor, write_line};
use crate::cli::surroundings::Surroundings;
use crate::run::signals::Asking;

/// How long is waited for a line before a signal is looked for, in milliseconds.
const GLANCE: u16 = 200;
/// How often it is looked whether a signal went unnoticed.
const BLINK: Duration = Duration::from_millis(50);

/// Standard input and standard error.
pub struct Standard<'a> {
    around: &'a Surroundings,
}

impl<'a> Standard<'a> {
    /// Takes standard input and standard error.
    ///
    /// # Errors
    /// The system does not let signals be caught.
    pub fn open(around: &'a Surroundings) -> Result<Self, Ended> {
        around.signals.catch().map_err(Ended::Broken)?;
        Ok(Self { around })
    }

    /// A line at a terminal that cannot move its cursor.
    fn typed(&self, prompt: &str, default: Option<&str>, reading: &Asking) -> Result<String, Ended> {
        self.show(prompt, default);
        let stdin = std::io::stdin();
        loop {
            // What a test has typed is there already.
            if !self.around.is_own {
                break;
            }
            let mut waited = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waited, PollTimeout::from(GLANCE)) {
                _ if reading.interrupted() => return Err(Ended::Interrupted),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(error) => return Err(Ended::Broken(error.to_string())),
            }
        }
        self.take(prompt)
    }

    /// A line of a file or a pipe, shown behind its question.
    fn piped(&self, prompt: &str, default: Option<&str>) -> Result<String, Ended> {
        self.show(prompt, default);
        let line = self.take(prompt);
        let text = line.as_deref().unwrap_or_default();
        self.print(&format!("{}\n", text.chars().filter(|character| !character.is_control()).collect::<String>()));
        line
    }

    fn show(&self, prompt: &str, default: Option<&str>) {
        let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        self.print(&format!("{prompt}{default}: "));
    }

    fn take(&self, prompt: &str) -> Result<String, Ended> {
        match self.around.line() {
            Ok(line) => line.ok_or_else(|| Ended::NoMoreInput(prompt.to_owned())),
            Err(error) => Err(Ended::Broken(error.to_string())),
        }
    }

    fn print(&self, text: &str) {
        // A terminal that has gone away is noticed at the next question.
        let _ = self.around.errors.write(text.as_bytes());
    }
}

impl Console for Standard<'_> {
    fn say(&mut self, text: &str) {
        write_line(&*self.around.errors, text);
    }

    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Ended> {
        if !self.patient() {
            // Nobody presses Ctrl-C in a pipe, and a signal may end the program at once.
            return self.piped(prompt, default);
        }
        let reading = self.around.signals.asking();
        let edited = if moves_cursor(self.around) { edited(prompt, default, reading.flag()) } else { None };
        let read = edited.unwrap_or_else(|| self.typed(prompt, default, &reading));
        if reading.interrupted() || read == Err(Ended::Interrupted) {
            // What is said next begins a line of its own.
            self.say("");
            return Err(Ended::Interrupted);
        }
        read
    }

    fn patient(&self) -> bool {
        self.around.input.is_terminal()
    }

    fn size(&self) -> Option<(usize, usize)> {
        self.around.errors.size().filter(|_| self.patient())
    }
}

/// A line at a terminal that can move its cursor; `None` where the editor has given up. dialoguer panics if the window is made one
/// column wide while a line is being corrected.
fn edited(prompt: &str, default: Option<&str>, interrupted: Arc<AtomicBool>) -> Option<Result<String, Ended>> {
    let broken = |error: String| Ended::Broken(error);
    let _raw = match Raw::enter(interrupted) {
        Ok(raw) => raw,
        Err(error) => return Some(Err(broken(error.to_string()))),
    };
    let mut input = Input::<String>::with_theme(&SimpleTheme).with_prompt(prompt).allow_empty(true);
    if let Some(default) = default {
        input = input.default(default.to_owned());
    }
    // Nobody is helped by what a panic says of itself, and the line is asked for once more.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let read = catch_unwind(AssertUnwindSafe(|| input.interact_text()));
    set_hook(hook);
    let read = match read {
        Ok(read) => read,
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "\r");
            return None;
        }
    };
    Some(read.map_err(|dialoguer::Error::IO(error)| match error.kind() {
        std::io::ErrorKind::Interrupted => Ended::Interrupted,
        std::io::ErrorKind::UnexpectedEof => Ended::NoMoreInput(prompt.to_owned()),
        _ => broken(error.to_string()),
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
    fn enter(interrupted: Arc<AtomicBool>) -> Result<Self, Errno> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        // A line feed still is a new line.
        raw.output_flags |= before.output_flags & (OutputFlags::OPOST | OutputFlags::ONLCR);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw)?;
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        std::thread::spawn(move || Self::watch(&watched, &interrupted));
        Ok(Self { before, over })
    }

    /// A signal wakes whoever waits for a key, but not if it comes in the moment before the waiting begins. So it is sent
    /// again until the question is over.
    fn watch(over: &AtomicBool, interrupted: &AtomicBool) {
        // It has to reach the thread that waits, and not this one.
        if SigSet::all().thread_block().is_err() {
            return;
        }
        while !over.load(Ordering::SeqCst) {
            std::thread::sleep(BLINK);
            if interrupted.load(Ordering::SeqCst) && !over.load(Ordering::SeqCst) {
                // To oneself it can always be sent.
                let _ = kill(Pid::this(), Signal::SIGINT);
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Without a terminal there is nothing to put back.
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
