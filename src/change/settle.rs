//! What a run that was cut off left behind: settled, or taken back as a whole.
//!
//! A journal that is still there while nobody holds the lock belongs to such a run. [`settle`] takes back the one change that it
//! was in the middle of (or goes on with undoing, if it was doing that), and the next plan goes on from what it finds.
//! [`take_back`] undoes everything that the run did. Both can be cut off themselves, at any point, and be run again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::any::Change;
use super::database::OPENED;
use super::front::edited_file;
use super::journal::{Announced, Journal, Line, Outcome, Running, announced, path};
use super::kind::above;
use super::kinds::service::settles_down;
use super::kinds::{LetGo, SetRcVariable, StopService, TakeOver};
use super::operator::Operator;
use super::plan::Plan;
use super::prior::Prior;
use super::thing::{Left, Thing};
use super::{journal, store, undo_order};
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{Entry, Host, HostError, Observe, ServiceAction, ServiceState};
use crate::shown::Shown;

/// What settling a cut-off run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The subcommand that was cut off.
    pub command: String,
    /// It had come to its end, and only its record was not in its place yet.
    pub had_ended: bool,
    /// All of it was taken back.
    pub is_taken_back: bool,
    /// The changes that were taken back, as "kind target".
    pub undone: Vec<String>,
    /// What was spared on purpose, and why.
    pub spared: Vec<String>,
    /// What could not be taken back, and why.
    pub failed: Vec<String>,
}

/// Settles a journal that a run left behind when it was cut off; `None` if there is none.
///
/// # Errors
/// The journal cannot be read, or settling it cannot be written down.
pub fn settle(host: &dyn Host) -> Result<Option<Settled>, HostError> {
    end(host, |run, journal, settled| {
        if run.goes_back() {
            settled.is_taken_back = true;
            run.take_back(journal, settled)?;
            return Ok(Outcome::Interrupted);
        }
        for open in run.open() {
            // Of a folder that was being removed the rest is removed by the next plan.
            if open.done || open.failed || open.change.kind().gone_for_good().is_some() {
                continue;
            }
            if open.change.kind().is_left_to_run(host)? {
                journal.write(&Line::Done { step: open.step })?;
            } else {
                one(journal, open, settled)?;
            }
        }
        // What a backup has stopped runs again, wherever that was cut off: it changes nothing that the service reads, and nobody
        // looks on who could start it.
        for open in run.open().into_iter().filter(|_| run.command == journal::BACKUP) {
            if let Change::ServiceStop(StopService { name, .. }) = open.change
                && *open.prior == Prior::Present
                && !host.service(name)?.is_running()
            {
                one(journal, open, settled)?;
            }
        }
        Ok(Outcome::Interrupted)
    })
}

/// Ends the journal of a run that was cut off: does what `mend` does, unless the run had come to its end.
fn end(
    host: &dyn Host,
    mend: impl FnOnce(&CutOff, &Journal<'_>, &mut Settled) -> Result<Outcome, HostError>,
) -> Result<Option<Settled>, HostError> {
    let Some(run) = prepare(host)? else { return Ok(None) };
    let (command, had_ended) = (run.command.clone(), run.ended().is_some());
    let journal = Journal { host, command: command.clone() };
    let mut settled = Settled { command, had_ended, ..Settled::default() };
    if let Some(outcome) = run.ended() {
        journal.put_away(outcome != Outcome::NotUndone)?;
    } else {
        let outcome = mend(&run, &journal, &mut settled)?;
        journal.end(outcome)?;
    }
    Ok(Some(settled))
}

/// Takes back everything that a cut-off run did; `None` if there is no such run. One that had come to its end stays as it is.
///
/// A server that the run started is not stopped before it is ready: it may be migrating its database.
///
/// # Errors
/// A host operation failed, or the server is at something that must not be interrupted ([`HostError::Starting`]). A second call
/// goes on with what was taken back by then.
pub fn take_back(host: &dyn Host, operator: &dyn Operator) -> Result<Option<Settled>, HostError> {
    end(host, |run, journal, settled| {
        for Running { change, pid: was, .. } in &run.running {
            if let Change::ServiceStart { start } = change
                && pid(host, &start.name)? != *was
                && !settles_down(host, operator, &start.name, &start.readiness)?
            {
                return Err(HostError::Starting { service: start.name.clone() });
            }
        }
        run.take_back(journal, settled)?;
        Ok(if settled.failed.is_empty() { Outcome::Undone } else { Outcome::NotUndone })
    })
}

/// What a plan is about to touch of what runs.
pub(super) fn running(host: &dyn Host, plan: &Plan) -> Result<Vec<Running>, HostError> {
    let mut found = Vec::new();
    for change in plan.steps.iter().map(|step| &step.change) {
        let kind = change.kind();
        let pid = match kind.effect() {
            Some((Thing::Service(name), _)) => pid(host, &name)?,
            Some((Thing::Sysctl(_), _) | (Thing::Module(_), Left::Present)) => None,
            _ => continue,
        };
        found.push(Running { change: change.clone(), prior: kind.prior(host)?, pid });
    }
    Ok(found)
}

/// Whether these changes, each with whether it was made, only prepare a handover of ports: their owner still has them, or was just
/// being told to let go of them.
pub(super) fn is_handover_pending<'c>(begun: impl Iterator<Item = (&'c Change, bool)>) -> bool {
    let (mut is_prepared, mut is_done) = (false, false);
    for (change, made) in begun {
        is_prepared |=
            matches!(change, Change::FrontStandby(_) | Change::ServiceStop(StopService { when_undone: true, .. }));
        is_done |= made && lets_go(change).is_some();
    }
    is_prepared && !is_done
}

