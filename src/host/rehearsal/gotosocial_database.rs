//! GoToSocial's database: a real one of SQLite, with few tables, in the very file that the configuration names, so that
//! copying, restoring and removing it have the effect they have on the real one. Passwords are not kept.
//!
//! While the program runs, what it writes is in the write-ahead log beside the file, and gets into the file at a clean stop
//! only: a copy of the file alone is an older database, and nothing can be seen wrong with it. The log here is a whole
//! image instead of pages, since those have random numbers in them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, MAIN_DB};

use super::super::database::examine as examine_file;
use super::super::{DatabaseExamination, DatabaseState, Entry, FileUser, HostError, Owner};
use super::machine::{Access, EACCES, ENOENT, Machine, command_failed};
use super::postgres;
use crate::gotosocial::Series;
use crate::gotosocial::accounts::Account;
use crate::gotosocial::loading::{Failure, Settings};

/// The content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Database {
    /// Rows of `bun_migrations`: 110 with 0.19.2, 118 with 0.20.0-rc1.
    pub(super) migrations: u32,
    /// The host that the instance account was made for, at the first start of the server.
    pub(super) instance: Option<String>,
    /// Accounts.
    pub(super) accounts: Vec<Account>,
    /// Texts of the posts that were written here.
    pub(super) posts: Vec<String>,
}

/// Rows of a database whose migration to 0.20 did not get to its end.
const HALF_WAY: u32 = 114;

impl Database {
    /// The bytes of an SQLite file.
    pub(super) fn image(&self) -> rusqlite::Result<Vec<u8>> {
        let mut file = Connection::open_in_memory()?;
        let all = file.transaction()?;
        all.execute_batch(
            "CREATE TABLE bun_migrations (id INTEGER PRIMARY KEY, name VARCHAR, group_id INTEGER);
             CREATE TABLE instances (id INTEGER PRIMARY KEY, domain VARCHAR);
             CREATE TABLE accounts (id INTEGER PRIMARY KEY, username VARCHAR);
             CREATE TABLE users (account_id INTEGER, email VARCHAR, admin BOOLEAN, moderator BOOLEAN);
             CREATE TABLE emails (account_id INTEGER, email VARCHAR);
             CREATE TABLE statuses (id INTEGER PRIMARY KEY, text TEXT, local BOOLEAN);",
        )?;
        for number in 1..=self.migrations {
            let group = if number > Series::V0_19.migrations() { 2 } else { 1 };
            let name = format!("2021{number:010}");
            all.execute("INSERT INTO bun_migrations (name, group_id) VALUES (?1, ?2)", (name, group))?;
        }
        if let Some(host) = &self.instance {
            all.execute("INSERT INTO instances (domain) VALUES (?1)", [host])?;
        }
        for account in &self.accounts {
            all.execute("INSERT INTO accounts (username) VALUES (?1)", [&account.username])?;
            let id = all.last_insert_rowid();
            all.execute("INSERT INTO emails VALUES (?1, ?2)", (id, &account.email))?;
            if account.has_user {
                let row = (id, &account.email, account.admin, account.moderator);
                all.execute("INSERT INTO users VALUES (?1, ?2, ?3, ?4)", row)?;
            }
        }
        for post in &self.posts {
            all.execute("INSERT INTO statuses (text, local) VALUES (?1, 1)", [post])?;
        }
        all.commit()?;
        Ok(file.serialize(MAIN_DB)?.to_vec())
    }

    /// The content of an SQLite file with these tables.
    fn of_image(bytes: &[u8]) -> rusqlite::Result<Self> {
        let mut file = Connection::open_in_memory()?;
        file.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), true)?;
        let posts = file.prepare("SELECT text FROM statuses ORDER BY id")?.query_map([], |row| row.get(0))?.collect();
        let accounts = file
            .prepare(
                "SELECT accounts.username, emails.email, users.admin, users.moderator FROM accounts \
                 JOIN emails ON emails.account_id = accounts.id \
                 LEFT JOIN users ON users.account_id = accounts.id ORDER BY accounts.id",
            )?
            .query_map([], |row| {
                let (admin, moderator): (Option<bool>, Option<bool>) = (row.get(2)?, row.get(3)?);
                Ok(Account {
                    username: row.get(0)?,
                    email: row.get(1)?,
                    has_user: admin.is_some(),
                    admin: admin.unwrap_or(false),
                    moderator: moderator.unwrap_or(false),
                })
            })?
            .collect();
        Ok(Self {
            migrations: file.query_row("SELECT count(*) FROM bun_migrations", [], |row| row.get(0))?,
            instance: file.query_row("SELECT max(domain) FROM instances", [], |row| row.get(0))?,
            accounts: Result::from_iter::<Vec<rusqlite::Result<_>>>(accounts)?,
            posts: Result::from_iter::<Vec<rusqlite::Result<_>>>(posts)?,
        })
    }

    /// Whether a migration did not get to its end.
    fn is_half_migrated(&self) -> bool {
        self.migrations == HALF_WAY
    }

    /// Whether a newer release has migrated the database, which an older one does not notice.
    pub(super) fn is_newer_than(&self, series: Series) -> bool {
        self.migrations > series.migrations()
    }
}

