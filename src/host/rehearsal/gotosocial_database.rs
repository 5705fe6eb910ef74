//! GoToSocial's database: a real SQLite file with few tables, in the very place that the configuration names, so that
//! copying, restoring and removing it have the effect they have on the real one. Passwords are kept elsewhere, see
//! [`Model::passwords`](super::Model::passwords).
//!
//! While the program runs, its writes are in the write-ahead log next to the file, and move into the file at a clean
//! stop only: a copy of the file alone is an older database, and nothing looks wrong with it. Here the log is a complete
//! image, because the pages of a real one contain random numbers.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rusqlite::{Connection, MAIN_DB};

use super::super::database::examine as examine_file;
use super::super::{DatabaseExamination, DatabaseState, FileUser, HostError, Owner};
use super::machine::{Access, Machine, command_failed};
use super::postgres;
use crate::gotosocial::Series;
use crate::gotosocial::accounts::Account;
use crate::gotosocial::loading::{Failure, Settings};

/// The content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Database {
    /// Rows of `bun_migrations`, see [`Series::migrations`].
    pub(super) migrations: u32,
    /// The host of the instance account, which the first start of the server creates.
    pub(super) instance: Option<String>,
    /// Accounts.
    pub(super) accounts: Vec<Account>,
    /// Texts of the local posts.
    pub(super) posts: Vec<String>,
}

/// Rows of a database whose migration to 0.20 was interrupted.
const HALF_WAY: u32 = 114;

impl Database {
    /// An SQLite database with this content.
    pub(super) fn connection(&self) -> rusqlite::Result<Connection> {
        let mut file = Connection::open_in_memory()?;
        let all = file.transaction()?;
        all.execute_batch(
            "CREATE TABLE bun_migrations (id INTEGER PRIMARY KEY, name VARCHAR, group_id INTEGER);
             CREATE TABLE instances (id INTEGER PRIMARY KEY, domain VARCHAR);
             CREATE TABLE accounts (id INTEGER PRIMARY KEY, username VARCHAR, email VARCHAR, has_user BOOLEAN, \
             admin BOOLEAN, moderator BOOLEAN);
             CREATE TABLE statuses (id INTEGER PRIMARY KEY, text TEXT, local BOOLEAN);",
        )?;
        for number in 1..=self.migrations {
            let group = if number > Series::V0_19.migrations() { 2 } else { 1 };
            let row = (format!("2021{number:010}"), group);
            all.execute("INSERT INTO bun_migrations (name, group_id) VALUES (?1, ?2)", row)?;
        }
        if let Some(host) = &self.instance {
            all.execute("INSERT INTO instances (domain) VALUES (?1)", [host])?;
        }
        for Account { username, email, has_user, admin, moderator, .. } in &self.accounts {
            let row = (username, email, has_user, admin, moderator);
            all.execute("INSERT INTO accounts VALUES (NULL, ?1, ?2, ?3, ?4, ?5)", row)?;
        }
        for post in &self.posts {
            all.execute("INSERT INTO statuses (text, local) VALUES (?1, 1)", [post])?;
        }
        all.commit()?;
        Ok(file)
    }

    /// The bytes of an SQLite file with this content.
    pub(super) fn image(&self) -> rusqlite::Result<Vec<u8>> {
        Ok(self.connection()?.serialize(MAIN_DB)?.to_vec())
    }

    /// The content of an SQLite database with these tables.
    pub(super) fn of(file: &Connection) -> rusqlite::Result<Self> {
        let mut accounts = file.prepare("SELECT * FROM accounts ORDER BY id")?;
        let accounts = accounts.query_map([], |row| {
            Ok(Account {
                username: row.get(1)?,
                email: row.get(2)?,
                has_user: row.get(3)?,
                admin: row.get(4)?,
                moderator: row.get(5)?,
                ..Account::default()
            })
        })?;
        let mut posts = file.prepare("SELECT text FROM statuses ORDER BY id")?;
        Ok(Self {
            migrations: file.query_row("SELECT count(*) FROM bun_migrations", [], |row| row.get(0))?,
            instance: file.query_row("SELECT max(domain) FROM instances", [], |row| row.get(0))?,
            accounts: accounts.collect::<Result<_, _>>()?,
            posts: posts.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?,
        })
    }

