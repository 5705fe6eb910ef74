//! What of an archive has been downloaded, kept until the release is in its place, so that a download that somebody
//! interrupts can go on in the next run.
//!
//! Nothing is believed of it: it passes through the same check of its digest as what comes from the network.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::digest::Hashing;
use super::files::{list, make_folder, perform, remove, sync_folder};
use super::{Error, Sha256Digest};
use crate::operation::{self, Operation};

/// The part of an archive that is there. The folder that holds it is the caller's to name, and used for nothing else.
pub(super) struct Partial {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    /// How many bytes were there at first.
    pub(super) had: u64,
    /// How many of these are still to be read.
    left: u64,
}

impl Partial {
    /// Opens what is there of the archive with this digest, or begins it. What is there of others goes.
    pub(super) fn open(folder: &Path, archive: &Sha256Digest) -> Result<Self, Error> {
        let path = folder.join(archive.to_string());
        if !folder.exists() {
            make_folder(folder)?;
        }
        for entry in list(folder)?.iter().filter(|entry| entry.path() != path) {
            remove(&entry.path())?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = perform(Operation::Create, "create", &path, || options.open(&path))?;
        let had = file.metadata().map_err(Error::file("read", &path))?.len();
        Ok(Self { folder: folder.to_owned(), path, file, had, left: had })
    }

    /// Whether it is the whole archive with this digest: a run was stopped after the download.
    pub(super) fn is_whole(&self, archive: &Sha256Digest) -> Result<bool, Error> {
        let mut hashing = Hashing::new(&self.file);
        let read = io::copy(&mut hashing, &mut io::sink()).and_then(|_| (&self.file).rewind());
        read.map_err(Error::file("read", &self.path))?;
        Ok(hashing.digest() == *archive)
    }

    /// Reads on in what was there at first; 0 when all of that has been read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.left == 0 {
            return Ok(0);
        }
        let count = match (&self.file).take(self.left).read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let count = count.map_err(Error::file("read", &self.path))?;
        self.left -= count as u64;
        Ok(count)
    }

    /// Adds what has come.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        operation::write_all(&mut self.file, bytes, || self.path.clone()).map_err(Error::file("write", &self.path))
    }

    /// The file, all of it.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        (self.had, self.left) = (0, 0);
        let file = &mut self.file;
        perform(Operation::Write, "write", &self.path, || file.set_len(0).and_then(|()| file.rewind()))
    }

    /// Leaves it to the next run.
    pub(super) fn keep(self) -> Result<(), Error> {
        perform(Operation::Sync, "sync", &self.path, || self.file.sync_all())?;
        sync_folder(&self.folder)
    }

    /// Takes it away.
    pub(super) fn discard(self) -> Result<(), Error> {
        remove(&self.path)?;
        perform(Operation::Unlink, "remove", &self.folder, || fs::remove_dir(&self.folder))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_in_the_next_run_and_what_is_of_others_goes() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("download");
        let (one, other) = (Sha256Digest::of(b"one"), Sha256Digest::of(b"other"));
        let mut partial = Partial::open(&folder, &one).unwrap();
        partial.add(b"abc").unwrap();
        partial.keep().unwrap();

        let mut partial = Partial::open(&folder, &one).unwrap();
        assert_eq!(partial.had, 3);
        let mut buffer = [0; 2];
        assert_eq!((partial.read(&mut buffer).unwrap(), &buffer), (2, b"ab"));
        assert_eq!(partial.read(&mut buffer).unwrap(), 1);
        assert_eq!(partial.read(&mut buffer).unwrap(), 0);
        partial.add(b"de").unwrap();
        assert_eq!(fs::read(folder.join(one.to_string())).unwrap(), b"abcde");
        partial.restart().unwrap();
        partial.add(b"f").unwrap();
        partial.keep().unwrap();
        assert_eq!(fs::read(folder.join(one.to_string())).unwrap(), b"f");

        let partial = Partial::open(&folder, &other).unwrap();
        assert_eq!(partial.had, 0);
        assert!(!folder.join(one.to_string()).exists());
        partial.discard().unwrap();
        assert!(!folder.exists());
    }
}
