//! The plan of `uninstall`: everything that stayed of all runs, taken back to what was there before our first touch.
//!
//! It works from the receipts, folded into a [`Ledger`], and from what stands there now. What is as we left it goes back to what it
//! was; what others have edited since keeps their edits, and only what is ours goes; what cannot be told apart is left and named.
//! The data of the instance is kept unless it is to be purged.

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
    StopService, Thing, store,
};
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{Entry, HostError, Observe, Supervision};
use files::Fate;
use ledger::{Ledger, Trace};

pub use unrecorded::unrecorded;

/// Parts whose steps rest on one another, see [`OnFailure::GoOn`].
const CHAINED: &[&str] = &[port_access::PART, front::PART];
/// The part that stops GoToSocial: nothing is pulled from under a server that runs.
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
pub struct Planned {
    /// The changes.
    pub plan: Plan,
    /// Data that stays: a path, and what it is.
    pub kept: Vec<(PathBuf, &'static str)>,
    /// What stays because others need it.
    pub needed: Vec<String>,
    /// What only the administrator can do, in words.
    pub by_hand: Vec<String>,
}

/// The name of the instance whose data are on this host; by the lock, or, where that has gone, by the receipts.
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

/// The name of an instance of which only data are there, after an uninstallation: neither a release in use nor the service.
///
/// # Errors
/// The host, or the lock, cannot be read.
pub fn only_data(host: &dyn Observe, layout: &Layout) -> Result<Option<String>, Refusal> {
    let script = Path::new("/usr/local/etc/rc.d").join(rc_script::SERVICE);
    if host.entry(&layout.current())?.is_some() || host.entry(&script)?.is_some() {
        return Ok(None);
    }
    // What was put there beforehand is no instance.
    Ok(Lock::of_host(host, layout)?
        .filter(|_| host.entry(&layout.config).is_ok_and(|it| it.is_some()))
        .map(|lock| lock.host))
}

/// Plans the uninstallation.
///
/// # Errors
/// The host, or a receipt, cannot be read.
pub fn plan(host: &dyn Observe, layout: &Layout, extent: Extent) -> Result<Planned, Refusal> {
    let ledger = Ledger::read(host)?;
    let mut planned = Planned::default();
    planned.plan.on_failure = OnFailure::GoOn { chained: CHAINED, decisive: DECISIVE };
    let (data, own) = data::plan(host, layout, &ledger, extent)?;
    planned.kept = own.kept;
    planned.by_hand = own.by_hand;
    planned.plan.warnings = own.elsewhere;
    // A script that is there only for us is asked only where it is ours.
    let script = Path::new("/usr/local/etc/rc.d").join(rc_script::SERVICE);
    if ledger.path(&script).is_some() && is_at_work(host)? {
        let change = StopService { name: rc_script::SERVICE.to_owned() };
        planned.plan.steps.push(Step::new(DECISIVE, Action::Stop, change));
    }
    let left = front::plan(host, &ledger)?;
    planned.plan.steps.extend(left.first);
    planned.by_hand.extend(left.by_hand);
    planned.needed.extend(left.needed);

    let user = host.user(account::NAME)?;
    let uid = user.as_ref().map_or(account::ID, |user| user.uid);
    let access = port_access::plan(host, &ledger, uid, extent.purge)?;
    let access_stays = !access.by_hand.is_empty() || !access.needed.is_empty();
    let mut going = Going::default();
    for step in &access.steps {
        if let Change::Removal(Remove { path }) = &step.change {
            going.paths.insert(path.clone());
        }
    }
    planned.plan.steps.extend(access.steps);
    planned.plan.warnings.extend(access.warnings);
    planned.plan.reboot.extend(access.reboot);
    planned.by_hand.extend(access.by_hand);
    planned.needed.extend(access.needed);

    rc_variables(host, &ledger, &mut planned)?;
    // Like a folder of ours, one that we put into service goes only where nothing of somebody else's is in it.
    for path in tls::own_files(host, layout)? {
        if ledger.path(&layout.tls()).is_some() && path.starts_with(layout.tls()) {
            going.remove(path);
        }
    }
    for (path, trace) in ledger.paths() {
        if !is_elsewhere(path, layout) && !data::is_data(path, layout) {
            file(host, path, trace, extent.purge, &mut going, &mut planned)?;
        }
    }
    run_folder(host, &ledger, &mut going)?;
    for step in data {
        going.step(step);
    }
    copies(host, &mut going)?;
    let packages = !left.last.is_empty();
    planned.plan.steps.append(&mut going.steps);
    let shallow = folders(host, layout, &ledger, extent.purge, &mut going, packages)?;
    planned.plan.steps.append(&mut going.steps);
    planned.plan.steps.extend(left.last);
    planned.plan.steps.extend(shallow);
    accounts(host, layout, &ledger, extent.purge, &going, &mut planned)?;
    planned.plan.forget = extent.purge && planned.by_hand.is_empty() && !access_stays;
    Ok(planned)
}

/// Whether GoToSocial runs, or its supervisor is about to start it again: that one would go on, without script and program.
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
        // With the copy that it says the release of: all of them go, or none.
        || path.starts_with(&layout.backups) && path != layout.backups
        || Front::ALL.iter().any(|front| front.main_file() == path)
}

