//! The migration of the database to another release.
//!
//! From 0.20 on GoToSocial has `migrations run`, which migrates and ends; before that a start of the server does it. Either can
//! take an hour, and must never be interrupted: the library that runs the migrations (bun, `migrate/migrator.go`) notes each as
//! done before it begins it, so one that was cut off is taken for done ever after and what rests on it fails. So an
//! interrupted migration is never gone on with: the copy is put back, and it begins anew.

use std::path::PathBuf;

use semver::Version;

use crate::change::database::{self, Database, DatabaseRestore};
use crate::change::kind::prelude::*;
use crate::change::readiness::last_lines;
use crate::gotosocial::commands;
use crate::gotosocial::readiness::message;
use crate::host::{Ask, Invocation};
use crate::shown::Shown;

/// Migrates the database to another release. Taking it back puts the copy in its place.
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

impl Kind for Migration {
    named!(ErrorCode::Migration, "migration");

    fn target(&self) -> String {
        self.database.name()
    }

    fn detail(&self) -> String {
        let version = &self.version;
        match self.command {
            Some(_) => format!("to that of GoToSocial {version}; never interrupted, however long it takes"),
            None => format!("to that of GoToSocial {version}, which does it when it starts; never interrupted"),
        }
    }

    fn prior(&self, _host: &dyn Host) -> Result<Prior, HostError> {
        Ok(Prior::Present)
    }

    /// Where the start of the server migrates, this only looks at what the migration rests on.
    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        database::idle(host, &self.service, &self.database)?;
        let Some(copy) = database::describe(host, &self.copy)? else {
            refuse!("there is no complete copy of the database in {}", self.copy.shown());
        };
        // Between the two there can have been a power cut, and somebody who started the server.
        let is_in_place = |stop: Ask<'_>| database::is_in_place(host, &copy, &self.database, self.owner, stop);
        if !executor.unless_broken_off(is_in_place)? {
            let (database, copy) = (self.database.name(), self.copy.shown());
            refuse!("{database} has been written to since it was copied to {copy}; nothing was migrated");
        }
        let Some(command) = &self.command else { return Ok(()) };
        let MigrationCommand { program, config, directory, environment } = command.clone();
        let command = Invocation::of(&program, commands::migrations_run(&config), self.owner, &directory);
        let invocation = Invocation { environment, limit: None, ..command };
        let output = host.run_watched(&invocation, &mut |elapsed, line| {
            let line = line.map(message);
            executor.operator.waiting("the database is being migrated", elapsed, line.as_deref());
        })?;
        if output.status == Some(0) {
            return Ok(());
        }
        let ended = output.status.map_or_else(|| "it was killed".to_owned(), |status| format!("exit status {status}"));
        let words = last_lines(output.reason(), 12);
        let words = if words.is_empty() { ", and has said nothing".to_owned() } else { format!(":\n{words}") };
        refuse!("`gotosocial migrations run` failed ({ended}){words}")
    }

    /// Puts the copy in the database's place. It waits for whoever still migrates, and stops the service, which is the new
    /// release's.
    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        let Self { copy: from, database: to, service, owner, .. } = self.clone();
        database::put_back(host, &DatabaseRestore { from, to, service, owner, before: None })
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.database.folders()
    }

    /// Where a service runs on the database that was about to be migrated, somebody has started it and may have used it since.
    fn is_left_to_run(&self, host: &dyn Host) -> Result<bool, HostError> {
        Ok(host.service(&self.service)?.is_running())
    }
}
