//! The course of every change of the host: recover from an interrupted run, ask for consent, plan again under the lock, apply,
//! and report the outcome.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde_json::json;

use super::people::{Proposal, Unsaved};
use super::report::counted;
use super::signals::Signals;
use super::watch::{Interrupted, Noted, Watching};
use super::{Exit, Manner, People, Report, Stop};
use crate::certificate::CertificateAuthority;
use crate::change::settle::Settled;
use crate::change::{Action, Aftermath, Executor, Plan, Trial, journal, settle, store};
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::host::{Host, Owner, WatchedPort};
use crate::parts::account;
use crate::parts::passage::{self, ROLLBACK};
use crate::release::Source;

/// How changes are agreed to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Agreement {
    /// Without asking (`--yes`).
    pub yes: bool,
    /// Only shown (`--plan`).
    pub plan: bool,
}

/// A file named on the command line.
#[derive(Debug, Clone)]
pub struct TypedPath {
    /// The path as typed.
    pub typed: PathBuf,
    /// The resolved path.
    pub path: PathBuf,
}

/// The default source of releases, used if no mirror is named.
pub trait Releases {
    /// A source that has these versions.
    ///
    /// # Errors
    /// It cannot be reached.
    fn source(&self, versions: &[Version]) -> Result<Source, Stop>;

    /// Whether its releases are imitations.
    fn are_rehearsed(&self) -> bool;
}

/// One run of a command.
pub struct Run<'a> {
    /// The command as it is typed, for the journal and the lock.
    pub command: &'static str,
    /// The host.
    pub host: &'a dyn Host,
    /// Where releases come from.
    pub releases: &'a dyn Releases,
    /// The certificate authority.
    pub authority: &'a dyn CertificateAuthority,
    /// The people who watch the run and answer it.
    pub people: &'a dyn People,
    /// How changes are agreed to.
    pub agreement: Agreement,
    /// Where everything is.
    pub layout: Layout,
    /// The signals.
    pub signals: Signals,
    /// The environment, which may contain secrets.
    pub environment: BTreeMap<OsString, OsString>,
    /// The outcome so far.
    pub report: RefCell<Report>,
    /// Typed answers, which are stored nowhere until they are installed.
    pub unsaved: RefCell<Option<Unsaved>>,
}

