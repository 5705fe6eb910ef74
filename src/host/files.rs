//! File operations below a base folder, which no planted symbolic link can mislead.
//!
//! Both hosts access their files through [`Root`]. Its base is `/` on FreeBSD and the folder of a rehearsal otherwise.
//! It works as root in folders that an unprivileged service user owns. So it walks every path folder by folder with
//! openat(2) and `O_NOFOLLOW`, and makes every change relative to the open folder that was checked.
//!
//! A symbolic link on the way is followed only if root alone could have created it: its folder belongs to root, and
//! neither group nor others may write to it. Absolute targets start again at the base, and `..` stops there. The errno
//! of O_NOFOLLOW on a link differs between systems (EMLINK on FreeBSD, ELOOP or ENOTDIR on Linux), so fstatat(2)
//! decides what is a link, and O_NOFOLLOW only closes the race after it.
//!
//! Reading (`read`, `read_from`, `list`, `tree`, `free_bytes`) follows a link at the end of a path. Changing never does:
//! `write_file` replaces the link with a file, `remove` removes the link, `append_file` and `make_directory` refuse it.
//!
//! A file that somebody else than root could have put in its place is opened once and judged by its descriptor, see
//! `open`. Trees are walked and removed by descriptor, see `crate::descent`.

mod copy;
mod open;
mod owners;
mod removal;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat, mode_t};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, fsync, symlinkat, unlinkat};

pub use copy::{CopiedFile, digest_of};
pub use open::Whose;
pub use owners::Owners;
pub use tree::{Onward, Visit};

use super::{Build, Entry, HostError, Owner};
use crate::descent::{kind, look, names_in};
use crate::operation::{self, Operation};
use walk::{Folder, Last, Spot};

/// How many random names are tried for a temporary file.
const NAME_ATTEMPTS: u32 = 16;

/// The start of a temporary file's name; 16 hexadecimal digits follow.
const TEMPORARY: &str = ".gts-bootstrap-";

/// Whether a name is that of a temporary file, left by an interrupted write.
pub fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|number| number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The files of a host, below a base folder. The module's documentation explains how paths are walked.
#[derive(Debug)]
pub struct Root {
    base: PathBuf,
    owners: Owners,
}

/// Does something to a path; an error names both.
fn named<T>(action: &'static str, path: &Path, work: impl FnOnce() -> io::Result<T>) -> Result<T, HostError> {
    work().map_err(|source| HostError::File { action, path: path.to_path_buf(), source })
}

fn refused(kind: io::ErrorKind, text: impl Into<String>) -> io::Error {
    io::Error::new(kind, text.into())
}

impl Root {
    /// The files below `base`, which must exist by the time it is used.
    pub fn new(base: impl Into<PathBuf>, owners: Owners) -> Self {
        Self { base: base.into(), owners }
    }

    /// The base folder, as named on the system that the program runs on.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The files below `base`, with recorded owners.
    pub fn recorded(base: impl Into<PathBuf>, owners: BTreeMap<PathBuf, Owner>) -> Self {
        Self::new(base, Owners::Recorded(RefCell::new(owners)))
    }

    /// The owners.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Returns the object at `path`; a symbolic link itself is described. `None` if nothing exists there.
    ///
    /// # Errors
    /// The path cannot be walked.
    pub fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError> {
        named("look up", path, || {
            Ok(match self.walk(path, Last::Keep)? {
                Spot::Nowhere { .. } | Spot::At { stat: None, .. } => None,
                Spot::Top(folder) => Some(self.describe(&folder.path, &fstat(&folder.fd)?)),
                Spot::At { folder, name, stat: Some(stat) } if kind(&stat) == SFlag::S_IFLNK => {
                    Some(Entry::Symlink { target: readlinkat(&folder.fd, name.as_os_str())?.into() })
                }
                Spot::At { folder, name, stat: Some(stat) } => Some(self.describe(&folder.path.join(name), &stat)),
            })
        })
    }

    /// Returns the names in the folder `path`, sorted; empty if there is no such folder. Bytes of a name that are not
    /// UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Not a folder, or unreadable.
    pub fn list(&self, path: &Path) -> Result<Vec<String>, HostError> {
        named("list", path, || {
            let Some(folder) = self.folder(path)? else { return Ok(Vec::new()) };
            let mut names: Vec<String> =
                names_in(folder.fd)?.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            names.sort_unstable();
            Ok(names)
        })
    }

