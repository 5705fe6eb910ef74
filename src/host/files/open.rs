//! The one way in which a file is opened for reading.
//!
//! In a folder that is root's alone, root has put everything. In any other folder somebody else may have put it: on
//! FreeBSD a user can by default make a hard link to a file that the user cannot read. So such a file is opened first,
//! without waiting, and then its descriptor is judged: it must be a regular file with one name, and belong to the user whom
//! the caller names ([`Whose`]). A link count alone would not do, because the first name of a linked file may be gone by
//! then: pw(8) replaces /etc/master.passwd. So no file of root's is read there, whoever owns the folder: nothing tells
//! whether root has put it there. What is read afterwards is what was judged, whatever takes its name meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};

use super::walk::{Folder, Last, Spot};
use super::{Root, named, permissions, refused, regular, symbolic_link};
use crate::host::{HostError, Owner};

/// Whose a file has to be that somebody else than root could have put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This user's.
    User(u32),
    /// The user's whose folder it is in: what others keep as they like, such as certificates.
    Folder,
    /// Anybody's, which everybody may read: who put it there gains nothing by having it read.
    Public,
}

impl Whose {
    /// Root's: read only where root alone can put files.
    pub const ROOT: Self = Self::User(0);

    /// That of an owner.
    pub fn of(owner: Owner) -> Self {
        Self::User(owner.uid)
    }
}

/// An open file, as its descriptor describes it.
pub(super) struct Opened {
    pub(super) file: File,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

impl Root {
    /// Opens the file at `path` for reading, following links; `None` if there is no such file.
    ///
    /// # Errors
    /// Not a regular file, or unreadable; or somebody else than root may have put somebody else's file there.
    pub fn open_file(&self, path: &Path, whose: Whose) -> Result<Option<File>, HostError> {
        named("read", path, || Ok(self.open_to_read(path, whose)?.map(|opened| opened.file)))
    }

    /// Reads at most `limit` bytes of the file at `path` from `offset` on, following links; `None` if there is no such
    /// file. The file itself may have any size.
    ///
    /// # Errors
    /// As for [`Root::open_file`].
    pub fn read_from(
        &self,
        path: &Path,
        whose: Whose,
        offset: u64,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, HostError> {
        named("read", path, || {
            let Some(Opened { mut file, .. }) = self.open_to_read(path, whose)? else { return Ok(None) };
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(offset))?;
            file.take(limit as u64).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        })
    }

    /// Reads the file at `path` as a process of a rehearsal does: the kernel asks nobody who has put it there.
    ///
    /// # Errors
    /// Not a regular file, or unreadable.
    pub fn read_unjudged(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        named("read", path, || {
            let Some((mut file, ..)) = self.open_any(path)? else { return Ok(None) };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        })
    }

    /// Opens a file, and judges what was opened.
    pub(super) fn open_to_read(&self, path: &Path, whose: Whose) -> io::Result<Option<Opened>> {
        let Some((file, stat, folder, path)) = self.open_any(path)? else { return Ok(None) };
        let owner = self.owner(&path, &stat);
        let shared = match whose {
            Whose::Public if permissions(&stat) & 0o004 == 0 => return Err(Errno::EACCES.into()),
            Whose::Public => None,
            _ => self.shared_by(&folder)?,
        };
        if let Some(of_folder) = shared {
            let uid = if let Whose::User(uid) = whose { uid } else { of_folder };
            match stat.st_nlink {
                // It was deleted after it was opened.
                0 => return Ok(None),
                1 if owner.uid == uid && uid != 0 => {}
                1 => return Err(not_its_own(owner.uid, uid)),
                // The width of the number differs between systems.
                #[allow(clippy::useless_conversion)]
                names => return Err(linked(names.into())),
            }
        }
        Ok(Some(Opened { file, mode: permissions(&stat), owner }))
    }

    /// Opens a regular file; with it what its descriptor says, its folder, and its path without links.
    fn open_any(&self, path: &Path) -> io::Result<Option<(File, FileStat, Folder, PathBuf)>> {
        let (folder, name, stat) = match self.walk(path, Last::Follow)? {
            Spot::Nowhere { .. } | Spot::At { stat: None, .. } => return Ok(None),
            Spot::Top(_) => return Err(Errno::EISDIR.into()),
            Spot::At { folder, name, stat: Some(stat) } => (folder, name, stat),
        };
        // Opening a device can have effects, so none is opened on purpose.
        regular(&stat)?;
        // Not blocking: if a pipe is put there after the check, opening it must not hang.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&folder.fd, &*name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            // EMLINK is FreeBSD's word for a link that O_NOFOLLOW does not follow.
            Err(Errno::ELOOP | Errno::EMLINK) => return Err(symbolic_link()),
            opened => opened?,
        };
        let stat = fstat(&file)?;
        regular(&stat)?;
        let path = folder.path.join(name);
        Ok(Some((File::from(file), stat, folder, path)))
    }
}

fn not_its_own(owner: u32, wanted: u32) -> io::Error {
    let advice = match wanted {
        0 => "have the folder belong to root, and let nobody else write to it (chown, chmod)".to_owned(),
        wanted => format!("remove it, or give it to uid {wanted} (chown)"),
    };
    refused(
        io::ErrorKind::PermissionDenied,
        format!(
            "it belongs to uid {owner} and is in a folder that others than root can write to, who may have linked it \
             there, so it is not read; see what it is, and {advice}"
        ),
    )
}

fn linked(names: u64) -> io::Error {
    refused(
        io::ErrorKind::PermissionDenied,
        format!(
            "it has {names} names (hard links), so it may be somebody else's file and is not read; `find / -samefile` \
             shows the others: remove this one, or put a copy in its place"
        ),
    )
}