    fn of_image(bytes: &[u8]) -> rusqlite::Result<Self> {
        let mut file = Connection::open_in_memory()?;
        file.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), true)?;
        Self::of(&file)
    }
}

fn failed(text: &str) -> Failure {
    Failure::Error(format!("error creating dbservice: {text}"))
}

/// Path of the write-ahead log or shared memory next to a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// The write-ahead log, if it has content.
fn log(machine: &Machine, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
    Ok(machine.read(&beside(path, "-wal"))?.filter(|bytes| !bytes.is_empty()))
}

/// What a program that opens the database sees.
fn seen(machine: &Machine, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
    log(machine, path)?.map_or_else(|| machine.read(path), |log| Ok(Some(log)))
}

/// Reads a database without opening it as the program would; `None` if it is missing or is no database.
pub(super) fn peek(machine: &Machine, path: &Path) -> Option<Database> {
    Database::of_image(&seen(machine, path).ok()??).ok()
}

/// Moves the content of the write-ahead log into the file, as the last process that closes the database does.
pub(super) fn close(machine: &mut Machine, path: &Path) -> Result<(), HostError> {
    if let Some(bytes) = log(machine, path)?
        && machine.files.entry(path)?.is_some()
    {
        machine.rewrite(Owner::ROOT, path, &bytes, 0o600)?;
    }
    ["-wal", "-shm"].iter().try_for_each(|suffix| machine.files.remove(&beside(path, suffix)))
}

/// Whether a user may write to the folder of a database.
fn may_write_beside(machine: &Machine, who: Owner, path: &Path) -> Result<(), Errno> {
    let folder = path.parent().ok_or(Errno::EACCES)?;
    machine.may(who, folder, Access::Write).and(machine.may(who, folder, Access::Execute))
}

