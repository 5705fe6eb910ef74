//! What every command does that changes the host: settle an interrupted run, ask for consent, plan again under the lock,
//! apply, and tell what became of it.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::dialogue::consent::{self, Consent, Proposal};
use super::dialogue::console::Standard;
use super::dialogue::interruption::Interruption;
use super::exit::Exit;
use super::plan_view;
use super::progress::Progress;
use super::report::{Changed, Report, wrap};
use super::screen::{Screen, Tone};
use crate::change::{Action, Aftermath, Executor, NotMade, Plan, Reporter, Step, Trial, journal, store};
use crate::host::{Host, HostError, PortWatch};
use crate::release;

/// Why the command ends early: the exit code and the message.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) why: String,
}

impl Stop {
    pub(super) fn new(exit: Exit, why: impl Into<String>) -> Self {
        Self { exit, why: why.into() }
    }

    /// Failed before anything was changed.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Self::failed(error)
    }
}

/// One run of a command that changes the host.
pub(super) struct Transaction<'a> {
    /// The command as it is typed, for the journal and the lock.
    pub(super) command: &'static str,
    /// The host.
    pub(super) host: &'a dyn Host,
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
        !self.yes && (self.ask || std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
    }

    /// Settles what a run that was cut off left behind.
    ///
    /// # Errors
    /// The journal cannot be read, or another run holds the lock.
    pub(super) fn settle(&self) -> Result<(), Stop> {
        let host = self.host;
        // Only root can look.
        if host.system()?.euid != 0 || host.entry(&journal::path())?.is_none() {
            return Ok(());
        }
        if self.plan_only || !(self.yes || self.interactive()) {
            self.screen
                .attention("An earlier run was cut off. The next run that changes something settles that first.");
            return Ok(());
        }
        let _lock = self.lock()?;
        if let Some(settled) = journal::settle(host)? {
            let undone = if settled.undone.is_empty() { "nothing".to_owned() } else { settled.undone.join(", ") };
            let next = if settled.command == self.command {
                "and this run goes on from there".to_owned()
            } else {
                format!("run `gts-bootstrap {}` again to finish it", settled.command)
            };
            self.screen.attention(&format!(
                "An earlier `{}` was cut off; taken back: {undone}. What it had finished stays, {next}.",
                settled.command
            ));
            for left in settled.left {
                self.screen.error(&format!("could not be taken back: {left}"));
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn std::any::Any>, Stop> {
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
        let not_confirmed = |why: String| Err(Stop::new(Exit::NotConfirmed, why));
        if !self.interactive() {
            return not_confirmed(
                "nothing was changed: there is no terminal to ask on. Add --yes to make these changes, or --plan to see them \
                 only"
                    .to_owned(),
            );
        }
        match consent::consent(&mut Standard::open()?, self.screen, self.host.observe(), proposal)? {
            Consent::Yes => Ok(()),
            Consent::No => not_confirmed("not confirmed; nothing was changed".to_owned()),
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
                "another run was cut off since the plan was made; nothing was changed. Run this again: it settles that \
                 first",
            ));
        }
        // What was agreed to is what is done: the host may have changed while somebody was reading.
        if again()?.steps != shown.steps {
            return Err(Stop::new(
                Exit::NotConfirmed,
                "the host has changed since the plan was made; nothing was changed. Run this again to see the new plan",
            ));
        }
        let teller = Told {
            progress: Progress::new(self.screen),
            host,
            watched: with.watched,
            watch: RefCell::default(),
            password: RefCell::default(),
        };
        let signals = Signals::listen().map_err(Stop::failed)?;
        Interruption::leave();
        let stop = || signals.received();
        let executor = Executor { host, source: with.source, reporter: &teller, stop: &stop, trial: with.trial };
        let applied = executor.apply(self.command, shown);
        if let Some(watch) = teller.watch.take() {
            let refused = watch.finish().longest();
            report.add("refused_ms", serde_json::json!(refused.as_millis()));
            let ports: Vec<String> = with.watched.iter().map(u16::to_string).collect();
            self.screen.line(&format!(
                "Connections to {} were refused for {}.",
                ports.join(" and "),
                in_words(refused)
            ));
        }
        report.changed = applied.as_ref().map_or_else(|error| error.aftermath.stands.is_some(), |_| true);
        let applied = applied.map_err(|error| Stop::failed(format!("{error}.\n{}", told(&error.aftermath))))?;
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
    Stop::failed(format!(
        "not everything could be done. What was done stays done; what is left:\n  {}\nPut right what is named, and run the same \
         command again: it goes on with what is left",
        lines.join("\n  ")
    ))
}

/// What applying needs besides the plan.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    /// Where a release comes from.
    pub(super) source: Option<&'a release::Source>,
    /// Asked at the end whether all is well.
    pub(super) trial: Option<Trial<'a>>,
    /// Ports that are watched from the first stop of a service on, for the time during which they refuse connections.
    pub(super) watched: &'a [u16],
}

