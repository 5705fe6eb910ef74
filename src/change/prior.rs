//! What stood there before a change, recorded in the journal before the executor acts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Change, Database, front, store};
use crate::host::{Entry, Host, HostError, Owner};

/// The state that undoing a change goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "kebab-case")]
pub enum Prior {
    /// There was nothing: no file, no account, module not loaded, variable not set, service not running.
    Absent,
    /// It was there already, or ran already.
    Present,
    /// A file; its bytes are in the store under their digest.
    File {
        /// Digest of its bytes.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A folder.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A symbolic link.
    Symlink {
        /// Where it pointed.
        target: PathBuf,
    },
    /// A certificate and its key, by their digests. The bytes of a key are not put into the store: the pair is kept beside the
    /// new one.
    Pair {
        /// Of the certificate with its chain, and of the key; `None` for what was not there.
        digests: Box<[Option<String>; 2]>,
        /// Whether there was an account at the authority, or none was needed.
        account: bool,
    },
    /// A variable with this value.
    Value {
        /// The value.
        value: String,
    },
}

impl Prior {
    /// Looks at the host, and puts the bytes of a file that is about to be replaced into the store.
    ///
    /// # Errors
    /// The host cannot be read, or the store cannot be written.
    pub fn capture(host: &dyn Host, change: &Change) -> Result<Self, HostError> {
        match change {
            Change::Directory { path, .. }
            | Change::File { path, .. }
            | Change::Symlink { path, .. }
            | Change::Removal { path } => Self::of_path(host, path),
            // What is in it is not looked at, and a tree cannot be kept in the store.
            Change::TreeRemoval { path } => Ok(present(host.entry(path)?.is_some())),
            Change::FrontInclude { front, .. } => Self::of_path(host, &front::edited_file(host.observe(), *front)?),
            Change::Package { name } | Change::PackageRemoval { name } => Ok(present(host.package(name)?.is_some())),
            Change::FrontStart { front, .. } | Change::FrontReload { front, .. } => {
                Ok(present(host.service(front.service)?.is_running()))
            }
            Change::Release { directory, .. } => Ok(present(host.entry(directory)?.is_some())),
            Change::Group { group } | Change::GroupRemoval { group } => Ok(present(host.group(&group.name)?.is_some())),
            Change::User { user } | Change::UserRemoval { user } => Ok(present(host.user(&user.name)?.is_some())),
            Change::Module { name } | Change::ModuleRemoval { name, .. } => Ok(present(host.module_loaded(name)?)),
            Change::Sysctl { name, .. } => Ok(value(host.sysctl(name)?)),
            Change::RcVariable { name, .. } => Ok(value(host.rc_variable(name)?)),
            Change::ServiceStart { start } => Ok(present(host.service(&start.name)?.is_running())),
            Change::ServiceStop { name } => Ok(present(host.service(name)?.is_running())),
            Change::Certificate { certificate } => certificate.capture(host),
            Change::DatabaseCopy { copy } => Ok(present(host.entry(&copy.to)?.is_some())),
            Change::Discard { path } => Ok(present(host.entry(path)?.is_some())),
            Change::DatabaseRestore { restore } => match &restore.to {
                Database::Sqlite { path } => Ok(present(host.entry(path)?.is_some())),
                Database::Postgres { .. } => Ok(Self::Present),
            },
            Change::Migration { .. } => Ok(Self::Present),
            Change::Backup { backup } => backup.capture(host),
            Change::ConfigTest { .. }
            | Change::FrontTest { .. }
            | Change::DatabaseTest { .. }
            | Change::Account { .. } => Ok(Self::Absent),
        }
    }

    fn of_path(host: &dyn Host, path: &Path) -> Result<Self, HostError> {
        Ok(match host.entry(path)? {
            None => Self::Absent,
            Some(Entry::Directory { mode, owner }) => Self::Directory { mode, owner },
            Some(Entry::Symlink { target }) => Self::Symlink { target },
            Some(Entry::File { mode, owner, .. }) => {
                let bytes = host.read(path)?.unwrap_or_default();
                Self::File { sha256: store::keep(host, &bytes)?, mode, owner }
            }
            Some(Entry::Other) => {
                return Err(HostError::File {
                    action: "replace",
                    path: path.to_owned(),
                    source: std::io::Error::other(
                        "a device, socket or pipe stands there; move it away and run this again",
                    ),
                });
            }
        })
    }
}

fn present(is: bool) -> Prior {
    if is { Prior::Present } else { Prior::Absent }
}

fn value(value: Option<String>) -> Prior {
    value.map_or(Prior::Absent, |value| Prior::Value { value })
}
