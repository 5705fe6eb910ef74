//! Reads a backup that may be damaged or malicious.
//!
//! Nothing of a tar file is interpreted: the manifest says which headers there have to be, and each is compared with the one
//! that the writer makes, byte by byte. So a link, a device, a set-id bit, an extension of GNU or PAX is a header that is not
//! the expected one, whatever it would mean to tar(1).

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::manifest::{self, Entry, LONGEST, Manifest, SCHEMA};
use super::member::{Kind, is_stray};
use super::write::{header, hexadecimal};
use super::{BLOCK, END, padded};
use crate::release::{PathRefusal, clean_path};

/// Why a backup is unusable.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BackupError {
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a backup.
    #[error("it is not a backup of gts-bootstrap: {0}")]
    Foreign(String),
    /// It was made by a newer program.
    #[error(
        "it was made by a newer gts-bootstrap (manifest of schema {schema}; this one knows up to {SCHEMA}): use that one"
    )]
    Newer { schema: u32 },
    /// It ends too early, or something follows it.
    #[error(
        "it has {size} bytes and should have {expected}: it was truncated, or something was \
         added; fetch it again from its origin"
    )]
    Length { size: u64, expected: u64 },
    /// A member that no backup has, or that is damaged.
    #[error("the member \"{path}\" {why}")]
    Member { path: String, why: String },
    /// The members are not those of the manifest.
    #[error("where the manifest has \"{expected}\", there is \"{found}\"")]
    Order { expected: String, found: String },
}

impl BackupError {
    fn member(path: &[u8], why: &str) -> Self {
        Self::Member { path: path.escape_ascii().to_string(), why: why.to_owned() }
    }
}

/// A backup whose manifest has been read. Its members have not been verified yet.
#[derive(Debug)]
pub struct Opened {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes, which identifies the backup.
    pub sha256: String,
}

/// Opens a file that may be a backup; a pipe or a device is not waited for.
///
/// # Errors
/// See [`BackupError`].
pub fn file(path: &Path) -> Result<File, BackupError> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(BackupError::Foreign("it is not a regular file".to_owned())) }
}

/// Reads the manifest, and checks the length of the file.
///
/// # Errors
/// See [`BackupError`].
pub fn open(file: &mut File) -> Result<Opened, BackupError> {
    let size = file.metadata()?.len();
    let first = first(file, size)?;
    let room = first.entry_size().unwrap_or(u64::MAX);
    let mut expected = BLOCK + padded(room) + END;
    if size < expected {
        return Err(BackupError::Length { size, expected });
    }
    let (manifest, sha256) = parse(file, room)?;
    if first.as_bytes() != header(manifest::FILE, 0o600, room, manifest.head.created)?.as_bytes() {
        return Err(BackupError::Foreign("its first header is not one of gts-bootstrap's".to_owned()));
    }
    for entry in &manifest.entries {
        // Sizes are only claims so far, and may be anything.
        expected = expected.saturating_add(BLOCK).saturating_add(padded(entry.size));
    }
    if size != expected {
        return Err(BackupError::Length { size, expected });
    }
    Ok(Opened { manifest, sha256 })
}

