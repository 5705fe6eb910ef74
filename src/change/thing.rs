//! The things that changes are about, how they stood before, and how they come back.

use std::fmt;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::prior::Prior;
use super::store;
use crate::host::{Entry, Group, Host, HostError, Owner, ServiceAction, ServiceState, User, Whose};
use crate::shown::Shown;

/// A thing that is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A file, folder or link.
    Path(PathBuf),
    /// A group.
    Group(String),
    /// An account.
    User(String),
    /// A kernel module.
    Module(String),
    /// A variable of the kernel.
    Sysctl(String),
    /// A variable of rc.conf.
    RcVariable(String),
    /// A package.
    Package(String),
    /// A service, which runs or not.
    Service(String),
}

/// What a change leaves of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Absent,
    /// It is there: a package, a module.
    Present,
    /// A group.
    Group(Group),
    /// An account.
    User(User),
    /// A file.
    File {
        /// What is in it.
        content: Content,
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
    /// A folder with all that is in it: a release.
    Tree,
    /// A link.
    Symlink {
        /// Where it points.
        target: PathBuf,
    },
    /// A variable with this value.
    Value(String),
    /// Something that is not for the ledger: whether a service runs.
    Unrecorded,
    /// A file whose bytes are not on record: an include line, a certificate. It is left to a part that knows how to take our
    /// lines out of it.
    Edited,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.shown().fmt(f),
            Self::Group(name)
            | Self::User(name)
            | Self::Module(name)
            | Self::Sysctl(name)
            | Self::RcVariable(name)
            | Self::Package(name)
            | Self::Service(name) => f.write_str(name),
        }
    }
}

impl Thing {
    /// Looks how it stands on the host, and puts the bytes of a file into the store.
    ///
    /// # Errors
    /// The host cannot be read, or the store cannot be written.
    pub fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        Ok(match self {
            Self::Path(path) => return prior_of(host, path),
            Self::Group(name) => Prior::present(host.group(name)?.is_some()),
            Self::User(name) => Prior::present(host.user(name)?.is_some()),
            Self::Module(name) => Prior::present(host.module_loaded(name)?),
            Self::Sysctl(name) => Prior::value(host.sysctl(name)?),
            Self::RcVariable(name) => Prior::value(host.rc_variable(name)?),
            Self::Package(name) => Prior::present(host.package(name)?.is_some()),
            Self::Service(name) => Prior::present(host.service(name)?.is_running()),
        })
    }

    /// Brings it back to how it stood, as far as its name tells how.
    ///
    /// # Errors
    /// The host refused.
    pub fn restore(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match (self, prior) {
            (Self::Path(path), _) => restore(host, path, prior),
            (Self::Group(name), Prior::Absent) => host.delete_group(name),
            (Self::User(name), Prior::Absent) => host.delete_user(name),
            (Self::Module(name), Prior::Absent) if host.module_loaded(name)? => host.unload_module(name),
            (Self::Module(name), Prior::Present) if !host.module_loaded(name)? => host.load_module(name),
            (Self::Sysctl(name), Prior::Value { value }) if host.sysctl(name)?.is_some_and(|now| now != *value) => {
                host.set_sysctl(name, value)
            }
            (Self::RcVariable(name), Prior::Value { value }) => host.set_rc_variable(name, Some(value)),
            (Self::RcVariable(name), _) => host.set_rc_variable(name, None),
            (Self::Package(name), Prior::Absent) => host.delete_package(name),
            (Self::Package(name), Prior::Present) => host.install_package(name),
            (Self::Service(name), Prior::Absent) if host.service(name)? != ServiceState::Missing => {
                host.service_action(name, ServiceAction::Stop)
            }
            _ => Ok(()),
        }
    }
}

/// How a path stands.
pub(super) fn prior_of(host: &dyn Host, path: &Path) -> Result<Prior, HostError> {
    Ok(match host.entry(path)? {
        None => Prior::Absent,
        Some(Entry::Directory { mode, owner }) => Prior::Directory { mode, owner },
        Some(Entry::Symlink { target }) => Prior::Symlink { target },
        Some(Entry::File { mode, owner, .. }) => {
            let bytes = host.read_of(path, Whose::Folder)?.unwrap_or_default();
            Prior::File { sha256: store::keep(host, &bytes)?, mode, owner }
        }
        Some(Entry::Other) => {
            let why = "a device, socket or pipe is in its place; move it away and run this again";
            return Err(HostError::file("replace", path)(std::io::Error::other(why)));
        }
    })
}

/// Puts back what stood at a path.
pub(super) fn restore(host: &dyn Host, path: &Path, prior: &Prior) -> Result<(), HostError> {
    match prior {
        Prior::Absent => host.remove(path),
        Prior::Directory { mode, owner } => host.make_directory(path, *mode, *owner),
        Prior::File { sha256, mode, owner } => {
            let bytes = store::recall(host, sha256)?;
            if matches!(host.entry(path)?, Some(Entry::Symlink { .. })) {
                host.remove(path)?;
            }
            host.write_file(path, &bytes, *mode, *owner)
        }
        Prior::Symlink { target } => {
            if matches!(host.entry(path)?, Some(Entry::File { .. })) {
                host.remove(path)?;
            }
            host.make_symlink(path, target)
        }
        Prior::Present | Prior::Value { .. } | Prior::Pair { .. } => Ok(()),
    }
}
