//! The walk to a path, folder by folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::{Root, kind, look, permissions, refused};
use crate::shown::Shown;

/// The maximum number of links followed on one walk, as MAXSYMLINKS in FreeBSD's `sys/param.h`.
const LINK_LIMIT: u32 = 32;

/// An open folder of the host.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    /// Its path on the host, free of links.
    pub(super) path: PathBuf,
}

impl Folder {
    /// Opens a folder in this one; a link is not followed.
    pub(super) fn below(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = self.path.join(name);
        match openat(&self.fd, name, flags, Mode::empty()) {
            // Somebody has put a link in place of a folder. EMLINK is FreeBSD's word for that.
            Err(Errno::ELOOP | Errno::EMLINK) => Err(planted(&path)),
            fd => Ok(Self { fd: fd?, path }),
        }
    }

    /// The same; `None` if it is gone by now.
    pub(super) fn below_if_there(&self, name: &OsStr) -> io::Result<Option<Self>> {
        match self.below(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            below => below.map(Some),
        }
    }
}

/// What to do with a link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Continue at its target.
    Follow,
    /// Stop at the link itself.
    Keep,
}

/// Where a walk ended.
#[derive(Debug)]
// FreeBSD's stat is large. A spot lives for one operation, so a box would not save anything.
#[allow(clippy::large_enum_variant)]
pub(super) enum Spot {
    /// At a name in an open folder, with the object there.
    At {
        /// The folder.
        folder: Folder,
        /// The name in it.
        name: OsString,
        /// The object there, `None` if nothing exists.
        stat: Option<FileStat>,
    },
    /// At an open folder itself: the path was `/` or ended in `..`.
    Top(Folder),
    /// A folder on the way does not exist.
    Nowhere {
        /// The last one that exists.
        nearest: Folder,
    },
}

impl Root {
    /// Walks to a path.
    pub(super) fn walk(&self, path: &Path, last: Last) -> io::Result<Spot> {
        if !path.is_absolute() {
            return Err(refused(io::ErrorKind::InvalidInput, "the path is not absolute"));
        }
        let base = open(&self.base, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let base = Folder { fd: base, path: PathBuf::from("/") };
        let mut below: Vec<Folder> = Vec::new();
        // The remaining names, the next one last.
        let mut ahead = parts(path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                below.pop();
                continue;
            }
            let here = below.last().unwrap_or(&base);
            let stat = look(&here.fd, &name)?;
            let at_end = ahead.is_empty();
            let is = stat.as_ref().map(kind);
            if is == Some(SFlag::S_IFLNK) && !(at_end && last == Last::Keep) {
                self.check_link(here, &name)?;
                links += 1;
                if links > LINK_LIMIT {
                    return Err(Errno::ELOOP.into());
                }
                let target = PathBuf::from(readlinkat(&here.fd, &*name)?);
                if target.is_absolute() {
                    below.clear();
                }
                ahead.extend(parts(&target));
                continue;
            }
            if at_end || is.is_none() {
                let folder = below.pop().unwrap_or(base);
                return Ok(if at_end { Spot::At { folder, name, stat } } else { Spot::Nowhere { nearest: folder } });
            }
            match here.below_if_there(&name)? {
                Some(next) => below.push(next),
                None => return Ok(Spot::Nowhere { nearest: below.pop().unwrap_or(base) }),
            }
        }
        Ok(Spot::Top(below.pop().unwrap_or(base)))
    }

    /// Opens the folder at a path, following links; `None` if there is none.
    pub(super) fn folder(&self, path: &Path) -> io::Result<Option<Folder>> {
        match self.walk(path, Last::Follow)? {
            Spot::Nowhere { .. } | Spot::At { stat: None, .. } => Ok(None),
            Spot::Top(folder) => Ok(Some(folder)),
            Spot::At { folder, name, .. } => folder.below_if_there(&name),
        }
    }

    /// Refuses a link that a user other than root may have created.
    fn check_link(&self, folder: &Folder, name: &OsStr) -> io::Result<()> {
        if self.shared_by(folder)?.is_none() {
            return Ok(());
        }
        Err(planted(&folder.path.join(name)))
    }

    /// The owner of a folder in which others than root can put something; `None` if it is root's alone.
    pub(super) fn shared_by(&self, folder: &Folder) -> io::Result<Option<u32>> {
        let stat = fstat(&folder.fd)?;
        let owner = self.owner(&folder.path, &stat).uid;
        Ok((owner != 0 || permissions(&stat) & 0o022 != 0).then_some(owner))
    }
}

fn planted(path: &Path) -> io::Error {
    refused(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is a symbolic link in a folder that others than root can write to, so it is not followed; \
             see where it points, and replace it with a real folder or file",
            path.shown()
        ),
    )
}

/// The names of a path, the first one last, including `..`.
fn parts(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_os_string()).collect()
}

/// The path with `..` resolved by its text alone, stopping at `/`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for part in parts(path).into_iter().rev() {
        if part == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}
