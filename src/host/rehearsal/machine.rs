//! The machine that a rehearsal works on: its files and its [`Model`], and who may do what with a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::super::files::Root;
use super::super::{Ask, Entry, HostError, Invocation, Owner};
use super::model::Model;
use super::{STATE, STATE_FOLDER, save_state, unreadable_state};
use crate::operation;

/// Files and model.
#[derive(Debug)]
pub(super) struct Machine {
    /// The folder that is the root of the host.
    pub(super) files: Root,
    /// Everything else.
    pub(super) model: Model,
}

/// A permission to a file, as a bit of its mode for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To read it, or to list a folder.
    Read = 4,
    /// To write it, or to create files in a folder.
    Write = 2,
    /// To execute it, or to pass through a folder.
    Execute = 1,
}

impl Machine {
    /// The bytes of a file; `None` if there is none.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.files.read_unjudged(path)
    }

    /// The text of a file; empty if there is none.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Result<String, HostError> {
        let bytes = self.read(path.as_ref())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces the text of a file of root's; its mode stays.
    pub(super) fn set_text(&mut self, path: impl AsRef<Path>, text: &str, new_mode: u32) -> Result<(), HostError> {
        self.rewrite(Owner::ROOT, path.as_ref(), text.as_bytes(), new_mode)
    }

    /// Replaces the content of a file, as a process of `new_owner`. Mode and owner of an existing file stay.
    pub(super) fn rewrite(&self, new_owner: Owner, path: &Path, bytes: &[u8], new_mode: u32) -> Result<(), HostError> {
        let (mode, owner) = match self.files.entry(path)? {
            Some(Entry::File { mode, owner, .. }) => (mode, owner),
            _ => (new_mode, new_owner),
        };
        self.write_as(owner, path, bytes, mode)
    }

    /// Writes a file as a process of `owner`. It is put together beside the state: a command of the base system ends by itself
    /// when this program is killed, and leaves no temporary file of ours in its folder, which nobody would sweep.
    pub(super) fn write_as(&self, owner: Owner, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.note_owner(path, owner)?;
        let made = Path::new(STATE_FOLDER).join("made");
        self.files.write_file(&made, bytes, mode, owner)?;
        self.files.rename(&made, path).inspect_err(|_| {
            let _ = self.files.remove(&made);
        })
    }

    /// Creates a folder as a process of `owner`; whether that succeeded.
    pub(super) fn make_directory_as(&self, owner: Owner, path: &Path, mode: u32) -> bool {
        path.parent().is_some_and(|parent| self.may(owner, parent, Access::Write).is_ok())
            && self.note_owner(path, owner).is_ok()
            && self.files.make_directory(path, mode, owner).is_ok()
    }

    /// Saves the owner of an object before it is created. A process owns what it creates from the first moment; here the
    /// object would be root's if this program were killed before it saves the state.
    fn note_owner(&self, path: &Path, owner: Owner) -> Result<(), HostError> {
        if owner == Owner::ROOT || self.files.entry(path)?.is_some() {
            return Ok(());
        }
        let mut saved: serde_json::Value = self.text(STATE)?.parse().map_err(unreadable_state)?;
        let mut owners = self.files.owners().records();
        owners.insert(self.resolve(path), owner);
        saved["owners"] = serde_json::to_value(owners).map_err(unreadable_state)?;
        operation::aside(|| save_state(&self.files, &format!("{saved:#}\n")))
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
    /// the file itself does not allow it. Links are followed; only owner, group and mode count, no ACLs.
    pub(super) fn may(&self, who: Owner, path: &Path, access: Access) -> Result<(), Errno> {
        let path = self.resolve(path);
        let folders = path.ancestors().skip(1).filter(|folder| *folder != Path::new("/"));
        for folder in folders.collect::<Vec<_>>().into_iter().rev() {
            self.allowed(who, folder, Access::Execute)?;
        }
        self.allowed(who, &path, access)
    }

    fn allowed(&self, who: Owner, path: &Path, access: Access) -> Result<(), Errno> {
        let (mode, owner) = match self.files.entry(path) {
            Ok(Some(Entry::File { mode, owner, .. } | Entry::Directory { mode, owner })) => (mode, owner),
            Ok(Some(_)) => return Err(Errno::EACCES),
            Ok(None) | Err(_) => return Err(Errno::ENOENT),
        };
        let allowed = match who {
            // Root reads and writes everything, but executes only what somebody may execute, access(2).
            Owner { uid: 0, .. } => access != Access::Execute || mode & 0o111 != 0,
            Owner { uid, .. } if uid == owner.uid => mode >> 6 & access as u32 != 0,
            Owner { gid, .. } if gid == owner.gid => mode >> 3 & access as u32 != 0,
            _ => mode & access as u32 != 0,
        };
        if allowed { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// What becomes of a program that hangs: its limit comes, or somebody wants it to end. One without either would hang for ever.
    pub(super) fn hanging(&mut self, invocation: &Invocation, stop: Ask<'_>) -> Option<HostError> {
        let mut words = self.model.faults.hangs.as_deref()?.split(' ');
        let is_it = invocation.program.file_name().and_then(|name| name.to_str()) == words.next()
            && words.all(|word| invocation.arguments.iter().any(|argument| argument == word));
        if !is_it {
            return None;
        }
        let command = invocation.program.display().to_string();
        if let Some(limit) = invocation.limit {
            self.model.clock += limit.as_secs();
            let text = format!("it had not ended after {} s, and was killed", limit.as_secs());
            return Some(HostError::Start { command, source: io::Error::new(io::ErrorKind::TimedOut, text) });
        }
        loop {
            if let Some(why) = stop() {
                return Some(HostError::Interrupted(why));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether a file stands at the path (links followed) and is executable by somebody.
    pub(super) fn is_executable(&self, path: &Path) -> bool {
        matches!(self.files.entry(&self.resolve(path)), Ok(Some(Entry::File { mode, .. })) if mode & 0o111 != 0)
    }
}

/// A command that failed, as the real host reports it.
pub(super) fn command_failed(command: impl Into<String>, status: i32, stderr: impl Into<String>) -> HostError {
    HostError::Command { command: command.into(), status: format!("exit status: {status}"), stderr: stderr.into() }
}
