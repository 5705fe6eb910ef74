//! Observes a run while changes are applied: progress, interruptions, and how long ports and service were down.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::signals::Changing;
use crate::backup::LeftOut;
use crate::change::Readiness;
use crate::change::readiness::has_certificate;
use crate::change::{Action, Change, Interruption, Operator, ReloadFront, Step};
use crate::deployment::PortNumber;
use crate::host::{Host, Observe, PortWatch, WatchedPort};
use crate::release;

/// Ports as they are watched: that for TLS only if asking there has no certificate ordered, and leaves no record of a failure.
pub(super) fn watched(host: &dyn Observe, readiness: &Readiness, ports: &[u16]) -> Vec<WatchedPort> {
    let is_plain = |port: u16| port == PortNumber::HTTP.get() || (port == readiness.address.port() && !readiness.tls);
    let of = |port: &u16| WatchedPort { port: *port, tls: (!is_plain(*port)).then(|| readiness.host.clone()) };
    let quiet = has_certificate(host, readiness);
    ports.iter().map(of).filter(|watched| quiet || watched.tls.is_none()).collect()
}

/// Forwards progress, and watches ports.
pub(super) struct Watching<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) signals: &'a Changing,
    pub(super) progress: Box<dyn Operator + 'a>,
    /// The ports to watch from the first step that can close them.
    pub(super) watched: &'a [WatchedPort],
    pub(super) noted: Noted,
}

/// A handover of ports, as far as it was seen: the times since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interrupted {
    /// For how long connections were refused in total.
    pub(super) refused: Duration,
    /// When the ports were free, bound again, and served by GoToSocial.
    pub(super) handed_over: Option<[Duration; 3]>,
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
    /// When GoToSocial was ready on the new side, since the watch began.
    served: Cell<Option<Duration>>,
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
        before.set(self.interrupted().map(|seen| seen.refused));
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

    /// How long connections were refused, if that was watched. Ends the watch.
    pub(super) fn interrupted(&self) -> Option<Interrupted> {
        let Noted { watch, before, served, .. } = &self.noted;
        let seen = watch.take().map(|watch| watch.finish());
        let before = before.take();
        if seen.is_none() && before.is_none() {
            return None;
        }
        let seen = seen.unwrap_or_default();
        // A way there and back has no such times.
        let handed_over = seen.free().zip(seen.bound()).filter(|_| before.is_none());
        let handed_over = handed_over.map(|(free, bound)| [free, bound, served.get().unwrap_or(bound).max(bound)]);
        Some(Interrupted { refused: before.unwrap_or_default() + seen.longest(), handed_over })
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
        // Not earlier: what serves as it did needs no watch.
        let hands_over = match &step.change {
            Change::FrontReload(ReloadFront { when_undone, .. }) => !when_undone,
            Change::FrontTakeover(_) => true,
            Change::ServiceStart { start } => start.from.is_some(),
            _ => false,
        };
        if stops || hands_over {
            self.watch();
        }
    }

    fn done(&self, step: &Step) {
        if step.action == Action::Start {
            self.noted.started.set(Some(self.host.now()));
        }
        if matches!(step.change, Change::ServiceStart { .. }) {
            self.noted.served.set(self.noted.watch.borrow().as_ref().map(|watch| watch.elapsed()));
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
