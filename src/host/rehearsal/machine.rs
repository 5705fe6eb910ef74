//! The machine that a rehearsal works on: its files and its [`Model`], and who may do what with a file.

use std::path::{Path, PathBuf};

use super::super::files::{RecordedOwners, Root};
use super::super::{Entry, HostError, Owner};
use super::STATE;
use super::model::Model;
use crate::operation;

/// Errnos that have the same number on every system a rehearsal runs on.
pub(super) const EPERM: i32 = 1;
/// No such file or directory.
pub(super) const ENOENT: i32 = 2;
/// Input/output error.
pub(super) const EIO: i32 = 5;
/// Permission denied.
pub(super) const EACCES: i32 = 13;
/// Invalid argument.
pub(super) const EINVAL: i32 = 22;
/// No space left on device.
pub(super) const ENOSPC: i32 = 28;

/// Files and model.
#[derive(Debug)]
pub(super) struct Machine {
    /// The folder that is the root of the host.
    pub(super) files: Root<RecordedOwners>,
    /// Everything else.
    pub(super) model: Model,
}

/// What somebody wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To read it, or to list a folder.
    Read,
    /// To write it, or to make files in a folder.
    Write,
    /// To execute it, or to pass through a folder.
    Execute,
}

impl Access {
    fn bit(self) -> u32 {
        match self {
            Self::Read => 4,
            Self::Write => 2,
            Self::Execute => 1,
        }
    }
}

impl Machine {
    /// The text of a file; empty if there is none.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Result<String, HostError> {
        let bytes = self.files.read(path.as_ref())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces the text of a file; mode and owner stay, a new file is root's with the mode given.
    pub(super) fn set_text(&mut self, path: impl AsRef<Path>, text: &str, new_mode: u32) -> Result<(), HostError> {
        let path = path.as_ref();
        let (mode, owner) = match self.files.entry(path)? {
            Some(Entry::File { mode, owner, .. }) => (mode, owner),
            _ => (new_mode, Owner::ROOT),
        };
        self.files.write_file(path, text.as_bytes(), mode, owner)
    }

    /// Writes a file as a process of `owner` does.
    pub(super) fn write_as(&self, owner: Owner, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.note_owner(path, owner)?;
        self.files.write_file(path, bytes, mode, owner)
    }

    /// Makes a folder as a process of `owner` does.
    pub(super) fn make_directory_as(&self, owner: Owner, path: &Path, mode: u32) -> Result<(), HostError> {
        self.note_owner(path, owner)?;
        self.files.make_directory(path, mode, owner)
    }

    /// Saves the owner of what is about to be made. What a process makes is its own from the first moment; here it would be
    /// root's if this program were killed before it saves the state.
    fn note_owner(&self, path: &Path, owner: Owner) -> Result<(), HostError> {
        if owner == Owner::ROOT || self.files.entry(path)?.is_some() {
            return Ok(());
        }
        let state = Path::new(STATE);
        let unreadable =
            |error: serde_json::Error| HostError::Unreadable { what: STATE.into(), text: error.to_string() };
        let bytes = self.files.read(state)?.unwrap_or_default();
        let mut saved: serde_json::Value = String::from_utf8_lossy(&bytes).parse().map_err(unreadable)?;
        let mut owners = self.files.owners().records();
        owners.insert(self.resolve(path), owner);
        saved["owners"] = serde_json::to_value(owners).map_err(unreadable)?;
        let text = format!("{saved:#}\n");
        operation::aside(|| self.files.write_file(state, text.as_bytes(), 0o600, Owner::ROOT))
    }

    /// The path with every symbolic link in it followed, as a path of the host.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let local = self.files.local_path(path);
        match local.strip_prefix(self.files.base()) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => path.to_path_buf(),
        }
    }

    /// Whether a user may do something with a file: `ENOENT` if it is not there, `EACCES` if a folder on the way or
    /// the file itself does not allow it. Links are followed; only owner, group and mode are looked at, no ACLs.
    pub(super) fn may(&self, who: Owner, path: &Path, access: Access) -> Result<(), i32> {
        let path = self.resolve(path);
        let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders.into_iter().filter(|folder| *folder != Path::new("/")) {
            self.allowed(who, folder, Access::Execute)?;
        }
        self.allowed(who, &path, access)
    }

    fn allowed(&self, who: Owner, path: &Path, access: Access) -> Result<(), i32> {
        let (mode, owner) = match self.files.entry(path) {
            Ok(Some(Entry::File { mode, owner, .. } | Entry::Directory { mode, owner })) => (mode, owner),
            Ok(Some(_)) => return Err(EACCES),
            Ok(None) | Err(_) => return Err(ENOENT),
        };
        if who.uid == 0 {
            // Root reads and writes everything, but executes only what somebody may execute, access(2).
            let executable = access != Access::Execute || mode & 0o111 != 0;
            return if executable { Ok(()) } else { Err(EACCES) };
        }
        let shift = match () {
            () if who.uid == owner.uid => 6,
            () if who.gid == owner.gid => 3,
            () => 0,
        };
        if mode >> shift & access.bit() != 0 { Ok(()) } else { Err(EACCES) }
    }

    /// Whether a file stands at the path (links followed) and is executable by somebody.
    pub(super) fn is_executable(&self, path: &Path) -> bool {
        matches!(self.files.entry(&self.resolve(path)), Ok(Some(Entry::File { mode, .. })) if mode & 0o111 != 0)
    }
}

/// A command that ran and failed, as the real host reports it.
pub(super) fn command_failed(command: impl Into<String>, status: i32, stderr: impl Into<String>) -> HostError {
    HostError::Command { command: command.into(), status: format!("exit status: {status}"), stderr: stderr.into() }
}

/// The words of FreeBSD's strerror(3) for an errno, as far as the model uses it.
pub(super) fn errno_text(errno: i32) -> String {
    match errno {
        EPERM => "Operation not permitted".into(),
        ENOENT => "No such file or directory".into(),
        EACCES => "Permission denied".into(),
        EINVAL => "Invalid argument".into(),
        ENOSPC => "No space left on device".into(),
        other => format!("errno {other}"),
    }
}
