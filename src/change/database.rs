//! GoToSocial's database: copied while nobody has it open, and put back.
//!
//! A copy is a folder of root's alone, with the files as they stood (the database and, after an unclean stop, its write-ahead
//! log or journal) and [`DESCRIPTION`], which is written last: a folder without it is no copy. A copy is worth what it holds
//! when it is opened, so each is opened before anybody relies on it: a second copy of it, which belongs to the service user
//! alone and is thrown away afterwards. So the files that are kept were never in anybody's hands but root's, and SQLite never
//! runs as root on what a server that faces the internet has written.
//!
//! GoToSocial must be stopped meanwhile: on FreeBSD it locks its database with flock(2), which nobody else looks at, and what
//! it writes is in the log beside the file until it stops.

pub(super) mod description;

use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

pub use description::{CopiedPart, DESCRIPTION, Description, OPENED, SCHEMA, describe};

use super::kind::above;
use super::postgres::Connection;
use crate::host::{
    Ask, DatabaseExamination, DatabaseState, Entry, FileUser, Host, HostError, NEVER, Observe, Owner, Whose, digest_of,
};
use crate::shown::Shown;
use description::{DUMP, FILES, MAIN, copy_checked, failed, in_folder, stop, unused};

/// How a SQLite database begins (<https://sqlite.org/fileformat2.html>, 1.3), and a log (4.1) and a journal (3).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The length of its header.
pub const HEADER: usize = 100;
const LOG_MAGICS: [&[u8]; 2] = [&[0x37, 0x7f, 0x06, 0x82], &[0x37, 0x7f, 0x06, 0x83]];
const JOURNAL_MAGICS: [&[u8]; 2] = [&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7], &[0; 8]];

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Database {
    /// A SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A database of a PostgreSQL server.
    Postgres {
        /// How it is reached.
        connection: Connection,
    },
}

impl Database {
    /// The database in words.
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite { path } => path.display().to_string(),
            Self::Postgres { connection } => connection.name(),
        }
    }

    /// The folders in which its files are put in place.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Sqlite { path } => above(path),
            Self::Postgres { .. } => Vec::new(),
        }
    }

    /// How it is reached, if it is one of a server.
    pub fn of_server(&self) -> Option<&Connection> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { connection } => Some(connection),
        }
    }
}

/// A copy that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseCopy {
    /// What is copied.
    pub from: Database,
    /// The folder that becomes the copy. The folder above it is there, and root's alone.
    pub to: PathBuf,
    /// The service that must be stopped.
    pub service: String,
    /// Whom the database belongs to, and who opens the copy to look at it.
    pub owner: Owner,
    /// Whether all of it is read for damage.
    pub thorough: bool,
    /// Host name of the instance.
    pub host: String,
    /// The release that the database is for.
    pub version: Version,
    /// Whether what follows changes the database: then the copy is taken away again only if the database is what it was.
    pub guards: bool,
}

/// A database that is to be put back from a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRestore {
    /// The copy's folder.
    pub from: PathBuf,
    /// What is replaced.
    pub to: Database,
    /// The service that must be stopped.
    pub service: String,
    /// Whom the database belongs to.
    pub owner: Owner,
    /// The copy of the database of now, from which that one comes back: only a file can stand aside meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PathBuf>,
}

/// SHA-256 of a file of any size, as 64 hexadecimal digits; `None` if it is not there. `stop` is asked on the way.
///
/// # Errors
/// It cannot be read, or `stop` had a reason.
pub fn file_digest(host: &dyn Host, path: &Path, whose: Whose, stop: Ask<'_>) -> Result<Option<String>, HostError> {
    let Some(mut file) = host.open_file(path, whose)? else { return Ok(None) };
    let digest = digest_of(&mut file, stop).map_err(HostError::file("read", path))?;
    Ok(Some(digest.1))
}

/// The path with something added to its name.
pub(super) fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Looks whether a SQLite database is the service's own and regular files, as a copy of it wants; nothing has to be stopped for
/// that. The copy judges again what it opens.
///
/// # Errors
/// It is missing, somebody else's, or something else.
pub fn can_be_copied(host: &dyn Observe, path: &Path, owner: Owner) -> Result<(), HostError> {
    for suffix in FILES {
        let file = with(path, suffix);
        if !is_there(host, &file, suffix)? {
            continue;
        }
        if let Some(Entry::File { owner: whose, .. }) = host.entry(&file)? {
            belongs(&file, whose, owner)?;
        }
        host.read_from(&file, Whose::of(owner), 0, 0).map_err(|error| unusable(&file, error))?;
    }
    Ok(())
}

