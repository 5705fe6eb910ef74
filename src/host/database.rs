//! SQLite databases of GoToSocial, examined while no other process has them open.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::gotosocial::DatabaseState;

/// A database to examine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseExamination {
    /// Its path. Its owner must be able to write to the file and its folder.
    pub path: PathBuf,
    /// The user who examines it.
    pub owner: Owner,
    /// Whether to read all of it for damage (`PRAGMA quick_check`), which takes as long as reading the file.
    pub thorough: bool,
}

/// Examines the database at a path of the system that this program runs on.
///
/// # Errors
/// It does not exist, cannot be opened, or is not a database: in SQLite's words.
pub fn examine(path: &Path, thorough: bool) -> Result<DatabaseState, rusqlite::Error> {
    // Not read-only: a write-ahead log next to it must be merged, or its content would be silently missed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let database = Connection::open_with_flags(path, flags)?;
    // The file was written by a program that faces the internet.
    database.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    let has_table = |name: &str| {
        database
            .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |_| Ok(()))
            .optional()
            .map(|found| found.is_some())
    };
    let (migrations, newest_migration) = if has_table("bun_migrations")? {
        database
            .query_row("SELECT count(*), max(name) FROM bun_migrations", [], |row| Ok((row.get(0)?, row.get(1)?)))?
    } else {
        (0, None)
    };
    let posts = if has_table("statuses")? {
        Some(database.query_row("SELECT count(*) FROM statuses WHERE local = 1", [], |row| row.get(0))?)
    } else {
        None
    };
    let damage = if thorough {
        database
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
            .map(|said| if said == "ok" { None } else { Some(said) })?
    } else {
        None
    };
    Ok(DatabaseState { migrations, newest_migration, posts, damage })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn made(folder: &Path) -> PathBuf {
        let path = folder.join("sqlite.db");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE bun_migrations (id INTEGER PRIMARY KEY, name VARCHAR);
                 CREATE TABLE statuses (id INTEGER PRIMARY KEY, local BOOLEAN);
                 INSERT INTO bun_migrations (name) VALUES ('20210101000000'), ('20250101000000');
                 INSERT INTO statuses (local) VALUES (1), (1), (0);",
            )
            .unwrap();
        path
    }

    #[test]
    fn schema_and_posts_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let state = examine(&made(folder.path()), true).unwrap();
        let newest_migration = Some("20250101000000".to_owned());
        assert_eq!(state, DatabaseState { migrations: 2, newest_migration, posts: Some(2), damage: None });
        let empty = folder.path().join("empty.db");
        std::fs::write(&empty, b"").unwrap();
        assert_eq!(examine(&empty, true).unwrap().migrations, 0);
    }

    #[test]
    fn a_write_ahead_log_that_was_copied_along_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let open = Connection::open(&path).unwrap();
        open.execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO statuses (local) VALUES (1);").unwrap();
        let [copy, alone] = ["copy.db", "alone.db"].map(|name| folder.path().join(name));
        std::fs::copy(&path, &alone).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(folder.path().join("sqlite.db-wal"), folder.path().join("copy.db-wal")).unwrap();
        assert_eq!(examine(&copy, true).unwrap().posts, Some(3));
        assert!(!folder.path().join("copy.db-wal").exists(), "what was in the log is in the file now");
        assert_eq!(
            examine(&alone, true).unwrap().posts,
            Some(2),
            "and without the log it is lost, with nothing to see"
        );
    }

    #[test]
    fn damage_is_told_and_what_is_no_database_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        // The third page holds a table; its header says where the cells are.
        bytes[2 * 4096..2 * 4096 + 16].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let found = examine(&path, true);
        assert!(found.as_ref().map_or(true, |state| state.damage.is_some()), "{found:?}");
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let found = examine(&path, true);
        assert!(found.as_ref().map_or(true, |state| state.damage.is_some()), "{found:?}");
        std::fs::write(&path, b"this is a letter to my aunt, and no database at all, whatever its name says").unwrap();
        assert!(examine(&path, false).is_err());
        assert!(examine(&folder.path().join("missing.db"), false).is_err());
        std::os::unix::fs::symlink(&path, folder.path().join("link.db")).unwrap();
        assert!(examine(&folder.path().join("link.db"), false).is_err());
    }
}
