//! The SQLite database: a real one, with few tables. Like the real program's it is in WAL mode and stays open while the server
//! runs: what is written is in the `-wal` beside it, and gets into the file at a clean stop. Of passwords it has a digest.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rusqlite::{Connection, ErrorCode};

use super::log::Logger;
use super::trouble::Trouble;
use gts_bootstrap::gotosocial::Series;
use gts_bootstrap::gotosocial::accounts::Account;
use gts_bootstrap::gotosocial::loading::{Failure, Settings};

/// The content.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    /// Rows of `bun_migrations`: the version of the schema.
    pub(super) migrations: u32,
    /// The host that the instance account was made for, at the first start of the server.
    pub(super) instance: Option<String>,
    /// Accounts.
    pub(super) accounts: Vec<Account>,
    /// Texts of the posts that were written here.
    pub(super) posts: Vec<String>,
}

/// An open database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    path: PathBuf,
    series: Series,
    /// `None` once it has been closed.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Content {
    /// Whether a newer release has migrated it, which an older one does not notice.
    pub(super) fn is_newer_than(&self, series: Series) -> bool {
        self.migrations > series.migrations()
    }
}

fn failed(text: &str) -> Failure {
    Failure::Error(format!("error creating dbservice: {text}"))
}

fn io_failed(error: &io::Error) -> Failure {
    failed(match error.kind() {
        io::ErrorKind::StorageFull => "sqlite ping: sqlite3: database or disk is full",
        _ => "sqlite ping: sqlite3: unable to open database file",
    })
}

fn sqlite_failed(error: &rusqlite::Error) -> Failure {
    failed(&match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "sqlite ping: sqlite3: file is not a database".to_owned(),
        Some(ErrorCode::DiskFull) => "sqlite ping: sqlite3: database or disk is full".to_owned(),
        Some(ErrorCode::CannotOpen) => "sqlite ping: sqlite3: unable to open database file".to_owned(),
        _ => format!("sqlite ping: sqlite3: {error}"),
    })
}

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS bun_migrations (id INTEGER PRIMARY KEY, name VARCHAR, group_id INTEGER);
    CREATE TABLE IF NOT EXISTS instances (id INTEGER PRIMARY KEY, domain VARCHAR);
    CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, username VARCHAR, email VARCHAR);
    CREATE TABLE IF NOT EXISTS users (account_id INTEGER, admin BOOLEAN, moderator BOOLEAN, encrypted_password VARCHAR);
    CREATE TABLE IF NOT EXISTS statuses (id INTEGER PRIMARY KEY, text TEXT, local BOOLEAN);";

impl Database {
    /// Opens the configured database, which makes it and runs pending migrations.
    pub(super) fn open(settings: &Settings, trouble: &Trouble, logger: Logger) -> Result<Self, Failure> {
        match settings.text("db-type") {
            "sqlite" => {}
            "postgres" => return Err(failed("postgres ping: failed to connect: the stand-in has no PostgreSQL")),
            other => return Err(failed(&format!("database type {other} not supported for bundb"))),
        }
        let path = PathBuf::from(settings.text("db-address"));
        if path.as_os_str().is_empty() {
            return Err(failed("'db-address' was not set when attempting to start sqlite"));
        }
        // Somebody who may only read it cannot open it either.
        fs::OpenOptions::new().append(true).create(true).open(&path).map_err(|error| io_failed(&error))?;
        let connection = Connection::open(&path).map_err(|error| sqlite_failed(&error))?;
        connection.execute_batch(TABLES).map_err(|error| sqlite_failed(&error))?;
        let database = Self { path, series: settings.series, connection: Arc::new(Mutex::new(Some(connection))) };
        let mut content = database.content()?;
        logger.info(
            "bundb.sqliteConn",
            &format!("connected to SQLITE database with address {}", database.path.display()),
        );
        let wanted = settings.series.migrations();
        if content.migrations >= wanted {
            logger.info("bundb.doMigration", "there are no new migrations to run");
            return Ok(database);
        }
        if trouble.fail_migration {
            content.migrations = (content.migrations + 1).min(wanted);
            database.save(&content)?;
            return Err(failed("db migration error: stand-in: this migration was asked to fail"));
        }
        thread::sleep(trouble.migration_takes);
        content.migrations = wanted;
        database.save(&content)?;
        logger.info("bundb.doMigration", &format!("MIGRATED DATABASE TO group ({wanted} migrations)"));
        Ok(database)
    }