/// Whether one file of a database is there; `false` only if it need not be.
fn is_there(host: &dyn Observe, path: &Path, suffix: &str) -> Result<bool, HostError> {
    match host.entry(path)? {
        None if suffix.is_empty() => Err(failed(path.shown(), "there is no such file")),
        Some(Entry::Symlink { .. }) => Err(failed(path.shown(), "it is not a regular file")),
        entry => Ok(entry.is_some()),
    }
}

fn belongs(path: &Path, to: Owner, service: Owner) -> Result<(), HostError> {
    if to.uid == service.uid {
        return Ok(());
    }
    Err(failed(path.shown(), format!("it belongs to uid {}, not to the service (uid {})", to.uid, service.uid)))
}

/// What is refused as a file of a database is wrong with the database, not with the file system.
fn unusable(path: &Path, error: HostError) -> HostError {
    error.refusal().map_or(error, |why| failed(path.shown(), why))
}

/// Somebody who has a database open, as far as the host can tell.
///
/// # Errors
/// The host could not be asked.
pub fn user(host: &dyn Host, database: &Database) -> Result<Option<FileUser>, HostError> {
    let path = match database {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => return Ok(connection.users(host)?.into_iter().next()),
    };
    for path in ["", "-wal", "-shm", "-journal"].map(|suffix| with(path, suffix)) {
        if host.entry(&path)?.is_some()
            && let Some(user) = host.file_users(&path)?.into_iter().next()
        {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// Proves that nobody has the database open.
pub(super) fn idle(host: &dyn Host, service: &str, database: &Database) -> Result<(), HostError> {
    if host.service(service)?.is_running() {
        return Err(failed(database.name(), format!("{service} runs; it must be stopped while this is done")));
    }
    match database {
        Database::Sqlite { .. } => unused(database.name(), user(host, database)?),
        Database::Postgres { connection } => connection.idle(host),
    }
}

/// Stops the service and waits until nobody has the database open, however long that takes: who has may be migrating it.
pub(super) fn close(host: &dyn Host, service: &str, database: &Database) -> Result<(), HostError> {
    stop(host, service)?;
    while user(host, database)?.is_some() {
        host.sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// Whether a file that was copied is what it should be.
fn check_kind(host: &dyn Host, copy: &Path, source: &Path, suffix: &str) -> Result<(), HostError> {
    let head = host.read_from(copy, Whose::ROOT, 0, HEADER)?.unwrap_or_default();
    if begins_well(&head, suffix) { Ok(()) } else { Err(failed(source.display(), "it is not an SQLite database")) }
}

/// Whether a file of a database can begin so. One that nobody has written to yet is empty.
pub fn begins_well(head: &[u8], suffix: &str) -> bool {
    let magics: &[&[u8]] = match suffix {
        "-wal" => &LOG_MAGICS,
        "-journal" => &JOURNAL_MAGICS,
        _ => &[],
    };
    head.is_empty() || is_header(head) || magics.iter().any(|magic| head.starts_with(magic))
}

/// Whether it is the header of a database: its magic number, a size of pages that there is, and what always has one value.
fn is_header(head: &[u8]) -> bool {
    let page = head.get(16..18).map_or(0, |size| u16::from_be_bytes([size[0], size[1]]));
    head.len() >= HEADER
        && head.starts_with(MAGIC)
        && (page == 1 || (page >= 512 && page.is_power_of_two()))
        && head[21..24] == [64, 32, 32]
}

/// Makes a copy. `stop` is asked on the way.
///
/// # Errors
/// Somebody has the database open, it is damaged or none, a file cannot be copied, or `stop` had a reason. What there is of
/// the copy is no copy then, for want of its description.
pub(super) fn copy(host: &dyn Host, copy: &DatabaseCopy, stop: Ask<'_>) -> Result<Description, HostError> {
    let DatabaseCopy { from, to, service, owner, thorough, host: name, version, .. } = copy;
    idle(host, service, from)?;
    host.remove_tree(to)?;
    host.make_directory(to, 0o700, Owner::ROOT)?;
    let (state, files, content) = match from {
        Database::Sqlite { path } => {
            let files = copied(host, path, to, *owner, stop)?;
            (opened(host, to, &files, *owner, *thorough, stop)?, files, None)
        }
        Database::Postgres { connection } => {
            let (part, contents) = connection.dump(host, &to.join(DUMP), stop)?;
            (contents.state, vec![part], Some(contents.sha256))
        }
    };
    let (name, version, time) = (name.clone(), version.clone(), host.now());
    let description = Description { schema: SCHEMA, host: name, version, time, state, files, content };
    description.write(host, to)?;
    Ok(description)
}

/// Copies a SQLite file with what belongs to it.
fn copied(host: &dyn Host, path: &Path, to: &Path, owner: Owner, stop: Ask<'_>) -> Result<Vec<CopiedPart>, HostError> {
    let mut files = Vec::new();
    for suffix in FILES {
        let source = with(path, suffix);
        if !is_there(host, &source, suffix)? {
            continue;
        }
        let name = format!("{MAIN}{suffix}");
        let target = to.join(&name);
        let copied = host.copy_file(&source, Whose::of(owner), &target, 0o600, Owner::ROOT, stop);
        let copied = copied.map_err(|error| unusable(&source, error))?;
        belongs(&source, copied.owner, owner)?;
        check_kind(host, &target, &source, suffix)?;
        files.push(CopiedPart { name, size: copied.size, sha256: copied.sha256, mode: copied.mode });
    }
    Ok(files)
}

/// Opens what is in a copy's folder: a copy of it, which belongs to the user who opens it and is thrown away.
///
/// # Errors
/// The files are not those that `files` names, cannot be opened as a database, or are damaged; or `stop`, which is asked on
/// the way, had a reason.
pub fn opened(
    host: &dyn Host,
    folder: &Path,
    files: &[CopiedPart],
    owner: Owner,
    thorough: bool,
    stop: Ask<'_>,
) -> Result<DatabaseState, HostError> {
    let fill = |staging: &Path| {
        files.iter().try_for_each(|CopiedPart { name, sha256, .. }| {
            copy_checked(host, &folder.join(name), &staging.join(name), owner, Some(sha256), stop)
        })
    };
    let state = in_folder(host, owner, fill, |staging| {
        host.examine_database(&DatabaseExamination { path: staging.join(MAIN), owner, thorough }, stop)
    })?;
    let Some(damage) = &state.damage else { return Ok(state) };
    Err(failed(
        folder.shown(),
        format!(
            "the database is damaged ({damage}); GoToSocial's documentation on database maintenance explains how to repair it"
        ),
    ))
}

/// Whether a database of this owner's is what a copy has: a file byte for byte, one of PostgreSQL in all that is in it.
///
/// # Errors
/// It cannot be read; or `stop`, which is asked on the way, had a reason.
pub fn is_in_place(
    host: &dyn Host,
    description: &Description,
    database: &Database,
    owner: Owner,
    stop: Ask<'_>,
) -> Result<bool, HostError> {
    let path = match (database, &description.content) {
        (Database::Sqlite { path }, _) => path,
        (Database::Postgres { connection }, Some(content)) => return connection.is_in_place(host, content, stop),
        // It is the copy of a file.
        (Database::Postgres { .. }, None) => return Ok(false),
    };
    for suffix in FILES {
        let name = format!("{MAIN}{suffix}");
        let wanted = description.files.iter().find(|part| part.name == name).map(|part| part.sha256.clone());
        if file_digest(host, &with(path, suffix), Whose::of(owner), stop)? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names beside the database while one is put in the place of another.
const INCOMING: &str = "-incoming";
const DISPLACED: &str = "-displaced";
/// The endings in the order in which a database is moved away: its file last.
const MOVED: [&str; 3] = ["-wal", "-journal", ""];

/// The files of one name that may stand beside a database while another is put in its place.
fn named(path: &Path, which: &str) -> [PathBuf; 3] {
    MOVED.map(|ending| with(path, &format!("{which}{ending}")))
}

/// The files that may stand beside a database while another is put in its place.
pub fn aside(path: &Path) -> Vec<PathBuf> {
    [INCOMING, DISPLACED].into_iter().flat_map(|which| named(path, which)).collect()
}

fn remove_all(host: &dyn Host, files: [PathBuf; 3]) -> Result<(), HostError> {
    files.iter().try_for_each(|file| host.remove(file))
}

/// Renames those of the files that are there.
fn move_all(host: &dyn Host, from: [PathBuf; 3], to: [PathBuf; 3]) -> Result<(), HostError> {
    for (from, to) in from.iter().zip(&to) {
        if host.entry(from)?.is_some() {
            host.rename(from, to)?;
        }
    }
    Ok(())
}

/// What a copy says of itself that has to be complete.
fn complete(host: &dyn Host, folder: &Path) -> Result<Description, HostError> {
    describe(host, folder)?.ok_or_else(|| failed(folder.shown(), "there is no complete copy of a database"))
}

/// The dump that a copy of a PostgreSQL database is, its digest, and that of what is in it.
fn of_postgres<'a>(description: &'a Description, folder: &Path) -> Result<(PathBuf, &'a str, &'a str), HostError> {
    match (&*description.files, &description.content) {
        ([dump], Some(content)) => Ok((folder.join(&dump.name), &dump.sha256, content)),
        _ => Err(failed(folder.shown(), "it is not a copy of a PostgreSQL database")),
    }
}

/// Puts a database back from a copy. The one that is there stands aside until [`forget_displaced`].
///
/// # Errors
/// There is no complete copy, somebody has the database open, a file cannot be copied or renamed; or `stop`, which is asked
/// on the way, had a reason.
pub(super) fn restore(host: &dyn Host, restore: &DatabaseRestore, stop: Ask<'_>) -> Result<(), HostError> {
    let DatabaseRestore { from, to, service, owner, before } = restore;
    let description = complete(host, from)?;
    idle(host, service, to)?;
    let path = match to {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => {
            let (dump, sha256, _) = of_postgres(&description, from)?;
            if let Some(before) = before {
                complete(host, before)?;
                host.write_file(&replacing(before), b"", 0o600, Owner::ROOT)?;
            }
            return connection.read_in(host, &dump, Some(sha256), stop);
        }
    };
    remove_all(host, named(path, DISPLACED))?;
    remove_all(host, named(path, INCOMING))?;
    for part in &description.files {
        let ending = part.name.strip_prefix(MAIN).unwrap_or_default();
        let (source, target) = (from.join(&part.name), with(path, &format!("{INCOMING}{ending}")));
        let copied = host.copy_file(&source, Whose::ROOT, &target, part.mode, *owner, stop)?;
        if copied.sha256 != part.sha256 {
            remove_all(host, named(path, INCOMING))?;
            let why = "it is not what was written: its digest differs. The database was not touched";
            return Err(failed(source.shown(), why));
        }
    }
    // What belongs to the database of now must not be found beside the one of then.
    host.remove(&with(path, "-shm"))?;
    move_all(host, named(path, ""), named(path, DISPLACED))?;
    // The database first, see `take_back_restore`.
    for part in &description.files {
        let ending = part.name.strip_prefix(MAIN).unwrap_or_default();
        host.rename(&with(path, &format!("{INCOMING}{ending}")), &with(path, ending))?;
    }
    Ok(())
}

/// Takes a restoration back: the database that stood aside is in its place again, or none if there was none. Right also for one
/// that was cut off anywhere.
pub(super) fn take_back_restore(host: &dyn Host, restore: &DatabaseRestore, had_one: bool) -> Result<(), HostError> {
    let DatabaseRestore { to, service, before, .. } = restore;
    let path = match to {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => {
            host.remove_tree(Path::new(OPENED))?;
            let Some(before) = before else { return Ok(()) };
            if host.entry(&replacing(before))?.is_some() {
                let description = complete(host, before)?;
                let (dump, sha256, content) = of_postgres(&description, before)?;
                connection.put_back(host, service, (&dump, Some(sha256)), content)?;
            }
            return forget_displaced(host, restore);
        }
    };
    let is_there = |path: &Path| Ok::<_, HostError>(host.entry(path)?.is_some());
    // What stands in its place is the restored one only if another stands aside, or there was none. The service may have been
    // started by a boot since, whatever stands there.
    let displaced = had_one && is_there(&with(path, DISPLACED))?;
    if displaced || (!had_one && is_there(path)?) {
        close(host, service, to)?;
        if is_there(path)? {
            host.remove(&with(path, "-shm"))?;
            remove_all(host, named(path, ""))?;
        }
    }
    if had_one {
        move_all(host, named(path, DISPLACED), named(path, ""))?;
    }
    remove_all(host, named(path, INCOMING))
}

/// Makes a database what a copy has, whatever it is by now; whoever still uses it is waited for.
///
/// # Errors
/// The copy is not complete, or the database cannot be put back.
pub(super) fn put_back(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    close(host, &restore.service, &restore.to)?;
    // An earlier attempt may have been cut off.
    take_back_restore(host, restore, true)?;
    if !is_in_place(host, &complete(host, &restore.from)?, &restore.to, restore.owner, NEVER)? {
        self::restore(host, restore, NEVER)?;
        forget_displaced(host, restore)?;
    }
    Ok(())
}

/// The mark in the copy of a server's database of now that another one may be in its place: as long as it is not there, nobody
/// has put that copy back.
fn replacing(before: &Path) -> PathBuf {
    before.join("replacing")
}

/// Takes away the database that a restoration has put aside; for when the run has ended well.
///
/// # Errors
/// It cannot be removed.
pub(super) fn forget_displaced(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    match &restore.to {
        Database::Sqlite { path } => remove_all(host, named(path, DISPLACED)),
        Database::Postgres { .. } => restore.before.as_ref().map_or(Ok(()), |before| host.remove(&replacing(before))),
    }
}

#[cfg(test)]
mod tests;
