//! The database's size, and the newest backup.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Known, Unknown};
use crate::deployment::Database as Wanted;
use crate::host::{Entry, HostError, Observe};
use crate::shown::Shown;
use crate::utc;

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Database {
    /// A file, with the size of it and of its write-ahead log (`-wal`).
    Sqlite { bytes: u64, wal_bytes: u64 },
    /// A server, which is not queried, and the database in it.
    Postgres { address: String, database: String },
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// When it was made, seconds since 1970, by its name.
    pub time: u64,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Reads the size of the database.
pub(super) fn database(known: &Known<'_>) -> Result<Database, Unknown> {
    if let Ok(Wanted::Postgres { address, database, .. }) = known.deployment.as_ref().map(|wanted| &wanted.database) {
        return Ok(Database::Postgres { address: address.to_string(), database: database.clone() });
    }
    let path = known.layout.database();
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    let bytes = size(known.host, &path)?.ok_or_else(|| Unknown(format!("{} is not there", path.shown())))?;
    Ok(Database::Sqlite { bytes, wal_bytes: size(known.host, Path::new(&wal))?.unwrap_or_default() })
}

fn size(host: &dyn Observe, path: &Path) -> Result<Option<u64>, HostError> {
    Ok(match host.entry(path)? {
        Some(Entry::File { size, .. }) => Some(size),
        _ => None,
    })
}

/// Finds the newest backup.
pub(super) fn newest(host: &dyn Observe, folder: &Path) -> Result<Option<Backup>, HostError> {
    let names = host.list(folder)?;
    let Some((time, name)) = names.iter().filter_map(|name| Some((time_of(name)?, name))).max() else {
        return Ok(None);
    };
    let path = folder.join(name);
    let bytes = size(host, &path)?.unwrap_or_default();
    Ok(Some(Backup { path, time, bytes }))
}

/// When a backup was made, by its name: `HOST-VERSION-20260101T000000Z.tar`.
fn time_of(name: &str) -> Option<u64> {
    let (_, stamp) = name.strip_suffix(".tar")?.rsplit_once('-')?;
    utc::of_stamp(stamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, Owner};

    #[test]
    fn a_backup_is_dated_by_its_name() {
        for (name, time) in [
            ("a.example-0.19.2-19700101T000000Z.tar", Some(0)),
            ("a-b.example-0.20.0-rc1-20260101T000000Z.tar", Some(1_767_225_600)),
            ("a-0.19.2-20240229T123456Z.tar", Some(1_709_210_096)),
            ("a-0.19.2-20240229T123456Z.tar.part", None),
            ("a-0.19.2-20241329T123456Z.tar", None),
            ("a-0.19.2-2024022912345678.tar", None),
            ("a-0.19.2-+0240229T123456Z.tar", None),
            ("a.tar", None),
            ("-äöü0229T123456Z.tar", None),
        ] {
            assert_eq!(time_of(name), time, "{name}");
        }
    }

    #[test]
    fn the_newest_backup_counts_whatever_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let backups = Path::new("/var/backups/gotosocial");
        assert_eq!(newest(&host, backups).unwrap(), None);
        host.make_directory(Path::new("/var/backups"), 0o755, Owner::ROOT).unwrap();
        host.make_directory(backups, 0o700, Owner::ROOT).unwrap();
        for name in ["a-0.20.0-20260101T000000Z.tar", "a-0.9.0-20260201T000000Z.tar", "other", "z.tar"] {
            host.write_file(&backups.join(name), name.as_bytes(), 0o600, Owner::ROOT).unwrap();
        }
        let found = newest(&host, backups).unwrap().unwrap();
        assert_eq!((found.time, found.bytes), (1_769_904_000, 28));
        assert!(found.path.ends_with("a-0.9.0-20260201T000000Z.tar"));
    }
}
