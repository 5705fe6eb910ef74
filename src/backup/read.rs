//! Reads a backup that may be damaged or malicious.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::manifest::{self, Entry, LONGEST, Manifest, SCHEMA};
use super::write::hexadecimal;
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

/// Reads the manifest, and checks the length of the file.
///
/// # Errors
/// See [`BackupError`].
pub fn open(file: &mut File) -> Result<Opened, BackupError> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut archive = Archive::new(file);
    let mut entries = archive.entries()?.raw(true);
    let foreign = |why: &str| BackupError::Foreign(why.to_owned());
    let first = entries.next().ok_or_else(|| foreign("it is empty"))?;
    let mut first = first.map_err(|error| BackupError::Foreign(error.to_string()))?;
    let is_manifest = *first.path_bytes() == *manifest::FILE.as_bytes()
        && first.header().entry_type() == EntryType::Regular
        && first.size() <= LONGEST;
    if !is_manifest {
        return Err(foreign("its first member is not manifest.json"));
    }
    let room = first.size();
    let mut expected = BLOCK + padded(room) + END;
    let mut text = Vec::new();
    first.read_to_end(&mut text)?;
    if text.len() as u64 != room {
        return Err(BackupError::Length { size, expected });
    }
    let manifest = parse(&text)?;
    for entry in &manifest.entries {
        // Sizes are only claims so far, and may be anything.
        expected = expected.saturating_add(BLOCK).saturating_add(padded(entry.size));
    }
    if size != expected {
        return Err(BackupError::Length { size, expected });
    }
    Ok(Opened { manifest, sha256: hexadecimal(Sha256::new_with_prefix(&text)) })
}

fn parse(text: &[u8]) -> Result<Manifest, BackupError> {
    /// What every schema has.
    #[derive(Deserialize)]
    struct Marked {
        schema: u32,
    }
    let foreign = |error: serde_json::Error| BackupError::Foreign(format!("its manifest makes no sense ({error})"));
    let Marked { schema } = serde_json::from_slice(text).map_err(foreign)?;
    if schema > SCHEMA {
        return Err(BackupError::Newer { schema });
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(foreign)?;
    let mut seen = BTreeSet::from([manifest::FILE]);
    for Entry { path, mode, .. } in &manifest.entries {
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
    }
    if manifest.database().is_none() {
        return Err(BackupError::Foreign("there is no database in it".to_owned()));
    }
    Ok(manifest)
}

fn allowed(path: &[u8]) -> Result<String, BackupError> {
    clean_path(path, false).map_err(|reason| BackupError::member(path, &not_allowed(&reason)))
}

fn not_allowed(reason: &PathRefusal) -> String {
    format!("is not allowed, because {reason}")
}

/// Reads every member in turn, to its end, and compares its digest. `visit` gets each one. A damaged member gives it an
/// error in place of its end, so that `visit` can discard what it made of the bytes.
///
/// # Errors
/// See [`BackupError`]; or the error of `visit`.
pub fn walk(
    file: &mut File,
    manifest: &Manifest,
    visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> Result<(), BackupError> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = Archive::new(file);
    let mut entries = archive.entries()?.raw(true).skip(1);
    let order = |expected: &str, found: String| BackupError::Order { expected: expected.to_owned(), found };
    for wanted in &manifest.entries {
        let next = entries.next().ok_or_else(|| order(&wanted.path, "the end".to_owned()))?;
        let mut entry = next.map_err(|error| order(&wanted.path, error.to_string()))?;
        let shown = entry.path_bytes().into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(BackupError::member(&shown, "is not a regular file, and a backup contains nothing else"));
        }
        let path = allowed(&shown)?;
        if path != wanted.path || entry.size() != wanted.size {
            return Err(order(&wanted.path, shown.escape_ascii().to_string()));
        }
        let mut checked =
            Checked { inner: &mut entry, left: wanted.size, hasher: Some(Sha256::new()), wanted, damaged: false };
        let visited = visit(wanted, &mut checked).and_then(|()| io::copy(&mut checked, &mut io::sink()).map(drop));
        if checked.damaged {
            return Err(BackupError::member(&shown, "is damaged: its SHA-256 is not that of the manifest"));
        }
        visited?;
    }
    match entries.next() {
        None => Ok(()),
        Some(Ok(entry)) => Err(order("the end", entry.path_bytes().escape_ascii().to_string())),
        Some(Err(error)) => Err(order("the end", error.to_string())),
    }
}

/// A member that is compared with its digest while it is read.
struct Checked<'a, R> {
    inner: R,
    left: u64,
    hasher: Option<Sha256>,
    wanted: &'a Entry,
    damaged: bool,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
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