/// The header of the manifest, as far as it has to be understood before the manifest is read.
fn first(file: &mut File, size: u64) -> Result<Header, BackupError> {
    let foreign = |why: &str| BackupError::Foreign(why.to_owned());
    if size < BLOCK {
        return Err(foreign(if size == 0 { "it is empty" } else { "it is too short for one" }));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut first = Header::new_ustar();
    file.read_exact(first.as_mut_bytes())?;
    let is_manifest = *first.path_bytes() == *manifest::FILE.as_bytes()
        && first.entry_type() == EntryType::Regular
        && first.entry_size().is_ok_and(|size| size <= LONGEST);
    if is_manifest { Ok(first) } else { Err(foreign("its first member is not manifest.json")) }
}

/// The manifest, which stands behind its header, and its digest.
fn parse(file: &mut File, room: u64) -> Result<(Manifest, String), BackupError> {
    /// What every schema has.
    #[derive(Deserialize)]
    struct Marked {
        schema: u32,
    }
    let foreign = |error: serde_json::Error| BackupError::Foreign(format!("its manifest makes no sense ({error})"));
    // No more than the file has, which was looked at.
    let mut text = vec![0; usize::try_from(room).map_err(io::Error::other)?];
    file.read_exact(&mut text)?;
    let Marked { schema } = serde_json::from_slice(&text).map_err(foreign)?;
    if schema > SCHEMA {
        return Err(BackupError::Newer { schema });
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(foreign)?;
    let mut seen = BTreeSet::from([manifest::FILE]);
    for Entry { path, mode, size, .. } in &manifest.entries {
        let wrong = |why: &str| Err(BackupError::member(path.as_bytes(), why));
        let clean = allowed(path.as_bytes())?;
        if mode & !0o777 != 0 {
            return wrong("has a special mode (setuid, setgid or sticky)");
        }
        if clean != *path {
            return wrong(&not_allowed(&PathRefusal::Empty));
        }
        if !seen.insert(path) {
            return wrong("is there twice");
        }
        match Kind::of(path).map(Kind::largest) {
            None if !is_stray(path) => return wrong("has a name that no backup of gts-bootstrap contains"),
            Some(largest) if *size > largest => {
                return wrong(&format!("has {size} bytes, and no backup has one with more than {largest}"));
            }
            _ => {}
        }
    }
    if manifest.database().is_none() {
        return Err(BackupError::Foreign("there is no database in it".to_owned()));
    }
    Ok((manifest, hexadecimal(Sha256::new_with_prefix(&text))))
}

fn allowed(path: &[u8]) -> Result<String, BackupError> {
    clean_path(path, false).map_err(|reason| BackupError::member(path, &not_allowed(&reason)))
}

fn not_allowed(reason: &PathRefusal) -> String {
    format!("is not allowed, because {reason}")
}

/// Reads every member in turn, to its end, and compares its digest. `visit` gets each one. A damaged member gives it an
/// error in place of its end, so that `visit` can discard what it made of the bytes. `may_go_on` is asked at short intervals.
///
/// # Errors
/// See [`BackupError`]; or the error of `visit` or of `may_go_on`.
pub fn walk(
    file: &mut File,
    manifest: &Manifest,
    may_go_on: &dyn Fn() -> io::Result<()>,
    visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> Result<(), BackupError> {
    let size = file.metadata()?.len();
    let room = first(file, size)?.entry_size()?;
    file.seek(SeekFrom::Start(BLOCK + room))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    is_filling(&mut file, padded(room) - room, manifest::FILE)?;
    for wanted in &manifest.entries {
        let mut block = Header::new_ustar();
        file.read_exact(block.as_mut_bytes())?;
        compare(&block, wanted, manifest.head.created)?;
        let mut member = file.by_ref().take(wanted.size);
        let (hasher, left) = (Some(Sha256::new()), wanted.size);
        let mut checked = Checked { inner: &mut member, left, hasher, wanted, damaged: false, may_go_on };
        let visited = visit(wanted, &mut checked).and_then(|()| io::copy(&mut checked, &mut io::sink()).map(drop));
        if checked.damaged {
            let why = "is damaged: its SHA-256 is not that of the manifest";
            return Err(BackupError::member(wanted.path.as_bytes(), why));
        }
        visited?;
        is_filling(&mut file, padded(wanted.size) - wanted.size, &wanted.path)?;
    }
    is_filling(&mut file, END, "the last one")
}

/// Compares a header with the one that the writer has made, and says of another one what it is.
fn compare(block: &Header, wanted: &Entry, created: u64) -> Result<(), BackupError> {
    if block.as_bytes() == header(&wanted.path, wanted.mode, wanted.size, created)?.as_bytes() {
        return Ok(());
    }
    let order = |found: String| BackupError::Order { expected: wanted.path.clone(), found };
    if block.as_bytes().iter().all(|byte| *byte == 0) {
        return Err(order("the end".to_owned()));
    }
    let shown = block.path_bytes();
    if block.entry_type() != EntryType::Regular {
        return Err(BackupError::member(&shown, "is not a regular file, and a backup contains nothing else"));
    }
    if allowed(&shown)? != wanted.path {
        return Err(order(shown.escape_ascii().to_string()));
    }
    let why =
        "has another header than the manifest says (size, mode, owner or time): it was changed after it was written";
    Err(BackupError::member(&shown, why))
}

/// Reads what fills a block up. Nobody looks at it, so nothing must be hidden there.
fn is_filling(file: &mut impl Read, size: u64, after: &str) -> Result<(), BackupError> {
    let mut filling = Vec::new();
    file.take(size).read_to_end(&mut filling)?;
    if filling.len() as u64 == size && filling.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Err(BackupError::member(after.as_bytes(), "is followed by bytes that belong to no file"))
}

/// A member that is compared with its digest while it is read.
struct Checked<'a, R> {
    inner: R,
    left: u64,
    hasher: Option<Sha256>,
    wanted: &'a Entry,
    damaged: bool,
    may_go_on: &'a dyn Fn() -> io::Result<()>,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        (self.may_go_on)()?;
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        if read == 0 {
            let found = self.hasher.take().map(hexadecimal);
            self.damaged |= found.is_some_and(|found| found != self.wanted.sha256) || self.left > 0;
            if self.damaged {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"));
            }
        }
        Ok(read)
    }
}
