//! The plan of `uninstall`: everything that stayed of all runs, back to what was there before our first change.
//!
//! It works from the receipts, folded into a [`Ledger`], and from the present host. What is as we left it reverts to what it was; what
//! others have edited since keeps their edits, and only what is ours goes; what cannot be told apart stays, and is named. The data
//! of the instance stay unless they are to be purged.

mod data;
mod files;
mod front;
pub mod ledger;
mod port_access;
mod unrecorded;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::answers::Lock;
use super::managed_file::written;
use super::{Refusal, account, rc_script, tls};
use crate::change::{
    Action, Change, Left, OnFailure, Plan, Prior, Remove, RemoveGroup, RemoveTree, RemoveUser, SetRcVariable, Step,
    Thing, store,
};
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{Entry, HostError, Observe, Supervision, System};
use crate::shown::Shown;
use ledger::{Ledger, Trace};

pub use unrecorded::unrecorded;

/// Parts whose steps rest on one another, see [`OnFailure::GoOn`].
const CHAINED: &[&str] = &[port_access::PART, front::PART];
/// The part that stops GoToSocial: nothing is removed from under a running server.
const DECISIVE: &str = "service";
const FILES: &str = "files";

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// The data, too: database, media, configuration, answers, secrets, log, and files of ours that were edited.
    pub purge: bool,
    /// The backups, too.
    pub backups: bool,
}

/// What is going to be done, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UninstallPlan {
    /// The changes.
    pub plan: Plan,
    /// Data that stays: a path, and what it is.
    pub kept: Vec<(PathBuf, &'static str)>,
    /// What stays because others need it.
    pub needed: Vec<String>,
    /// What only the administrator can do, in words.
    pub by_hand: Vec<String>,
    /// Paths that the plan removes.
    gone: BTreeSet<PathBuf>,
}

impl UninstallPlan {
    /// Adds the plan of a part.
    fn add(&mut self, part: Self) {
        self.plan.steps.extend(part.plan.steps);
        self.plan.warnings.extend(part.plan.warnings);
        self.plan.reboot.extend(part.plan.reboot);
        self.kept.extend(part.kept);
        self.needed.extend(part.needed);
        self.by_hand.extend(part.by_hand);
        self.gone.extend(part.gone);
    }

    /// Adds a step, unless it removes what is gone already.
    fn step(&mut self, step: Step) {
        if let Change::Removal(Remove { path }) | Change::TreeRemoval(RemoveTree { path }) = &step.change
            && !self.gone.insert(path.clone())
        {
            return;
        }
        self.plan.steps.push(step);
    }

    fn remove(&mut self, path: PathBuf) {
        self.step(back(part_of(&path), Remove { path }));
    }

    fn is_gone(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.gone.contains(path))
    }
}

/// A step of the way back.
fn back(part: &'static str, change: impl Into<Change>) -> Step {
    let change = change.into();
    let action = match change {
        Change::File(_) | Change::Directory(_) | Change::Symlink(_) => Action::Update,
        Change::RcVariable(_) => Action::Set,
        _ => Action::Remove,
    };
    Step::new(part, action, change)
}

/// The name of the instance whose data are on this host; by the lock, or, if that has gone, by the receipts.
///
/// # Errors
/// The host cannot be read.
pub fn instance(host: &dyn Observe, layout: &Layout, ledger: &Ledger) -> Result<Option<String>, Refusal> {
    if let Some(lock) = Lock::of_host(host, layout)? {
        return Ok(Some(lock.host));
    }
    let has_data = host.entry(&layout.database())?.is_some() || host.entry(&layout.storage())?.is_some();
    Ok(ledger.served.clone().filter(|_| has_data))
}

/// The name of an instance of which only data are left, after an uninstallation: neither a release in use nor the service.
///
/// # Errors
/// The host, or the lock, cannot be read.
pub fn only_data(host: &dyn Observe, layout: &Layout) -> Result<Option<String>, Refusal> {
    for path in [layout.current(), rc_script::path(rc_script::SERVICE)] {
        if host.entry(&path)?.is_some() {
            return Ok(None);
        }
    }
    // A lock that was put there beforehand is no instance.
    let has_config = || host.entry(&layout.config).is_ok_and(|config| config.is_some());
    Ok(Lock::of_host(host, layout)?.filter(|_| has_config()).map(|lock| lock.host))
}

/// Plans the uninstallation.
///
/// # Errors
/// The host, or a receipt, cannot be read.
pub fn plan(host: &dyn Observe, layout: &Layout, extent: Extent) -> Result<UninstallPlan, Refusal> {
    let (ledger, system) = (Ledger::read(host)?, host.system()?);
    Record { host, layout, ledger: &ledger, extent, system: &system }.plan()
}