    /// Puts a file in place atomically: writes a temporary file in the same folder (`O_EXCL`), sets its mode and owner,
    /// syncs it, and renames it over `path`; then syncs the folder. A link at `path` is replaced.
    ///
    /// # Errors
    /// Any step failed; `path` is as it was and the temporary file is gone.
    pub fn write_file(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError> {
        self.place(path, mode, owner, |file, folder, name| self.pour(folder, name, file, bytes))
    }

    /// The same for a file of any size that `build` writes. It may read back what it has written.
    ///
    /// # Errors
    /// The error of `build`, or as for [`Root::write_file`].
    pub fn build_file(&self, path: &Path, mode: u32, owner: Owner, build: Build<'_>) -> Result<(), HostError> {
        self.place(path, mode, owner, |file, folder, name| {
            build(file)?;
            self.about_to(Operation::Write, folder, name)
        })
    }

    /// Has `fill` write a file under a temporary name, and puts it in place.
    fn place<T>(
        &self,
        path: &Path,
        mode: u32,
        owner: Owner,
        fill: impl FnOnce(&mut File, &Folder, &OsStr) -> io::Result<T>,
    ) -> Result<T, HostError> {
        named("write", path, || {
            let (folder, name, _) = self.spot_to_change(path)?;
            let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let (temporary, fd) = with_new_name(|name| {
                self.about_to(Operation::Create, &folder, name)?;
                Ok(openat(&folder.fd, name, flags, Mode::from_bits_truncate(0o600))?)
            })?;
            let mut file = File::from(fd);
            let placed = fill(&mut file, &folder, &temporary).and_then(|filled| {
                self.own(&folder, &temporary, file.as_fd(), mode, owner)?;
                self.about_to(Operation::Sync, &folder, &temporary)?;
                file.sync_all()?;
                self.put_in_place(&folder, &temporary, &name)?;
                Ok(filled)
            });
            let filled = placed.inspect_err(|_| self.discard(&folder, &temporary))?;
            self.sync(&folder)?;
            Ok(filled)
        })
    }

    /// Appends bytes to a file and syncs it. A missing file is created, owned by root, with mode 0600.
    ///
    /// # Errors
    /// The path holds a link or anything but a regular file; the file has a second name (a hard link, which a service
    /// user may have made to a file owned by root); or a system call failed.
    pub fn append_file(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        named("append to", path, || {
            let (folder, name, stat) = self.spot_to_change(path)?;
            let mut flags =
                OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            if let Some(stat) = &stat {
                regular(stat)?;
            } else {
                self.about_to(Operation::Create, &folder, &name)?;
                flags |= OFlag::O_CREAT | OFlag::O_EXCL;
            }
            let mut file = File::from(openat(&folder.fd, &*name, flags, Mode::from_bits_truncate(0o600))?);
            let opened = fstat(&file)?;
            regular(&opened)?;
            if opened.st_nlink > 1 {
                return Err(refused(
                    io::ErrorKind::PermissionDenied,
                    "the file has more than one name (a hard link), so what is written here would also be written \
                     elsewhere; look where with `find / -samefile`",
                ));
            }
            if stat.is_none() {
                self.own(&folder, &name, file.as_fd(), 0o600, Owner::ROOT)?;
                self.sync(&folder)?;
            }
            self.pour(&folder, &name, &mut file, bytes)?;
            self.about_to(Operation::Sync, &folder, &name)?;
            file.sync_all()
        })
    }

    /// Renames a file or folder, over a file at `to`, and syncs both folders. The owner stays the same.
    ///
    /// # Errors
    /// renameat(2) failed: nothing at `from`, or different file systems.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), HostError> {
        let (from_folder, from_name, _) = named("rename", from, || self.spot_to_change(from))?;
        let (to_folder, to_name, _) = named("rename to", to, || self.spot_to_change(to))?;
        named("rename", from, || {
            self.about_to(Operation::Rename(self.local(&to_folder, &to_name)), &from_folder, &from_name)?;
            renameat(&from_folder.fd, &*from_name, &to_folder.fd, &*to_name)?;
            self.owners.renamed(&from_folder.path.join(&from_name), &to_folder.path.join(&to_name));
            self.sync(&to_folder)?;
            self.sync(&from_folder)
        })
    }

