//! The server's database: its kinds, and what is found in one.

use serde::{Deserialize, Serialize};

/// What kind of database an instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseKind {
    /// A file of GoToSocial's own.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// What was found in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseState {
    /// Rows of `bun_migrations`: the migrations applied so far, and thus the release that it fits. 0 if there is no
    /// such table.
    pub migrations: u64,
    /// Name of the newest of them.
    pub newest_migration: Option<String>,
    /// Posts written on this instance; `None` if it has no such table.
    pub posts: Option<u64>,
    /// The damage, in SQLite's words; `None` if there is none, or it was not checked.
    pub damage: Option<String>,
}
