//! A backup: what is in it, and the order in which it is made.
//!
//! With SQLite the service is stopped for as long as it takes to copy the database, and not a moment longer: the archive is
//! made of the copy, and of media that do not change, while everybody is served again. A PostgreSQL database is dumped while
//! it is in use.

use std::path::{Path, PathBuf};

use super::answers::Lock;
use super::database::{connection, size};
use super::{Refusal, managed_file, put, rc_script, service};
use crate::backup::{self, BackupName, DatabaseKind, Head, Kind, Member, manifest, name};
use crate::change::database::can_be_copied;
use crate::change::postgres::Dump;
use crate::change::{Action, BackupChange, Database, DatabaseCopy, Discard, Plan, Step, store};
use crate::deployment::{self, Deployment, Layout};
use crate::host::{Entry, HostError, Observe, Onward, Owner};

const PART: &str = "backup";
/// Where in [`Layout::backups`] the copy of a SQLite database is until the backup is complete.
const COPY: &str = ".being-made";
/// The same for a dump of a PostgreSQL database.
const DUMP: &str = ".being-made.dump";
/// The mode of what is no regular file: it is judged, and named if it is refused, when it is opened.
const UNKNOWN: u32 = 0o600;

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
    /// Whether it includes the media.
    pub media: bool,
}

impl Wanted<'_> {
    /// Where it goes.
    pub fn target(&self) -> PathBuf {
        self.to.join(BackupName::new(&self.lock.host, &self.lock.release.version, self.time).to_string())
    }
}

/// Plans a backup.
///
/// # Errors
/// A folder cannot be used, or the host cannot be read.
pub fn plan(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<Plan, Refusal> {
    let Wanted { deployment, layout, lock, owner, .. } = *wanted;
    let mut steps = own_folder(host, layout, PART)?;
    if wanted.to != layout.backups {
        steps.extend(other_folder(host, wanted.to)?);
    }
    let target = wanted.target();
    if host.entry(&target)?.is_some() {
        return Err(Refusal::BackupThere { path: target });
    }
    let (kind, database) = match &deployment.database {
        deployment::Database::Sqlite => {
            let (path, copy) = (layout.database(), layout.backups.join(COPY));
            can_be_copied(host, &path, owner)?;
            let change = DatabaseCopy {
                from: Database::Sqlite { path },
                to: copy.clone(),
                service: rc_script::SERVICE.to_owned(),
                owner,
                // The archive reads it all again, once the service runs.
                thorough: false,
                host: lock.host.clone(),
                version: lock.release.version.clone(),
                guards: false,
            };
            let running = host.service(rc_script::SERVICE)?.is_running();
            steps.extend(running.then(service::stop));
            steps.push(Step::new(PART, Action::Create, change));
            steps.extend(running.then(|| service::start(deployment, layout, owner, false, None)));
            (DatabaseKind::Sqlite, copy)
        }
        deployment::Database::Postgres { .. } => {
            let to = layout.backups.join(DUMP);
            let dump = |connection| BackupChange::Dump { dump: Dump { connection, to: to.clone() } };
            let change = connection(deployment, layout, owner).map(dump);
            steps.extend(change.map(|change| Step::new(PART, Action::Create, change)));
            (DatabaseKind::Postgres, to)
        }
    };
    let head = Head {
        schema: manifest::SCHEMA,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        host: lock.host.clone(),
        account_domain: lock.account_domain.clone(),
        version: lock.release.version.clone(),
        created: wanted.time,
        database: kind,
        state: None,
        media: wanted.media,
    };
    let files = files(host, layout, &lock.host)?;
    let storage = wanted.media.then(|| [layout.storage(), layout.certs()]);
    let write = BackupChange::Write { target, head, database: database.clone(), owner, files, storage };
    steps.push(Step::new(PART, Action::Create, write));
    steps.push(Step::new(PART, Action::Remove, Discard { path: database }));
    Ok(Plan { steps, ..Plan::default() })
}

/// Plans the removal of surplus backups of this host, the oldest first, once `new` exists, which is one of those that stay.
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
    let prune = |name| Step::new(PART, Action::Remove, BackupChange::Prune { path: folder.join::<String>(name) });
    let steps = name::surplus(host_name, &files, keep, &new).into_iter().map(prune).collect();
    Ok(Plan { steps, ..Plan::default() })
}

