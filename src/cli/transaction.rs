//! What every command does that changes the host: settle an interrupted run, ask for consent, plan again under the lock,
//! apply, and tell what became of it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

use super::dialogue::consent::{self, Consent, Proposal};
use super::dialogue::console::Standard;
use super::exit::Exit;
use super::interrupt;
use super::plan_view;
use super::progress::Progress;
use super::report::{Changed, Report, wrap};
use super::screen::{Screen, Tone};
use crate::certificate::CertificateAuthority;
use crate::change::settle::Settled;
use crate::change::{
    Action, Aftermath, Change, Executor, Interruption, NotMade, Operator, Plan, ReloadFront, Reporter, Step, Trial,
    journal, settle, store,
};
use crate::deployment::SecretsError;
use crate::error_code::{Coded, ErrorCode};
use crate::gotosocial::SERVICE;
use crate::host::{Host, HostError, PortWatch};
use crate::parts::passage::{self, ROLLBACK};
use crate::release;
use crate::run::signals::Changing;

/// Why the command ends early: the exit code, the error code and the message.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) code: ErrorCode,
    pub(super) why: String,
}

impl Stop {
    pub(super) fn new(exit: Exit, code: ErrorCode, why: impl Into<String>) -> Self {
        Self { exit, code, why: why.into() }
    }

    /// The same error with an exit code of its own.
    pub(super) fn with(exit: Exit, error: impl Coded + std::fmt::Display) -> Self {
        Self::new(exit, error.code(), error.to_string())
    }

    /// Failed before anything was changed.
    pub(super) fn failed(error: impl Coded + std::fmt::Display) -> Self {
        Self::with(Exit::Failed, error)
    }

    /// Refused, with nothing changed.
    pub(super) fn refused(code: ErrorCode, why: impl Into<String>) -> Self {
        Self::new(Exit::Failed, code, why)
    }

    /// The answers cannot be used.
    pub(super) fn answers(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Answers, why)
    }

    /// The secrets cannot be used.
    pub(super) fn secrets(errors: Vec<SecretsError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::new(Exit::Usage, ErrorCode::Secrets, lines.join("\n"))
    }

    /// What was found cannot be written as JSON.
    pub(super) fn unwritable(error: serde_json::Error) -> Self {
        Self::refused(ErrorCode::Unreadable, error.to_string())
    }

    /// A signal cannot be caught.
    pub(super) fn uncatchable(why: String) -> Self {
        Self::refused(ErrorCode::Kernel, why)
    }

    /// The command line asks for what does not fit.
    pub(super) fn usage(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Usage, why)
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        let exit = if matches!(error, HostError::Locked { .. }) { Exit::Busy } else { Exit::Failed };
        Self::with(exit, error)
    }
}

/// One run of a command that changes the host.
pub(super) struct Transaction<'a> {
    /// The command as it is typed, for the journal and the lock.
    pub(super) command: &'static str,
    /// The host.
    pub(super) host: &'a dyn Host,
    /// Who issues certificates for it.
    pub(super) authority: &'a dyn CertificateAuthority,
    /// Where people read.
    pub(super) screen: &'a Screen,
    /// `--yes`.
    pub(super) yes: bool,
    /// `--plan`.
    pub(super) plan_only: bool,
    /// `--ask`: answers come as lines, be there a terminal or not.
    pub(super) ask: bool,
}