/// Path of the write-ahead log or shared memory beside a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// What a program that opens the database sees: the write-ahead log, if there is something in it, and else the file.
fn seen(machine: &Machine, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
    match machine.files.read(&beside(path, "-wal"))?.filter(|bytes| !bytes.is_empty()) {
        None => machine.files.read(path),
        log => Ok(log),
    }
}

/// Reads a database without opening it as the program would; `None` if it is not there or is none.
pub(super) fn peek(machine: &Machine, path: &Path) -> Option<Database> {
    Database::of_image(&seen(machine, path).ok()??).ok()
}

/// Takes what is in the write-ahead log into the file, as the last one who closes the database does.
pub(super) fn close(machine: &mut Machine, path: &Path) -> Result<(), HostError> {
    if let Some(bytes) = machine.files.read(&beside(path, "-wal"))?.filter(|bytes| !bytes.is_empty())
        && let Some(Entry::File { mode, owner, .. }) = machine.files.entry(path)?
    {
        machine.files.write_file(path, &bytes, mode, owner)?;
    }
    for suffix in ["-wal", "-shm"] {
        machine.files.remove(&beside(path, suffix))?;
    }
    Ok(())
}

/// Looks into a database as the program's own child does on FreeBSD.
pub(super) fn examine(machine: &mut Machine, wanted: &DatabaseExamination) -> Result<DatabaseState, HostError> {
    let DatabaseExamination { path, owner, thorough } = wanted;
    let failed = |why: &str| command_failed(format!("open the database {}", path.display()), 1, why);
    let unable = "unable to open database file";
    let folder = path.parent().ok_or_else(|| failed(unable))?;
    let may = machine
        .may(*owner, folder, Access::Write)
        .and(machine.may(*owner, folder, Access::Execute))
        .and(machine.may(*owner, path, Access::Write));
    match may {
        Ok(()) => {}
        Err(EACCES) => return Err(failed(unable)),
        Err(_) => return Err(failed("unable to open database file: No such file or directory")),
    }
    let log = machine.files.entry(&beside(path, "-wal"))?.is_some();
    let used = machine.model.gotosocial.as_ref().and_then(|supervisor| supervisor.program.as_ref());
    if used.is_some_and(|program| program.database == *path) {
        // Nothing would say so on FreeBSD, where the two do not see each other's locks.
        return Err(failed("the model refuses: GoToSocial has this very file open, and would be damaged by this"));
    }
    if log {
        close(machine, path)?;
    }
    examine_file(&machine.files.local_path(path), *thorough).map_err(|error| failed(&error.to_string()))
}

/// Where the configured database is.
pub(super) fn place(settings: &Settings) -> PathBuf {
    match settings.text("db-type") {
        "postgres" => postgres::place(settings.text("db-database")),
        _ => PathBuf::from(settings.text("db-address")),
    }
}

/// The file of a SQLite database, and what is in it.
fn file(machine: &Machine, settings: &Settings, who: Owner) -> Result<(PathBuf, Option<Vec<u8>>), Failure> {
    let failed = |text: &str| Failure::Error(format!("error creating dbservice: {text}"));
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
        Ok(()) => seen(machine, &path).map_err(|_| unable())?,
        Err(ENOENT) => None,
        Err(_) => return Err(unable()),
    };
    Ok((path, bytes))
}

/// Opens the configured database as somebody, which makes it and runs pending migrations.
pub(super) fn open(machine: &mut Machine, settings: &Settings, who: Owner) -> Result<(PathBuf, Database), Failure> {
    let failed = |text: &str| Failure::Error(format!("error creating dbservice: {text}"));
    let (path, bytes) = match settings.text("db-type") {
        "sqlite" => file(machine, settings, who)?,
        "postgres" => {
            let path = postgres::connect(machine, settings)?;
            let bytes = machine.files.read(&path).unwrap_or_default();
            (path, bytes)
        }
        other => return Err(failed(&format!("database type {other} not supported for bundb"))),
    };
    let found = bytes.filter(|bytes| !bytes.is_empty());
    let mut database = match &found {
        Some(bytes) => Database::of_image(bytes).map_err(|_| failed("sqlite ping: sqlite3: file is not a database"))?,
        None => Database::default(),
    };
    if database.migrations < settings.series.migrations() {
        // Migrations are marked as done before they are begun, so one that was cut off is never done.
        if database.is_half_migrated() {
            return Err(failed("db migration error: sqlite3: SQL logic error: no such table: account_settings"));
        }
        if database.migrations > 0 {
            half_way(machine, &path, &mut database, who)?;
        }
        database.migrations = settings.series.migrations();
        save(machine, &path, &database, who)?;
    }
    Ok((path, database))
}

