//! Copies of files of any size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use sha2::{Digest, Sha256};

use super::open::Opened;
use super::{Root, named, refused};
use crate::host::{HostError, Owner};
use crate::operation::Operation;

/// A finished copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of the written bytes, read back, as 64 hexadecimal digits.
    pub sha256: String,
    /// Permission bits of the file that was copied.
    pub mode: u32,
    /// Whose that was.
    pub owner: Owner,
}

impl Root {
    /// Copies a file next to its target (`O_EXCL`), sets mode and owner, syncs it, reads it back for its digest, and
    /// renames it over `to`; then syncs the folder. A link at `from` is followed as when it is read, one at `to` is
    /// replaced.
    ///
    /// # Errors
    /// There is no regular file at `from`, or it is refused, see `open.rs`; or any step failed, and `to` is as
    /// it was.
    pub fn copy_file(&self, from: &Path, to: &Path, mode: u32, owner: Owner) -> Result<CopiedFile, HostError> {
        let Opened { file: mut original, mode: its_mode, owner: its_owner } = named("copy", from, || {
            self.open_to_read(from)?.ok_or_else(|| refused(io::ErrorKind::NotFound, "there is no such file"))
        })?;
        self.place(to, mode, owner, |copy, folder, name| {
            self.about_to(Operation::Write, folder, name)?;
            let (size, sha256) = copied(&mut original, copy)?;
            Ok(CopiedFile { size, sha256, mode: its_mode, owner: its_owner })
        })
    }
}

/// Copies the bytes, shared if the file system supports it, and reads the copy back: its length and digest.
fn copied(original: &mut File, copy: &mut File) -> io::Result<(u64, String)> {
    share(original, copy)?;
    // The part that sharing did not copy, or everything if sharing is not supported.
    io::copy(original, copy)?;
    io::Seek::rewind(copy)?;
    let mut digest = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = copy.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        digest.update(&buffer[..read]);
    }
    Ok((size, HEXLOWER.encode(&digest.finalize())))
}

/// copy_file_range(2), which clones blocks on ZFS and on btrfs and copies within the kernel elsewhere. Both file
/// positions stay where it stopped. If it is not supported here, that is not an error.
fn share(original: &File, copy: &File) -> io::Result<()> {
    loop {
        match copy_file_range(original, None, copy, None, 1 << 30) {
            Ok(0) | Err(Errno::EINVAL | Errno::ENOSYS | Errno::EXDEV | Errno::EOPNOTSUPP | Errno::EBADF) => {
                return Ok(());
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