impl Transaction<'_> {
    /// Whether somebody can be asked.
    pub(super) fn interactive(&self) -> bool {
        !self.yes && (self.ask || self.can_ask())
    }

    /// Whether somebody sits at a terminal. After Ctrl-C there is a question to put even to one who said yes to all.
    fn can_ask(&self) -> bool {
        self.screen.around().can_ask()
    }

    /// Settles what a run that was cut off left behind, and says what that came to.
    ///
    /// # Errors
    /// The journal cannot be read, another run holds the lock, or somebody else than root asks where there may be one.
    pub(super) fn settle(&self) -> Result<Option<Settled>, Stop> {
        let host = self.host;
        if host.system()?.euid != 0 {
            // What there is to say about a bare host the preflight says.
            return match host.entry(Path::new(store::FOLDER)) {
                Ok(None) => Ok(None),
                _ => Err(Stop::refused(
                    ErrorCode::NotRoot,
                    "only root can read what was done on this host, and change more of it; run it as root (doas or sudo)",
                )),
            };
        }
        if host.entry(&journal::path())?.is_none() {
            return Ok(None);
        }
        if self.plan_only || !(self.yes || self.interactive()) {
            match self.lock() {
                Err(stop) if stop.exit == Exit::Busy => self.screen.attention(&stop.why),
                _ => self
                    .screen
                    .attention("An earlier run was cut off. The next run that changes something settles that first."),
            }
            return Ok(None);
        }
        let _lock = self.lock()?;
        if let Some(process) = journal::still_migrating(host)? {
            self.screen.attention(&format!(
                "An earlier run was cut off, and its migration of the database goes on (pid {}). It must not be interrupted: \
                 waiting for its end.",
                process.pid
            ));
        }
        if let Some(settled) = settle::settle(host)? {
            if settled.had_ended {
                self.screen.attention(&format!(
                    "An earlier `{}` had come to its end, and only its record was not in its place; now it is.",
                    settled.command
                ));
                return Ok(Some(settled));
            }
            let undone = if settled.undone.is_empty() { "nothing".to_owned() } else { settled.undone.join(", ") };
            let next = if settled.command == self.command {
                "and this run goes on from there".to_owned()
            } else if settled.command == ROLLBACK && passage::is_back(host.observe()).is_ok_and(|is_back| is_back) {
                "and the way back was complete by then: another `gts-bootstrap rollback` would undo it".to_owned()
            } else {
                format!("run `gts-bootstrap {}` again to finish it", settled.command)
            };
            self.screen.attention(&format!(
                "An earlier `{}` was cut off; taken back: {undone}. What it had finished stays, {next}.",
                settled.command
            ));
            for spared in &settled.spared {
                self.screen.attention(&format!("  stays: {spared}"));
            }
            if !settled.failed.is_empty() {
                let failed = settled.failed.join("\n  ");
                self.screen.error(ErrorCode::NotUndone, &format!("this could not be taken back:\n  {failed}"));
            }
            return Ok(Some(settled));
        }
        Ok(None)
    }

    /// Takes the lock that keeps two changing runs apart.
    ///
    /// # Errors
    /// Another run holds it.
    pub(super) fn lock(&self) -> Result<Box<dyn std::any::Any>, Stop> {
        store::folder(self.host, "receipts")?;
        Ok(self.host.lock(&store::lock(), self.command)?)
    }

    /// Removes a record that tells nothing, or what is left of one.
    ///
    /// # Errors
    /// It cannot be removed, or another run holds the lock.
    pub(super) fn sweep(&self) -> Result<(), Stop> {
        let _lock = self.lock()?;
        Ok(store::forget(self.host)?)
    }

    /// Shows the plan's steps, warnings and reasons for a reboot, and enters them into the report.
    pub(super) fn show(&self, plan: &Plan, heading: &str, nothing: &str, report: &mut Report) {
        report.reboot_required = !plan.reboot.is_empty();
        report.changes = plan.steps.iter().map(Changed::from).collect();
        let screen = self.screen;
        if plan.is_empty() {
            screen.line(nothing);
        } else {
            screen.line(&screen.paint(Tone::Heading, &format!("{heading}, {}", changes(plan.steps.len()))));
            let list = plan_view::list(screen, self.host.observe(), plan);
            let asked = self.interactive() && !self.plan_only;
            let shown = if asked && consent::is_long(screen, &list) { plan_view::groups(screen, plan) } else { list };
            shown.iter().for_each(|line| screen.line(line));
        }
        for warning in &plan.warnings {
            screen.attention(&wrap(&format!("{} {warning}", screen.paint(Tone::Caution, "warning:")), 2));
        }
        for reason in &plan.reboot {
            screen.attention(&wrap(&format!("{} {reason}", screen.paint(Tone::Caution, "reboot needed:")), 2));
        }
    }

    /// Whether the command ends with what was shown, because of `--plan`: then it says so, and the report has whether anything
    /// would be changed.
    pub(super) fn ends_with(&self, plan: &Plan, report: &mut Report) -> bool {
        if self.plan_only {
            report.changed = !plan.is_empty();
            self.screen.line("This is the plan; nothing was changed.");
        }
        self.plan_only
    }

    /// Has the plan agreed to.
    ///
    /// # Errors
    /// Somebody said no, or nobody can be asked.
    pub(super) fn consent(&self, plan: &Plan, explanation: &[String]) -> Result<(), Stop> {
        self.agree(Proposal { plan, explanation, saved: None })
    }

    /// Has the plan agreed to, with answers that can be saved.
    ///
    /// # Errors
    /// As for [`Self::consent`].
    pub(super) fn agree(&self, proposal: Proposal<'_>) -> Result<(), Stop> {
        if self.yes {
            return Ok(());
        }
        if !self.interactive() {
            return Err(Stop::new(
                Exit::NotConfirmed,
                ErrorCode::NoTerminal,
                "nothing was changed: there is no terminal to ask on. Add --yes to make these changes, or --plan to see them \
                 only",
            ));
        }
        match consent::consent(&mut Standard::open(self.screen.around())?, self.screen, self.host.observe(), proposal)?
        {
            Consent::Yes => Ok(()),
            Consent::No => {
                Err(Stop::new(Exit::NotConfirmed, ErrorCode::NotConfirmed, "not confirmed; nothing was changed"))
            }
        }
    }

    /// Applies what was shown, if a plan made now, under the lock, is the same. Gives the password of an account that was made.
    ///
    /// # Errors
    /// The host has changed meanwhile, or a change failed.
    pub(super) fn apply(
        &self,
        shown: &Plan,
        again: impl FnOnce() -> Result<Plan, Stop>,
        with: With<'_>,
        report: &mut Report,
    ) -> Result<Option<String>, Stop> {
        let host = self.host;
        let _lock = self.lock()?;
        if host.entry(&journal::path())?.is_some() {
            return Err(Stop::new(
                Exit::NotConfirmed,
                ErrorCode::CutOff,
                "another run was cut off since the plan was made; nothing was changed. Run this again: it settles that \
                 first",
            ));
        }
        // What was agreed to is what is done: the host may have changed while somebody was reading.
        if again()?.steps != shown.steps {
            return Err(Stop::new(
                Exit::NotConfirmed,
                ErrorCode::PlanChanged,
                "the host has changed since the plan was made; nothing was changed. Run this again to see the new plan",
            ));
        }
        let signals = self.screen.around().signals.changing().map_err(Stop::uncatchable)?;
        let teller = Told {
            transaction: self,
            signals: &signals,
            progress: Progress::new(self.screen),
            watched: with.watched,
            watch: Watch::default(),
            password: RefCell::default(),
            decided: Cell::default(),
            stopped: Cell::default(),
            started: Cell::default(),
        };
        let stop = || signals.received();
        // What is done by then is to be proved, with a terminal or without.
        let asked_to = || signals.asked_to_stop();
        let trial = with.trial.map(|trial| {
            let teller = &teller;
            move |_: &dyn Fn() -> Option<String>| {
                teller.watch.ease();
                trial(&asked_to)
            }
        });
        let trial: Option<Trial<'_>> = trial.as_ref().map(|trial| trial as Trial<'_>);
        let executor = Executor {
            host,
            source: with.source,
            authority: Some(self.authority),
            reporter: &teller,
            stop: &stop,
            trial,
        };
        let applied = executor.apply(self.command, shown);
        if let Some(refused) = teller.watch.finish() {
            report.add("refused_ms", serde_json::json!(refused.as_millis()));
            let ports: Vec<String> = with.watched.iter().map(u16::to_string).collect();
            self.screen.line(&format!(
                "Connections to {} were refused for {}.",
                ports.join(" and "),
                in_words(refused)
            ));
        }
        if let Some(stopped) = teller.stopped.get().filter(|_| with.down) {
            let down = Duration::from_secs(teller.started.get().unwrap_or_else(|| host.now()).saturating_sub(stopped));
            report.add("down_seconds", serde_json::json!(down.as_secs()));
            // After a failure nobody may have been able to start it again.
            let runs = host.service(SERVICE).is_ok_and(|state| state.is_running());
            let (was, still) = if runs { ("was", "") } else { ("has been", ", and still is") };
            self.screen.line(&format!("The instance {was} down for {}{still}.", whole(down)));
        }
        report.changed = applied.as_ref().map_or_else(|error| error.aftermath.kept.is_some(), |_| true);
        let applied = applied.map_err(|error| {
            let code = if error.aftermath.failed.is_empty() { error.code } else { ErrorCode::NotUndone };
            Stop::refused(code, format!("{error}.\n{}", told(&error.aftermath)))
        })?;
        if !applied.not_made.is_empty() {
            return Err(not_all(&applied.not_made, report));
        }
        self.screen.line(&self.screen.paint(Tone::Good, &format!("{} made.", changes(shown.steps.len()))));
        Ok(teller.password.take())
    }
}

