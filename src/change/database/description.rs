//! What a copy of a database is made of, and what it says of itself.

use std::fmt::Display;
use std::path::Path;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::host::{Ask, DatabaseState, FileUser, Host, HostError, Observe, Owner, ServiceAction, ServiceState, Whose};
use crate::shown::Shown;

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
/// The endings of a SQLite file and of what can stand beside it and belongs to it: what was written and is not in it yet.
pub(in crate::change) const FILES: [&str; 3] = ["", "-wal", "-journal"];

/// The error that something is wrong with a database.
pub(in crate::change) fn failed(what: impl Display, why: impl Into<String>) -> HostError {
    HostError::Database { what: what.to_string(), why: why.into() }
}

/// Fails if somebody has a database open.
pub(in crate::change) fn unused(what: impl Display, user: Option<FileUser>) -> Result<(), HostError> {
    let Some(user) = user else { return Ok(()) };
    Err(failed(what, format!("{user} has it open; end it and run this again")))
}

/// A folder in which `owner` gets at something, for as long as `work` takes. Until it is complete it is root's, so nobody can
/// plant a link in it.
pub(in crate::change) fn in_folder<T>(
    host: &dyn Host,
    owner: Owner,
    fill: impl FnOnce(&Path) -> Result<(), HostError>,
    work: impl FnOnce(&Path) -> Result<T, HostError>,
) -> Result<T, HostError> {
    let folder = Path::new(OPENED);
    host.remove_tree(folder)?;
    let done = host
        .make_directory(folder, 0o700, Owner::ROOT)
        .and_then(|()| fill(folder))
        .and_then(|()| host.make_directory(folder, 0o700, owner))
        .and_then(|()| work(folder));
    let removed = host.remove_tree(folder);
    let done = done?;
    removed.map(|()| done)
}

/// Copies a file of root's, and looks whether it is the one with this digest. `stop` is asked on the way.
pub(in crate::change) fn copy_checked(
    host: &dyn Host,
    from: &Path,
    to: &Path,
    owner: Owner,
    sha256: Option<&str>,
    stop: Ask<'_>,
) -> Result<(), HostError> {
    let copied = host.copy_file(from, Whose::ROOT, to, 0o600, owner, stop)?;
    match sha256 {
        Some(wanted) if copied.sha256 != wanted => {
            Err(failed(from.shown(), "it is not what was written: its digest differs"))
        }
        _ => Ok(()),
    }
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
            folder.shown(),
            bytes.div_ceil(1024),
            self.state.migrations
        )
    }

    /// Reads what `Description::write` has written.
    ///
    /// # Errors
    /// In words: it cannot be understood, or was written by a newer version of this program.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let description: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if description.schema > SCHEMA {
            let schema = description.schema;
            return Err(format!("it was written by a newer gts-bootstrap (schema {schema}); use that one"));
        }
        let is_known = |part: &CopiedPart| FILES.iter().any(|suffix| part.name == format!("{MAIN}{suffix}"));
        match (&*description.files, &description.content) {
            ([dump], Some(_)) if dump.name == DUMP => Ok(description),
            ([main, beside @ ..], None) if main.name == MAIN && beside.iter().all(is_known) => Ok(description),
            _ => Err("it names files that no copy of a database has".to_owned()),
        }
    }

    /// Writes it into the copy's folder, which completes the copy.
    pub(super) fn write(&self, host: &dyn Host, folder: &Path) -> Result<(), HostError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(DESCRIPTION, error.to_string()))?;
        text.push(b'\n');
        host.write_file(&folder.join(DESCRIPTION), &text, 0o600, Owner::ROOT)
    }
}

/// Reads what a copy says of itself; `None` if there is no complete copy in the folder.
///
/// # Errors
/// It cannot be read or understood, or was written by a newer version of this program.
pub fn describe(host: &dyn Observe, folder: &Path) -> Result<Option<Description>, HostError> {
    let path = folder.join(DESCRIPTION);
    let Some(bytes) = host.read(&path)? else { return Ok(None) };
    Description::parse(&bytes).map(Some).map_err(|why| HostError::unreadable(path.shown(), why))
}
