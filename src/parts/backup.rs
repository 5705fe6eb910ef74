//! A backup: what is in it, and the order in which it is made.
//!
//! With SQLite the service is stopped for as long as it takes to copy the database, and not a moment longer: the archive is
//! made of the copy, and of media that do not change, while everybody is served again. A PostgreSQL database is dumped while
//! it is in use.

use std::path::{Path, PathBuf};

use super::answers::Lock;
use super::database::connection;
use super::{Refusal, managed_file, rc_script, service};
use crate::backup::{self, BackupName, DatabaseKind, Head, Member, manifest, name};
use crate::change::backup::BackupChange;
use crate::change::database::can_be_copied;
use crate::change::postgres::Dump;
use crate::change::{Action, Change, Database, DatabaseCopy, Discard, MakeDirectory, Plan, Step, store};
use crate::deployment::{self, Deployment, Layout};
use crate::host::{Entry, HostError, Observe, Owner};

const PART: &str = "backup";
/// Where in [`Layout::backups`] the copy of the database is until the backup is whole.
const COPY: &str = ".being-made";
/// The same of a dump.
const DUMP: &str = ".being-made.dump";

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// Where everything is.
    pub layout: &'a Layout,
    /// What is installed.
    pub lock: &'a Lock,
    /// The service user.
    pub owner: Owner,
    /// The folder that the backup goes to; the layout's own if it is that.
    pub to: &'a Path,
    /// When it is made, in seconds since 1970.
    pub time: u64,
    /// Whether media are to be in it.
    pub media: bool,
}

impl Wanted<'_> {
    /// The name of the backup.
    pub fn name(&self) -> BackupName {
        BackupName::new(&self.lock.host, &self.lock.release.version, self.time)
    }

    /// Where it goes.
    pub fn target(&self) -> PathBuf {
        self.to.join(self.name().to_string())
    }
}

/// Plans a backup.
///
/// # Errors
/// A folder cannot be used, or the host cannot be read.
pub fn plan(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<Plan, Refusal> {
    let Wanted { deployment, layout, owner, .. } = *wanted;
    let mut plan = Plan { steps: own_folder(host, layout)?, ..Plan::default() };
    if wanted.to != layout.backups {
        plan.steps.extend(other_folder(host, wanted.to)?);
    }
    let target = wanted.target();
    if host.entry(&target)?.is_some() {
        return Err(Refusal::BackupThere { path: target });
    }
    let running = host.service(rc_script::SERVICE)?.is_running();
    let (kind, database) = match &deployment.database {
        deployment::Database::Sqlite => {
            can_be_copied(host, &layout.database(), owner)?;
            let copy = layout.backups.join(COPY);
            let change = Change::DatabaseCopy {
                copy: Box::new(DatabaseCopy {
                    from: Database::Sqlite { path: layout.database() },
                    to: copy.clone(),
                    service: rc_script::SERVICE.to_owned(),
                    owner,
                    // The archive reads it all again, once the service runs.
                    thorough: false,
                    host: wanted.lock.host.clone(),
                    version: wanted.lock.release.version.clone(),
                    guards: false,
                }),
            };
            plan.steps.extend(running.then(service::stop));
            plan.steps.push(Step::new(PART, Action::Create, change));
            let readiness = service::readiness(deployment, layout);
            let ports = service::privileged_ports(deployment);
            plan.steps.extend(running.then(|| service::start(owner, &ports, &readiness, false)));
            (DatabaseKind::Sqlite, copy)
        }
        deployment::Database::Postgres { .. } => {
            let to = layout.backups.join(DUMP);
            let connection = connection(deployment, layout, owner);
            plan.steps.extend(connection.map(|connection| {
                let dump = Dump { connection, to: to.clone() };
                Step::new(PART, Action::Create, change(BackupChange::Dump { dump }))
            }));
            (DatabaseKind::Postgres, to)
        }
    };
    let head = Head {
        schema: manifest::SCHEMA,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        host: wanted.lock.host.clone(),
        account_domain: wanted.lock.account_domain.clone(),
        version: wanted.lock.release.version.clone(),
        created: wanted.time,
        database: kind,
        state: None,
        media: wanted.media,
    };
    let write = BackupChange::Write {
        target,
        head,
        database: database.clone(),
        owner,
        files: files(host, layout)?,
        storage: wanted.media.then(|| [layout.storage(), layout.certs()]),
    };
    plan.steps.push(Step::new(PART, Action::Create, change(write)));
    plan.steps.push(Step::new(PART, Action::Remove, Discard { path: database }));
    Ok(plan)
}

/// Plans what goes of the older backups of this host, the oldest first, once `new` is there, which is one of those that stay.
///
/// # Errors
/// The folder cannot be read.
pub fn prune(host: &dyn Observe, host_name: &str, new: &Path, keep: usize) -> Result<Plan, Refusal> {
    let folder = new.parent().unwrap_or(Path::new("/"));
    let new = new.file_name().unwrap_or_default().to_string_lossy();
    let mut files = Vec::new();
    for name in host.list(folder)? {
        if matches!(host.entry(&folder.join(&name))?, Some(Entry::File { .. })) {
            files.push(name);
        }
    }
    let step = |name: String| {
        let path = folder.join(name);
        Step::new(PART, Action::Remove, change(BackupChange::Prune { path }))
    };
    let steps = name::surplus(host_name, &files, keep, &new).into_iter().map(step).collect();
    Ok(Plan { steps, ..Plan::default() })
}

/// How many bytes a backup takes: of the copy of the database, and of the archive.
///
/// # Errors
/// The host cannot be read.
pub fn needed(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<(u64, u64), HostError> {
    let Wanted { layout, .. } = *wanted;
    let database = match &wanted.deployment.database {
        deployment::Database::Sqlite => [layout.database(), beside(&layout.database())]
            .iter()
            .map(|path| size(host, path))
            .sum::<Result<u64, HostError>>()?,
        // What a dump comes to is known only once it is made.
        deployment::Database::Postgres { .. } => 0,
    };
    let media = if wanted.media { below(host, &layout.storage())? } else { 0 };
    Ok((database, database.saturating_add(media)))
}

/// The write-ahead log of a database.
fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_os_string();
    name.push("-wal");
    PathBuf::from(name)
}

fn size(host: &dyn Observe, path: &Path) -> Result<u64, HostError> {
    Ok(if let Some(Entry::File { size, .. }) = host.entry(path)? { size } else { 0 })
}

/// The bytes of all regular files below a folder.
fn below(host: &dyn Observe, folder: &Path) -> Result<u64, HostError> {
    let mut sum = 0_u64;
    for name in host.list(folder)? {
        let path = folder.join(name);
        sum = sum.saturating_add(match host.entry(&path)? {
            Some(Entry::File { size, .. }) => size,
            Some(Entry::Directory { .. }) => below(host, &path)?,
            _ => 0,
        });
    }
    Ok(sum)
}

/// A change to do with backups.
pub(super) fn change(backup: BackupChange) -> Change {
    Change::Backup { backup: Box::new(backup) }
}

/// Plans [`Layout::backups`], which is root's alone.
///
/// # Errors
/// Something else stands there.
pub fn own_folder(host: &dyn Observe, layout: &Layout) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    let directory =
        |path: &Path, mode| Change::Directory(MakeDirectory { path: path.to_owned(), mode, owner: Owner::ROOT });
    // Base FreeBSD has it, with this mode (/etc/mtree/BSD.var.dist).
    if let Some(above) = layout.backups.parent()
        && host.entry(above)?.is_none()
    {
        steps.push(Step::new(PART, Action::Create, directory(above, 0o750)));
    }
    match host.entry(&layout.backups)? {
        None => steps.push(Step::new(PART, Action::Create, directory(&layout.backups, 0o700))),
        Some(Entry::Directory { mode: 0o700, owner: Owner::ROOT }) => {}
        Some(Entry::Directory { .. }) => {
            steps.push(Step::new(PART, Action::Update, directory(&layout.backups, 0o700)));
        }
        Some(_) => return Err(not_a_folder(&layout.backups)),
    }
    Ok(steps)
}

