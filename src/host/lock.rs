//! The lock that prevents two changing runs at the same time.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;

use super::HostError;

/// How much of a holder's note is shown, in bytes.
const NOTE_LIMIT: u64 = 200;

/// A held lock, flock(2). It is released when this is dropped, or when the process dies.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub(crate) struct Lock {
    file: Flock<File>,
}

/// Takes the lock in the file `path` (created with mode 0600 if it is missing) and writes this process and `note` into
/// it. `path` is a path of the system that the program runs on.
///
/// The file is never removed: a process that had opened it just before would then hold the lock of a file without a
/// name.
///
/// # Errors
/// [`HostError::Locked`] with the holder's text if another process holds it; else the file cannot be opened or written.
pub(crate) fn take(path: &Path, note: &str) -> Result<Lock, HostError> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = open(path, flags, Mode::from_bits_truncate(0o600))
        .map(File::from)
        .map_err(|errno| HostError::file("open the lock", path)(errno.into()))?;
    let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => file,
        Err((file, Errno::EWOULDBLOCK)) => return Err(HostError::Locked { holder: holder(file) }),
        Err((_, errno)) => return Err(HostError::file("lock", path)(errno.into())),
    };
    let since = httpdate::fmt_http_date(SystemTime::now());
    let text = format!("pid {}, `{note}`, since {since}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(HostError::file("write the lock", path))?;
    Ok(Lock { file })
}

fn holder(file: File) -> String {
    let mut bytes = Vec::new();
    // Even without its note the holder still holds the lock, which is what must be reported.
    let _ = file.take(NOTE_LIMIT).read_to_end(&mut bytes);
    let text: String = String::from_utf8_lossy(&bytes).chars().filter(|character| !character.is_control()).collect();
    if text.trim().is_empty() { "it has not said which".to_owned() } else { text.trim().to_owned() }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A remaining text would only be outdated: the lock itself ends with the descriptor.
        let _ = self.file.set_len(0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn two_cannot_hold_it_and_the_holder_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let first = take(&path, "install").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let expected = format!("pid {}, `install`, since ", std::process::id());
        match take(&path, "gts-bootstrap upgrade") {
            Err(HostError::Locked { holder }) => {
                assert!(holder.starts_with(&expected) && holder.ends_with(" GMT"), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        drop(take(&path, "gts-bootstrap upgrade").unwrap());
    }

    #[test]
    fn a_holder_without_a_note_is_still_a_holder() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let _held = take(&path, "").unwrap();
        fs::write(&path, "").unwrap();
        let error = take(&path, "x").unwrap_err().to_string();
        assert!(error.contains("has not said which"), "{error}");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::TempDir::new().unwrap();
        symlink("elsewhere", folder.path().join("lock")).unwrap();
        let error = take(&folder.path().join("lock"), "x").unwrap_err();
        assert!(matches!(error, HostError::File { .. }), "{error}");
        assert!(!folder.path().join("elsewhere").exists());
    }
}
