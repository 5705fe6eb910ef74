//! Ctrl-C, SIGTERM and a closed terminal, before anything is changed.
//!
//! At a question they end the question, so that the terminal is put back and it can be said that nothing was changed. While
//! something is looked up they end the program at once. As soon as changes are made they are the executor's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::exit::Exit;

/// What became of the signals that ask the program to end.
#[derive(Debug)]
pub struct Interruption {
    came: Arc<AtomicBool>,
    /// Whether they end the program at once.
    ends_at_once: Arc<AtomicBool>,
    /// Whether they are somebody else's by now.
    left: AtomicBool,
}

static WATCHED: OnceLock<Result<Interruption, String>> = OnceLock::new();

impl Interruption {
    /// The one of this process; from the first call on the signals are caught.
    ///
    /// # Errors
    /// The system does not let them be caught.
    pub fn watched() -> Result<&'static Self, String> {
        WATCHED.get_or_init(Self::watch).as_ref().map_err(Clone::clone)
    }

    fn watch() -> Result<Self, String> {
        let watched =
            Self { came: Arc::default(), ends_at_once: Arc::new(AtomicBool::new(true)), left: AtomicBool::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_shutdown(signal, Exit::NotConfirmed as i32, Arc::clone(&watched.ends_at_once))
                .and_then(|_| flag::register(signal, Arc::clone(&watched.came)))
                .map_err(|error| format!("signal {signal} cannot be caught: {error}"))?;
        }
        Ok(watched)
    }

    /// Whether one has come since somebody was asked.
    #[must_use]
    pub fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// While this lives somebody is asked, and a signal ends only the question.
    pub fn asking(&self) -> Asking<'_> {
        self.ends_at_once.store(false, Ordering::SeqCst);
        // One that came before has been seen to.
        self.came.store(false, Ordering::SeqCst);
        Asking { interruption: self }
    }

    /// Leaves the signals to whoever makes changes: from now on they end nothing here.
    pub fn leave() {
        if let Some(Ok(watched)) = WATCHED.get() {
            watched.left.store(true, Ordering::SeqCst);
            watched.ends_at_once.store(false, Ordering::SeqCst);
        }
    }
}

/// The time of one question.
#[derive(Debug)]
pub struct Asking<'a> {
    interruption: &'a Interruption,
}

impl Asking<'_> {
    /// Whether a signal has come.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interruption.came()
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.interruption.left.load(Ordering::SeqCst) {
            self.interruption.ends_at_once.store(true, Ordering::SeqCst);
        }
    }
}
