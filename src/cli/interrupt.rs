//! Ctrl-C, SIGTERM and a closed terminal: noticed between two changes, never in the middle of one, and then decided by whoever
//! runs the program: undo, keep, or go on.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The signals that ask a run to end.
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
        for (name, signal) in [("SIGINT", SIGINT), ("SIGTERM", SIGTERM), ("SIGHUP", SIGHUP)] {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))
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
