//! Removes files and folders.

use std::io;
use std::path::Path;

use nix::sys::stat::SFlag;
use nix::unistd::UnlinkatFlags;

use super::walk::{Last, Spot};
use super::{Root, changeable, kind, named};
use crate::descent;
use crate::host::{Ask, HostError, go_on};

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
            let folder = folder.below(&name)?;
            descent::empty(folder.fd, self.outside(&folder.path), &|| go_on(stop))?;
        }
        let flags = if is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        descent::unlink(&folder.fd, &self.outside(&folder.path), &name, flags)?;
        self.owners.removed(&folder.path.join(name));
        self.sync(&folder)
    }
}