impl Run<'_> {
    /// The report.
    pub fn report(&self) -> RefMut<'_, Report> {
        self.report.borrow_mut()
    }

    /// Prints a text for people.
    pub fn tell(&self, manner: Manner, text: &str) {
        self.people.tell(manner, text);
    }

    /// Prints a heading.
    pub fn heading(&self, text: &str) {
        self.tell(Manner::Heading, text);
    }

    /// Prints a line of the result.
    pub fn line(&self, text: &str) {
        self.tell(Manner::Line, text);
    }

    /// Prints wrapped text of the result.
    pub fn text(&self, text: &str) {
        self.tell(Manner::Text(0), text);
    }

    /// Prints what needs attention.
    pub fn attention(&self, text: &str) {
        self.tell(Manner::Attention, text);
    }

    /// Prints a warning.
    pub fn warn(&self, text: &str) {
        self.tell(Manner::Warning, text);
    }

    /// Whether a person can answer questions.
    pub fn interactive(&self) -> bool {
        !self.agreement.yes && self.people.can_answer()
    }

    /// Refuses to continue for users other than root; `why` says what only root can do.
    ///
    /// # Errors
    /// Another user runs this.
    pub fn for_root(&self, why: &str) -> Result<(), Stop> {
        match self.host.system()?.euid {
            0 => Ok(()),
            _ => Err(Stop::refused(ErrorCode::NotRoot, format!("only root can {why}; run it as root"))),
        }
    }

    /// The user that GoToSocial runs as.
    ///
    /// # Errors
    /// It does not exist.
    pub fn service_user(&self) -> Result<Owner, Stop> {
        const MISSING: &str = "the user gotosocial is not there; run `gts-bootstrap install` first";
        account::owner(self.host)?.ok_or_else(|| Stop::refused(ErrorCode::NotInstalled, MISSING))
    }

    /// Recovers from an interrupted run, and reports what was undone.
    ///
    /// # Errors
    /// The journal cannot be read, another run holds the lock, or a user other than root runs this where a journal may exist.
    pub fn settle(&self) -> Result<Option<Settled>, Stop> {
        let host = self.host;
        if host.system()?.euid != 0 {
            // On a bare host the preflight reports what is missing.
            if let Ok(None) = host.entry(Path::new(store::FOLDER)) {
                return Ok(None);
            }
            let why =
                "only root can read what was done on this host, and change more of it; run it as root (doas or sudo)";
            return Err(Stop::refused(ErrorCode::NotRoot, why));
        }
        if host.entry(&journal::path())?.is_none() {
            return Ok(None);
        }
        if self.agreement.plan || !(self.agreement.yes || self.interactive()) {
            let pending = "An earlier run was interrupted. The next run that changes something cleans up first.";
            let busy = self.lock().err().filter(|stop| stop.exit == Exit::Busy);
            self.attention(busy.as_ref().map_or(pending, |stop| stop.why.as_str()));
            return Ok(None);
        }
        let _lock = self.lock()?;
        if let Some(process) = journal::still_migrating(host)? {
            self.attention(&format!(
                "An earlier run was interrupted, and its migration of the database continues: {process}. It must not be \
                 interrupted. Waiting for its end."
            ));
        }
        let Some(settled) = settle::settle(host)? else { return Ok(None) };
        let Settled { command, had_ended, is_taken_back, undone, spared, failed } = &settled;
        if *had_ended {
            self.attention(&format!(
                "An earlier `{command}` had come to its end, and only its record was not in its place; now it is."
            ));
            return Ok(Some(settled));
        }
        let undone = if undone.is_empty() { "nothing".to_owned() } else { undone.join(", ") };
        let stays = if *is_taken_back { "No change of it stays" } else { "Its completed changes stay" };
        let next = if *is_taken_back && command == self.command {
            "and this run begins anew".to_owned()
        } else if command == self.command {
            "and this run continues from there".to_owned()
        } else if command == ROLLBACK && passage::is_back(host).is_ok_and(|is_back| is_back) {
            "and the rollback was already complete: another `gts-bootstrap rollback` would undo it".to_owned()
        } else {
            format!("run `gts-bootstrap {command}` again to finish it")
        };
        self.attention(&format!("An earlier `{command}` was interrupted; undone: {undone}. {stays}, {next}."));
        spared.iter().for_each(|spared| self.attention(&format!("  stays: {spared}")));
        if !failed.is_empty() {
            let failed = failed.join("\n  ");
            self.people.error(ErrorCode::NotUndone, &format!("this could not be undone:\n  {failed}"));
        }
        Ok(Some(settled))
    }

    /// Takes the lock that prevents two changing runs at the same time.
    ///
    /// # Errors
    /// Another run holds it.
    pub fn lock(&self) -> Result<Box<dyn std::any::Any>, Stop> {
        store::folder(self.host, "receipts")?;
        Ok(self.host.lock(&store::lock(), self.command)?)
    }

    /// Shows the plan's steps, warnings and reasons for a reboot, and enters them into the report.
    pub fn show(&self, plan: &Plan, heading: &str, nothing: &str) {
        let mut report = self.report();
        report.reboot_required = !plan.reboot.is_empty();
        report.plan(plan);
        if plan.is_empty() {
            self.line(nothing);
        } else {
            let heading = format!("{heading}, {}", counted(plan.steps.len(), "change"));
            let is_asked = self.interactive() && !self.agreement.plan;
            self.people.show_plan(self.host, plan, &heading, is_asked);
        }
        plan.warnings.iter().for_each(|warning| self.warn(warning));
        plan.reboot.iter().for_each(|reason| self.tell(Manner::Reboot, reason));
    }

    /// Whether `--plan` ends the command here. If so, it prints that, and the report says whether anything would be changed.
    pub fn ends_with(&self, plan: &Plan) -> bool {
        if self.agreement.plan {
            self.report().changed = !plan.is_empty();
            self.line("This is the plan; nothing was changed.");
        }
        self.agreement.plan
    }

    /// Asks for consent to the plan. If it comes from answers, the question offers to save them.
    ///
    /// # Errors
    /// The answer is no, or there is no terminal.
    pub fn consent(&self, plan: &Plan, explanation: &[&str], answers: Option<&Unsaved>) -> Result<(), Stop> {
        if self.agreement.yes {
            return Ok(());
        }
        if !self.interactive() {
            let why = "nothing was changed: there is no terminal to ask on. Add --yes to make these changes, or --plan to \
                       see them only";
            return Err(Stop::unconfirmed(ErrorCode::NoTerminal, why));
        }
        match self.people.agree(self.host, Proposal { plan, explanation, answers })? {
            true => Ok(()),
            false => Err(Stop::unconfirmed(ErrorCode::NotConfirmed, "not confirmed; nothing was changed")),
        }
    }

    /// Asks for consent to a plan that was shown, and applies it. Returns `false` if `--plan` ends the command.
    ///
    /// # Errors
    /// As for [`Self::consent`] and [`Self::apply`].
    pub fn carry_out(
        &self,
        plan: &Plan,
        explanation: &[&str],
        again: &dyn Fn() -> Result<Plan, Stop>,
        with: With<'_>,
    ) -> Result<bool, Stop> {
        if self.ends_with(plan) {
            return Ok(false);
        }
        if !plan.is_empty() {
            self.consent(plan, explanation, None)?;
            self.apply(plan, again, with)?;
        }
        Ok(true)
    }

    /// Applies a plan that was shown, if a plan made under the lock is the same. Returns the password of a new account.
    ///
    /// # Errors
    /// The host has changed meanwhile, or a change failed.
    pub fn apply(
        &self,
        shown: &Plan,
        again: &dyn Fn() -> Result<Plan, Stop>,
        with: With<'_>,
    ) -> Result<Option<String>, Stop> {
        let host = self.host;
        let _lock = self.lock()?;
        if host.entry(&journal::path())?.is_some() {
            let why = "another run was interrupted since the plan was made; nothing was changed. Run this again: it \
                       cleans up first";
            return Err(Stop::unconfirmed(ErrorCode::CutOff, why));
        }
        // Only what was shown may be done, and the host may have changed in the meantime.
        if again()?.steps != shown.steps {
            let why =
                "the host has changed since the plan was made; nothing was changed. Run this again to see the new plan";
            return Err(Stop::unconfirmed(ErrorCode::PlanChanged, why));
        }
        let signals = self.signals.changing()?;
        let (progress, watched) = (self.people.progress(), with.watched);
        let watching = Watching { host, signals: &signals, progress, watched, noted: Noted::default() };
        // The trial verifies what is done by then, even if the terminal is closed.
        let trial = with.trial.map(|trial| {
            let (watching, signals) = (&watching, &signals);
            move |_: &dyn Fn() -> Option<String>| {
                watching.ease();
                trial(&|| signals.asked_to_stop())
            }
        });
        let executor = Executor {
            host,
            source: with.source,
            authority: Some(self.authority),
            operator: &watching,
            stop: &|| signals.received(),
            trial: trial.as_ref().map(|trial| trial as Trial<'_>),
        };
        let applied = executor.apply(self.command, shown);
        if let Some(Interrupted { refused, handed_over }) = watching.interrupted() {
            self.report().add("refused_ms", refused.as_millis());
            let ports: Vec<String> = with.watched.iter().map(|watched| watched.port.to_string()).collect();
            self.line(&format!("Connections to {} were refused for {}.", ports.join(" and "), in_words(refused)));
            if let Some(times) = handed_over {
                let [free, bound, served] = times.map(|time| time.as_millis());
                self.report().add("handover_ms", json!({"free": free, "bound": bound, "served": served}));
                let [free, bound, served] = times.map(in_words);
                self.line(&format!("They were free after {free}, bound after {bound}, and served after {served}."));
            }
        }
        if let Some(down) = watching.down().filter(|_| with.down) {
            self.report().add("down_seconds", down.as_secs());
            // After a failure it may still be down.
            let runs = host.service(SERVICE).is_ok_and(|state| state.is_running());
            let (was, still) = if runs { ("was", "") } else { ("has been", ", and still is") };
            self.line(&format!("The instance {was} down for {}{still}.", whole(down)));
        }
        let mut report = self.report();
        let left_out = watching.left_out();
        if left_out.count > 0 {
            report.add("left_out", left_out);
        }
        report.changed = applied.as_ref().map_or_else(|error| error.aftermath.kept.is_some(), |_| true);
        let not_made = applied.map_err(|error| {
            let code = if error.aftermath.failed.is_empty() { error.code } else { ErrorCode::NotUndone };
            Stop::refused(code, format!("{error}.\n{}", what_became(&error.aftermath)))
        })?;
        if !not_made.is_empty() {
            report.add("failed", &not_made);
            return Err(Stop::refused(
                ErrorCode::Incomplete,
                format!(
                    "not everything could be done. The completed changes stay; what is left:\n  {}\nFix what is named, and \
                     run the same command again: it continues with the rest",
                    not_made.join("\n  ")
                ),
            ));
        }
        self.tell(Manner::Good, &format!("{} made.", counted(shown.steps.len(), "change")));
        Ok(watching.password())
    }

    /// Applies the cleanup after everything else was verified. The requested work is done then, so a failure is only reported.
    pub fn tidy(&self, heading: &str, failed: &str, make: &dyn Fn() -> Result<Plan, Stop>) {
        let tidied = make().and_then(|plan| {
            if plan.is_empty() {
                return Ok(());
            }
            if !heading.is_empty() {
                self.line(heading);
            }
            self.report().plan(&plan);
            self.apply(&plan, make, With::default()).map(drop)
        });
        if let Err(stop) = tidied {
            self.warn(&format!("{failed}: {}", stop.why));
        }
    }
}

