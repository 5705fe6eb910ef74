//! What is noted while changes are applied: progress, interruptions, and for how long ports and service were away.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::signals::Changing;
use crate::change::{Action, Change, Interruption, Operator, ReloadFront, Reporter, Step};
use crate::host::{Host, PortWatch};
use crate::release;

/// Tells what happens, and watches ports meanwhile.
pub(super) struct Watching<'a> {
    host: &'a dyn Host,
    signals: &'a Changing,
    progress: Box<dyn Reporter + 'a>,
    watched: &'a [u16],
    noted: Noted,
}

#[derive(Default)]
struct Noted {
    /// The watch of the ports, which goes on from when they are first taken away until they answer steadily, and again
    /// while that is taken back.
    watch: RefCell<Option<Box<dyn PortWatch>>>,
    /// Whether the watch may end by itself.
    eased: Cell<bool>,
    /// For how long earlier watches have seen connections refused.
    before: Cell<Option<Duration>>,
    password: Cell<Option<String>>,
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
        progress: Box<dyn Reporter + 'a>,
        watched: &'a [u16],
    ) -> Self {
        Self { host, signals, progress, watched, noted: Noted::default() }
    }

    /// Begins a watch, if none goes on.
    fn watch(&self) {
        let Noted { watch, eased, before, .. } = &self.noted;
        if self.watched.is_empty() || (watch.borrow().is_some() && !eased.get()) {
            return;
        }
        before.set(self.refused());
        eased.set(false);
        // Without a watch the time is not known, and nothing else is lost.
        watch.replace(self.host.watch_ports(self.watched).ok());
    }

    /// The trial begins: the watch may end once the ports answer steadily.
    pub(super) fn ease(&self) {
        if let Some(watch) = self.noted.watch.borrow().as_ref() {
            watch.ease();
            self.noted.eased.set(true);
        }
    }

    /// For how long connections were refused in all, as far as that was watched. Ends the watch.
    pub(super) fn refused(&self) -> Option<Duration> {
        let seen = self.noted.watch.take().map(|watch| watch.finish().longest());
        self.noted.before.take().into_iter().chain(seen).reduce(|before, seen| before + seen)
    }

    /// For how long the service was down, up to now if it did not come back.
    pub(super) fn down(&self) -> Option<Duration> {
        let ended = self.noted.started.get().unwrap_or_else(|| self.host.now());
        self.noted.stopped.get().map(|stopped| Duration::from_secs(ended.saturating_sub(stopped)))
    }

    /// The password of an account that was made.
    pub(super) fn password(self) -> Option<String> {
        self.noted.password.into_inner()
    }
}

impl Operator for Watching<'_> {
    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        self.progress.waiting(what, elapsed, log_line);
    }

    fn note(&self, text: &str) {
        self.progress.note(text);
    }

    fn interrupted(&self) -> Interruption {
        if let Some(decided) = self.decided() {
            return decided;
        }
        let decided = self.progress.interrupted();
        if decided == Interruption::Continue {
            self.signals.go_on();
        } else {
            self.noted.decided.set(Some(decided));
        }
        decided
    }

    fn decided(&self) -> Option<Interruption> {
        self.noted.decided.get()
    }

    fn password(&self, username: &str, password: &str) {
        self.progress.password(username, password);
        self.noted.password.set(Some(password.to_owned()));
    }

    fn progress(&self) -> &dyn release::Progress {
        self.progress.progress()
    }
}

impl Reporter for Watching<'_> {
    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.progress.begin(number, of, step);
        let stops = step.action == Action::Stop;
        if stops && self.noted.stopped.get().is_none() {
            self.noted.stopped.set(Some(self.host.now()));
        }
        // Not before a step that can take the ports away: each look leaves a line in the log of a server that speaks TLS.
        if stops || matches!(step.change, Change::FrontReload(ReloadFront { when_undone: false, .. })) {
            self.watch();
        }
    }

    fn done(&self, step: &Step) {
        if step.action == Action::Start {
            self.noted.started.set(Some(self.host.now()));
        }
        self.progress.done(step);
    }

    fn undoing(&self, step: &Step) {
        // Only what was watched on the way there.
        if self.noted.eased.get() {
            self.watch();
        }
        self.noted.started.set(None);
        self.progress.undoing(step);
    }
}
