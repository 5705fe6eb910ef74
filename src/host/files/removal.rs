//! Removes files and folders.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::SFlag;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::walk::{Folder, Last, Spot};
use super::{Root, changeable, kind, look, named, names_in, refused};
use crate::host::HostError;
use crate::operation::Operation;
use crate::shown::Shown;

/// The maximum depth of a tree: every level keeps a descriptor open, and the owner of the tree controls its depth.
const DEPTH_LIMIT: u32 = 200;

impl Root {
    /// Removes a file, a symbolic link or an empty folder. Does nothing if nothing exists there.
    ///
    /// # Errors
    /// The folder is not empty, or a system call failed.
    pub fn remove(&self, path: &Path) -> Result<(), HostError> {
        named("remove", path, || self.take_away(path, false))
    }

    /// Removes a folder with its content, following no link; a file or link is removed itself. Does nothing if nothing
    /// exists there.
    ///
    /// # Errors
    /// The tree is nested more than 200 folders deep, or a system call failed; what was removed before stays removed.
    pub fn remove_tree(&self, path: &Path) -> Result<(), HostError> {
        named("remove the folder", path, || self.take_away(path, true))
    }

    fn take_away(&self, path: &Path, with_content: bool) -> io::Result<()> {
        let (folder, name, stat) = match self.walk(path, Last::Keep)? {
            Spot::Nowhere { .. } | Spot::At { stat: None, .. } => return Ok(()),
            spot => changeable(spot)?,
        };
        match stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR) {
            true if with_content => self.remove_folder(&folder, &name, 0)?,
            true => self.unlink(&folder, &name, UnlinkatFlags::RemoveDir)?,
            false => self.unlink(&folder, &name, UnlinkatFlags::NoRemoveDir)?,
        }
        self.owners.removed(&folder.path.join(name));
        self.sync(&folder)
    }

    fn remove_folder(&self, parent: &Folder, name: &OsStr, depth: u32) -> io::Result<()> {
        if depth >= DEPTH_LIMIT {
            let text = format!("{} is nested too deeply; remove it by hand with rm -r", parent.path.shown());
            return Err(refused(io::ErrorKind::InvalidInput, text));
        }
        let folder = parent.below(name)?;
        for child in names_in(folder.fd.try_clone()?)? {
            match look(&folder, &child)? {
                None => {}
                Some(stat) if kind(&stat) == SFlag::S_IFDIR => self.remove_folder(&folder, &child, depth + 1)?,
                Some(_) => self.unlink(&folder, &child, UnlinkatFlags::NoRemoveDir)?,
            }
        }
        self.unlink(parent, name, UnlinkatFlags::RemoveDir)
    }

    /// unlinkat(2); a missing target is not an error.
    fn unlink(&self, folder: &Folder, name: &OsStr, flags: UnlinkatFlags) -> io::Result<()> {
        self.about_to(Operation::Unlink, folder, name)?;
        match unlinkat(&folder.fd, name, flags) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
