//! What stands for the SQLite database: a JSON text in the very file that the configuration names, with a `-wal` and a
//! `-shm` beside it while the server runs. Passwords are not kept.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::gotosocial_config::{Failure, Series, Settings};
use super::log::Logger;
use super::trouble::Trouble;

/// First words of the file.
const FORMAT: &str = "stands for an SQLite database";

/// The content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Content {
    format: String,
    /// Rows of `bun_migrations`: the version of the schema.
    pub(super) migrations: u32,
    /// The host that the instance account was made for, at the first start of the server.
    pub(super) instance: Option<String>,
    /// Accounts.
    pub(super) accounts: Vec<Account>,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    /// Login name.
    pub(super) username: String,
    /// Address.
    pub(super) email: String,
    /// Whether it has a user row. One made before the first start has none, and never gets one.
    pub(super) has_user: bool,
    /// Whether it is administrator and moderator.
    pub(super) admin: bool,
}

/// An open database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    path: PathBuf,
    series: Series,
}

/// Rows of `bun_migrations` after the migrations of a release.
fn migrations(series: Series) -> u32 {
    match series {
        Series::V0_19 => 110,
        Series::V0_20 => 118,
    }
}

impl Content {
    /// Whether a newer release has migrated it, which an older one does not notice.
    pub(super) fn is_newer_than(&self, series: Series) -> bool {
        self.migrations > migrations(series)
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
        let database = Self { path, series: settings.series };
        // Somebody who may only read it cannot open it either.
        fs::OpenOptions::new().append(true).create(true).open(&database.path).map_err(|error| io_failed(&error))?;
        let text = fs::read(&database.path).map_err(|error| io_failed(&error))?;
        let mut content = match text.as_slice() {
            [] => Content { format: FORMAT.into(), migrations: 0, instance: None, accounts: Vec::new() },
            bytes => {
                serde_json::from_slice(bytes).map_err(|_| failed("sqlite ping: sqlite3: file is not a database"))?
            }
        };
        logger.info(
            "bundb.sqliteConn",
            &format!("connected to SQLITE database with address {}", database.path.display()),
        );
        let wanted = migrations(settings.series);
        if content.migrations >= wanted {
            logger.info("bundb.doMigration", "there are no new migrations to run");
            return Ok(database);
        }
        if trouble.fail_migration {
            content.migrations = (content.migrations + 1).min(wanted);
            database.save(&content)?;
            return Err(failed("db migration error: stand-in: this migration was asked to fail"));
        }
        content.migrations = wanted;
        database.save(&content)?;
        logger.info("bundb.doMigration", &format!("MIGRATED DATABASE TO group ({wanted} migrations)"));
        Ok(database)
    }

    /// The content as it is now; another process may have changed it.
    pub(super) fn content(&self) -> Result<Content, Failure> {
        let bytes = fs::read(&self.path).map_err(|error| io_failed(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| failed("sqlite ping: sqlite3: file is not a database"))
    }

    /// The release that has it open.
    pub(super) fn series(&self) -> Series {
        self.series
    }

    /// Writes it back, whole or not at all.
    pub(super) fn save(&self, content: &Content) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(content).map_err(|error| failed(&error.to_string()))?;
        let beside = beside(&self.path, "-new");
        fs::write(&beside, text + "\n")
            .and_then(|()| fs::rename(&beside, &self.path))
            .map_err(|error| io_failed(&error))
    }

    /// Puts the files beside it that a running server has there.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        for suffix in ["-wal", "-shm"] {
            fs::write(beside(&self.path, suffix), b"").map_err(|error| io_failed(&error))?;
        }
        Ok(())
    }

    /// Takes them away again: the mark of a clean stop.
    pub(super) fn end(&self) {
        for suffix in ["-wal", "-shm"] {
            // What cannot be removed stays, and tells that the stop was not clean.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
