//! Restoring an instance from a backup.
//!
//! On a host without an instance that is an installation with the answers, the secrets and the release of the backup, and
//! before the first start its configuration, certificates, filters, database and media. On the host of the instance itself
//! the settings stay as they are now: the database becomes that of the backup, the release that goes with it, and media and
//! certificates come back where they are missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::backup::change;
use super::database::connection;
use super::install::{self, Wanted};
use super::{Refusal, account, backup as making, managed_file, rc_script, service};
use crate::backup::{self, DatabaseKind, Head};
use crate::change::backup::{BackupChange, Origin};
use crate::change::postgres::Load;
use crate::change::{
    Action, AfterPlan, Change, Content, Database, DatabaseCopy, DatabaseRestore, Discard, MakeDirectory, MakeSymlink,
    Plan, SetRcVariable, Step, StopService, WriteFile,
};
use crate::deployment::Layout;
use crate::host::{Entry, Observe, Owner};
use crate::utc;

const PART: &str = "restore";
/// Where in [`Layout::backups`] the database of the backup is until it is put in place.
const COPY: &str = ".being-restored";

/// What is restored.
#[derive(Debug, Clone, Copy)]
pub struct Restoring<'a> {
    /// The deployment, with the release of the backup.
    pub wanted: &'a Wanted<'a>,
    /// The backup.
    pub from: &'a Origin,
    /// What its manifest says.
    pub head: &'a Head,
    /// Its small members, by their path in it.
    pub small: &'a BTreeMap<String, Vec<u8>>,
    /// Whether there is no instance on this host.
    pub fresh: bool,
    /// When it is done, in seconds since 1970: part of the name of what is kept of now.
    pub time: u64,
}

impl Restoring<'_> {
    /// Where the database of now is kept.
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
    let Restoring { wanted, .. } = *restoring;
    let layout = wanted.layout;
    let owner = account::plan(host)?.owner;
    let files = files(host, restoring, owner)?;
    let switch = switch(host, restoring)?;
    let laid = Plan { steps: files.iter().chain(&switch).cloned().collect(), ..Plan::default() };
    // What an installation would do on this host, once these are there.
    let installed = install::with_passage(&AfterPlan::new(host, &laid), wanted, None)?;
    let mut plan = Plan { steps: Vec::new(), ..installed };
    // The accounts are those of the backup.
    let mut steps =
        installed.steps.into_iter().filter(|step| !matches!(step.change, Change::Account { .. })).peekable();
    while let Some(step) = steps.next_if(|step| matches!(step.part, "account" | "folders")) {
        plan.steps.push(step);
    }
    plan.steps.extend(making::own_folder(host, layout)?);
    plan.steps.extend(files);
    let rest: Vec<Step> = steps.collect();
    let is_start =
        |step: &Step| matches!(&step.change, Change::ServiceStart { start } if start.name == rc_script::SERVICE);
    let is_stop =
        |step: &Step| matches!(&step.change, Change::ServiceStop(StopService { name }) if name == rc_script::SERVICE);
    let start = rest.iter().position(is_start);
    let stop = rest.iter().position(is_stop);
    let (before, behind) = rest.split_at(start.unwrap_or(rest.len()));
    let (while_served, stopped) = before.split_at(stop.unwrap_or(before.len()));
    plan.steps.extend_from_slice(while_served);
    // Out of the backup while the instance of now still serves: this takes long.
    plan.steps.extend(unpack(restoring, owner));
    if stop.is_none() && host.service(rc_script::SERVICE)?.is_running() {
        plan.steps.push(service::stop());
    }
    plan.steps.extend_from_slice(stopped);
    // Between the two, release and database do not belong together: a boot must not start one on the other.
    let apart = !switch.is_empty();
    plan.steps.extend(apart.then(|| enabled("NO")));
    plan.steps.extend(switch);
    plan.steps.extend(put_in_place(host, restoring, owner)?);
    plan.steps.extend(apart.then(|| enabled("YES")));
    if start.is_none() && plan.reboot.is_empty() {
        let ports = service::privileged_ports(wanted.deployment);
        plan.steps.push(service::start(owner, &ports, &service::readiness(wanted.deployment, layout), false));
    }
    plan.steps.extend_from_slice(behind);
    plan.steps.push(Step::new(PART, Action::Remove, Discard { path: layout.backups.join(COPY) }));
    Ok(plan)
}

/// Whether the service starts at boot.
fn enabled(value: &str) -> Step {
    let change = SetRcVariable { name: "gotosocial_enable".to_owned(), value: Some(value.to_owned()) };
    Step::new("service", Action::Set, change)
}

