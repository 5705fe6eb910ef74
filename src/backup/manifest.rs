//! The manifest of a backup: its instance, its content, and the digest of every member.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::gotosocial::DatabaseState;

pub use crate::gotosocial::DatabaseKind;

/// The member that holds the manifest: always the first.
pub const FILE: &str = "manifest.json";

/// Version of the manifest's format. Readers accept this one and every older one.
pub const SCHEMA: u32 = 1;

/// The longest manifest that is read, in bytes: a storage of two million files has one of 350 MB.
pub(super) const LONGEST: u64 = 1 << 29;

/// Everything but the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of this program.
    pub program: String,
    /// Host name of the instance.
    pub host: String,
    /// Its account domain.
    pub account_domain: String,
    /// Version of GoToSocial.
    pub version: Version,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The kind of its database.
    pub database: DatabaseKind,
    /// What was found in the database when its copy was opened, or its dump read, to verify it.
    pub state: Option<DatabaseState>,
    /// Whether media are in it.
    pub media: bool,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its path in the archive.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Permission bits that the file had on the host.
    pub mode: u32,
    /// SHA-256 of its bytes in the archive, as 64 hexadecimal digits.
    pub sha256: String,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Everything but the members.
    #[serde(flatten)]
    pub head: Head,
    /// The members after the manifest, in their order.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// The member of that path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The member that is the database.
    pub fn database(&self) -> Option<&Entry> {
        self.entry(match self.head.database {
            DatabaseKind::Sqlite => super::SQLITE,
            DatabaseKind::Postgres => super::POSTGRES,
        })
    }
}
