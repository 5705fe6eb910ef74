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

use data_encoding::HEXLOWER;
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use description::{CopiedPart, DESCRIPTION, Description, OPENED, SCHEMA, describe};

use super::postgres::{self, Connection};
use crate::host::{DatabaseExamination, DatabaseState, Entry, FileUser, Host, HostError, Observe, Owner};
use description::{BESIDE, DUMP, MAIN, failed, in_use, stop};

/// How a SQLite database begins (<https://sqlite.org/fileformat2.html>, 1.3), and a log (4.1) and a journal (3).
const MAGIC: &[u8] = b"SQLite format 3\0";
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
            Self::Sqlite { path } => path.parent().map(Path::to_path_buf).into_iter().collect(),
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

/// SHA-256 of a file of any size, as 64 hexadecimal digits; `None` if it is not there.
///
/// # Errors
/// It cannot be read.
pub fn file_digest(host: &dyn Observe, path: &Path) -> Result<Option<String>, HostError> {
    const PIECE: usize = 4 << 20;
    let mut digest = Sha256::new();
    let mut offset = 0;
    loop {
        let Some(bytes) = host.read_from(path, offset, PIECE)? else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(Some(HEXLOWER.encode(&digest.finalize())));
        }
        digest.update(&bytes);
        offset += bytes.len() as u64;
    }
}

/// The path with something added to its name.
fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Looks whether a SQLite database is the service's own and regular files, as a copy of it wants; nothing has to be stopped for
/// that.
///
/// # Errors
/// It is missing, somebody else's, or something else.
pub fn can_be_copied(host: &dyn Observe, path: &Path, owner: Owner) -> Result<(), HostError> {
    ["", BESIDE[0], BESIDE[1]].iter().try_for_each(|suffix| mode_of(host, &with(path, suffix), suffix, owner).map(drop))
}

/// The mode of one file of a database; `None` if it is one that need not be there, and is not.
fn mode_of(host: &dyn Observe, path: &Path, suffix: &str, service: Owner) -> Result<Option<u32>, HostError> {
    let shown = path.display().to_string();
    match host.entry(path)? {
        None if suffix.is_empty() => Err(failed(shown, "there is no such file")),
        None => Ok(None),
        Some(Entry::File { owner, mode, .. }) if owner.uid == service.uid => Ok(Some(mode)),
        Some(Entry::File { owner, .. }) => {
            let why = format!("it belongs to uid {}, not to the service (uid {})", owner.uid, service.uid);
            Err(failed(shown, why))
        }
        Some(_) => Err(failed(shown, "it is not a regular file")),
    }
}

/// Who has a database open, as far as the host can tell.
///
/// # Errors
/// The host could not be asked.
pub fn users(host: &dyn Host, database: &Database) -> Result<Vec<FileUser>, HostError> {
    let path = match database {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => return postgres::users(host, connection),
    };
    let mut users: Vec<FileUser> = Vec::new();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = with(path, suffix);
        if host.entry(&path)?.is_none() {
            continue;
        }
        for user in host.file_users(&path)? {
            if !users.contains(&user) {
                users.push(user);
            }
        }
    }
    Ok(users)
}

/// Proves that nobody has the database open.
pub(super) fn idle(host: &dyn Host, service: &str, database: &Database) -> Result<(), HostError> {
    if host.service(service)?.is_running() {
        return Err(failed(database.name(), format!("{service} runs; it must be stopped while this is done")));
    }
    let users = match database {
        Database::Sqlite { .. } => users(host, database)?,
        Database::Postgres { connection } => postgres::users_that_stay(host, connection)?,
    };
    match users.first() {
        None => Ok(()),
        Some(user) => Err(in_use(database.name(), user)),
    }
}

