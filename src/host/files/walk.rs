//! The walk to a path, folder by folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag};

use super::{Doing, Owners, Root, Status, look, status};
use crate::host::HostError;

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
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
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
pub(super) enum Spot {
    /// At a name in an open folder, with the object there.
    At {
        /// The folder.
        folder: Folder,
        /// The name in it.
        name: OsString,
        /// The object there, `None` if nothing exists.
        stat: Option<Status>,
    },
    /// At an open folder itself: the path was `/` or ended in `..`.
    Top(Folder),
    /// A folder on the way does not exist.
    Nowhere {
        /// The last one that exists.
        nearest: Folder,
    },
}

impl<O: Owners> Root<O> {
    /// Walks to the path of `doing`.
    pub(super) fn walk(&self, doing: Doing<'_>, last: Last) -> Result<Spot, HostError> {
        if !doing.path.is_absolute() {
            return Err(doing.refused(io::ErrorKind::InvalidInput, "the path is not absolute"));
        }
        let mut base = Some(self.open_base(doing)?);
        let mut below: Vec<Folder> = Vec::new();
        // The remaining names, the next one last.
        let mut ahead = parts(doing.path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                below.pop();
                continue;
            }
            let here = match below.last().or(base.as_ref()) {
                Some(folder) => folder,
                None => return Err(doing.failed(Errno::ENOENT)),
            };
            let stat = look(here, &name).map_err(|error| doing.failed(error))?;
            let at_end = ahead.is_empty();
            let is = stat.map(|stat| stat.kind);
            if is == Some(SFlag::S_IFLNK) && !(at_end && last == Last::Keep) {
                self.check_link(doing, here, &name)?;
                links += 1;
                if links > LINK_LIMIT {
                    return Err(doing.failed(Errno::ELOOP));
                }
                let target = readlinkat(&here.fd, name.as_os_str()).map_err(|error| doing.failed(error))?;
                if Path::new(&target).is_absolute() {
                    below.clear();
                }
                ahead.extend(parts(Path::new(&target)));
                continue;
            }
            if at_end || is.is_none() {
                let Some(folder) = below.pop().or_else(|| base.take()) else {
                    return Err(doing.failed(Errno::ENOENT));
                };
                return Ok(if at_end { Spot::At { folder, name, stat } } else { Spot::Nowhere { nearest: folder } });
            }
            let next = here.below(&name).map_err(|error| doing.failed(error))?;
            below.push(next);
        }
        below.pop().or(base).map(Spot::Top).ok_or_else(|| doing.failed(Errno::ENOENT))
    }

    fn open_base(&self, doing: Doing<'_>) -> Result<Folder, HostError> {
        let fd = open(&self.base, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|error| doing.failed(error))?;
        Ok(Folder { fd, path: PathBuf::from("/") })
    }

    /// Refuses a link that a user other than root may have created.
    fn check_link(&self, doing: Doing<'_>, folder: &Folder, name: &OsStr) -> Result<(), HostError> {
        let stat = status(&folder.fd).map_err(|error| doing.failed(error))?;
        let owner = self.owners.owner(&folder.path, stat.owner);
        if owner.uid == 0 && stat.mode & 0o022 == 0 {
            return Ok(());
        }
        Err(doing.refused(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is a symbolic link in a folder that others than root can write to, so it is not followed; \
                 see where it points, and replace it with a real folder or file",
                folder.path.join(name).display()
            ),
        ))
    }
}

/// The names of a path, the first one last, including `..`.
fn parts(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_os_string()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect();
    parts.reverse();
    parts
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