/// Plans a folder of the administrator's choice: made if it is missing, and left as it is if it is there.
fn other_folder(host: &dyn Observe, folder: &Path) -> Result<Option<Step>, Refusal> {
    match host.entry(folder)? {
        None => {
            let change = MakeDirectory { path: folder.to_owned(), mode: 0o700, owner: Owner::ROOT };
            Ok(Some(Step::new(PART, Action::Create, change)))
        }
        Some(Entry::Directory { mode, owner }) if owner.uid == 0 && mode & 0o022 == 0 => Ok(None),
        Some(Entry::Directory { .. }) => Err(Refusal::BackupFolderOpen { path: folder.to_owned() }),
        Some(_) => Err(not_a_folder(folder)),
    }
}

fn not_a_folder(path: &Path) -> Refusal {
    Refusal::WrongKind { path: path.to_owned(), found: "no folder", wanted: "a folder" }
}

/// The small files: configuration, answers, secrets, lock, filters, certificates, receipts.
fn files(host: &dyn Observe, layout: &Layout) -> Result<Vec<Member>, HostError> {
    let mut members = Vec::new();
    let single = [
        (layout.config.clone(), backup::CONFIG.to_owned()),
        (managed_file::written(&layout.config), backup::CONFIG_WRITTEN.to_owned()),
    ];
    for (from, path) in single {
        members.extend(file(host, from, path)?);
    }
    let receipts = PathBuf::from(store::FOLDER).join("receipts");
    for (folder, leave, path) in [
        (layout.records.clone(), layout.tls(), backup::RECORDS),
        (layout.tls(), PathBuf::new(), backup::TLS),
        (layout.certs(), PathBuf::new(), backup::CERTIFICATES),
        (receipts, PathBuf::new(), backup::RECEIPTS),
    ] {
        below_folder(host, &folder, &leave, path, &mut members)?;
    }
    Ok(members)
}

fn below_folder(
    host: &dyn Observe,
    folder: &Path,
    leave: &Path,
    path: &str,
    members: &mut Vec<Member>,
) -> Result<(), HostError> {
    for name in host.list(folder)? {
        let from = folder.join(&name);
        if from == *leave {
            continue;
        }
        if matches!(host.entry(&from)?, Some(Entry::Directory { .. })) {
            below_folder(host, &from, leave, &format!("{path}{name}/"), members)?;
            continue;
        }
        members.extend(file(host, from, format!("{path}{name}"))?);
    }
    Ok(())
}

fn file(host: &dyn Observe, from: PathBuf, path: String) -> Result<Option<Member>, HostError> {
    Ok(match host.entry(&from)? {
        // Renewals and other runs may take one away meanwhile; those without which there is no way back do not go.
        Some(Entry::File { mode, .. }) => {
            let needed = path == backup::CONFIG || path.starts_with(backup::RECORDS);
            Some(Member { path, from, mode: mode & 0o777, needed })
        }
        _ => None,
    })
}