/// Whether a file that was copied is what it should be. A service user can give the name of its database to any file
/// (link(2)), also to one of root's that it could not read.
fn check_kind(host: &dyn Host, copy: &Path, source: &Path, suffix: &str) -> Result<(), HostError> {
    let head = host.read_from(copy, 0, MAGIC.len())?.unwrap_or_default();
    let begins = |magics: &[&[u8]]| magics.iter().any(|magic| head.starts_with(magic));
    let fits = head.is_empty()
        || begins(&[MAGIC])
        || match suffix {
            "-wal" => begins(&LOG_MAGICS),
            "-journal" => begins(&JOURNAL_MAGICS),
            _ => false,
        };
    if fits { Ok(()) } else { Err(failed(source.display().to_string(), "it is not an SQLite database")) }
}

/// Makes a copy.
///
/// # Errors
/// Somebody has the database open, it is damaged or none, or a file cannot be copied. What there is of the copy is no copy
/// then, for want of its description.
pub(super) fn copy(host: &dyn Host, copy: &DatabaseCopy) -> Result<Description, HostError> {
    idle(host, &copy.service, &copy.from)?;
    host.remove_tree(&copy.to)?;
    host.make_directory(&copy.to, 0o700, Owner::ROOT)?;
    let (state, files, content) = match &copy.from {
        Database::Sqlite { path } => {
            let files = copied(host, path, copy)?;
            (opened(host, &copy.to, &files, copy.owner, copy.thorough)?, files, None)
        }
        Database::Postgres { connection } => {
            let (part, contents) = postgres::dump_to(host, connection, &copy.to.join(DUMP))?;
            (contents.state, vec![part], Some(contents.sha256))
        }
    };
    let description = Description {
        schema: SCHEMA,
        host: copy.host.clone(),
        version: copy.version.clone(),
        time: host.now(),
        state,
        files,
        content,
    };
    description.write(host, &copy.to)?;
    Ok(description)
}

/// Copies a SQLite file with what belongs to it.
fn copied(host: &dyn Host, path: &Path, copy: &DatabaseCopy) -> Result<Vec<CopiedPart>, HostError> {
    let mut files = Vec::new();
    for suffix in ["", BESIDE[0], BESIDE[1]] {
        let source = with(path, suffix);
        let Some(mode) = mode_of(host, &source, suffix, copy.owner)? else { continue };
        let name = format!("{MAIN}{suffix}");
        let target = copy.to.join(&name);
        let copied = host.copy_file(&source, &target, 0o600, Owner::ROOT)?;
        check_kind(host, &target, &source, suffix)?;
        files.push(CopiedPart { name, size: copied.size, sha256: copied.sha256, mode });
    }
    Ok(files)
}

/// Opens what is in a copy's folder: a copy of it, which belongs to the user who opens it and is thrown away. Until it is
/// complete the folder is root's, so nobody can plant a link in it.
///
/// # Errors
/// The files are not those that `files` names, cannot be opened as a database, or are damaged.
pub fn opened(
    host: &dyn Host,
    folder: &Path,
    files: &[CopiedPart],
    owner: Owner,
    thorough: bool,
) -> Result<DatabaseState, HostError> {
    let staging = Path::new(OPENED);
    host.remove_tree(staging)?;
    let look = || {
        host.make_directory(staging, 0o700, Owner::ROOT)?;
        for part in files {
            let source = folder.join(&part.name);
            let copied = host.copy_file(&source, &staging.join(&part.name), 0o600, owner)?;
            if copied.sha256 != part.sha256 {
                return Err(failed(source.display().to_string(), "it is not what was written: its digest differs"));
            }
        }
        host.make_directory(staging, 0o700, owner)?;
        host.examine_database(&DatabaseExamination { path: staging.join(MAIN), owner, thorough })
    };
    let found = look();
    host.remove_tree(staging)?;
    let state = found?;
    match &state.damage {
        None => Ok(state),
        Some(damage) => Err(failed(
            folder.display().to_string(),
            format!(
                "the database is damaged ({damage}); GoToSocial's documentation on database maintenance explains how to repair it"
            ),
        )),
    }
}

/// What stays when a copy is taken back: one that guards changes to the database stays if the database is not what it was.
pub(super) fn copy_that_stays(host: &dyn Host, copy: &DatabaseCopy) -> Result<Option<String>, HostError> {
    if copy.guards
        && let Some(description) = describe(host, &copy.to)?
        && !is_in_place(host, &description, &copy.from)?
    {
        return Ok(Some(format!(
            "{} (the database of GoToSocial {}, as {} is another one now)",
            copy.to.display(),
            description.version,
            copy.from.name()
        )));
    }
    Ok(None)
}

