//! Removes files and folders.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::SFlag;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::tree::Descent;
use super::walk::{Folder, Last, Spot};
use super::{Root, changeable, kind, look, named, refused};
use crate::host::{Ask, HostError};
use crate::operation::{self, Operation};

/// After so many objects it is asked again whether to stop.
const ASKED_EVERY: u32 = 256;

impl Root {
    /// Removes a file, a symbolic link or an empty folder. Does nothing if nothing exists there.
    ///
    /// # Errors
    /// The folder is not empty, or a system call failed.
    pub fn remove(&self, path: &Path) -> Result<(), HostError> {
        named("remove", path, || self.take_away(path, None))
    }

    /// Removes a folder with its content, following no link; a file or link is removed itself. Does nothing if nothing
    /// exists there. `stop` is asked on the way.
    ///
    /// # Errors
    /// `stop` had a reason, somebody has moved a folder meanwhile, or a system call failed; what was removed before stays
    /// removed.
    pub fn remove_tree(&self, path: &Path, stop: Ask<'_>) -> Result<(), HostError> {
        named("remove the folder", path, || self.take_away(path, Some(stop)))
    }

    /// Removes what is at a path; a folder's content too if there is somebody to ask whether to stop.
    fn take_away(&self, path: &Path, with_content: Option<Ask<'_>>) -> io::Result<()> {
        let (folder, name, stat) = match self.walk(path, Last::Keep)? {
            Spot::Nowhere { .. } | Spot::At { stat: None, .. } => return Ok(()),
            spot => changeable(spot)?,
        };
        let is_folder = stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR);
        if let Some(stop) = with_content.filter(|_| is_folder) {
            self.empty(folder.below(&name)?, stop)?;
        }
        let flags = if is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        self.unlink(&folder.fd, &folder.path, &name, flags)?;
        self.owners.removed(&folder.path.join(name));
        self.sync(&folder)
    }

    /// Removes everything in a folder.
    fn empty(&self, folder: Folder, stop: Ask<'_>) -> io::Result<()> {
        let mut path = folder.path;
        let mut way = Descent::begin(folder.fd)?;
        let mut seen: u32 = 0;
        loop {
            let Some(name) = way.next_name() else {
                if !way.leave()? {
                    return Ok(());
                }
                let name = path.file_name().unwrap_or_default().to_owned();
                path.pop();
                self.unlink(way.folder(), &path, &name, UnlinkatFlags::RemoveDir)?;
                continue;
            };
            seen = seen.wrapping_add(1);
            if seen.is_multiple_of(ASKED_EVERY)
                && let Some(why) = stop()
            {
                return Err(refused(io::ErrorKind::Interrupted, why));
            }
            match look(way.folder(), &name)? {
                None => {}
                Some(stat) if kind(&stat) == SFlag::S_IFDIR && way.enter(&name)? => {
                    path.push(&name);
                }
                Some(_) => self.unlink(way.folder(), &path, &name, UnlinkatFlags::NoRemoveDir)?,
            }
        }
    }

    /// unlinkat(2) in an open folder, whose path is for the announcement; a missing target is not an error.
    fn unlink(&self, folder: impl AsFd, path: &Path, name: &OsStr, flags: UnlinkatFlags) -> io::Result<()> {
        operation::about_to(Operation::Unlink, || self.outside(path).join(name))?;
        match unlinkat(folder, name, flags) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