/// The end of a plan that went on past failures.
fn not_all(not_made: &[NotMade], report: &mut Report) -> Stop {
    let lines: Vec<String> = not_made.iter().map(|left| format!("{}: {}", left.change, left.cause)).collect();
    report.add("failed", serde_json::json!(lines));
    Stop::refused(
        ErrorCode::Incomplete,
        format!(
            "not everything could be done. What was done stays done; what is left:\n  {}\nPut right what is named, and run the \
             same command again: it goes on with what is left",
            lines.join("\n  ")
        ),
    )
}

/// What applying needs besides the plan.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    /// Where a release comes from.
    pub(super) source: Option<&'a release::Source>,
    /// Asked at the end whether all is well.
    pub(super) trial: Option<Trial<'a>>,
    /// Ports that are watched from the first step on that can take them away, for the time during which they refuse
    /// connections.
    pub(super) watched: &'a [u16],
    /// Whether to tell for how long the instance was down.
    pub(super) down: bool,
}

/// Tells what happens, and watches ports meanwhile.
struct Told<'a> {
    transaction: &'a Transaction<'a>,
    signals: &'a Changing,
    progress: Progress<'a>,
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

impl Operator for Told<'_> {
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
        // It is asked at a terminal, after Ctrl-C, and only if `--on-interrupt` has not said it.
        let Transaction { screen, .. } = *self.transaction;
        let decided = match screen.on_interrupt() {
            Some(said) => said.into(),
            None if self.transaction.can_ask() && self.signals.only_ctrl_c() => {
                self.progress.aside(|| interrupt::ask(screen))
            }
            None => Interruption::Undo,
        };
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
}

