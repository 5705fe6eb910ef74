//! A backup of an instance: one tar file with a manifest, its name, how it is written, and how it is read back.
//!
//! The first member is [`manifest::FILE`]; it names every other member with its size, mode and SHA-256. The file is plain
//! ustar (POSIX.1-1988), so that tar(1) alone can get everything out of it, and it holds regular files only. Nothing in it
//! is believed before its digest was compared: not when it was written a moment ago, and not when it comes from elsewhere.
//!
//! This module knows nothing of hosts: whoever writes a backup says how files are opened, and whoever reads one says what
//! becomes of its members. It shares the rules for paths in archives with [`release`](crate::release).

pub mod manifest;
pub mod name;
mod read;
mod write;

pub use manifest::{DatabaseKind, Entry, Head, Manifest};
pub use name::BackupName;
pub use read::{BackupError, Opened, open, walk};
pub use write::{Member, Skipped, write};

/// The block of a tar file, in bytes.
const BLOCK: u64 = 512;
/// Two blocks of zeros are the end of a tar file.
const END: u64 = 2 * BLOCK;

/// The member that holds an SQLite database.
pub const SQLITE: &str = "database/sqlite.db";
/// The member that holds a dump of a PostgreSQL database, in pg_dump(1)'s custom format.
pub const POSTGRES: &str = "database/postgres.dump";
/// Members of GoToSocial's certificate cache are below this.
pub const CERTIFICATES: &str = "certificates/";
/// Certificates, keys and accounts of the web server in front are below this.
pub const TLS: &str = "tls/";
/// GoToSocial's configuration.
pub const CONFIG: &str = "config.yaml";
/// What this program wrote of it last: the base of a merge with what the administrator has edited.
pub const CONFIG_WRITTEN: &str = "config.written.yaml";
/// Answers, secrets, lock and filters are below this.
pub const RECORDS: &str = "records/";
/// Receipts of what was done on the host are below this.
pub const RECEIPTS: &str = "receipts/";
/// Media are below this.
pub const STORAGE: &str = "storage/";

/// The length that some bytes take up in a tar file.
const fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
