//! What is noted while changes are applied: progress, interruptions, and for how long ports and service were away.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::signals::Changing;
use crate::change::{Action, Change, Interruption, Operator, ReloadFront, Step};
use crate::host::{Host, PortWatch};
use crate::release;

/// Tells what happens, and watches ports meanwhile.
pub(super) struct Watching<'a> {
    host: &'a dyn Host,
    signals: &'a Changing,
    progress: Box<dyn Operator + 'a>,
    watched: &'a [u16],
    watch: Watch,
    password: RefCell<Option<String>>,
    /// What becomes of the run, once that is decided.
    decided: Cell<Option<Interruption>>,
    /// When a service was stopped, by the host's clock.
    stopped: Cell<Option<u64>>,
    /// When it was ready again.
    started: Cell<Option<u64>>,
}

impl<'a> Watching<'a> {
    /// Shows progress, and watches these ports from the first step on that can take them away.
    pub(super) fn new(
        host: &'a dyn Host,
        signals: &'a Changing,
        progress: Box<dyn Operator + 'a>,
        watched: &'a [u16],
    ) -> Self {
        Self {
            host,
            signals,
            progress,
            watched,
            watch: Watch::default(),
            password: RefCell::default(),
            decided: Cell::default(),
            stopped: Cell::default(),
            started: Cell::default(),
        }
    }

    /// The trial begins: the watch may end once the ports answer steadily.
    pub(super) fn ease(&self) {
        self.watch.ease();
    }

    /// For how long connections were refused, if that was watched.
    pub(super) fn refused(&self) -> Option<Duration> {
        self.watch.finish()
    }

    /// For how long the service was down, up to now if it did not come back.
    pub(super) fn down(&self) -> Option<Duration> {
        let ended = self.started.get().unwrap_or_else(|| self.host.now());
        self.stopped.get().map(|stopped| Duration::from_secs(ended.saturating_sub(stopped)))
    }

    /// The password of an account that was made.
    pub(super) fn password(self) -> Option<String> {
        self.password.into_inner()
    }
}

/// The watch of the ports, which goes on from when they are first taken away until they answer steadily, and again while
/// that is taken back.
#[derive(Default)]
struct Watch {
    running: RefCell<Option<Box<dyn PortWatch>>>,
    eased: Cell<bool>,
    /// What earlier ones have seen.
    before: Cell<Option<Duration>>,
}

impl Watch {
    /// Begins, if none goes on.
    fn begin(&self, host: &dyn Host, ports: &[u16]) {
        if ports.is_empty() || (self.running.borrow().is_some() && !self.eased.get()) {
            return;
        }
        self.before.set(self.finish());
        self.eased.set(false);
        // Without a watch the time is not known, and nothing else is lost.
        *self.running.borrow_mut() = host.watch_ports(ports).ok();
    }

    /// From now on it may end by itself.
    fn ease(&self) {
        if let Some(watch) = self.running.borrow().as_ref() {
            watch.ease();
            self.eased.set(true);
        }
    }

    /// For how long connections were refused in all, as far as it was watched.
    fn finish(&self) -> Option<Duration> {
        let seen = self.running.take().map(|watch| watch.finish().longest());
        match (self.before.take(), seen) {
            (Some(before), Some(seen)) => Some(before + seen),
            (before, seen) => before.or(seen),
        }
    }
}

/// Whether a change can take ports away from who has them.
fn takes_ports(step: &Step) -> bool {
    step.action == Action::Stop || matches!(step.change, Change::FrontReload(ReloadFront { when_undone: false, .. }))
}

impl Operator for Watching<'_> {
    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        self.progress.waiting(what, elapsed, log_line);
    }

    fn note(&self, text: &str) {
        self.progress.note(text);
    }

    fn interrupted(&self) -> Interruption {
        if let Some(decided) = self.decided.get() {
            return decided;
        }
        let decided = self.progress.interrupted();
        if decided == Interruption::Continue {
            self.signals.go_on();
        } else {
            self.decided.set(Some(decided));
        }
        decided
    }

    fn decided(&self) -> Option<Interruption> {
        self.decided.get()
    }

    fn password(&self, username: &str, password: &str) {
        self.progress.password(username, password);
        *self.password.borrow_mut() = Some(password.to_owned());
    }

    fn progress(&self) -> &dyn release::Progress {
        self.progress.progress()
    }

    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.progress.begin(number, of, step);
        if step.action == Action::Stop && self.stopped.get().is_none() {
            self.stopped.set(Some(self.host.now()));
        }
        // Not before: each look leaves a line in the log of a server that speaks TLS.
        if takes_ports(step) {
            self.watch.begin(self.host, self.watched);
        }
    }

    fn done(&self, step: &Step) {
        if step.action == Action::Start {
            self.started.set(Some(self.host.now()));
        }
        self.progress.done(step);
    }

    fn undoing(&self, step: &Step) {
        // Only what was watched on the way there.
        if self.watch.eased.get() {
            self.watch.begin(self.host, self.watched);
        }
        self.started.set(None);
        self.progress.undoing(step);
    }
}
