//! File operations that tests can watch, and whose errors name the file.

use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

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

/// Opens a regular file of a mirror, which may be full of links; a FIFO or a device is not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn only_a_regular_file_is_opened_and_a_link_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(open(&path("file")).is_ok() && open(&path("link")).is_ok());
        assert_eq!(open(&path("pipe")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(open(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(open(&path("nothing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