    /// Creates one folder; its parent must exist. An existing folder gets the mode and the owner.
    ///
    /// # Errors
    /// The path holds something other than a folder (also a link to one), or a system call failed.
    pub fn make_directory(&self, path: &Path, mode: u32, owner: Owner) -> Result<(), HostError> {
        named("make the folder", path, || {
            let (parent, name, stat) = self.spot_to_change(path)?;
            if stat.is_some_and(|stat| kind(&stat) != SFlag::S_IFDIR) {
                return Err(refused(
                    io::ErrorKind::NotADirectory,
                    "something that is not a folder stands there; move it out of the way and run this again",
                ));
            }
            if stat.is_none() {
                self.about_to(Operation::MakeFolder, &parent, &name)?;
                mkdirat(&parent.fd, &*name, Mode::from_bits_truncate(0o700))?;
            }
            let settled = parent.below(&name).and_then(|folder| {
                self.own(&parent, &name, folder.fd.as_fd(), mode, owner)?;
                self.sync(&folder)?;
                self.sync(&parent)
            });
            if settled.is_err() && stat.is_none() {
                // The folder is still empty. The error that led here is the one to report.
                let _ = unlinkat(&parent.fd, &*name, UnlinkatFlags::RemoveDir);
                self.owners.removed(&parent.path.join(&name));
            }
            settled
        })
    }

    /// Creates a symbolic link with that target, as written; an existing link is replaced atomically.
    ///
    /// # Errors
    /// The path holds something other than a link, or a system call failed.
    pub fn make_symlink(&self, path: &Path, target: &Path) -> Result<(), HostError> {
        named("link", path, || {
            let (folder, name, stat) = self.spot_to_change(path)?;
            if stat.is_some_and(|stat| kind(&stat) != SFlag::S_IFLNK) {
                return Err(refused(
                    io::ErrorKind::AlreadyExists,
                    "something that is not a symbolic link stands there; move it out of the way and run this again",
                ));
            }
            let (temporary, ()) = with_new_name(|name| {
                self.about_to(Operation::MakeLink, &folder, name)?;
                Ok(symlinkat(target, &folder.fd, name)?)
            })?;
            self.put_in_place(&folder, &temporary, &name).inspect_err(|_| self.discard(&folder, &temporary))?;
            self.sync(&folder)
        })
    }

    /// Returns the bytes that root may still write on the file system that holds `path` or its nearest existing parent:
    /// `f_bfree` of statvfs(3), which includes the reserve that other users may not use.
    ///
    /// # Errors
    /// The path cannot be walked, or fstatvfs(3) failed.
    pub fn free_bytes(&self, path: &Path) -> Result<u64, HostError> {
        named("find the free space at", path, || {
            let folder = match self.walk(path, Last::Follow)? {
                Spot::At { folder, name, stat: Some(stat) } if kind(&stat) == SFlag::S_IFDIR => {
                    folder.below_if_there(&name)?.unwrap_or(folder)
                }
                Spot::At { folder, .. } | Spot::Top(folder) | Spot::Nowhere { nearest: folder } => folder,
            };
            let file_system = fstatvfs(&folder.fd)?;
            #[allow(clippy::useless_conversion, reason = "the width of these counters differs between systems")]
            let (blocks, size) = (u64::from(file_system.blocks_free()), u64::from(file_system.fragment_size()));
            Ok(blocks.saturating_mul(size))
        })
    }

    /// Returns the location of the host's `path` on the system that the program runs on. Trusted links are resolved as
    /// far as the path exists, so that an absolute link on a rehearsal stays within its folder.
    pub fn local_path(&self, path: &Path) -> PathBuf {
        let host_path = match self.walk(path, Last::Follow) {
            Ok(Spot::Top(folder)) => folder.path,
            Ok(Spot::At { folder, name, .. }) => folder.path.join(name),
            Ok(Spot::Nowhere { .. }) | Err(_) => walk::normal(path),
        };
        self.outside(&host_path)
    }

    /// The folder and name to change, and what exists there now.
    fn spot_to_change(&self, path: &Path) -> io::Result<(Folder, OsString, Option<FileStat>)> {
        changeable(self.walk(path, Last::Keep)?)
    }

    /// Writes bytes into an open file.
    fn pour(&self, folder: &Folder, name: &OsStr, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        operation::write_all(file, bytes, || self.local(folder, name))
    }

