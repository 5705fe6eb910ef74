//! The way through a tree of folders.
//!
//! The owner of a tree decides how deep it is. So the way goes by descriptor, one step a level: down by name, and up by
//! `..`, which must be the folder that it came from. The cost of a folder does not depend on its depth, nothing recurses,
//! and only so many folders are open at a time. No path is looked up, so none can be too long.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::vec;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::libc::ino_t;
use nix::sys::stat::{Mode, SFlag, dev_t, fstat};

use super::{Root, kind, look, named, names_in, refused};
use crate::host::{Entry, HostError};

/// How many folders above the present one are open. GoToSocial's are less deep; so a folder that it removes meanwhile
/// does not matter.
const HELD: usize = 16;

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// Into it, if it is a folder.
    In,
    /// Past it.
    Past,
    /// Nowhere: the walk ends.
    End,
}

/// Is shown what a walk finds, a folder before what is in it, and says where to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&Path, &Entry) -> Onward;

/// The folder in which a walk is, and those above it.
pub(super) struct Descent {
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
    pub(super) fn begin(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self { here: Open::new(fd)?, above: Vec::new(), flags })
    }

    /// The folder.
    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.here.fd.as_fd()
    }

    /// The next name in it.
    pub(super) fn next_name(&mut self) -> Option<OsString> {
        self.here.ahead.next()
    }

    /// Goes into a folder in it; whether there is one of that name.
    pub(super) fn enter(&mut self, name: &OsStr) -> io::Result<bool> {
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
    pub(super) fn leave(&mut self) -> io::Result<bool> {
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
            refused(
                io::ErrorKind::Other,
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

impl Root {
    /// Shows everything below a folder to `visit`, in the order of names, each folder before what is in it. No link in it
    /// is followed. Does nothing if there is no such folder.
    ///
    /// # Errors
    /// Not a folder, or unreadable; or somebody has moved a folder meanwhile.
    pub fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError> {
        named("list", top, || self.go_through(top, visit))
    }

    fn go_through(&self, top: &Path, visit: Visit<'_>) -> io::Result<()> {
        let Some(folder) = self.folder(top)? else { return Ok(()) };
        // The path without links, which owners are recorded by, and as the caller knows it.
        let (mut real, mut told) = (folder.path, top.to_path_buf());
        let mut way = Descent::begin(folder.fd)?;
        loop {
            let Some(name) = way.next_name() else {
                if !way.leave()? {
                    return Ok(());
                }
                real.pop();
                told.pop();
                continue;
            };
            let Some(stat) = look(way.folder(), &name)? else { continue };
            real.push(&name);
            told.push(&name);
            let entry = match kind(&stat) {
                SFlag::S_IFLNK => {
                    let target = readlinkat(way.folder(), &*name).unwrap_or_default();
                    Entry::Symlink { target: target.into() }
                }
                _ => self.describe(&real, &stat),
            };
            let onward = visit(&told, &entry);
            if onward == Onward::End {
                return Ok(());
            }
            let is_folder = matches!(entry, Entry::Directory { .. });
            if !(is_folder && onward == Onward::In && way.enter(&name)?) {
                real.pop();
                told.pop();
            }
        }
    }
}