    fn held(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content as it is now; another process may have changed it.
    pub(super) fn content(&self) -> Result<Content, Failure> {
        let held = self.held();
        let connection = held.as_ref().ok_or_else(|| failed("sqlite ping: sql: database is closed"))?;
        read(connection).map_err(|error| sqlite_failed(&error))
    }

    /// The release that has it open.
    pub(super) fn series(&self) -> Series {
        self.series
    }

    /// Writes it back, whole or not at all.
    pub(super) fn save(&self, content: &Content) -> Result<(), Failure> {
        let mut held = self.held();
        let connection = held.as_mut().ok_or_else(|| failed("sqlite ping: sql: database is closed"))?;
        write(connection, content).map_err(|error| sqlite_failed(&error))
    }

    /// Writes a post.
    pub(super) fn post(&self, text: &str) -> Result<(), Failure> {
        let mut content = self.content()?;
        content.posts.push(text.to_owned());
        self.save(&content)
    }

    /// Closes it: what is in the log gets into the file.
    pub(super) fn end(&self) {
        let connection = self.held().take();
        // What cannot be closed leaves its log, and tells that the stop was not clean.
        drop(connection);
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Content> {
    let accounts = connection
        .prepare(
            "SELECT username, email, admin, moderator, encrypted_password FROM accounts LEFT JOIN users ON users.account_id = accounts.id ORDER BY id",
        )?
        .query_map([], |row| {
            let (admin, moderator): (Option<bool>, Option<bool>) = (row.get(2)?, row.get(3)?);
            Ok(Account {
                username: row.get(0)?,
                email: row.get(1)?,
                has_user: admin.is_some(),
                admin: admin.unwrap_or(false),
                moderator: moderator.unwrap_or(false),
                encrypted_password: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let posts = connection
        .prepare("SELECT text FROM statuses WHERE local = 1 ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Content {
        migrations: connection.query_row("SELECT count(*) FROM bun_migrations", [], |row| row.get(0))?,
        instance: connection.query_row("SELECT max(domain) FROM instances", [], |row| row.get(0))?,
        accounts,
        posts,
    })
}

fn write(connection: &mut Connection, content: &Content) -> rusqlite::Result<()> {
    let all = connection.transaction()?;
    all.execute_batch(
        "DELETE FROM bun_migrations; DELETE FROM instances; DELETE FROM accounts; DELETE FROM users; DELETE FROM statuses;",
    )?;
    for number in 1..=content.migrations {
        let group = if number > Series::V0_19.migrations() { 2 } else { 1 };
        let name = format!("2021{number:010}");
        all.execute("INSERT INTO bun_migrations (name, group_id) VALUES (?1, ?2)", (name, group))?;
    }
    if let Some(host) = &content.instance {
        all.execute("INSERT INTO instances (domain) VALUES (?1)", [host])?;
    }
    for account in &content.accounts {
        let row = (&account.username, &account.email);
        all.execute("INSERT INTO accounts (username, email) VALUES (?1, ?2)", row)?;
        if account.has_user {
            all.execute(
                "INSERT INTO users VALUES (?1, ?2, ?3, ?4)",
                (all.last_insert_rowid(), account.admin, account.moderator, &account.encrypted_password),
            )?;
        }
    }
    for post in &content.posts {
        all.execute("INSERT INTO statuses (text, local) VALUES (?1, 1)", [post])?;
    }
    all.commit()
}
