//! Files of any size that other code writes: started next to their target, put in place when they are complete.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::walk::Folder;
use super::{Doing, Owners, Root, with_new_name};
use crate::host::{HostError, Owner};
use crate::operation::Operation;

/// A file that is being written, under a temporary name.
pub struct Begun {
    /// The file, open for reading and writing.
    pub file: File,
    folder: Folder,
    temporary: OsString,
    name: OsString,
    path: PathBuf,
}

impl<O: Owners> Root<O> {
    /// Opens a regular file for reading, by the same rules as [`Root::read`]; `None` if there is none.
    ///
    /// # Errors
    /// Not a regular file, or unreadable.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>, HostError> {
        self.open_to_read(Doing { action: "read", path })
    }

    /// Starts a file for `path`, next to it (`O_EXCL`, mode 0600).
    ///
    /// # Errors
    /// The folder does not exist, or the file cannot be created.
    pub fn begin_file(&self, path: &Path) -> Result<Begun, HostError> {
        let doing = Doing { action: "write", path };
        let (folder, name, _) = self.spot_to_change(doing)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (temporary, fd) = with_new_name(|name| {
            self.about_to(Operation::Create, &folder, name)?;
            Ok(openat(&folder.fd, name, flags, Mode::from_bits_truncate(0o600))?)
        })
        .map_err(|error| doing.failed(error))?;
        Ok(Begun { file: File::from(fd), folder, temporary, name, path: path.to_path_buf() })
    }

    /// Sets mode and owner of a started file, syncs it and renames it to its place. A link there is replaced.
    ///
    /// # Errors
    /// Any step failed; the object at the path is unchanged, and the started file is gone.
    pub fn finish_file(&self, begun: Begun, mode: u32, owner: Owner) -> Result<(), HostError> {
        let doing = Doing { action: "write", path: &begun.path };
        let placed = self
            .about_to(Operation::Write, &begun.folder, &begun.temporary)
            .and_then(|()| {
                self.own(&begun.folder, &begun.temporary, std::os::fd::AsFd::as_fd(&begun.file), mode, owner)
            })
            .and_then(|()| self.about_to(Operation::Sync, &begun.folder, &begun.temporary))
            .and_then(|()| begun.file.sync_all())
            .and_then(|()| self.put_in_place(&begun.folder, &begun.temporary, &begun.name));
        if let Err(error) = placed {
            self.discard(&begun.folder, &begun.temporary);
            return Err(doing.failed(error));
        }
        self.sync(&begun.folder).map_err(|error| doing.failed(error))
    }

    /// Removes a started file.
    pub fn give_up(&self, begun: &Begun) {
        self.discard(&begun.folder, &begun.temporary);
    }

    /// Starts a file, lets `build` write it, and finishes it.
    ///
    /// # Errors
    /// As for [`Root::begin_file`] and [`Root::finish_file`]; or the error of `build`, and nothing is left of the file.
    pub fn build_file(
        &self,
        path: &Path,
        mode: u32,
        owner: Owner,
        build: &mut dyn FnMut(&mut File) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        let mut begun = self.begin_file(path)?;
        if let Err(error) = build(&mut begun.file) {
            self.give_up(&begun);
            return Err(Doing { action: "write", path }.failed(error));
        }
        self.finish_file(begun, mode, owner)
    }
}
