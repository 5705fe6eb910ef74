//! Copies of files of any size.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use sha2::{Digest, Sha256};

use super::open::{Opened, Whose};
use super::{Root, named, refused};
use crate::host::{Ask, HostError, Owner, go_on};
use crate::operation::Operation;

/// So many bytes are copied, and so many read back, before it is asked again whether to stop. A record of ZFS, which can be
/// cloned only as a whole, is at most as long as the first.
const SHARED: usize = 1 << 24;
const PIECE: usize = 1 << 20;

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
    /// replaced. `stop` is asked on the way.
    ///
    /// # Errors
    /// There is no regular file at `from`, or it is refused, see `open.rs`; `stop` had a reason; or any step failed. `to`
    /// is as it was then.
    pub fn copy_file(
        &self,
        from: &Path,
        whose: Whose,
        to: &Path,
        mode: u32,
        owner: Owner,
        stop: Ask<'_>,
    ) -> Result<CopiedFile, HostError> {
        let Opened { file: mut original, mode: its_mode, owner: its_owner } = named("copy", from, || {
            self.open_to_read(from, whose)?.ok_or_else(|| refused(io::ErrorKind::NotFound, "there is no such file"))
        })?;
        self.place(to, mode, owner, |copy, folder, name| {
            self.about_to(Operation::Write, folder, name)?;
            let (size, sha256) = copied(&mut original, copy, stop)?;
            Ok(CopiedFile { size, sha256, mode: its_mode, owner: its_owner })
        })
    }
}

/// Copies the bytes, shared if the file system supports it, and reads the copy back: its length and digest.
fn copied(original: &mut File, copy: &mut File, stop: Ask<'_>) -> io::Result<(u64, String)> {
    share(original, copy, stop)?;
    // The part that sharing did not copy, or everything if sharing is not supported.
    each_piece(original, stop, |piece| copy.write_all(piece))?;
    io::Seek::rewind(copy)?;
    digest_of(copy, stop)
}

/// The length of what is left of a file, and its SHA-256 as 64 hexadecimal digits. `stop` is asked on the way.
///
/// # Errors
/// It cannot be read, or `stop` had a reason.
pub fn digest_of(file: &mut File, stop: Ask<'_>) -> io::Result<(u64, String)> {
    let (mut digest, mut size) = (Sha256::new(), 0);
    each_piece(file, stop, |piece| {
        size += piece.len() as u64;
        digest.update(piece);
        Ok(())
    })?;
    Ok((size, HEXLOWER.encode(&digest.finalize())))
}

fn each_piece(file: &mut File, stop: Ask<'_>, mut with: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        go_on(stop)?;
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => with(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// copy_file_range(2), which clones blocks on ZFS and on btrfs and copies within the kernel elsewhere. Both file
/// positions stay where it stopped. If it is not supported here, that is not an error.
fn share(original: &File, copy: &File, stop: Ask<'_>) -> io::Result<()> {
    loop {
        go_on(stop)?;
        match copy_file_range(original, None, copy, None, SHARED) {
            Ok(0) | Err(Errno::EINVAL | Errno::ENOSYS | Errno::EXDEV | Errno::EOPNOTSUPP | Errno::EBADF) => {
                return Ok(());
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
