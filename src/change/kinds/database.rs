//! A copy of GoToSocial's database, the test of whether one can be made, and the way back from it.

use std::path::{Path, PathBuf};

use crate::change::database::{self, Database, DatabaseCopy, DatabaseRestore, OPENED};
use crate::change::kind::prelude::*;
use crate::change::postgres::{self, DatabaseTest};
use crate::host::NEVER;
use crate::shown::Shown;

impl Kind for DatabaseTest {
    named!(ErrorCode::Database, "database-test", "database"; "programs, rights and room for a copy, while it is in use");

    fn target(&self) -> String {
        self.connection.name()
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        executor.unless_broken_off(|stop| postgres::test(executor.host, self, stop))
    }

    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        host.remove_tree(Path::new(OPENED))
    }
}

impl Kind for DatabaseCopy {
    named!(ErrorCode::Database, "database", "copy");

    fn target(&self) -> String {
        self.to.display().to_string()
    }

    fn detail(&self) -> String {
        let proved = match self.from {
            Database::Sqlite { .. } => "opened",
            Database::Postgres { .. } => "dumped, and read back",
        };
        format!("of {}, {proved} to see that it is whole", self.from.name())
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        Prior::at(host, &self.to)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let copied = executor.unless_broken_off(|stop| database::copy(executor.host, self, stop))?;
        // Nobody has to know where a copy is that is removed again.
        if self.guards {
            executor.operator.note(&copied.told(&self.to));
        }
        Ok(())
    }

    fn stays(&self, host: &dyn Host, _prior: &Prior) -> Result<Option<String>, HostError> {
        host.remove_tree(Path::new(OPENED))?;
        // One that guards changes to the database stays if the database is not what it was.
        if self.guards
            && let Some(description) = database::describe(host, &self.to)?
            && !database::is_in_place(host, &description, &self.from, self.owner, NEVER)?
        {
            let (folder, version, database) = (self.to.shown(), description.version, self.from.name());
            return Ok(Some(format!(
                "{folder} (the database of GoToSocial {version}, as {database} is another one now)"
            )));
        }
        Ok(None)
    }

    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        host.remove_tree(&self.to)
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.to.clone()]
    }
}

impl Kind for DatabaseRestore {
    named!(ErrorCode::Database, "database");

    fn target(&self) -> String {
        self.to.name()
    }

    fn detail(&self) -> String {
        format!("from {}", self.from.shown())
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        match &self.to {
            Database::Sqlite { path } => Prior::at(host, path),
            Database::Postgres { .. } => Ok(Prior::Present),
        }
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        executor.unless_broken_off(|stop| database::restore(executor.host, self, stop))
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        database::take_back_restore(host, self, *prior != Prior::Absent)
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.to.folders().into_iter().chain(self.before.clone()).collect()
    }
}
