//! Ctrl-C, SIGTERM and a closed terminal: noticed between two changes, in the middle of none but a download, and then decided
//! by whoever runs the program: undo, keep, or go on.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::dialogue::console::Standard;
use super::dialogue::conversation::Console;
use super::screen::Screen;
use super::transaction::Stop;
use crate::change::Interruption;
use crate::error_code::ErrorCode;

/// How often a question that was not answered with one of its letters is put again.
const QUESTIONS: u32 = 3;

/// What becomes of a run that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnInterrupt {
    /// Take back what was done.
    Undo,
    /// Keep it; the next run goes on from there.
    Keep,
}

impl From<OnInterrupt> for Interruption {
    fn from(what: OnInterrupt) -> Self {
        match what {
            OnInterrupt::Undo => Self::Undo,
            OnInterrupt::Keep => Self::Keep,
        }
    }
}

/// Whether no run is going on, so that a signal does what it does to any program: while the checks look at the running system
/// nothing is left to be undone, and they may take long.
static OVER: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The signals that ask a run to end, for as long as it goes on.
pub(super) struct Signals {
    received: Vec<(&'static str, Arc<AtomicBool>)>,
    decided: Cell<Option<Interruption>>,
}

impl Signals {
    /// Begins to listen for them.
    ///
    /// # Errors
    /// The system does not let them be caught.
    pub(super) fn listen() -> Result<Self, Stop> {
        let mut received = Vec::new();
        let is_first = OVER.get().is_none();
        let over = OVER.get_or_init(Arc::default);
        over.store(false, Ordering::SeqCst);
        for (name, signal) in [("SIGINT", SIGINT), ("SIGTERM", SIGTERM), ("SIGHUP", SIGHUP)] {
            let flag = Arc::new(AtomicBool::new(false));
            let caught = signal_hook::flag::register(signal, Arc::clone(&flag));
            caught
                .and_then(|_| match is_first {
                    true => signal_hook::flag::register_conditional_default(signal, Arc::clone(over)).map(drop),
                    false => Ok(()),
                })
                .map_err(|error| Stop::refused(ErrorCode::Kernel, format!("{name} cannot be caught: {error}")))?;
            received.push((name, flag));
        }
        Ok(Self { received, decided: Cell::new(None) })
    }

    /// Why to stop, if one has come.
    pub(super) fn received(&self) -> Option<String> {
        let (name, _) = self.received.iter().find(|(_, flag)| flag.load(Ordering::Relaxed))?;
        Some(match *name {
            "SIGHUP" => "the terminal was closed (SIGHUP)".to_owned(),
            name => format!("interrupted ({name})"),
        })
    }

    /// Why to stop, if somebody wants that; a terminal that has gone away wants nothing.
    pub(super) fn asked_to_stop(&self) -> Option<String> {
        let asked = self.received.iter().filter(|(name, _)| *name != "SIGHUP");
        asked.into_iter().find_map(|(name, flag)| flag.load(Ordering::Relaxed).then(|| format!("interrupted ({name})")))
    }

    /// What was decided about it, if anything was.
    pub(super) fn decided(&self) -> Option<Interruption> {
        self.decided.get()
    }

    /// What is to become of the run. It is asked once, on a terminal, after Ctrl-C, and only if `--on-interrupt` has not said it.
    pub(super) fn decide(&self, screen: &Screen, interactive: bool) -> Interruption {
        if let Some(decided) = self.decided.get() {
            return decided;
        }
        let has_come = |name: &str| self.received.iter().any(|(is, flag)| *is == name && flag.load(Ordering::Relaxed));
        let only_ctrl_c = has_come("SIGINT") && !has_come("SIGTERM") && !has_come("SIGHUP");
        let decided = match screen.on_interrupt() {
            Some(said) => said.into(),
            None if interactive && only_ctrl_c => ask(screen),
            None => Interruption::Undo,
        };
        if decided == Interruption::Continue {
            self.received.iter().for_each(|(_, flag)| flag.store(false, Ordering::Relaxed));
        } else {
            self.decided.set(Some(decided));
        }
        decided
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(over) = OVER.get() {
            over.store(true, Ordering::SeqCst);
        }
    }
}

/// Where no answer can be had, or Ctrl-C is one, it is undone.
fn ask(screen: &Screen) -> Interruption {
    for _ in 0..QUESTIONS {
        let question = "Interrupted. [u]ndo what was done, [k]eep it for the next run, [c]ontinue";
        let answer = Standard::open().and_then(|mut console| console.read(question, None));
        let Ok(answer) = answer else { return Interruption::Undo };
        match answer.trim().to_ascii_lowercase().as_str() {
            "u" | "undo" => return Interruption::Undo,
            "k" | "keep" => return Interruption::Keep,
            "c" | "continue" => return Interruption::Continue,
            _ => screen.line("Please type u, k or c."),
        }
    }
    Interruption::Undo
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use nix::sys::signal::{Signal, raise};

    const COURSE: &str = "INTERRUPT_COURSE";

    #[test]
    fn a_signal_after_a_run_ends_the_program_and_one_in_it_does_not() {
        for (course, ends_by) in [("in it", None), ("after it", Some(SIGTERM)), ("in the next", None)] {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "cli::interrupt::tests::run_in_a_process_of_its_own", "--ignored"])
                .env(COURSE, course)
                .output()
                .unwrap();
            assert_eq!(child.status.signal(), ends_by, "{course}: {}", String::from_utf8_lossy(&child.stdout));
            assert_eq!(child.status.success(), ends_by.is_none(), "{course}");
        }
    }

    #[test]
    #[ignore = "run by the other, in a process of its own"]
    fn run_in_a_process_of_its_own() {
        let course = std::env::var(COURSE).unwrap_or_default();
        let run = |is_signalled: bool| {
            let signals = Signals::listen().unwrap();
            assert_eq!(signals.received(), None);
            if is_signalled {
                raise(Signal::SIGTERM).unwrap();
                assert_eq!(signals.received().unwrap(), "interrupted (SIGTERM)");
            }
        };
        run(course == "in it");
        if course == "after it" {
            raise(Signal::SIGTERM).unwrap();
        }
        run(course == "in the next");
    }
}
