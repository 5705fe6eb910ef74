//! What of an archive has been downloaded, kept until the release is in its place, so that a download that somebody
//! interrupts can go on in the next run.
//!
//! Nothing is believed of it: it passes through the same check of its digest as what comes from the network.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::unpack::sync_folder;
use super::{Error, Sha256Digest};
use crate::operation::{self, Operation, about_to};

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
        let name = archive.to_string();
        match fs::symlink_metadata(folder) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                about_to(Operation::MakeFolder, || folder.to_owned())
                    .and_then(|()| DirBuilder::new().mode(0o700).create(folder))
                    .map_err(Error::file("create", folder))?;
            }
            Err(error) => return Err(Error::file("look at", folder)(error)),
        }
        for entry in fs::read_dir(folder).map_err(Error::file("read", folder))? {
            let entry = entry.map_err(Error::file("read", folder))?;
            if entry.file_name() != name.as_str() {
                remove_file(&entry.path())?;
            }
        }
        let path = folder.join(name);
        let file = about_to(Operation::Create, || path.clone())
            .and_then(|()| {
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)
            })
            .map_err(Error::file("create", &path))?;
        let had = file.metadata().map_err(Error::file("read", &path))?.len();
        Ok(Self { folder: folder.to_owned(), path, file, had, left: had })
    }

    /// Reads on in what was there at first; 0 when all of that has been read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..wanted]).map_err(Error::file("read", &self.path))?;
        if count == 0 {
            return Err(Error::file("read", &self.path)(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= count as u64;
        Ok(count)
    }

    /// Adds what has come.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        operation::write_all(&mut self.file, bytes, || self.path.clone()).map_err(Error::file("write", &self.path))
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        (self.had, self.left) = (0, 0);
        about_to(Operation::Write, || self.path.clone())
            .and_then(|()| self.file.set_len(0))
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map(drop)
            .map_err(Error::file("write", &self.path))
    }

    /// Leaves it to the next run.
    pub(super) fn keep(self) -> Result<(), Error> {
        about_to(Operation::Sync, || self.path.clone())
            .and_then(|()| self.file.sync_all())
            .map_err(Error::file("sync", &self.path))?;
        sync_folder(&self.folder)
    }

    /// Takes it away.
    pub(super) fn discard(self) -> Result<(), Error> {
        remove_file(&self.path)?;
        about_to(Operation::Unlink, || self.folder.clone())
            .and_then(|()| fs::remove_dir(&self.folder))
            .map_err(Error::file("remove", &self.folder))
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    about_to(Operation::Unlink, || path.to_owned())
        .and_then(|()| fs::remove_file(path))
        .map_err(Error::file("remove", path))
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
