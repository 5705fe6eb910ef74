//! The way through a tree of folders, and the removal of one.
//!
//! The owner of a tree decides how deep it is. So the way goes by descriptor, one step a level: down by name, and up by
//! `..`, which must be the folder that it came from. The cost of a folder does not depend on its depth, nothing recurses,
//! and only so many folders are open at a time. No path is looked up, so none can be too long.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::libc::ino_t;
use nix::sys::stat::{FileStat, Mode, SFlag, dev_t, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::operation::{self, Operation};

/// How many folders above the present one are open. GoToSocial's are less deep; so a folder that it removes meanwhile
/// does not matter.
const HELD: usize = 16;

/// After so many objects it is asked again whether to go on.
const ASKED_EVERY: u32 = 256;

/// The folder in which a walk is, and those above it.
pub(crate) struct Descent {
    here: Open,
    above: Vec<Above>,
    flags: OFlag,
}

/// An open folder, and the names in it that have not been looked at.
struct Open {
    fd: OwnedFd,
    ahead: vec::IntoIter<OsString>,
}

struct Above {
    /// The folder, if it is still open.
    fd: Option<OwnedFd>,
    id: (dev_t, ino_t),
    ahead: vec::IntoIter<OsString>,
}

impl Open {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let mut names = names_in(fd.try_clone()?)?;
        names.sort_unstable();
        Ok(Self { fd, ahead: names.into_iter() })
    }
}

impl Descent {
    /// Begins in an open folder.
    pub(crate) fn begin(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self { here: Open::new(fd)?, above: Vec::new(), flags })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.here.fd.as_fd()
    }

    /// The next name in it.
    pub(crate) fn next_name(&mut self) -> Option<OsString> {
        self.here.ahead.next()
    }

    /// Goes into a folder in it; whether there is one of that name.
    pub(crate) fn enter(&mut self, name: &OsStr) -> io::Result<bool> {
        let below = match openat(&self.here.fd, name, self.flags, Mode::empty()) {
            // It is gone, or something else, by now.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EMLINK) => return Ok(false),
            opened => Open::new(opened?)?,
        };
        let Open { fd, ahead } = std::mem::replace(&mut self.here, below);
        let id = identity(&fd)?;
        self.above.push(Above { fd: Some(fd), id, ahead });
        if let Some(far) = self.above.len().checked_sub(HELD + 1) {
            self.above[far].fd = None;
        }
        Ok(true)
    }

    /// Goes back to the folder above; whether there is one.
    pub(crate) fn leave(&mut self) -> io::Result<bool> {
        let Some(Above { fd, id, ahead }) = self.above.pop() else { return Ok(false) };
        let fd = match fd {
            Some(fd) => fd,
            None => self.above_here(id)?,
        };
        self.here = Open { fd, ahead };
        Ok(true)
    }

    fn above_here(&self, id: (dev_t, ino_t)) -> io::Result<OwnedFd> {
        let moved = || {
            io::Error::other(
                "a folder in it was moved or removed meanwhile; see what is at work there (fstat(1)), and run this again",
            )
        };
        let above = openat(&self.here.fd, "..", self.flags, Mode::empty()).map_err(|_| moved())?;
        if identity(&above)? == id { Ok(above) } else { Err(moved()) }
    }
}

fn identity(fd: &OwnedFd) -> io::Result<(dev_t, ino_t)> {
    let stat = fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Removes everything in a folder, whose path is for the announcements. `may_go_on` is asked on the way.
///
/// # Errors
/// `may_go_on` has one, somebody has moved a folder meanwhile, or a system call failed; what was removed stays removed.
pub(crate) fn empty(folder: OwnedFd, mut path: PathBuf, may_go_on: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
    let mut way = Descent::begin(folder)?;
    let mut seen: u32 = 0;
    loop {
        let Some(name) = way.next_name() else {
            if !way.leave()? {
                return Ok(());
            }
            let name = path.file_name().unwrap_or_default().to_owned();
            path.pop();
            unlink(way.folder(), &path, &name, UnlinkatFlags::RemoveDir)?;
            continue;
        };
        seen = seen.wrapping_add(1);
        if seen.is_multiple_of(ASKED_EVERY) {
            may_go_on()?;
        }
        match look(way.folder(), &name)? {
            None => {}
            Some(stat) if kind(&stat) == SFlag::S_IFDIR && way.enter(&name)? => path.push(&name),
            Some(_) => unlink(way.folder(), &path, &name, UnlinkatFlags::NoRemoveDir)?,
        }
    }
}

/// unlinkat(2) in an open folder, whose path is for the announcement; a missing target is not an error.
pub(crate) fn unlink(folder: impl AsFd, path: &Path, name: &OsStr, flags: UnlinkatFlags) -> io::Result<()> {
    operation::about_to(Operation::Unlink, || path.join(name))?;
    match unlinkat(folder, name, flags) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What an object is.
pub(crate) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Names in an open folder, without `.` and `..`.
pub(crate) fn names_in(folder: OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(folder)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_os_string());
        }
    }
    Ok(names)
}

/// fstatat(2) without following a link; `None` if nothing exists there.
pub(crate) fn look(folder: impl AsFd, name: &OsStr) -> io::Result<Option<FileStat>> {
    match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
