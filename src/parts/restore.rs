//! Restoring an instance from a backup.
//!
//! On a host without an instance this is an installation with the answers, the secrets and the release of the backup; before the
//! first start it gets the configuration, certificates, filters, database and media of the backup. On the host of the instance
//! itself the present settings stay: the database becomes that of the backup, with its release, and missing media and
//! certificates come back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::database::connection;
use super::install::{self, Wanted};
use super::{Refusal, account, backup as making, rc_script, release, restore_files, service};
use crate::backup::{self, DatabaseKind, Head};
use crate::change::backup::{BackupChange, Origin};
use crate::change::postgres::Load;
use crate::change::{
    Action, AfterPlan, Change, Database, DatabaseCopy, DatabaseRestore, Discard, MakeSymlink, Plan, Step, StopService,
};
use crate::host::{Entry, Observe, Owner};
use crate::utc;

pub(super) const PART: &str = "restore";
/// Where in [`Layout::backups`](crate::deployment::Layout::backups) the database of the backup is until it is put in place.
const COPY: &str = ".being-restored";

/// What is restored.
#[derive(Debug, Clone, Copy)]
pub struct Restoring<'a> {
    /// The deployment, with the release of the backup.
    pub wanted: &'a Wanted<'a>,
    /// The backup.
    pub from: &'a Origin,
    /// Its manifest.
    pub head: &'a Head,
    /// Its small members, by their path in it.
    pub small: &'a BTreeMap<String, Vec<u8>>,
    /// Whether this host has no instance.
    pub fresh: bool,
    /// The present time, in seconds since 1970: part of the name of the kept database.
    pub time: u64,
}

impl Restoring<'_> {
    /// Where the present database is kept.
    pub fn kept(&self) -> PathBuf {
        let name = format!("before-restore-{}", utc::stamp(self.time));
        self.wanted.layout.backups.join(match self.head.database {
            DatabaseKind::Sqlite => name,
            DatabaseKind::Postgres => format!("{name}.dump"),
        })
    }
}

/// Plans a restoration.
///
/// # Errors
/// A part refuses; nothing has been changed.
pub fn plan(host: &dyn Observe, restoring: &Restoring<'_>) -> Result<Plan, Refusal> {
    let wanted = restoring.wanted;
    let layout = wanted.layout;
    let (owner, _) = account::plan(host)?;
    let files = restore_files::plan(host, restoring, owner)?;
    let switch = switch(host, restoring)?;
    // An installation on this host, once these are in place.
    let after = AfterPlan::new(host, &[&*files, &switch].concat());
    let installed = install::with_passage(&after, wanted, None)?;
    let mut plan = Plan { steps: Vec::new(), ..installed };
    // The accounts are those of the backup.
    let steps = installed.steps.into_iter().filter(|step| !matches!(step.change, Change::Account { .. }));
    let mut steps = steps.peekable();
    while let Some(step) = steps.next_if(|step| matches!(step.part, "account" | "folders")) {
        plan.steps.push(step);
    }
    plan.steps.extend(making::own_folder(host, layout, "backup")?);
    // Before anything of the backup is put in place: it opens the database, which may turn out to be none.
    let [database, media] = unpack(restoring, owner);
    plan.steps.extend(database);
    plan.steps.extend(files);
    let rest: Vec<Step> = steps.collect();
    let is_start =
        |step: &Step| matches!(&step.change, Change::ServiceStart { start } if start.name == rc_script::SERVICE);
    let is_stop = |step: &Step| matches!(&step.change, Change::ServiceStop(StopService { name, .. }) if name == rc_script::SERVICE);
    let start = rest.iter().position(is_start);
    let stop = rest.iter().position(is_stop);
    let (before, behind) = rest.split_at(start.unwrap_or(rest.len()));
    let (while_served, stopped) = before.split_at(stop.unwrap_or(before.len()));
    plan.steps.extend_from_slice(while_served);
    // Unpacking takes long, and the present instance still serves meanwhile.
    plan.steps.extend(media);
    if stop.is_none() && host.service(rc_script::SERVICE)?.is_running() {
        plan.steps.push(service::stop());
    }
    plan.steps.extend_from_slice(stopped);
    // In between, release and database do not belong together: a boot must not start one on the other.
    let apart = !switch.is_empty();
    plan.steps.extend(apart.then(|| service::enable(false)));
    plan.steps.extend(switch);
    plan.steps.extend(put_in_place(host, restoring, owner)?);
    plan.steps.extend(apart.then(|| service::enable(true)));
    if start.is_none() && plan.reboot.is_empty() {
        plan.steps.push(service::start(wanted.deployment, layout, owner, false, None));
    }
    plan.steps.extend_from_slice(behind);
    plan.steps.push(Step::new(PART, Action::Remove, Discard { path: layout.backups.join(COPY) }));
    Ok(plan)
}

/// The link to the release, where another one is in use: also to an older one, since the database goes back with it.
fn switch(host: &dyn Observe, restoring: &Restoring<'_>) -> Result<Vec<Step>, Refusal> {
    let path = restoring.wanted.layout.current();
    let target = PathBuf::from(restoring.head.version.to_string());
    Ok(match host.entry(&path)? {
        Some(Entry::Symlink { target: now }) if now != target => {
            vec![Step::new("release", Action::Update, MakeSymlink { path, target })]
        }
        _ => Vec::new(),
    })
}

/// What is read out of the backup: the database, and the media.
fn unpack(restoring: &Restoring<'_>, owner: Owner) -> [Option<Step>; 2] {
    let layout = restoring.wanted.layout;
    let [from, again] = [(); 2].map(|()| restoring.from.clone());
    let database = BackupChange::Database { from, to: layout.backups.join(COPY), owner };
    let media = BackupChange::Media { from: again, storage: layout.storage(), owner };
    let media = restoring.head.media.then(|| Step::new(PART, Action::Update, media));
    [Some(Step::new(PART, Action::Create, database)), media]
}

/// The database, while GoToSocial is stopped.
fn put_in_place(host: &dyn Observe, restoring: &Restoring<'_>, owner: Owner) -> Result<Vec<Step>, Refusal> {
    let Restoring { wanted, head, .. } = restoring;
    let layout = wanted.layout;
    let from = layout.backups.join(COPY);
    if head.database == DatabaseKind::Postgres {
        let from = from.join(Path::new(backup::POSTGRES).file_name().unwrap_or_default());
        let load = |connection| BackupChange::Load { load: Load { connection, from, before: restoring.kept() } };
        let change = connection(wanted.deployment, layout, owner).map(load);
        return Ok(change.map(|change| Step::new(PART, Action::Update, change)).into_iter().collect());
    }
    let (path, service) = (layout.database(), rc_script::SERVICE.to_owned());
    let there = host.entry(&path)?.is_some();
    let mut steps = Vec::new();
    if there {
        let kept = DatabaseCopy {
            from: Database::Sqlite { path: path.clone() },
            to: restoring.kept(),
            service: service.clone(),
            owner,
            thorough: false,
            host: head.host.clone(),
            // The version that the present database is for.
            version: release::installed(host, layout)?.unwrap_or_else(|| head.version.clone()),
            guards: true,
        };
        steps.push(Step::new(PART, Action::Create, kept));
    }
    let restore = DatabaseRestore { from, to: Database::Sqlite { path }, service, owner, before: None };
    steps.push(Step::new(PART, if there { Action::Update } else { Action::Create }, restore));
    Ok(steps)
}
