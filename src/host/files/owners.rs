//! The owners of files: on disk, or recorded.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, fchown};

use crate::host::Owner;

/// The owners of the files below a folder. All paths are the host's own, absolute and free of links.
#[derive(Debug)]
pub enum Owners {
    /// Those that the file system has: fchown(2) sets them.
    OnDisk,
    /// Records only, so that a rehearsal needs no privileges. An object without a record belongs to root.
    Recorded(RefCell<BTreeMap<PathBuf, Owner>>),
}

impl Owners {
    /// All records, to be stored.
    pub fn records(&self) -> BTreeMap<PathBuf, Owner> {
        self.recorded().map(|records| records.clone()).unwrap_or_default()
    }

    fn recorded(&self) -> Option<RefMut<'_, BTreeMap<PathBuf, Owner>>> {
        match self {
            Self::OnDisk => None,
            Self::Recorded(records) => Some(records.borrow_mut()),
        }
    }

    /// The owner of the object at `path`; `on_disk` is the owner that stat(2) returned.
    pub(super) fn owner(&self, path: &Path, on_disk: Owner) -> Owner {
        self.recorded().map_or(on_disk, |records| records.get(path).copied().unwrap_or(Owner::ROOT))
    }

    /// Gives the open file at `path` to `owner`.
    pub(super) fn set(&self, path: &Path, file: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
        match self.recorded() {
            None => fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?,
            Some(mut records) if owner == Owner::ROOT => drop(records.remove(path)),
            Some(mut records) => drop(records.insert(path.to_path_buf(), owner)),
        }
        Ok(())
    }

    /// The object at `from`, with everything below it, is now at `to`, in place of the object there.
    pub(super) fn renamed(&self, from: &Path, to: &Path) {
        let Some(mut records) = self.recorded().filter(|_| from != to) else { return };
        records.retain(|path, _| !path.starts_with(to));
        for (path, owner) in std::mem::take(&mut *records) {
            let path = match path.strip_prefix(from) {
                // Joining an empty path would add a slash, and so another key.
                Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
                Ok(rest) => to.join(rest),
                Err(_) => path,
            };
            records.insert(path, owner);
        }
    }

    /// The object at `path`, with everything below it, is gone.
    pub(super) fn removed(&self, path: &Path) {
        if let Some(mut records) = self.recorded() {
            records.retain(|recorded, _| !recorded.starts_with(path));
        }
    }
}