/// The host, and the record of what was done to it.
#[derive(Clone, Copy)]
struct Record<'a> {
    host: &'a dyn Observe,
    layout: &'a Layout,
    ledger: &'a Ledger,
    extent: Extent,
    system: &'a System,
}

impl Record<'_> {
    fn plan(self) -> Result<UninstallPlan, Refusal> {
        let Self { host, layout, ledger, extent, .. } = self;
        let mut planned = UninstallPlan::default();
        planned.plan.on_failure = OnFailure::GoOn { chained: CHAINED, decisive: DECISIVE };
        let mut data = self.data()?;
        let data_steps = std::mem::take(&mut data.plan.steps);
        data.gone.clear();
        planned.add(data);
        // A script that exists only because of us is asked only where it is ours.
        if ledger.path(&rc_script::path(rc_script::SERVICE)).is_some() && is_at_work(host)? {
            let change = super::service::stop_of(rc_script::SERVICE);
            planned.step(Step::new(DECISIVE, Action::Stop, change));
        }
        let (fronts, packages) = self.fronts()?;
        planned.add(fronts);

        let uid = host.user(account::NAME)?.map_or(account::ID, |user| user.uid);
        let access = self.port_access(uid)?;
        let access_stays = !access.by_hand.is_empty() || !access.needed.is_empty();
        planned.add(access);

        self.rc_variables(&mut planned)?;
        // Like a folder of ours, one that we put into service goes only if nothing of somebody else's is in it.
        for path in tls::own_files(host, layout)? {
            if ledger.path(&layout.tls()).is_some() && path.starts_with(layout.tls()) {
                planned.remove(path);
            }
        }
        for (path, trace) in ledger.paths() {
            if !is_elsewhere(path, layout) && !data::is_data(path, layout) {
                self.take_back(part_of(path), path, trace, &mut planned)?;
            }
        }
        self.run_folder(&mut planned)?;
        data_steps.into_iter().for_each(|step| planned.step(step));
        copies(host, &mut planned)?;
        let shallow = self.folders(!packages.is_empty(), &mut planned)?;
        planned.plan.steps.extend(packages);
        planned.plan.steps.extend(shallow);
        self.accounts(&mut planned)?;
        planned.plan.forget = extent.purge && planned.by_hand.is_empty() && !access_stays;
        Ok(planned)
    }

    /// Plans the variables that no other part decides on.
    fn rc_variables(self, planned: &mut UninstallPlan) -> Result<(), HostError> {
        let fronts = Front::ALL.map(Front::rc_variable);
        for (name, trace) in self.ledger.rc_variables() {
            let elsewhere = name.starts_with(port_access::PORTACL_RC)
                || name == rc_script::GUARD_ENABLE
                || fronts.iter().any(|front| front == name);
            if elsewhere {
                continue;
            }
            let now = self.host.rc_variable(name)?;
            let unedited = now.clone().map_or(Left::Absent, Left::Value) == trace.left;
            if unedited || name.starts_with("gotosocial_") || name.starts_with("gts_") {
                planned.plan.steps.extend(self.former("rc.conf", name, trace)?);
            } else if now.is_some() && now.as_deref() != trace.origin.as_value() {
                planned.by_hand.push(format!(
                    "{name} was changed in rc.conf after gts-bootstrap had set it, so it stays. If it is not needed: sysrc -x {name}"
                ));
            }
        }
        Ok(())
    }

    /// The step to the former value of a variable, if it has another one.
    fn former(self, part: &'static str, name: &str, trace: &Trace) -> Result<Option<Step>, HostError> {
        let value = trace.origin.as_value();
        let differs = self.host.rc_variable(name)?.as_deref() != value;
        let set = || SetRcVariable { name: name.to_owned(), value: value.map(str::to_owned) };
        Ok(differs.then(|| back(part, set())))
    }

    /// Plans the folder of pid files, which the rc.d script makes at each start.
    fn run_folder(self, planned: &mut UninstallPlan) -> Result<(), HostError> {
        let Self { host, ledger, .. } = self;
        let path = PathBuf::from("/var/run/gotosocial");
        let script = rc_script::path(rc_script::SERVICE);
        let ours = ledger.path(&script).is_some() || (ledger.served.is_some() && host.entry(&script)?.is_none());
        if ours && matches!(host.entry(&path)?, Some(Entry::Directory { .. })) {
            planned.step(back(FILES, RemoveTree { path }));
        }
        Ok(())
    }

    /// Plans folders that we made and in which nothing is left, the deepest first. What a package leaves behind is seen only when it
    /// has gone: with `packages`, the system's own folders are returned, to be tried after that; they stay if something is in them.
    fn folders(self, packages: bool, planned: &mut UninstallPlan) -> Result<Vec<Step>, HostError> {
        let Self { host, layout, ledger, extent, .. } = self;
        let is_made = |(path, trace): &(&PathBuf, &Trace)| {
            trace.origin == Prior::Absent
                && matches!(trace.left, Left::Directory { .. })
                && !path.starts_with(store::FOLDER)
                && (extent.purge || !data::is_data(path, layout))
        };
        let mut made: Vec<&PathBuf> = ledger.paths().filter(is_made).map(|(path, _)| path).collect();
        made.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        let mut after_packages = Vec::new();
        for path in made {
            if planned.is_gone(path) || !matches!(host.entry(path)?, Some(Entry::Directory { .. })) {
                continue;
            }
            let mut left: Vec<PathBuf> = host.list(path)?.into_iter().map(|name| path.join(name)).collect();
            left.retain(|path| !planned.is_gone(path));
            if left.is_empty() {
                planned.remove(path.clone());
            } else if packages
                && path.starts_with("/usr/local")
                && left.iter().all(|left| !left.starts_with(&layout.records) && *left != layout.config_folder())
            {
                after_packages.push(back(FILES, Remove { path: path.clone() }));
            }
        }
        Ok(after_packages)
    }

    /// Plans user and group, if we made them and nothing is kept that belongs to them.
    fn accounts(self, planned: &mut UninstallPlan) -> Result<(), HostError> {
        let Self { host, layout, ledger, extent, .. } = self;
        let made = |thing: fn(String) -> Thing| {
            let trace = ledger.of(&thing(account::NAME.to_owned()));
            trace.is_some_and(|trace| trace.origin == Prior::Absent && trace.left != Left::Absent)
        };
        let (made_user, made_group) = (made(Thing::User), made(Thing::Group));
        for folder in [&layout.data, &layout.logs, &layout.config_folder()] {
            if host.entry(folder)?.is_some() && !planned.is_gone(folder) {
                if extent.purge && (made_user || made_group) {
                    planned.by_hand.push(format!(
                        "{} is still there, so its user and group {} stay. Once it has gone: pw userdel {1}",
                        folder.shown(),
                        account::NAME
                    ));
                }
                return Ok(());
            }
        }
        if let Some(user) = host.user(account::NAME)?.filter(|_| made_user) {
            planned.step(back("account", RemoveUser { user }));
        }
        if let Some(group) = host.group(account::NAME)?.filter(|_| made_group) {
            planned.step(back("account", RemoveGroup { group }));
        }
        Ok(())
    }
}