/// Paths that are on their way out, in the order in which they go.
#[derive(Debug, Default)]
struct Going {
    steps: Vec<Step>,
    paths: BTreeSet<PathBuf>,
}

impl Going {
    fn remove(&mut self, path: PathBuf) {
        self.step(Step::new(part_of(&path), Action::Remove, Change::Removal(Remove { path })));
    }

    fn step(&mut self, step: Step) {
        if let Change::Removal(Remove { path }) | Change::TreeRemoval(RemoveTree { path }) = &step.change
            && !self.paths.insert(path.clone())
        {
            return;
        }
        self.steps.push(step);
    }

    fn has(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.paths.contains(path))
    }
}

/// The part that a path belongs to: what lies in a folder of a web server has to go before its package, which removes
/// its folders only if they are empty.
fn part_of(path: &Path) -> &'static str {
    let in_front = |front: Front| path.starts_with(front.folder);
    let in_www = path.starts_with("/usr/local/www");
    if in_www || Front::ALL.into_iter().any(in_front) { front::PART } else { FILES }
}

/// One file or link.
fn file(
    host: &dyn Observe,
    path: &Path,
    trace: &Trace,
    all: bool,
    going: &mut Going,
    planned: &mut Planned,
) -> Result<(), HostError> {
    match files::fate(host, path, trace, all)? {
        Fate::Nothing => {}
        Fate::Left(why) => planned.by_hand.push(why),
        Fate::Change(action, change) => {
            going.step(Step::new(part_of(path), action, change));
        }
    }
    Ok(())
}

/// Copies of what we wrote last, of files that are no more.
fn copies(host: &dyn Observe, going: &mut Going) -> Result<(), HostError> {
    let folder = Path::new(store::FOLDER).join("written");
    for name in host.list(&folder)? {
        let path = PathBuf::from(format!("/{}", name.replace(',', "/")));
        let copy = folder.join(&name);
        // A name with a comma of its own does not come back; its copy goes with the record.
        if written(&path) == copy && (going.has(&path) || host.entry(&path)?.is_none()) {
            going.remove(copy);
        }
    }
    Ok(())
}

/// The variables that are left to no other part.
fn rc_variables(host: &dyn Observe, ledger: &Ledger, planned: &mut Planned) -> Result<(), HostError> {
    let fronts = Front::ALL.map(Front::rc_variable);
    for (name, trace) in ledger.rc_variables() {
        let elsewhere = name.starts_with(port_access::PORTACL_RC)
            || name == port_access::guard_variable()
            || fronts.iter().any(|front| front == name);
        if elsewhere {
            continue;
        }
        let before = if let Prior::Value { value } = &trace.origin { Some(value.clone()) } else { None };
        let now = host.rc_variable(name)?;
        let unedited = now.clone().map_or(Left::Absent, Left::Value) == trace.left;
        let is_our_own = name.starts_with("gotosocial_") || name.starts_with("gts_");
        if now == before {
            continue;
        }
        if unedited || is_our_own {
            let change = SetRcVariable { name: name.to_owned(), value: before };
            planned.plan.steps.push(Step::new("rc.conf", Action::Set, change));
        } else if now.is_some() {
            planned.by_hand.push(format!(
                "{name} was changed in rc.conf after gts-bootstrap had set it, so it stays. If it is not needed: sysrc -x {name}"
            ));
        }
    }
    Ok(())
}