/// The small files, where there are none. On the host of the instance itself the settings stay as they are.
fn files(host: &dyn Observe, restoring: &Restoring<'_>, owner: Owner) -> Result<Vec<Step>, Refusal> {
    let layout = restoring.wanted.layout;
    let mut steps = Vec::new();
    let service_group = Owner { uid: 0, gid: owner.gid };
    for (member, bytes) in restoring.small {
        let below = |prefix: &str| member.strip_prefix(prefix);
        let (folder, path, mode, whose) = if member == backup::CONFIG && restoring.fresh {
            (None, layout.config.clone(), 0o640, service_group)
        } else if member == backup::CONFIG_WRITTEN && restoring.fresh {
            (None, managed_file::written(&layout.config), 0o600, Owner::ROOT)
        } else if let Some(name) = below(backup::CERTIFICATES) {
            (None, layout.certs().join(name), 0o600, owner)
        } else if let Some(name) = below(backup::TLS) {
            let mode = if name.ends_with(".pem") { 0o644 } else { 0o600 };
            (Some((layout.tls(), 0o700)), layout.tls().join(name), mode, Owner::ROOT)
        } else if let Some(name) = below(backup::RECORDS)
            && restoring.fresh
            && ![layout.answers(), layout.lock(), layout.secrets()].contains(&layout.records.join(name))
        {
            let path = layout.records.join(name);
            let folder =
                path.parent().filter(|folder| **folder != *layout.records).map(|folder| (folder.into(), 0o755));
            (folder, path, 0o644, Owner::ROOT)
        } else {
            continue;
        };
        if host.entry(&path)?.is_some() {
            continue;
        }
        let made = |steps: &[Step], folder: &Path| {
            steps.iter().any(|step| step.change.kind().target() == folder.display().to_string())
        };
        if let Some((folder, mode)) = folder
            && host.entry(&folder)?.is_none()
            && !made(&steps, &folder)
        {
            let change = MakeDirectory { path: folder, mode, owner: Owner::ROOT };
            steps.push(Step::new(PART, Action::Create, change));
        }
        let content = Content::new(bytes.as_slice());
        steps.push(Step::new(PART, Action::Create, WriteFile { path, content, mode, owner: whose }));
    }
    Ok(steps)
}

/// The link to the release, where another one is in use: also to an older one, since the database goes back with it.
fn switch(host: &dyn Observe, restoring: &Restoring<'_>) -> Result<Vec<Step>, Refusal> {
    let layout = restoring.wanted.layout;
    let target = PathBuf::from(restoring.head.version.to_string());
    Ok(match host.entry(&layout.current())? {
        Some(Entry::Symlink { target: now }) if now != target => {
            let change = MakeSymlink { path: layout.current(), target };
            vec![Step::new("release", Action::Update, change)]
        }
        _ => Vec::new(),
    })
}

/// What is read out of the backup.
fn unpack(restoring: &Restoring<'_>, owner: Owner) -> Vec<Step> {
    let layout = restoring.wanted.layout;
    let from = restoring.from.clone();
    let database = BackupChange::Database { from: from.clone(), to: layout.backups.join(COPY), owner };
    let mut steps = vec![Step::new(PART, Action::Create, change(database))];
    if restoring.head.media {
        let media = BackupChange::Media { from, storage: layout.storage(), owner };
        steps.push(Step::new(PART, Action::Update, change(media)));
    }
    steps
}

/// The database, while GoToSocial is stopped.
fn put_in_place(host: &dyn Observe, restoring: &Restoring<'_>, owner: Owner) -> Result<Vec<Step>, Refusal> {
    let layout = restoring.wanted.layout;
    let copy = layout.backups.join(COPY);
    if restoring.head.database == DatabaseKind::Postgres {
        let connection = connection(restoring.wanted.deployment, layout, owner);
        let from = copy.join(file_name(backup::POSTGRES));
        let load = |connection| {
            let load = Load { connection, from, before: restoring.kept() };
            Step::new(PART, Action::Update, change(BackupChange::Load { load }))
        };
        return Ok(connection.map(load).into_iter().collect());
    }
    let path = layout.database();
    let there = host.entry(&path)?.is_some();
    let mut steps = Vec::new();
    if there {
        let kept = DatabaseCopy {
            from: Database::Sqlite { path: path.clone() },
            to: restoring.kept(),
            service: rc_script::SERVICE.to_owned(),
            owner,
            thorough: false,
            host: restoring.head.host.clone(),
            version: installed_version(host, layout, restoring)?,
            guards: true,
        };
        steps.push(Step::new(PART, Action::Create, Change::DatabaseCopy { copy: Box::new(kept) }));
    }
    let restore = DatabaseRestore {
        from: copy,
        to: Database::Sqlite { path },
        service: rc_script::SERVICE.to_owned(),
        owner,
        before: None,
    };
    let action = if there { Action::Update } else { Action::Create };
    steps.push(Step::new(PART, action, Change::DatabaseRestore { restore: Box::new(restore) }));
    Ok(steps)
}

/// The version that the database of now is for.
fn installed_version(
    host: &dyn Observe,
    layout: &Layout,
    restoring: &Restoring<'_>,
) -> Result<semver::Version, Refusal> {
    Ok(super::release::installed(host, layout)?.unwrap_or_else(|| restoring.head.version.clone()))
}

fn file_name(member: &str) -> &str {
    member.rsplit('/').next().unwrap_or(member)
}