    /// Sets owner and mode of an open file or folder.
    fn own(&self, folder: &Folder, name: &OsStr, file: BorrowedFd<'_>, mode: u32, owner: Owner) -> io::Result<()> {
        // Owner before mode: a change of owner clears the set-id bits.
        self.about_to(Operation::Owner(owner.uid, owner.gid), folder, name)?;
        self.owners.set(&folder.path.join(name), file, owner)?;
        self.about_to(Operation::Mode, folder, name)?;
        Ok(fchmod(file, Mode::from_bits_truncate((mode & 0o7777) as mode_t))?)
    }

    /// Makes the names in a folder survive a power cut.
    fn sync(&self, folder: &Folder) -> io::Result<()> {
        self.about_to(Operation::SyncFolder, folder, OsStr::new(""))?;
        Ok(fsync(&folder.fd)?)
    }

    /// Announces the next operation, see [`operation`].
    fn about_to(&self, operation: Operation, folder: &Folder, name: &OsStr) -> io::Result<()> {
        operation::about_to(operation, || self.local(folder, name))
    }

    fn local(&self, folder: &Folder, name: &OsStr) -> PathBuf {
        let folder = self.outside(&folder.path);
        if name.is_empty() { folder } else { folder.join(name) }
    }

    /// A path of the host, free of links, as the system that the program runs on names it.
    fn outside(&self, path: &Path) -> PathBuf {
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn put_in_place(&self, folder: &Folder, temporary: &OsStr, name: &OsStr) -> io::Result<()> {
        self.about_to(Operation::Rename(self.local(folder, name)), folder, temporary)?;
        renameat(&folder.fd, temporary, &folder.fd, name)?;
        self.owners.renamed(&folder.path.join(temporary), &folder.path.join(name));
        Ok(())
    }

    /// Removes a temporary file after a failure. That failure is the one to report, so an error here is ignored.
    fn discard(&self, folder: &Folder, temporary: &OsStr) {
        let _ = unlinkat(&folder.fd, temporary, UnlinkatFlags::NoRemoveDir);
        self.owners.removed(&folder.path.join(temporary));
    }

    fn owner(&self, path: &Path, stat: &FileStat) -> Owner {
        self.owners.owner(path, Owner { uid: stat.st_uid, gid: stat.st_gid })
    }

    fn describe(&self, path: &Path, stat: &FileStat) -> Entry {
        let mode = permissions(stat);
        let owner = self.owner(path, stat);
        match kind(stat) {
            SFlag::S_IFREG => Entry::File { size: u64::try_from(stat.st_size).unwrap_or(0), mode, owner },
            SFlag::S_IFDIR => Entry::Directory { mode, owner },
            _ => Entry::Other,
        }
    }
}

/// A place that can be changed: a name in an existing folder.
fn changeable(spot: Spot) -> io::Result<(Folder, OsString, Option<FileStat>)> {
    match spot {
        Spot::At { folder, name, stat } => Ok((folder, name, stat)),
        Spot::Nowhere { .. } => Err(refused(io::ErrorKind::NotFound, "the folder that it should be in does not exist")),
        Spot::Top(_) => {
            Err(refused(io::ErrorKind::InvalidInput, "the path names the root folder itself, which is never changed"))
        }
    }
}

/// Permission bits, including set-id and sticky bits.
fn permissions(stat: &FileStat) -> u32 {
    #[allow(clippy::useless_conversion, reason = "mode_t has 16 bits on FreeBSD and 32 on Linux")]
    u32::from(stat.st_mode & 0o7777)
}

fn regular(stat: &FileStat) -> io::Result<()> {
    match kind(stat) {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFDIR => Err(Errno::EISDIR.into()),
        SFlag::S_IFLNK => Err(symbolic_link()),
        _ => Err(refused(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

fn symbolic_link() -> io::Error {
    refused(io::ErrorKind::PermissionDenied, "it is a symbolic link, and this file is not reached through one")
}

/// Creates something under a new, unused name.
fn with_new_name<T>(mut make: impl FnMut(&OsStr) -> io::Result<T>) -> io::Result<(OsString, T)> {
    for _ in 0..NAME_ATTEMPTS {
        let number = getrandom::u64().map_err(io::Error::other)?;
        let name = OsString::from(format!("{TEMPORARY}{number:016x}"));
        match make(&name) {
            Ok(made) => return Ok((name, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EEXIST.into())
}
