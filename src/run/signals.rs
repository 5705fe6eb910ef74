//! Ctrl-C, SIGTERM and a closed terminal.
//!
//! During a question they end the question, so that the terminal is restored and the program can report that nothing was changed.
//! During a lookup they end the program at once. During a run they only set a flag, which the executor checks between two
//! changes. After it they have their default effect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Exit, Stop};
use crate::error_code::ErrorCode;

const HEARD: [(&str, i32); 3] = [("SIGINT", SIGINT), ("SIGTERM", SIGTERM), ("SIGHUP", SIGHUP)];

/// The signals that ask the program to end, and their current effect.
#[derive(Clone, Default)]
pub struct Signals(Arc<State>);

#[derive(Default)]
struct State {
    /// `None`: this is not a separate process, so no signal is for us.
    caught: Option<OnceLock<Result<(), String>>>,
    /// Whether they end the program at once, with [`Exit::NotConfirmed`].
    ends: Arc<AtomicBool>,
    /// Whether they have their default effect.
    default: Arc<AtomicBool>,
    /// Whether one has arrived since the question began.
    at_question: Arc<AtomicBool>,
    /// Whether changes were made: from then on nothing ends the program at once.
    has_changed: AtomicBool,
    /// Which of [`HEARD`] have arrived since the run began.
    come: [Arc<AtomicBool>; HEARD.len()],
}

impl Signals {
    /// The signals of this process, caught from the first question or change on.
    pub fn of_process() -> Self {
        Self(Arc::new(State { caught: Some(OnceLock::new()), ..State::default() }))
    }

    /// Catches them from now on.
    ///
    /// # Errors
    /// The system does not allow that.
    pub fn catch(&self) -> Result<(), String> {
        let state = &*self.0;
        let Some(caught) = &state.caught else { return Ok(()) };
        let register = |((name, signal), come): ((&str, i32), &Arc<AtomicBool>)| {
            flag::register_conditional_shutdown(signal, Exit::NotConfirmed as i32, Arc::clone(&state.ends))
                .and_then(|_| flag::register(signal, Arc::clone(&state.at_question)))
                .and_then(|_| flag::register(signal, Arc::clone(come)))
                .and_then(|_| flag::register_conditional_default(signal, Arc::clone(&state.default)))
                .map_err(|error| format!("{name} cannot be caught: {error}"))
                .map(drop)
        };
        let first = || {
            state.ends.store(!state.has_changed.load(Ordering::SeqCst), Ordering::SeqCst);
            HEARD.into_iter().zip(&state.come).try_for_each(register)
        };
        caught.get_or_init(first).clone()
    }

    /// Begins a question: until the result is dropped a signal ends only that.
    pub fn asking(&self) -> Asking {
        let state = &*self.0;
        let before = (state.ends.swap(false, Ordering::SeqCst), state.default.swap(false, Ordering::SeqCst));
        // An earlier one was already handled.
        state.at_question.store(false, Ordering::SeqCst);
        Asking { signals: self.clone(), before }
    }

    /// Begins a run: until the result is dropped a signal is only noticed.
    ///
    /// # Errors
    /// The system does not allow them to be caught.
    pub fn changing(&self) -> Result<Changing, Stop> {
        let state = &*self.0;
        state.has_changed.store(true, Ordering::SeqCst);
        for flag in [&state.ends, &state.default].into_iter().chain(&state.come) {
            flag.store(false, Ordering::SeqCst);
        }
        self.catch().map_err(|why| Stop::refused(ErrorCode::Kernel, why))?;
        Ok(Changing(self.clone()))
    }

    /// Those that have arrived since the run began.
    fn come(&self) -> impl Iterator<Item = &'static str> {
        HEARD.iter().zip(&self.0.come).filter(|(_, come)| come.load(Ordering::Relaxed)).map(|((name, _), _)| *name)
    }

    /// Whether only Ctrl-C has arrived.
    pub fn only_ctrl_c(&self) -> bool {
        self.come().eq(["SIGINT"])
    }
}

/// The duration of one question.
#[must_use = "it ends when it is dropped"]
pub struct Asking {
    signals: Signals,
    before: (bool, bool),
}

impl Asking {
    /// Whether a signal has arrived.
    pub fn interrupted(&self) -> bool {
        self.signals.0.at_question.load(Ordering::SeqCst)
    }

    /// The same, for another thread.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.signals.0.at_question)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.signals.0.ends.store(self.before.0, Ordering::SeqCst);
        self.signals.0.default.store(self.before.1, Ordering::SeqCst);
    }
}

/// The duration of a run.
#[must_use = "it ends when it is dropped"]
pub struct Changing(Signals);

impl Changing {
    /// Why to stop, if one has arrived.
    pub fn received(&self) -> Option<String> {
        self.0.come().next().map(|name| match name {
            "SIGHUP" => "the terminal was closed (SIGHUP)".to_owned(),
            name => format!("interrupted ({name})"),
        })
    }

    /// Why to stop, if the user wants that; a closed terminal is no such wish.
    pub fn asked_to_stop(&self) -> Option<String> {
        self.0.come().find(|name| *name != "SIGHUP").map(|name| format!("interrupted ({name})"))
    }

    /// Forgets those that have arrived.
    pub fn go_on(&self) {
        self.0.0.come.iter().for_each(|come| come.store(false, Ordering::Relaxed));
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.0.default.store(true, Ordering::SeqCst);
    }
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
                .args(["--exact", "run::signals::tests::run_in_a_process_of_its_own", "--ignored"])
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
        let signals = Signals::of_process();
        let run = |is_signalled: bool| {
            let changing = signals.changing().unwrap();
            assert_eq!(changing.received(), None);
            if is_signalled {
                raise(Signal::SIGTERM).unwrap();
                assert_eq!(changing.received().unwrap(), "interrupted (SIGTERM)");
            }
        };
        run(course == "in it");
        if course == "after it" {
            raise(Signal::SIGTERM).unwrap();
        }
        run(course == "in the next");
    }
}
