//! What stands for GoToSocial's SQLite database: a JSON text in the very file that the configuration names, so that
//! copying, restoring and removing it have the effect they have on the real one. Passwords are not kept.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::{Entry, Owner};
use super::gotosocial_config::{Failure, Series, Settings};
use super::machine::{Access, ENOENT, Machine};

/// First words of the file.
const FORMAT: &str = "stands for an SQLite database in a rehearsal";

/// The content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Database {
    format: String,
    /// Rows of `bun_migrations`: 110 with 0.19.2, 118 with 0.20.0-rc1.
    pub(super) migrations: u32,
    /// The host that the instance account was made for, at the first start of the server.
    pub(super) instance: Option<String>,
    /// Accounts.
    pub(super) accounts: Vec<Account>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// Login name.
    pub(super) username: String,
    /// Address.
    pub(super) email: String,
    /// Whether it has a user row. One made before the first start has none, and never gets one.
    pub(super) has_user: bool,
    /// Whether it is an administrator.
    pub(super) admin: bool,
    /// Whether it is a moderator.
    pub(super) moderator: bool,
}

fn migrations(series: Series) -> u32 {
    match series {
        Series::V0_19 => 110,
        Series::V0_20 => 118,
    }
}

impl Database {
    /// Whether a newer release has migrated the database, which an older one does not notice.
    pub(super) fn is_newer_than(&self, series: Series) -> bool {
        self.migrations > migrations(series)
    }
}

/// Path of the write-ahead log or shared memory beside a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads a database without opening it as the program would; `None` if it is not there or is none.
pub(super) fn peek(machine: &Machine, path: &Path) -> Option<Database> {
    serde_json::from_slice(&machine.files.read(path).ok()??).ok()
}

/// Opens the configured database as somebody, which makes it and runs pending migrations.
pub(super) fn open(machine: &mut Machine, settings: &Settings, who: Owner) -> Result<(PathBuf, Database), Failure> {
    let failed = |text: &str| Failure::Error(format!("error creating dbservice: {text}"));
    match settings.text("db-type") {
        "sqlite" => {}
        "postgres" => return Err(failed("postgres ping: failed to connect: a rehearsal has no PostgreSQL")),
        other => return Err(failed(&format!("database type {other} not supported for bundb"))),
    }
    let address = settings.text("db-address");
    if address.is_empty() {
        return Err(failed("'db-address' was not set when attempting to start sqlite"));
    }
    let path = PathBuf::from(address);
    let unable = || failed("sqlite ping: sqlite3: unable to open database file");
    let folder = path.parent().ok_or_else(unable)?;
    // wazero maps its code writable and executable; nobody has seen the very words of this failure on FreeBSD.
    if !machine.model.allow_wx {
        return Err(failed("sqlite ping: mmap: operation not permitted (kern.elf64.allow_wx is 0)"));
    }
    let writable = machine.may(who, folder, Access::Write).and(machine.may(who, folder, Access::Execute));
    writable.map_err(|_| unable())?;
    let bytes = match machine.may(who, &path, Access::Write) {
        Ok(()) => machine.files.read(&path).map_err(|_| unable())?,
        Err(ENOENT) => None,
        Err(_) => return Err(unable()),
    };
    let found = bytes.filter(|bytes| !bytes.is_empty());
    let mut database = match &found {
        Some(bytes) => serde_json::from_slice::<Database>(bytes)
            .map_err(|_| failed("sqlite ping: sqlite3: file is not a database"))?,
        None => Database { format: FORMAT.into(), migrations: 0, instance: None, accounts: Vec::new() },
    };
    let pending = database.migrations < migrations(settings.series);
    if pending {
        database.migrations = migrations(settings.series);
        save(machine, &path, &database, who)?;
    }
    Ok((path, database))
}

/// Writes the database back. A new one gets the mode that umask 027 leaves.
pub(super) fn save(machine: &mut Machine, path: &Path, database: &Database, who: Owner) -> Result<(), Failure> {
    let failed = |text: &str| Failure::Error(format!("error creating dbservice: sqlite ping: sqlite3: {text}"));
    if machine.model.faults.disk_full {
        return Err(failed("database or disk is full"));
    }
    let text = serde_json::to_string_pretty(database).map_err(|error| failed(&error.to_string()))?;
    let (mode, owner) = match machine.files.entry(path) {
        Ok(Some(Entry::File { mode, owner, .. })) => (mode, owner),
        _ => (0o640, who),
    };
    let written = machine.files.write_file(path, format!("{text}\n").as_bytes(), mode, owner);
    written.map_err(|_| failed("disk I/O error"))
}
