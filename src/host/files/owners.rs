//! The owners of files: on disk, or on record.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::{Gid, Uid, fchown};

use crate::host::Owner;

/// Manages the owners of files. All paths are the host's own, absolute and free of links.
pub trait Owners {
    /// The owner of the object at `path`; `on_disk` is the owner that stat(2) returned.
    fn owner(&self, path: &Path, on_disk: Owner) -> Owner;

    /// Gives the open file at `path` to `owner`.
    ///
    /// # Errors
    /// fchown(2) failed.
    fn set(&self, path: &Path, file: BorrowedFd<'_>, owner: Owner) -> io::Result<()>;

    /// The object at `from`, with everything below it, is now at `to`, in place of the object there.
    fn renamed(&self, from: &Path, to: &Path);

    /// The object at `path`, with everything below it, is gone.
    fn removed(&self, path: &Path);
}

/// Owners as the file system has them: fchown(2) sets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealOwners;

impl Owners for RealOwners {
    fn owner(&self, _path: &Path, on_disk: Owner) -> Owner {
        on_disk
    }

    fn set(&self, _path: &Path, file: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
        Ok(fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?)
    }

    fn renamed(&self, _from: &Path, _to: &Path) {}

    fn removed(&self, _path: &Path) {}
}

/// Owners on record only, so that a rehearsal needs no privilege. An object without a record belongs to root.
#[derive(Debug, Default)]
pub struct RecordedOwners {
    records: Mutex<BTreeMap<PathBuf, Owner>>,
}

impl RecordedOwners {
    /// Starts from stored records.
    pub fn new(records: BTreeMap<PathBuf, Owner>) -> Self {
        Self { records: Mutex::new(records) }
    }

    /// All records, to be stored. Files that belong to root have none.
    pub fn records(&self) -> BTreeMap<PathBuf, Owner> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Owner>> {
        // No operation on the map can leave it half done, so it is valid even after a panic elsewhere.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owners for RecordedOwners {
    fn owner(&self, path: &Path, _on_disk: Owner) -> Owner {
        self.lock().get(path).copied().unwrap_or(Owner::ROOT)
    }

    fn set(&self, path: &Path, _file: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
        if owner == Owner::ROOT {
            self.lock().remove(path);
        } else {
            self.lock().insert(path.to_path_buf(), owner);
        }
        Ok(())
    }

    fn renamed(&self, from: &Path, to: &Path) {
        if from == to {
            return;
        }
        let mut records = self.lock();
        records.retain(|path, _| !path.starts_with(to));
        let moved: Vec<(PathBuf, Owner)> = records
            .iter()
            .filter_map(|(path, owner)| {
                let rest = path.strip_prefix(from).ok()?;
                // Joining an empty path would add a slash, and so another key.
                let new = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
                Some((new, *owner))
            })
            .collect();
        records.retain(|path, _| !path.starts_with(from));
        records.extend(moved);
    }

    fn removed(&self, path: &Path) {
        self.lock().retain(|recorded, _| !recorded.starts_with(path));
    }
}
