//! What a walk through a tree of folders shows, see [`crate::descent`].

use std::io;
use std::path::Path;

use nix::fcntl::readlinkat;
use nix::sys::stat::SFlag;

use super::{Root, kind, look, named};
use crate::descent::Descent;
use crate::host::{Entry, HostError};

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// Into it, if it is a folder.
    In,
    /// Past it.
    Past,
    /// Nowhere: the walk ends.
    End,
}

/// Is shown what a walk finds, a folder before what is in it, and says where to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&Path, &Entry) -> Onward;

impl Root {
    /// Shows everything below a folder to `visit`, in the order of names, each folder before what is in it. No link in it
    /// is followed. Does nothing if there is no such folder.
    ///
    /// # Errors
    /// Not a folder, or unreadable; or somebody has moved a folder meanwhile.
    pub fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError> {
        named("list", top, || self.go_through(top, visit))
    }

    fn go_through(&self, top: &Path, visit: Visit<'_>) -> io::Result<()> {
        let Some(folder) = self.folder(top)? else { return Ok(()) };
        // The path without links, which owners are recorded by, and as the caller knows it.
        let (mut real, mut told) = (folder.path, top.to_path_buf());
        let mut way = Descent::begin(folder.fd)?;
        loop {
            let Some(name) = way.next_name() else {
                if !way.leave()? {
                    return Ok(());
                }
                real.pop();
                told.pop();
                continue;
            };
            let Some(stat) = look(way.folder(), &name)? else { continue };
            real.push(&name);
            told.push(&name);
            let entry = match kind(&stat) {
                SFlag::S_IFLNK => {
                    let target = readlinkat(way.folder(), &*name).unwrap_or_default();
                    Entry::Symlink { target: target.into() }
                }
                _ => self.describe(&real, &stat),
            };
            let onward = visit(&told, &entry);
            if onward == Onward::End {
                return Ok(());
            }
            let is_folder = matches!(entry, Entry::Directory { .. });
            if !(is_folder && onward == Onward::In && way.enter(&name)?) {
                real.pop();
                told.pop();
            }
        }
    }
}
