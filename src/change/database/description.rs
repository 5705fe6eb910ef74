//! What a copy of a database is made of, and what it says of itself.

use std::path::Path;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::host::{DatabaseState, FileUser, Host, HostError, Observe, Owner, ServiceAction, ServiceState};

/// The file in a copy's folder that says what the copy is.
pub const DESCRIPTION: &str = "database.json";
/// Version of that file's format. Readers take this one and every older one.
pub const SCHEMA: u32 = 1;
/// Where a copy stands while it is opened. The folder above is root's and can be passed through by all.
pub const OPENED: &str = "/var/db/gts-bootstrap.opened";
/// Name of a SQLite file within a copy.
pub(in crate::change) const MAIN: &str = "sqlite.db";
/// Name of a dump within a copy, and where PostgreSQL's programs get at it.
pub(in crate::change) const DUMP: &str = "postgres.dump";
/// What can stand beside a SQLite file and belongs to it: what was written and is not in it yet.
pub(in crate::change) const BESIDE: [&str; 2] = ["-wal", "-journal"];

/// The error that something is wrong with a database.
pub(in crate::change) fn failed(what: impl Into<String>, why: impl Into<String>) -> HostError {
    HostError::Database { what: what.into(), why: why.into() }
}

/// The error that somebody has a database open.
pub(in crate::change) fn in_use(what: impl Into<String>, user: &FileUser) -> HostError {
    let why = format!("{} (user {}, pid {}) has it open; end it and run this again", user.command, user.user, user.pid);
    failed(what, why)
}

/// Stops a service if there is one.
pub(in crate::change) fn stop(host: &dyn Host, service: &str) -> Result<(), HostError> {
    if host.service(service)? == ServiceState::Missing {
        return Ok(());
    }
    host.service_action(service, ServiceAction::Stop)
}

/// What [`DESCRIPTION`] says of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Host name of the instance.
    pub host: String,
    /// The release that the database is for.
    pub version: Version,
    /// When it was made, seconds since 1970.
    pub time: u64,
    /// What was found in it.
    pub state: DatabaseState,
    /// Its files, the database first.
    pub files: Vec<CopiedPart>,
    /// Of PostgreSQL the digest of what is in it, 64 hexadecimal digits, see [`postgres`](crate::change::postgres).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// One file of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedPart {
    /// Its name in the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its digest, 64 hexadecimal digits.
    pub sha256: String,
    /// Permission bits that it had.
    pub mode: u32,
}

impl Description {
    /// The copy in words.
    pub fn told(&self, folder: &Path) -> String {
        let bytes: u64 = self.files.iter().map(|part| part.size).sum();
        let posts = self.state.posts.map(|posts| format!(", {posts} posts")).unwrap_or_default();
        let proved = if self.content.is_some() { "read back from there" } else { "opened there" };
        format!(
            "the database is kept in {} and was {proved} to see that it is whole: {} KiB, {} migrations{posts}",
            folder.display(),
            bytes.div_ceil(1024),
            self.state.migrations
        )
    }

    /// Writes it into the copy's folder, which completes the copy.
    pub(super) fn write(&self, host: &dyn Host, folder: &Path) -> Result<(), HostError> {
        host.write_file(&folder.join(DESCRIPTION), &self.text()?, 0o600, Owner::ROOT)
    }

    /// The text of [`DESCRIPTION`].
    fn text(&self) -> Result<Vec<u8>, HostError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(DESCRIPTION, error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Reads what a copy says of itself; `None` if there is no complete copy in the folder.
///
/// # Errors
/// It cannot be read or understood, or was written by a newer version of this program.
pub fn describe(host: &dyn Observe, folder: &Path) -> Result<Option<Description>, HostError> {
    let path = folder.join(DESCRIPTION);
    let Some(bytes) = host.read(&path)? else { return Ok(None) };
    let unreadable = |text: String| HostError::Unreadable { what: path.display().to_string(), text };
    let description: Description = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if description.schema > SCHEMA {
        let schema = description.schema;
        return Err(unreadable(format!("it was written by a newer gts-bootstrap (schema {schema}); use that one")));
    }
    let known = |name: &str| name == MAIN || BESIDE.iter().any(|suffix| name == format!("{MAIN}{suffix}"));
    let is_dump = description.content.is_some() && matches!(&*description.files, [only] if only.name == DUMP);
    let is_file = description.content.is_none()
        && description.files.first().is_some_and(|part| part.name == MAIN)
        && description.files.iter().all(|part| known(&part.name));
    if !is_dump && !is_file {
        return Err(unreadable("it names files that no copy of a database has".to_owned()));
    }
    Ok(Some(description))
}