/// Whether a database is what a copy has: a file byte for byte, one of PostgreSQL in all that is in it.
///
/// # Errors
/// It cannot be read.
pub fn is_in_place(host: &dyn Host, description: &Description, database: &Database) -> Result<bool, HostError> {
    let path = match (database, &description.content) {
        (Database::Sqlite { path }, _) => path,
        (Database::Postgres { connection }, Some(content)) => return postgres::is_in_place(host, content, connection),
        // It is the copy of a file.
        (Database::Postgres { .. }, None) => return Ok(false),
    };
    for suffix in ["", BESIDE[0], BESIDE[1]] {
        let name = format!("{MAIN}{suffix}");
        let wanted = description.files.iter().find(|part| part.name == name).map(|part| part.sha256.clone());
        if file_digest(host, &with(path, suffix))? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names beside the database while one is put in the place of another.
const INCOMING: &str = "-incoming";
const DISPLACED: &str = "-displaced";

/// The files that may stand beside a database while another is put in its place.
pub fn aside(path: &Path) -> Vec<PathBuf> {
    let named = |which: &'static str| [BESIDE[0], BESIDE[1], ""].map(|beside| with(path, &format!("{which}{beside}")));
    [INCOMING, DISPLACED].into_iter().flat_map(named).collect()
}

/// What a copy says of itself that has to be complete.
fn complete(host: &dyn Host, folder: &Path) -> Result<Description, HostError> {
    describe(host, folder)?
        .ok_or_else(|| failed(folder.display().to_string(), "there is no complete copy of a database"))
}

/// The dump that a copy of a PostgreSQL database is.
fn of_postgres<'a>(description: &'a Description, folder: &Path) -> Result<&'a CopiedPart, HostError> {
    let dump = description.files.first().filter(|_| description.content.is_some());
    dump.ok_or_else(|| failed(folder.display().to_string(), "it is not a copy of a PostgreSQL database"))
}

/// Puts a database back from a copy. The one that is there stands aside until [`forget_displaced`].
///
/// # Errors
/// There is no complete copy, somebody has the database open, or a file cannot be copied or renamed.
pub(super) fn restore(host: &dyn Host, restore: &DatabaseRestore) -> Result<Description, HostError> {
    let DatabaseRestore { from, to, service, owner, .. } = restore;
    let description = complete(host, from)?;
    idle(host, service, to)?;
    let path = match to {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => {
            let dump = of_postgres(&description, from)?;
            if let (Some(before), Some(mark)) = (&restore.before, replacing(restore)) {
                complete(host, before)?;
                host.write_file(&mark, b"", 0o600, Owner::ROOT)?;
            }
            postgres::read_in(host, connection, &from.join(&dump.name), Some(&dump.sha256))?;
            return Ok(description);
        }
    };
    clear_away(host, path, DISPLACED)?;
    clear_away(host, path, INCOMING)?;
    let suffix = |part: &CopiedPart| part.name.strip_prefix(MAIN).unwrap_or_default().to_owned();
    for part in &description.files {
        let (source, target) = (from.join(&part.name), with(path, &format!("{INCOMING}{}", suffix(part))));
        let copied = host.copy_file(&source, &target, part.mode, *owner)?;
        if copied.sha256 != part.sha256 {
            clear_away(host, path, INCOMING)?;
            return Err(failed(
                source.display().to_string(),
                "it is not what was written: its digest differs. The database was not touched",
            ));
        }
    }
    // What belongs to the database of now must not be found beside the one of then.
    host.remove(&with(path, "-shm"))?;
    for beside in [BESIDE[0], BESIDE[1], ""] {
        let there = with(path, beside);
        if host.entry(&there)?.is_some() {
            host.rename(&there, &with(path, &format!("{DISPLACED}{beside}")))?;
        }
    }
    for part in &description.files {
        let suffix = suffix(part);
        host.rename(&with(path, &format!("{INCOMING}{suffix}")), &with(path, &suffix))?;
    }
    Ok(description)
}