/// Who lets go of ports with this change.
fn lets_go(change: &Change) -> Option<&LetGo> {
    match change {
        Change::FrontTakeover(TakeOver { from, .. }) => Some(from),
        Change::ServiceStart { start } => start.from.as_ref(),
        _ => None,
    }
}

/// Whether taking a change back would have the server run, now or at the next boot.
fn is_run_of_server(change: &Change) -> bool {
    match change {
        Change::ServiceStop(StopService { name, .. }) => name == SERVICE,
        Change::RcVariable(SetRcVariable { name, .. }) => name.strip_suffix("_enable") == Some(SERVICE),
        _ => false,
    }
}

/// A change by kind and target.
fn named(change: &Change) -> String {
    format!("{} {}", change.kind().name(), change.kind().target().shown())
}

fn pid(host: &dyn Host, service: &str) -> Result<Option<u32>, HostError> {
    Ok(match host.service(service)? {
        ServiceState::Running { pid } => pid,
        ServiceState::Stopped | ServiceState::Missing => None,
    })
}

/// Takes one change back, and writes that down.
fn one(journal: &Journal<'_>, open: Announced<'_>, settled: &mut Settled) -> Result<(), HostError> {
    let Announced { step, change, prior, .. } = open;
    match change.kind().take_back(journal.host, prior) {
        Ok(stays) => {
            journal.write(&Line::Undone { step })?;
            settled.spared.extend(stays);
            settled.undone.push(named(change));
        }
        Err(why) => settled.failed.push(format!("{}: {why}", named(change))),
    }
    Ok(())
}

/// Reads the journal and clears away what a cut-off write leaves. A journal that had not even its first line is none.
fn prepare(host: &dyn Host) -> Result<Option<CutOff>, HostError> {
    // A file that is kept may have been cut off before the journal was begun.
    let own = ["", "receipts", "replaced", "written"].map(|name| PathBuf::from(store::FOLDER).join(name));
    sweep(host, own)?;
    let Some(run) = CutOff::read(host)? else {
        host.remove(&path())?;
        return Ok(None);
    };
    // A dump or a password may be in it; who was killed at it has no use for it any more.
    if host.entry(Path::new(OPENED))?.is_some() {
        host.remove_tree(Path::new(OPENED))?;
    }
    let mut changed: BTreeSet<PathBuf> =
        announced(&run.lines).flat_map(|announced| announced.change.kind().folders()).collect();
    // The main file of a web server may be a link to one in another folder. One that leads nowhere was not written to.
    for front in Front::ALL {
        if changed.contains(Path::new(front.folder))
            && let Ok(file) = edited_file(host, front)
        {
            changed.extend(above(&file));
        }
    }
    sweep(host, changed)?;
    Ok(Some(run))
}

/// Removes what an interrupted write leaves in those of the folders that are there.
fn sweep(host: &dyn Host, folders: impl IntoIterator<Item = PathBuf>) -> Result<(), HostError> {
    for folder in folders {
        if matches!(host.entry(&folder)?, Some(Entry::Directory { .. })) {
            store::sweep(host, &folder)?;
        }
    }
    Ok(())
}

/// A run that was cut off, as its journal tells of it.
#[derive(Debug)]
pub struct CutOff {
    /// The subcommand.
    pub command: String,
    /// When it began, seconds since 1970.
    pub began: u64,
    running: Vec<Running>,
    lines: Vec<Line>,
}