impl Reporter for Told<'_> {
    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.progress.begin(number, of, step);
        if step.action == Action::Stop && self.stopped.get().is_none() {
            self.stopped.set(Some(self.transaction.host.now()));
        }
        // Not before: each look leaves a line in the log of a server that speaks TLS.
        if takes_ports(step) {
            self.watch.begin(self.transaction.host, self.watched);
        }
    }

    fn done(&self, step: &Step) {
        if step.action == Action::Start {
            self.started.set(Some(self.transaction.host.now()));
        }
        self.progress.done(step);
    }

    fn undoing(&self, step: &Step) {
        // Only what was watched on the way there.
        if self.watch.eased.get() {
            self.watch.begin(self.transaction.host, self.watched);
        }
        self.started.set(None);
        self.progress.undoing(step);
    }
}

/// A short time in words.
fn in_words(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A time that may be long, in words.
fn whole(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// What became of the changes before the one that failed.
fn told(aftermath: &Aftermath) -> String {
    if let Some(kept) = &aftermath.kept {
        return format!("Nothing was taken back: {kept}.");
    }
    let mut text = if aftermath.failed.is_empty() {
        "Everything that had been done before was taken back; the host is as it was".to_owned()
    } else {
        format!(
            "NOT everything could be taken back. What is left:\n  {}\nThe rest was taken back",
            aftermath.failed.join("\n  ")
        )
    };
    if aftermath.spared.is_empty() {
        text.push('.');
    } else {
        text.push_str(&format!(
            ", but for what GoToSocial itself or somebody else has written, which stays:\n  {}",
            aftermath.spared.join("\n  ")
        ));
    }
    text
}
