//! Observes a run while changes are applied: progress, interruptions, and how long ports and service were down.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::signals::Changing;
use crate::backup::LeftOut;
use crate::change::{Action, Change, Interruption, Operator, ReloadFront, Step};
use crate::host::{Host, PortWatch};
use crate::release;

/// Forwards progress, and watches ports.
pub(super) struct Watching<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) signals: &'a Changing,
    pub(super) progress: Box<dyn Operator + 'a>,
    /// The ports to watch from the first step that can close them.
    pub(super) watched: &'a [u16],
    pub(super) noted: Noted,
}

/// The observations so far.
#[derive(Default)]
pub(super) struct Noted {
    /// The watch of the ports. It runs from the first step that can close them until they answer steadily, and again while
    /// that step is undone.
    watch: RefCell<Option<Box<dyn PortWatch>>>,
    /// Whether the watch may end on its own.
    eased: Cell<bool>,
    /// For how long earlier watches have seen connections refused.
    before: Cell<Option<Duration>>,
    password: Cell<Option<String>>,
    /// What is not in the backup.
    left_out: RefCell<LeftOut>,
    /// How an interrupted run continues, once that is decided.
    decided: Cell<Option<Interruption>>,
    /// When a service was stopped, by the host's clock.
    stopped: Cell<Option<u64>>,
    /// When it was ready again.
    started: Cell<Option<u64>>,
}

impl Watching<'_> {
    /// Starts a watch, unless one is running.
    fn watch(&self) {
        let Noted { watch, eased, before, .. } = &self.noted;
        if self.watched.is_empty() || (watch.borrow().is_some() && !eased.get()) {
            return;
        }
        before.set(self.refused());
        eased.set(false);
        // Without a watch only the measurement is missing.
        watch.replace(self.host.watch_ports(self.watched).ok());
    }

    /// At the start of the trial: the watch may end once the ports answer steadily.
    pub(super) fn ease(&self) {
        if let Some(watch) = self.noted.watch.borrow().as_ref() {
            watch.ease();
            self.noted.eased.set(true);
        }
    }

    /// How long connections were refused in total, if that was watched. Ends the watch.
    pub(super) fn refused(&self) -> Option<Duration> {
        let seen = self.noted.watch.take().map(|watch| watch.finish().longest());
        self.noted.before.take().into_iter().chain(seen).reduce(|before, seen| before + seen)
    }

    /// How long the service was down, up to now if it is still down.
    pub(super) fn down(&self) -> Option<Duration> {
        let ended = self.noted.started.get().unwrap_or_else(|| self.host.now());
        self.noted.stopped.get().map(|stopped| Duration::from_secs(ended.saturating_sub(stopped)))
    }

    /// What is not in the backup that was written.
    pub(super) fn left_out(&self) -> LeftOut {
        self.noted.left_out.take()
    }

    /// The password of a new account.
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

    fn left_out(&self, files: &LeftOut) {
        self.noted.left_out.replace(files.clone());
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

    fn password(&self, username: &str, password: &str, exposed: Option<&str>) {
        self.progress.password(username, password, exposed);
        self.noted.password.set(Some(password.to_owned()));
    }

    fn progress(&self) -> &dyn release::Progress {
        self.progress.progress()
    }

    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.progress.begin(number, of, step);
        let stops = step.action == Action::Stop;
        if stops && self.noted.stopped.get().is_none() {
            self.noted.stopped.set(Some(self.host.now()));
        }
        // Not earlier: every probe leaves a line in the log of a server that speaks TLS.
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
        // Only if the way there was watched.
        if self.noted.eased.get() {
            self.watch();
        }
        self.noted.started.set(None);
        self.progress.undoing(step);
    }
}
