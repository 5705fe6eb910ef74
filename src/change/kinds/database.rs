//! A copy of GoToSocial's database, the test of whether one can be made, and the way back from it.

use std::path::{Path, PathBuf};

use crate::change::database::{self, Database, DatabaseCopy, DatabaseRestore, OPENED};
use crate::change::kind::prelude::*;
use crate::change::postgres::{self, DatabaseTest};

impl Kind for DatabaseTest {
    named!(ErrorCode::Database, "database-test", "database");

    fn target(&self) -> String {
        self.connection.name()
    }

    fn detail(&self) -> String {
        "programs, rights and room for a copy, while it is in use".to_owned()
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(postgres::test(context.host, self)?)
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

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        let copied = database::copy(context.host, self)?;
        // Nobody has to know where a copy is that is removed again.
        if self.guards {
            context.note(copied.told(&self.to));
        }
        Ok(())
    }

    fn stays(&self, host: &dyn Host, _prior: &Prior) -> Result<Option<String>, HostError> {
        host.remove_tree(Path::new(OPENED))?;
        database::copy_that_stays(host, self)
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
        format!("from {}", self.from.display())
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        match &self.to {
            Database::Sqlite { path } => Prior::at(host, path),
            Database::Postgres { .. } => Ok(Prior::Present),
        }
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(database::restore(context.host, self).map(drop)?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match prior {
            Prior::Absent => database::take_away(host, self),
            _ => database::take_back_restore(host, self),
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.to.folders()
    }
}