/// What [`Run::apply`] needs besides the plan.
#[derive(Clone, Copy, Default)]
pub struct With<'a> {
    /// The source of the release.
    pub source: Option<&'a Source>,
    /// Checks at the end whether everything works.
    pub trial: Option<Trial<'a>>,
    /// Ports to watch from the first step that can close them, to measure how long they refuse connections.
    pub watched: &'a [WatchedPort],
    /// Whether to report how long the instance was down.
    pub down: bool,
}

impl<'a> With<'a> {
    /// For a plan that may stop the service, which listens on these ports.
    pub(super) fn watching(plan: &Plan, ports: &'a [WatchedPort]) -> Self {
        let stops = plan.steps.iter().any(|step| step.action == Action::Stop);
        Self { watched: if stops { ports } else { &[] }, ..Self::default() }
    }
}

/// A short time in words.
fn in_words(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
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

/// The outcome for the changes before the one that failed.
fn what_became(Aftermath { kept, failed, spared }: &Aftermath) -> String {
    if let Some(kept) = kept {
        return format!("Nothing was undone: {kept}.");
    }
    let undone = if failed.is_empty() {
        "All changes were undone; the host is as it was".to_owned()
    } else {
        let failed = failed.join("\n  ");
        format!("NOT everything could be undone. What is left:\n  {failed}\nThe rest was undone")
    };
    if spared.is_empty() {
        return format!("{undone}.");
    }
    let spared = spared.join("\n  ");
    format!("{undone}, except for what GoToSocial itself or another program has written, which stays:\n  {spared}")
}
