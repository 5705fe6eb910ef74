//! A backup of an instance: one tar file with a manifest, its name, and how it is written and read back.
//!
//! The first member is [`manifest::FILE`]; it lists every other member with its size, mode and SHA-256. The file is
//! plain ustar (POSIX.1-1988), so that tar(1) alone can extract everything, and it contains regular files only, which have
//! the names of one [table](member). No content is trusted before its digest was compared, whether it was written a moment
//! ago or comes from elsewhere.
//!
//! This module does not depend on a host: the caller opens the files of a backup, and handles the members of one that
//! is read. It shares the rules for paths in archives with [`release`](crate::release).

pub mod manifest;
pub mod member;
pub mod name;
mod read;
mod write;

pub use manifest::{DatabaseKind, Entry, Head, Manifest};
pub use member::{Kind, is_of_service};
pub use name::BackupName;
pub use read::{BackupError, Opened, file, open, walk};
pub use write::{LeftOut, Member, STRAY, Skipped, Source, fits, write};

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
/// The version of it that this program wrote last: the base for merging the administrator's edits.
pub const CONFIG_WRITTEN: &str = "config.written.yaml";
/// Answers, secrets, lock and filters are below this.
pub const RECORDS: &str = "records/";
/// Receipts of what was done on the host are below this.
pub const RECEIPTS: &str = "receipts/";
/// Media are below this.
pub const STORAGE: &str = "storage/";

/// The space that some bytes occupy in a tar file.
const fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
