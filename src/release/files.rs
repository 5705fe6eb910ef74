//! File operations that tests can watch, and whose errors name the file.

use std::fs::{self, DirBuilder, DirEntry, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::Error;
use crate::operation::{Operation, about_to};

/// Announces an operation and performs it. `action` is what an error message says could not be done.
pub(super) fn perform<T>(
    operation: Operation,
    action: &'static str,
    path: &Path,
    act: impl FnOnce() -> io::Result<T>,
) -> Result<T, Error> {
    about_to(operation, || path.to_owned()).and_then(|()| act()).map_err(Error::file(action, path))
}

/// What is in a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<DirEntry>, Error> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(Error::file("read", folder))
}

/// Makes a folder that only its owner can enter.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    perform(Operation::MakeFolder, "create", path, || DirBuilder::new().mode(0o700).create(path))
}

/// Removes a file, or a link but not what it points to.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    perform(Operation::Unlink, "remove", path, || fs::remove_file(path))
}

/// Makes sure that the names in a folder survive a power failure.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    perform(Operation::SyncFolder, "sync", path, || File::open(path)?.sync_all())
}