/// Examines a database as the program's own child process does on FreeBSD.
pub(super) fn examine(machine: &mut Machine, wanted: &DatabaseExamination) -> Result<DatabaseState, HostError> {
    let DatabaseExamination { path, owner, thorough } = wanted;
    let failed = |why: &str| command_failed(format!("open the database {}", path.display()), 1, why);
    match may_write_beside(machine, *owner, path).and(machine.may(*owner, path, Access::Write)) {
        Ok(()) => {}
        Err(Errno::EACCES) => return Err(failed("unable to open database file")),
        Err(_) => return Err(failed("unable to open database file: No such file or directory")),
    }
    if machine.model.program().is_some_and(|program| program.database == *path) {
        // FreeBSD would not refuse this: the two processes do not see each other's locks.
        return Err(failed("the model refuses: GoToSocial has this very file open, and would be damaged by this"));
    }
    if machine.files.entry(&beside(path, "-wal"))?.is_some() {
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

/// The content of an SQLite database, for a program that opens it.
fn file(machine: &Machine, path: &Path, who: Owner) -> Result<Option<Vec<u8>>, Failure> {
    if path.as_os_str().is_empty() {
        return Err(failed("'db-address' was not set when attempting to start sqlite"));
    }
    // wazero maps its code writable and executable. The words of this failure on FreeBSD are unknown.
    if !machine.model.allow_wx {
        return Err(failed("sqlite ping: mmap: operation not permitted (kern.elf64.allow_wx is 0)"));
    }
    let may = may_write_beside(machine, who, path).map_err(|_| Errno::EACCES);
    match may.and_then(|()| machine.may(who, path, Access::Write)) {
        Ok(()) => seen(machine, path).ok(),
        Err(Errno::ENOENT) => Some(None),
        Err(_) => None,
    }
    .ok_or_else(|| failed("sqlite ping: sqlite3: unable to open database file"))
}

/// Opens the configured database, which creates it and runs pending migrations.
pub(super) fn open(machine: &mut Machine, settings: &Settings, who: Owner) -> Result<(PathBuf, Database), Failure> {
    let path = place(settings);
    let bytes = match settings.text("db-type") {
        "sqlite" => file(machine, &path, who)?,
        "postgres" => {
            postgres::connect(machine, settings)?;
            machine.read(&path).unwrap_or_default()
        }
        other => return Err(failed(&format!("database type {other} not supported for bundb"))),
    };
    let mut database = match bytes.filter(|bytes| !bytes.is_empty()) {
        Some(bytes) => {
            Database::of_image(&bytes).map_err(|_| failed("sqlite ping: sqlite3: file is not a database"))?
        }
        None => Database::default(),
    };
    if database.migrations < settings.series.migrations() {
        // A migration is marked as done before it runs, so an interrupted one is never completed.
        if database.migrations == HALF_WAY {
            return Err(failed("db migration error: sqlite3: SQL logic error: no such table: account_settings"));
        }
        let faults = &machine.model.faults;
        let ending = match () {
            () if database.migrations == 0 => None,
            () if faults.migration_fails => {
                Some(failed("db migration error: sqlite3: disk I/O error (code=10 extended=6410)"))
            }
            () => faults.migration_is_killed.then_some(Failure::Killed),
        };
        database.migrations = if ending.is_some() { HALF_WAY } else { settings.series.migrations() };
        save(machine, &path, &database, who)?;
        ending.map_or(Ok(()), Err)?;
    }
    Ok((path, database))
}

/// Begins a migration that outlives its caller.
pub(super) fn begin_migration(machine: &mut Machine, path: &Path, who: Owner) -> Result<(), HostError> {
    mark(machine, path, HALF_WAY, who)
}

/// Completes such a migration.
pub(super) fn finish_migration(machine: &mut Machine, path: &Path) -> Result<(), HostError> {
    mark(machine, path, Series::V0_20.migrations(), Owner::ROOT)
}

fn mark(machine: &mut Machine, path: &Path, migrations: u32, who: Owner) -> Result<(), HostError> {
    let Some(content) = peek(machine, path) else { return Ok(()) };
    save(machine, path, &Database { migrations, ..content }, who)
        .map_err(|_| command_failed("migrations run", 1, "the database cannot be written"))
}

/// The processes that have a database, or a file that belongs to it, open.
pub(super) fn file_users(machine: &Machine, path: &Path) -> Vec<FileUser> {
    let is_of =
        |database: &Path| ["", "-wal", "-shm", "-journal"].iter().any(|suffix| path == beside(database, suffix));
    let server = machine.model.program().map(|program| (&program.database, &program.user, program.pid));
    let migrating = machine.model.migrating.as_ref().map(|process| (&process.database, &process.user, process.pid));
    let users = server.into_iter().chain(migrating).filter(|(database, ..)| is_of(database));
    users.map(|(_, user, pid)| FileUser { user: user.clone(), command: "gotosocial".into(), pid: Some(pid) }).collect()
}

/// Writes the database. A new file gets the mode that umask 027 leaves.
pub(super) fn save(machine: &mut Machine, path: &Path, database: &Database, who: Owner) -> Result<(), Failure> {
    let failed = |text: &str| failed(&format!("sqlite ping: sqlite3: {text}"));
    if machine.model.faults.disk_full {
        return Err(failed("database or disk is full"));
    }
    let image = database.image().map_err(|error| failed(&error.to_string()))?;
    if postgres::is_place(path) {
        return postgres::store(machine, path, &image).map_err(|error| failed(&error.to_string()));
    }
    // If a process has it open, only the last one to close it writes to the file itself.
    let log = beside(path, "-wal");
    let place = if matches!(machine.files.entry(&log), Ok(Some(_))) { &log } else { path };
    machine.rewrite(who, place, &image, 0o640).map_err(|_| failed("disk I/O error"))
}

/// Makes a user write a post with the program that runs.
pub(super) fn post(machine: &mut Machine, text: &str) -> Result<(), HostError> {
    let refused = |why: &str| command_failed("rehearsal post", 1, why);
    let program = machine.model.program().cloned().ok_or_else(|| refused("GoToSocial does not run here"))?;
    let mut content = peek(machine, &program.database).ok_or_else(|| refused("GoToSocial has no database"))?;
    content.posts.push(text.to_owned());
    save(machine, &program.database, &content, program.owner).map_err(|_| refused("the database cannot be written"))
}