/// The folder of pid files, which the rc.d script makes at each start.
fn run_folder(host: &dyn Observe, ledger: &Ledger, going: &mut Going) -> Result<(), HostError> {
    let folder = Path::new("/var/run/gotosocial");
    let script = Path::new("/usr/local/etc/rc.d").join(rc_script::SERVICE);
    let ours = ledger.path(&script).is_some() || (ledger.served.is_some() && host.entry(&script)?.is_none());
    if ours && matches!(host.entry(folder)?, Some(Entry::Directory { .. })) {
        going.step(Step::new(FILES, Action::Remove, RemoveTree { path: folder.to_owned() }));
    }
    Ok(())
}

/// Folders that we made and in which nothing is left, the deepest first. What a package leaves behind is seen only when it has
/// gone: with `packages`, the system's own folders are tried after that, and stay if something is in them.
fn folders(
    host: &dyn Observe,
    layout: &Layout,
    ledger: &Ledger,
    purge: bool,
    going: &mut Going,
    packages: bool,
) -> Result<Vec<Step>, HostError> {
    let mut made: Vec<&PathBuf> = ledger
        .paths()
        .filter(|(path, trace)| {
            trace.origin == Prior::Absent
                && matches!(trace.left, Left::Directory { .. })
                && !path.starts_with(store::FOLDER)
                && (purge || !data::is_data(path, layout))
        })
        .map(|(path, _)| path)
        .collect();
    made.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    let mut after_packages = Vec::new();
    for path in made {
        if going.has(path) || !matches!(host.entry(path)?, Some(Entry::Directory { .. })) {
            continue;
        }
        let left: Vec<PathBuf> =
            host.list(path)?.into_iter().map(|name| path.join(name)).filter(|path| !going.has(path)).collect();
        if left.is_empty() {
            going.remove(path.clone());
        } else if packages
            && path.starts_with("/usr/local")
            && left.iter().all(|left| !left.starts_with(&layout.records) && *left != layout.config_folder())
        {
            after_packages.push(Step::new(FILES, Action::Remove, Remove { path: path.clone() }));
        }
    }
    Ok(after_packages)
}

/// User and group, if we made them and nothing is kept that belongs to them.
fn accounts(
    host: &dyn Observe,
    layout: &Layout,
    ledger: &Ledger,
    purge: bool,
    going: &Going,
    planned: &mut Planned,
) -> Result<(), HostError> {
    let made = |thing: Thing| {
        ledger.of(&thing).is_some_and(|trace| trace.origin == Prior::Absent && trace.left != Left::Absent)
    };
    for folder in [&layout.data, &layout.logs, &layout.config_folder()] {
        if host.entry(folder)?.is_some() && !going.has(folder) {
            if purge && (made(Thing::User(account::NAME.into())) || made(Thing::Group(account::NAME.into()))) {
                planned.by_hand.push(format!(
                    "{} is still there, so its user and group {} stay. Once it has gone: pw userdel {1}",
                    folder.display(),
                    account::NAME
                ));
            }
            return Ok(());
        }
    }
    if made(Thing::User(account::NAME.to_owned()))
        && let Some(user) = host.user(account::NAME)?
    {
        planned.plan.steps.push(Step::new("account", Action::Remove, RemoveUser { user }));
    }
    if made(Thing::Group(account::NAME.to_owned()))
        && let Some(group) = host.group(account::NAME)?
    {
        planned.plan.steps.push(Step::new("account", Action::Remove, RemoveGroup { group }));
    }
    Ok(())
}