fn clear_away(host: &dyn Host, path: &Path, which: &str) -> Result<(), HostError> {
    for beside in [BESIDE[0], BESIDE[1], ""] {
        host.remove(&with(path, &format!("{which}{beside}")))?;
    }
    Ok(())
}

/// Takes a restoration back: the database that stood aside is in its place again. Right also for one that was cut off
/// anywhere.
pub(super) fn take_back_restore(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    let path = match &restore.to {
        Database::Sqlite { path } => path,
        Database::Postgres { connection } => {
            host.remove_tree(Path::new(OPENED))?;
            let begun = match replacing(restore) {
                Some(mark) => host.entry(&mark)?,
                None => None,
            };
            let Some(before) = restore.before.as_ref().filter(|_| begun.is_some()) else { return Ok(()) };
            postgres::wait_for_own(host, connection)?;
            if !is_in_place(host, &complete(host, before)?, &restore.to)? {
                put_back(host, &DatabaseRestore { from: before.clone(), before: None, ..restore.clone() })?;
            }
            return forget_displaced(host, restore);
        }
    };
    let displaced = |beside: &str| with(path, &format!("{DISPLACED}{beside}"));
    if host.entry(&displaced(""))?.is_some() {
        stop(host, &restore.service)?;
        wait_until_closed(host, &restore.to)?;
        // Only beside a restored database are these the restored one's; without it they have been put back already.
        if host.entry(path)?.is_some() {
            for beside in ["-shm", BESIDE[0], BESIDE[1], ""] {
                host.remove(&with(path, beside))?;
            }
        }
    }
    for beside in [BESIDE[0], BESIDE[1], ""] {
        if host.entry(&displaced(beside))?.is_some() {
            host.rename(&displaced(beside), &with(path, beside))?;
        }
    }
    clear_away(host, path, INCOMING)
}

/// Makes a database what a copy has, whatever it is by now; whoever still uses it is waited for.
///
/// # Errors
/// The copy is not complete, or the database cannot be put back.
pub(super) fn put_back(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    stop(host, &restore.service)?;
    wait_until_closed(host, &restore.to)?;
    // An earlier attempt may have been cut off.
    take_back_restore(host, restore)?;
    if !is_in_place(host, &complete(host, &restore.from)?, &restore.to)? {
        self::restore(host, restore)?;
        forget_displaced(host, restore)?;
    }
    Ok(())
}

/// Takes a restoration back where there was no database before.
pub(super) fn take_away(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    // That of a server is there before anything is put into it.
    let Database::Sqlite { path } = &restore.to else { return Ok(()) };
    if host.entry(path)?.is_some() {
        stop(host, &restore.service)?;
        wait_until_closed(host, &restore.to)?;
        for beside in ["-shm", BESIDE[0], BESIDE[1], ""] {
            host.remove(&with(path, beside))?;
        }
    }
    clear_away(host, path, INCOMING)
}

/// The mark in the copy of a server's database of now that another one may be in its place: as long as it is not there, nobody
/// has put that copy back.
fn replacing(restore: &DatabaseRestore) -> Option<PathBuf> {
    restore.before.as_ref().map(|before| before.join("replacing"))
}

/// Takes away the database that a restoration has put aside; for when the run has ended well.
///
/// # Errors
/// It cannot be removed.
pub(super) fn forget_displaced(host: &dyn Host, restore: &DatabaseRestore) -> Result<(), HostError> {
    match &restore.to {
        Database::Sqlite { path } => clear_away(host, path, DISPLACED),
        Database::Postgres { .. } => replacing(restore).map_or(Ok(()), |mark| host.remove(&mark)),
    }
}

/// Waits until nobody has the database open, however long that takes: who has may be migrating it.
pub(super) fn wait_until_closed(host: &dyn Host, database: &Database) -> Result<(), HostError> {
    if let Database::Postgres { connection } = database {
        return postgres::wait_until_closed(host, connection);
    }
    while !users(host, database)?.is_empty() {
        host.sleep(Duration::from_secs(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