/// What becomes of a migration that does not get to its end.
fn half_way(machine: &mut Machine, path: &Path, database: &mut Database, who: Owner) -> Result<(), Failure> {
    let faults = &machine.model.faults;
    let ending = match () {
        () if faults.migration_fails => Failure::Error(
            "error creating dbservice: db migration error: sqlite3: disk I/O error (code=10 extended=6410)".into(),
        ),
        () if faults.migration_is_killed => Failure::Killed,
        () => return Ok(()),
    };
    database.migrations = HALF_WAY;
    save(machine, path, database, who)?;
    Err(ending)
}

/// Begins a migration that ends by itself later, whoever has started it.
pub(super) fn begin_migration(machine: &mut Machine, path: &Path, who: Owner) -> Result<(), HostError> {
    let refused = |_| command_failed("migrations run", 1, "the database cannot be written");
    let mut content = peek(machine, path).unwrap_or_default();
    content.migrations = HALF_WAY;
    save(machine, path, &content, who).map_err(refused)
}

/// Ends such a migration.
pub(super) fn finish_migration(machine: &mut Machine, path: &Path) -> Result<(), HostError> {
    let refused = |_| command_failed("migrations run", 1, "the database cannot be written");
    let Some(mut content) = peek(machine, path) else { return Ok(()) };
    content.migrations = Series::V0_20.migrations();
    save(machine, path, &content, Owner::ROOT).map_err(refused)
}

/// The processes that have a database, or what stands beside it, open.
pub(super) fn file_users(machine: &Machine, path: &Path) -> Vec<FileUser> {
    let is_of = |database: &Path| {
        path == database || ["-wal", "-shm", "-journal"].iter().any(|suffix| path == beside(database, suffix))
    };
    let user = |user: &str, pid| FileUser { user: user.to_owned(), command: "gotosocial".to_owned(), pid };
    let program = machine.model.gotosocial.as_ref().and_then(|supervisor| supervisor.program.as_ref());
    let server = program.filter(|program| is_of(&program.database)).map(|program| user(&program.user, program.pid));
    let migrating = machine.model.migrating.as_ref().filter(|migrating| is_of(&migrating.database));
    server.into_iter().chain(migrating.map(|migrating| user(&migrating.user, migrating.pid))).collect()
}

/// Writes the database back. A new one gets the mode that umask 027 leaves.
pub(super) fn save(machine: &mut Machine, path: &Path, database: &Database, who: Owner) -> Result<(), Failure> {
    let failed = |text: &str| Failure::Error(format!("error creating dbservice: sqlite ping: sqlite3: {text}"));
    if machine.model.faults.disk_full {
        return Err(failed("database or disk is full"));
    }
    let image = database.image().map_err(|error| failed(&error.to_string()))?;
    if postgres::is_place(path) {
        return postgres::store(machine, path, &image).map_err(|error| failed(&error.to_string()));
    }
    let (mode, owner) = match machine.files.entry(path) {
        Ok(Some(Entry::File { mode, owner, .. })) => (mode, owner),
        _ => (0o640, who),
    };
    // Somebody has it open: only the last one to close it writes to the file itself.
    let log = beside(path, "-wal");
    let open = matches!(machine.files.entry(&log), Ok(Some(_)));
    let place = if open { &log } else { path };
    machine.write_as(owner, place, &image, mode).map_err(|_| failed("disk I/O error"))
}

/// Has somebody write a post, with the program that runs.
pub(super) fn post(machine: &mut Machine, text: &str) -> Result<(), HostError> {
    let refused = |why: &str| command_failed("rehearsal post", 1, why);
    let running = machine.model.gotosocial.as_ref().and_then(|supervisor| supervisor.program.clone());
    let program = running.ok_or_else(|| refused("GoToSocial does not run here"))?;
    let mut content = peek(machine, &program.database).ok_or_else(|| refused("GoToSocial has no database"))?;
    content.posts.push(text.to_owned());
    save(machine, &program.database, &content, program.owner).map_err(|_| refused("the database cannot be written"))
}