/// How many bytes a backup takes: those of the copy of the database, and those of the archive.
///
/// # Errors
/// The host cannot be read.
pub fn needed(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<(u64, u64), HostError> {
    let database = match &wanted.deployment.database {
        deployment::Database::Sqlite => size(host, &wanted.layout.database())?,
        // The size of a dump is known only once it is made.
        deployment::Database::Postgres { .. } => 0,
    };
    let mut all = database;
    if wanted.media {
        let storage = wanted.layout.storage();
        host.tree(&storage, &mut |from, entry| {
            let below = from.strip_prefix(&storage).unwrap_or(from).display();
            match entry {
                // The size of a stray file does not matter: it is left out.
                Entry::File { size, .. } if Kind::of(&format!("{}{below}", backup::STORAGE)).is_some() => {
                    all = all.saturating_add(*size);
                }
                _ => {}
            }
            Onward::In
        })?;
    }
    Ok((database, all))
}

/// Plans [`Layout::backups`], which is root's alone.
///
/// # Errors
/// Something else stands there.
pub(super) fn own_folder(host: &dyn Observe, layout: &Layout, part: &'static str) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    // Base FreeBSD has it, with this mode (/etc/mtree/BSD.var.dist).
    if let Some(above) = layout.backups.parent() {
        steps.extend(put::missing_folder(host, part, put::root_folder(above, 0o750))?);
    }
    steps.extend(put::folder(host, part, put::root_folder(&layout.backups, 0o700))?);
    Ok(steps)
}

/// Plans a folder of the administrator's choice: made if it is missing, and otherwise left as it is.
fn other_folder(host: &dyn Observe, folder: &Path) -> Result<Option<Step>, Refusal> {
    match host.entry(folder)? {
        None => Ok(Some(Step::new(PART, Action::Create, put::root_folder(folder, 0o700)))),
        Some(Entry::Directory { mode, owner }) if owner.uid == 0 && mode & 0o022 == 0 => Ok(None),
        Some(Entry::Directory { .. }) => Err(Refusal::BackupFolderOpen { path: folder.to_owned() }),
        Some(other) => Err(Refusal::wrong_kind(folder, &other, "a folder")),
    }
}

/// The small files: configuration, answers, secrets, lock, filters, certificates, receipts.
fn files(host: &dyn Observe, layout: &Layout, host_name: &str) -> Result<Vec<Member>, HostError> {
    let member = |path: String, from, mode| {
        // Renewals and other runs may take a file away meanwhile; those that a restoration cannot do without stay.
        let needed = path == backup::CONFIG || path.starts_with(backup::RECORDS);
        Member { path, from, mode: mode & 0o777, needed }
    };
    let mut members = Vec::new();
    for (from, path) in
        [(layout.config.clone(), backup::CONFIG), (managed_file::written(&layout.config), backup::CONFIG_WRITTEN)]
    {
        match host.entry(&from)? {
            None => {}
            Some(Entry::File { mode, .. }) => members.push(member(path.to_owned(), from, mode)),
            Some(_) => members.push(member(path.to_owned(), from, UNKNOWN)),
        }
    }
    // The service user decides what else is in this folder, and how much. GoToSocial asks for no other host's certificate.
    for name in [host_name, &format!("{host_name}+rsa"), "acme_account+key"] {
        let from = layout.certs().join(name);
        let mode = match host.entry(&from) {
            Ok(None) => continue,
            Ok(Some(Entry::File { mode, .. })) => mode,
            Err(error) if error.refusal().is_none() => return Err(error),
            Ok(Some(_)) | Err(_) => UNKNOWN,
        };
        members.push(member(format!("{}{name}", backup::CERTIFICATES), from, mode));
    }
    let tls = layout.tls();
    for (folder, leave, prefix) in [
        (layout.records.clone(), Some(&*tls), backup::RECORDS),
        (tls.clone(), None, backup::TLS),
        (Path::new(store::FOLDER).join("receipts"), None, backup::RECEIPTS),
    ] {
        host.tree(&folder, &mut |from, entry| {
            let mode = match entry {
                Entry::Directory { .. } if leave == Some(from) => return Onward::Past,
                Entry::Directory { .. } => return Onward::In,
                Entry::File { mode, .. } => *mode,
                _ => UNKNOWN,
            };
            // The journal holds it, so it has to be text.
            let from = PathBuf::from(from.display().to_string());
            let below = from.strip_prefix(&folder).unwrap_or(&from).display();
            members.push(member(format!("{prefix}{below}"), from.clone(), mode));
            Onward::Past
        })?;
    }
    Ok(members)
}