/// Tells what happens, and watches ports meanwhile.
struct Told<'a> {
    progress: Progress<'a>,
    host: &'a dyn Host,
    watched: &'a [u16],
    watch: RefCell<Option<Box<dyn PortWatch>>>,
    password: RefCell<Option<String>>,
}

impl Reporter for Told<'_> {
    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.progress.begin(number, of, step);
        // Not before: each look leaves a line in the log of a server that speaks TLS.
        if step.action == Action::Stop && !self.watched.is_empty() && self.watch.borrow().is_none() {
            // Without a watch the time is not known, and nothing else is lost.
            *self.watch.borrow_mut() = self.host.watch_ports(self.watched).ok();
        }
    }

    fn done(&self, step: &Step) {
        self.progress.done(step);
    }

    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        self.progress.waiting(what, elapsed, log_line);
    }

    fn note(&self, text: &str) {
        self.progress.note(text);
    }

    fn undoing(&self, step: &Step) {
        self.progress.undoing(step);
    }

    fn password(&self, username: &str, password: &str) {
        self.progress.password(username, password);
        *self.password.borrow_mut() = Some(password.to_owned());
    }

    fn progress(&self) -> &dyn release::Progress {
        self.progress.progress()
    }
}

/// The signals that ask a run to end: they are noticed between changes, and never in the middle of one.
pub(super) struct Signals {
    received: Vec<(&'static str, Arc<AtomicBool>)>,
}

impl Signals {
    /// Begins to listen for them.
    ///
    /// # Errors
    /// The system does not let them be caught.
    pub(super) fn listen() -> Result<Self, String> {
        let mut received = Vec::new();
        for (name, signal) in [("SIGINT", SIGINT), ("SIGTERM", SIGTERM), ("SIGHUP", SIGHUP)] {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .map_err(|error| format!("{name} cannot be caught: {error}"))?;
            received.push((name, flag));
        }
        Ok(Self { received })
    }

    /// Why to stop, if one has come.
    pub(super) fn received(&self) -> Option<String> {
        let (name, _) = self.received.iter().find(|(_, flag)| flag.load(Ordering::Relaxed))?;
        Some(match *name {
            "SIGHUP" => "the terminal was closed (SIGHUP)".to_owned(),
            name => format!("interrupted ({name})"),
        })
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

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// What became of the changes before the one that failed.
fn told(aftermath: &Aftermath) -> String {
    if let Some(stands) = &aftermath.stands {
        return format!("Nothing was taken back: {stands}.");
    }
    let mut text = if aftermath.left.is_empty() {
        "Everything that had been done before was taken back; the host is as it was".to_owned()
    } else {
        format!(
            "NOT everything could be taken back. What is left:\n  {}\nThe rest was taken back",
            aftermath.left.join("\n  ")
        )
    };
    if aftermath.stays.is_empty() {
        text.push('.');
    } else {
        text.push_str(&format!(
            ", but for what GoToSocial itself or somebody else has written, which stays:\n  {}",
            aftermath.stays.join("\n  ")
        ));
    }
    text
}