/// Whether GoToSocial runs, or its supervisor is about to start it again: that one would continue without script and program.
fn is_at_work(host: &dyn Observe) -> Result<bool, HostError> {
    let idle = [Supervision::Missing, Supervision::Stopped, Supervision::Hidden];
    Ok(host.service(rc_script::SERVICE)?.is_running() || !idle.contains(&host.supervision(rc_script::SERVICE)?))
}

/// Paths that another part of this plan decides on.
fn is_elsewhere(path: &Path, layout: &Layout) -> bool {
    port_access::SHARED.iter().any(|shared| Path::new(shared) == path)
        || port_access::guards().iter().any(|guard| guard == path)
        || path.starts_with(store::FOLDER)
        || path.starts_with(layout.tls()) && path != layout.tls()
        // They go with the copies whose release they name.
        || path.starts_with(&layout.backups) && path != layout.backups
        || Front::ALL.iter().any(|front| front.main_file() == path)
}

/// The part that a path belongs to: what lies in a folder of a web server has to go before its package, which removes
/// its folders only if they are empty.
fn part_of(path: &Path) -> &'static str {
    let in_front = |front: Front| path.starts_with(front.folder);
    let in_www = path.starts_with("/usr/local/www");
    if in_www || Front::ALL.into_iter().any(in_front) { front::PART } else { FILES }
}

/// Plans the copies of what we wrote last, of files that no longer exist.
fn copies(host: &dyn Observe, planned: &mut UninstallPlan) -> Result<(), HostError> {
    let folder = Path::new(store::FOLDER).join("written");
    for name in host.list(&folder)? {
        let path = PathBuf::from(format!("/{}", name.replace(',', "/")));
        let copy = folder.join(&name);
        // A name with a comma of its own does not convert back; its copy goes with the record.
        if written(&path) == copy && (planned.is_gone(&path) || host.entry(&path)?.is_none()) {
            planned.remove(copy);
        }
    }
    Ok(())
}
