//! The migration of the database to another release.
//!
//! From 0.20 on GoToSocial has `migrations run`, which migrates and ends; before that a start of the server does it. Either can
//! take an hour, and must never be interrupted: the library that runs the migrations (bun, `migrate/migrator.go`) notes each as
//! done before it begins it, so one that was cut off is taken for done ever after and what rests on it fails. So an
//! interrupted migration is never gone on with: the copy is put back, and it begins anew.

use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::database::{self, DatabaseRestore};
use super::executor::Executor;
use super::{Database, service_start};
use crate::gotosocial::{commands, readiness};
use crate::host::{Host, HostError, Invocation, Owner};

/// A migration that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// What is migrated.
    pub database: Database,
    /// The copy that was made before.
    pub copy: PathBuf,
    /// The service that must be stopped.
    pub service: String,
    /// Whom the database belongs to.
    pub owner: Owner,
    /// The release that it is migrated to.
    pub version: Version,
    /// The command that migrates; `None` where the start of the server does it.
    pub command: Option<MigrationCommand>,
}

/// `PROGRAM --config-path CONFIG migrations run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationCommand {
    /// The release's program.
    pub program: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Working folder.
    pub directory: PathBuf,
    /// Environment of the program, as the rc.d script sets it.
    pub environment: Vec<(String, String)>,
}

impl Migration {
    /// The migration in words, without the database's name.
    #[must_use]
    pub fn detail(&self) -> String {
        match self.command {
            Some(_) => format!("to that of GoToSocial {}; never interrupted, however long it takes", self.version),
            None => format!("to that of GoToSocial {}, which does it when it starts; never interrupted", self.version),
        }
    }
}

/// Migrates. Where the start of the server does that, only what it rests on is looked at.
///
/// # Errors
/// In words: the database is not what the copy has, somebody has it open, or the migration failed.
pub(super) fn run(executor: &Executor<'_>, migration: &Migration) -> Result<Vec<String>, String> {
    let host = executor.host;
    let said = |error: HostError| error.to_string();
    database::idle(host, &migration.service, &migration.database).map_err(said)?;
    let Some(copy) = database::describe(host.observe(), &migration.copy).map_err(said)? else {
        return Err(format!("there is no complete copy of the database in {}", migration.copy.display()));
    };
    // Between the two there can have been a power cut, and somebody who started the server.
    if !database::is_in_place(host, &copy, &migration.database).map_err(said)? {
        return Err(format!(
            "{} has been written to since it was copied to {}; nothing was migrated",
            migration.database.name(),
            migration.copy.display()
        ));
    }
    let Some(command) = &migration.command else { return Ok(Vec::new()) };
    let invocation = Invocation {
        program: command.program.clone(),
        arguments: commands::migrations_run(&command.config).arguments,
        environment: command.environment.clone(),
        owner: migration.owner,
        directory: command.directory.clone(),
        secret_argument: None,
    };
    let output = host
        .run_watched(&invocation, &mut |elapsed, line| {
            let line = line.map(readiness::message);
            executor.reporter.waiting("the database is being migrated", elapsed, line.as_deref());
        })
        .map_err(said)?;
    if output.status == Some(0) {
        return Ok(Vec::new());
    }
    let ended = output.status.map_or_else(|| "it was killed".to_owned(), |status| format!("exit status {status}"));
    let words = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let words = service_start::last_lines(words.trim(), 12);
    let told = if words.is_empty() { ", and has said nothing".to_owned() } else { format!(":\n{words}") };
    Err(format!("`gotosocial migrations run` failed ({ended}){told}"))
}

/// Takes a migration back: the copy comes into the database's place. Whoever still migrates is waited for; the service, which
/// is the new release's, is stopped.
pub(super) fn take_back(host: &dyn Host, migration: &Migration) -> Result<(), HostError> {
    database::put_back(
        host,
        &DatabaseRestore {
            from: migration.copy.clone(),
            to: migration.database.clone(),
            service: migration.service.clone(),
            owner: migration.owner,
            before: None,
        },
    )
}
