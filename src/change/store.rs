//! The program's own folder: journal, receipts, and the bytes of files that were replaced.
//!
//! Everything in it is readable by root alone, since a replaced configuration can hold passwords.

use std::path::{Path, PathBuf};

use super::content::digest;
use crate::host::{Host, HostError, Observe, Owner, is_temporary};
use crate::shown::Shown;

/// The program's own folder.
pub const FOLDER: &str = "/var/db/gts-bootstrap";

/// What the own folder is called while it is removed.
pub const GOING: &str = "/var/db/gts-bootstrap.going";

/// Where the bytes of a replaced file are kept.
pub fn kept(sha256: &str) -> PathBuf {
    PathBuf::from(format!("{FOLDER}/replaced/{sha256}"))
}

/// Where a download that somebody has interrupted waits for the next run.
pub fn download() -> PathBuf {
    PathBuf::from(FOLDER).join("download")
}

/// The lock that keeps two changing runs apart.
pub fn lock() -> PathBuf {
    PathBuf::from(FOLDER).join("lock")
}

/// Removes the program's own folder, and with it everything that is known of what was done here. It goes by one rename first, so
/// that there is never half of a record; what a crash leaves of that is removed by the next run.
///
/// # Errors
/// It cannot be renamed or removed.
pub fn forget(host: &dyn Host) -> Result<(), HostError> {
    let (folder, going) = (Path::new(FOLDER), Path::new(GOING));
    host.remove_tree(going)?;
    if host.entry(folder)?.is_some() {
        host.rename(folder, going)?;
    }
    host.remove_tree(going)
}

/// Makes one of the program's own folders, and [`FOLDER`] itself, if they are missing.
///
/// # Errors
/// A folder cannot be made.
pub fn folder(host: &dyn Host, name: &str) -> Result<PathBuf, HostError> {
    let path = Path::new(FOLDER).join(name);
    // Nothing above: where /var is not mounted, a journal below it would be hidden by the mount.
    for folder in [Path::new(FOLDER), &path] {
        if host.entry(folder)?.is_none() {
            host.make_directory(folder, 0o700, Owner::ROOT)?;
        }
    }
    Ok(path)
}

/// Makes a folder, and those above it as far as they are missing; adds what it made to `made`, outermost first.
pub(super) fn make_missing(
    host: &dyn Host,
    folder: &Path,
    mode: u32,
    made: &mut Vec<PathBuf>,
) -> Result<(), HostError> {
    let all: Vec<&Path> = folder.ancestors().collect();
    for folder in all.into_iter().rev() {
        if host.entry(folder)?.is_none() {
            host.make_directory(folder, mode, Owner::ROOT)?;
            made.push(folder.to_owned());
        }
    }
    Ok(())
}

/// Removes the temporary files that an interrupted write leaves in a folder.
pub(super) fn sweep(host: &dyn Host, folder: &Path) -> Result<(), HostError> {
    for name in host.list(folder)?.iter().filter(|name| is_temporary(name)) {
        host.remove(&folder.join(name))?;
    }
    Ok(())
}

/// Keeps some bytes under their digest, which is returned.
///
/// # Errors
/// The file cannot be written.
pub fn keep(host: &dyn Host, bytes: &[u8]) -> Result<String, HostError> {
    folder(host, "replaced")?;
    let sha256 = digest(bytes);
    let path = kept(&sha256);
    if host.entry(&path)?.is_none() {
        host.write_file(&path, bytes, 0o600, Owner::ROOT)?;
    }
    Ok(sha256)
}

/// Reads kept bytes back, and checks them against their digest.
///
/// # Errors
/// The file is missing, damaged, or cannot be read.
pub fn recall(host: &dyn Observe, sha256: &str) -> Result<Vec<u8>, HostError> {
    let path = kept(sha256);
    match host.read(&path)? {
        Some(bytes) if digest(&bytes) == sha256 => Ok(bytes),
        Some(_) => Err(HostError::unreadable(path.shown(), "its content does not match its name")),
        None => Err(HostError::file("read", path)(std::io::ErrorKind::NotFound.into())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;

    #[test]
    fn nothing_is_made_above_the_folder_of_the_program() {
        let temporary = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(temporary.path().join("root")).unwrap();
        host.remove_tree(Path::new("/var/db")).unwrap();
        assert!(folder(&host, "receipts").is_err());
        assert_eq!(host.entry(Path::new("/var/db")).unwrap(), None);
    }
}
