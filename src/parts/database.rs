//! The database of a deployment.

use std::path::{Path, PathBuf};

use crate::change::postgres::Connection;
use crate::deployment::{ConfigValue, Deployment, Layout};
use crate::host::{Entry, HostError, Observe, Owner};

/// How the PostgreSQL database of a deployment is reached; `None` if its database is a file.
pub fn connection(deployment: &Deployment, layout: &Layout, owner: Owner) -> Option<Connection> {
    let authorities = match deployment.config.get("db-tls-ca-cert") {
        Some(ConfigValue::Text(file)) if !file.is_empty() => Some(file.clone()),
        _ => None,
    };
    let connection = Connection::of(&deployment.database, &layout.secrets(), owner, &layout.tmp())?;
    Some(connection.trusting(authorities))
}

/// A file that SQLite keeps beside a database, by its ending: `-wal`.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_os_string();
    name.push(ending);
    name.into()
}

/// The bytes of a SQLite database and of its write-ahead log.
pub(super) fn size(host: &dyn Observe, database: &Path) -> Result<u64, HostError> {
    let mut sum = 0;
    for path in ["", "-wal"].map(|ending| beside(database, ending)) {
        if let Some(Entry::File { size, .. }) = host.entry(&path)? {
            sum += size;
        }
    }
    Ok(sum)
}