impl CutOff {
    /// Looks whether a run was cut off. The caller makes sure that it is not just going on: that nobody holds the lock.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn read(host: &dyn Observe) -> Result<Option<Self>, HostError> {
        let lines = journal::read(host, &path())?.unwrap_or_default();
        let begin = lines.iter().find_map(|line| match line {
            Line::Begin { command, time, running, .. } => Some((command.clone(), *time, running.clone())),
            _ => None,
        });
        Ok(begin.map(|(command, began, running)| Self { command, began, running, lines }))
    }

    /// Takes back all that is not taken back yet; then what a boot may have started of files that were half-way.
    fn take_back(&self, journal: &Journal<'_>, settled: &mut Settled) -> Result<(), HostError> {
        let host = journal.host;
        if !self.is_undoing() {
            journal.write(&Line::Undoing { reason: "the run was cut off, and is taken back".to_owned() })?;
        }
        let mut services: Vec<(String, bool)> = Vec::new();
        for Running { change, prior, pid: was } in &self.running {
            let Some((Thing::Service(name), _)) = change.kind().effect() else { continue };
            if services.iter().any(|(known, _)| *known == name) {
                continue;
            }
            // Another process than before has read files that go back to what they were; or waits to be started again. One that
            // was told to end may still be at it.
            let stops = LetGo::Stop(name.clone());
            let was_told = self.open().iter().any(|open| lets_go(open.change) == Some(&stops));
            if host.service(&name)? != ServiceState::Missing && (was_told || pid(host, &name)? != *was) {
                host.service_action(&name, ServiceAction::Stop)?;
            }
            services.push((name, *prior == Prior::Present));
        }
        let lost = self.lost();
        let stays_down = |change: &Change| !lost.is_empty() && is_run_of_server(change);
        for open in self.open().into_iter().filter(|open| !stays_down(open.change)) {
            if let Change::Account { account } = open.change {
                settled.spared.push(format!("the account {} stays in GoToSocial's database", account.username));
            }
            one(journal, open, settled)?;
        }
        // A service that only takes ports over may have run before: the change that has it run again then is among these.
        let is_asked = |change: &Change| {
            !stays_down(change) && !matches!(change, Change::ServiceStart { start } if start.from.is_some())
        };
        for Running { change, prior, .. } in self.running.iter().rev().filter(|running| is_asked(&running.change)) {
            if let Err(why) = change.kind().take_back(host, prior) {
                settled.failed.push(format!("{}: {why}", named(change)));
            }
        }
        for (name, ran) in services {
            if !ran || host.service(&name)?.is_running() || (!lost.is_empty() && name == SERVICE) {
                continue;
            }
            match host.service_action(&name, ServiceAction::Start) {
                Ok(()) => settled.undone.push(format!("start service {name}")),
                Err(why) => settled.failed.push(format!("service {name}: {why}")),
            }
        }
        for path in &lost {
            settled.failed.push(format!("{}: it was removed for good, all or part of it", path.shown()));
        }
        if !lost.is_empty() {
            settled.failed.push(format!(
                "service {SERVICE}: neither started nor enabled, as it would run without what was removed; without its \
                 database it would be a new instance, which other servers refuse. `gts-bootstrap restore FILE` brings the data \
                 out of a backup; where only the release was removed, `gts-bootstrap install` brings it back; \
                 `gts-bootstrap uninstall`, with the options of then, goes on with the uninstallation"
            ));
        }
        Ok(())
    }

    /// Trees whose removal was begun: nobody knows what of them is gone, and nothing brings it back. What lies in /var/run goes
    /// at every boot, and each start of a service makes its own anew.
    fn lost(&self) -> Vec<PathBuf> {
        let begun = self.open().into_iter().filter(|open| *open.prior == Prior::Present);
        let trees = begun.filter_map(|open| open.change.kind().gone_for_good());
        trees.filter(|path| !path.starts_with("/var/run")).map(Path::to_path_buf).collect()
    }

    /// How it had ended, if it had.
    pub fn ended(&self) -> Option<Outcome> {
        self.lines.iter().find_map(|line| match line {
            Line::End { outcome } => Some(*outcome),
            _ => None,
        })
    }

    /// Whether it was taking back what it had done.
    pub fn is_undoing(&self) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Undoing { .. }))
    }

    /// Whether the next run takes all of it back. Where no port has changed hands yet that costs nothing, and the next plan would
    /// know no way back: it finds a configuration that the server has not read, and a web server that waits.
    pub fn goes_back(&self) -> bool {
        self.is_undoing() || is_handover_pending(self.open().iter().map(|open| (open.change, open.done)))
    }

    /// The changes that are not taken back, in the order in which they would be.
    pub fn open(&self) -> Vec<Announced<'_>> {
        let all: Vec<Announced<'_>> = announced(&self.lines).collect();
        let changes: Vec<&Change> = all.iter().map(|announced| announced.change).collect();
        let order = undo_order::order(&changes).into_iter();
        order.map(|place| all[place]).filter(|announced| !announced.undone).collect()
    }
}
