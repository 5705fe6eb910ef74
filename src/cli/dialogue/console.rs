//! Where somebody types: a terminal, or lines from a file or a pipe.
//!
//! At a terminal that can move its cursor the line is edited with dialoguer. One that cannot (`TERM=dumb`, a serial console without a
//! type) gets plain lines, edited by the kernel, and no escape code; so does a pipe, whose lines are shown behind their
//! questions.

use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dialoguer::{Input, console::Term, theme::SimpleTheme};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};
use nix::unistd::Pid;

use super::conversation::{Console, Ended};
use super::interruption::Interruption;
use crate::cli::screen::fitted;

/// `$TERM` of terminals that are not known to move a cursor: ttys(5) gives the last four to lines of unknown type.
const PLAIN: [&str; 6] = ["", "dumb", "unknown", "dialup", "network", "su"];
/// Below this many columns a line cannot be edited sensibly.
const NARROWEST: u16 = 20;
/// How long is waited for a line before a signal is looked for, in milliseconds.
const GLANCE: u16 = 200;
/// How often it is looked whether a signal went unnoticed.
const BLINK: Duration = Duration::from_millis(50);

/// The console of this process: standard input and standard error.
pub struct Standard {
    interruption: &'static Interruption,
}

impl Standard {
    /// Takes standard input and standard error.
    ///
    /// # Errors
    /// The system does not let signals be caught.
    pub fn open() -> Result<Self, Ended> {
        Ok(Self { interruption: Interruption::watched().map_err(Ended::Broken)? })
    }
}

/// Whether the terminal can move its cursor, as far as that can be known.
#[must_use]
pub fn moves_cursor() -> bool {
    std::io::stderr().is_terminal()
        && !is_plain(&std::env::var("TERM").unwrap_or_default())
        && Term::stderr().size().1 >= NARROWEST
}

/// Whether a terminal of this type (`$TERM`, empty where there is none) shows colours. DEC's terminals, as which serial lines are
/// commonly entered in ttys(5), have none.
#[must_use]
pub fn has_colors(term: &str) -> bool {
    !is_plain(term) && !term.starts_with("vt")
}

fn is_plain(term: &str) -> bool {
    PLAIN.contains(&term)
}

impl Console for Standard {
    fn say(&mut self, text: &str) {
        // A terminal that has gone away is noticed at the next question.
        let _ = writeln!(std::io::stderr(), "{}", fitted(&Term::stderr(), text));
    }

    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Ended> {
        let reading = self.interruption.asking();
        let read = if !std::io::stdin().is_terminal() {
            // Nobody presses Ctrl-C in a pipe, and a signal may end the program at once.
            drop(reading);
            return piped(prompt, default);
        } else if moves_cursor() {
            match edited(prompt, default, self.interruption) {
                Some(read) => read,
                None => typed(prompt, default, &|| reading.interrupted()),
            }
        } else {
            typed(prompt, default, &|| reading.interrupted())
        };
        if reading.interrupted() || read == Err(Ended::Interrupted) {
            // What is said next begins a line of its own.
            self.say("");
            return Err(Ended::Interrupted);
        }
        read
    }

    fn patient(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    fn size(&self) -> Option<(usize, usize)> {
        let (rows, columns) = Term::stderr().size();
        (self.patient() && std::io::stderr().is_terminal()).then(|| (rows.into(), columns.into()))
    }
}

/// A line at a terminal that can move its cursor; `None` where the editor has given up. dialoguer panics if the window is made one
/// column wide while a line is being corrected.
fn edited(prompt: &str, default: Option<&str>, interruption: &'static Interruption) -> Option<Result<String, Ended>> {
    let broken = |error: String| Ended::Broken(error);
    let _raw = match Raw::enter(interruption) {
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
struct Raw {
    before: Termios,
    over: Arc<AtomicBool>,
}

impl Raw {
    fn enter(interruption: &'static Interruption) -> Result<Self, Errno> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        // A line feed still is a new line.
        raw.output_flags |= before.output_flags & (OutputFlags::OPOST | OutputFlags::ONLCR);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw)?;
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        std::thread::spawn(move || Self::watch(&watched, interruption));
        Ok(Self { before, over })
    }

    /// A signal wakes whoever waits for a key, but not if it comes in the moment before the waiting begins. So it is sent
    /// again until the question is over.
    fn watch(over: &AtomicBool, interruption: &Interruption) {
        // It has to reach the thread that waits, and not this one.
        if SigSet::all().thread_block().is_err() {
            return;
        }
        while !over.load(Ordering::SeqCst) {
            std::thread::sleep(BLINK);
            if interruption.came() && !over.load(Ordering::SeqCst) {
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

/// A line at a terminal that cannot move its cursor.
fn typed(prompt: &str, default: Option<&str>, interrupted: &dyn Fn() -> bool) -> Result<String, Ended> {
    show(prompt, default);
    let stdin = std::io::stdin();
    loop {
        let mut waited = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(GLANCE)) {
            _ if interrupted() => return Err(Ended::Interrupted),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(error) => return Err(Ended::Broken(error.to_string())),
        }
    }
    take(prompt)
}

/// A line of a file or a pipe, shown behind its question.
fn piped(prompt: &str, default: Option<&str>) -> Result<String, Ended> {
    show(prompt, default);
    let line = take(prompt);
    let text = line.as_deref().unwrap_or_default();
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    let _ = writeln!(std::io::stderr(), "{text}");
    line
}

fn show(prompt: &str, default: Option<&str>) {
    let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{prompt}{default}: ");
    let _ = stderr.flush();
}

fn take(prompt: &str) -> Result<String, Ended> {
    let mut bytes = Vec::new();
    match std::io::stdin().lock().read_until(b'\n', &mut bytes) {
        Ok(0) => Err(Ended::NoMoreInput(prompt.to_owned())),
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(Ended::Broken(error.to_string())),
    }
}
