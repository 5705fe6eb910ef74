//! A backup that was read from end to end before anything is made of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::{Stop, TypedPath, inputs};
use crate::backup::{self, BackupError, Head};
use crate::change::backup::Origin;
use crate::deployment::{Answers, Layout, Secrets};
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;

/// The largest member that is taken into memory, in bytes. The longest list of a filter has a few MiB.
const SMALL: u64 = 16 * 1024 * 1024;

/// What is in a backup, but for the database and the media.
pub(super) struct Verified {
    pub(super) origin: Origin,
    pub(super) head: Head,
    /// Bytes of everything in it.
    pub(super) bytes: u64,
    pub(super) small: BTreeMap<String, Vec<u8>>,
    pub(super) lock: Lock,
}

impl Verified {
    /// Reads all of it, and compares every digest.
    pub(super) fn read(TypedPath { typed, path }: &TypedPath) -> Result<Self, Stop> {
        let refused = |why: String| Stop::refused(ErrorCode::BackupUnusable, format!("{}: {why}", typed.display()));
        let told = |error: BackupError| refused(error.to_string());
        let absolute = std::fs::canonicalize(path).map_err(|error| refused(format!("it cannot be read: {error}")))?;
        let mut file = File::open(&absolute).map_err(|error| told(error.into()))?;
        let opened = backup::open(&mut file).map_err(told)?;
        let mut small = BTreeMap::new();
        backup::walk(&mut file, &opened.manifest, &mut |entry, bytes| {
            let kinds = [backup::RECORDS, backup::TLS, backup::CERTIFICATES, backup::CONFIG, backup::CONFIG_WRITTEN];
            if kinds.iter().any(|kind| entry.path.starts_with(kind)) && entry.size <= SMALL {
                let mut content = Vec::new();
                bytes.read_to_end(&mut content)?;
                small.insert(entry.path.clone(), content);
            }
            Ok(())
        })
        .map_err(told)?;
        let lock = text(&small, &Layout::default().lock()).ok_or_else(|| refused("it has no lock file".to_owned()))?;
        let lock = Lock::parse(&lock).map_err(|why| refused(format!("its lock file: {why}")))?;
        let head = opened.manifest.head;
        let agrees = lock.host == head.host
            && lock.account_domain == head.account_domain
            && lock.release.version == head.version;
        if !agrees {
            return Err(refused("its manifest and its lock file are of different instances or versions".to_owned()));
        }
        let bytes = opened.manifest.entries.iter().map(|entry| entry.size).sum();
        let origin = Origin { file: absolute, manifest: opened.sha256 };
        Ok(Self { origin, head, bytes, small, lock })
    }

    /// The answers in it.
    pub(super) fn answers(&self) -> Result<Answers, Stop> {
        let path = Layout::default().answers();
        let missing = || Stop::refused(ErrorCode::BackupUnusable, "there are no answers in the backup");
        let text = text(&self.small, &path).ok_or_else(missing)?;
        inputs::parsed(&text, Path::new("the answers in the backup"))
    }

    /// The secrets in it.
    pub(super) fn secrets(&self) -> Result<Secrets, Stop> {
        let Some(text) = text(&self.small, &Layout::default().secrets()) else { return Ok(Secrets::default()) };
        inputs::secrets_of(&text, Path::new("the secrets in the backup"))
    }
}

/// The text of one of the program's own records.
fn text(small: &BTreeMap<String, Vec<u8>>, path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let bytes = small.get(&format!("{}{name}", backup::RECORDS))?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
