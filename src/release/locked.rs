//! A release pinned to its bytes.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::source::REHEARSAL_SCHEME;
use super::{Arch, Error, Sha256Digest, Source, Variant, asset_name};

/// One release, pinned: the same lock gives the same bytes on every host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedRelease {
    /// The version, without the `v` of its tag.
    pub version: Version,
    /// How the program was built.
    pub variant: Variant,
    /// What processor it was built for.
    pub arch: Arch,
    /// The file name of the archive.
    pub asset: String,
    /// Where the archive was found when it was locked: a record for people. A later download goes to the source
    /// that is configured then, and the digest sees to it that the bytes are the same.
    pub url: String,
    /// The size of the archive in bytes, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of the archive.
    pub sha256: Sha256Digest,
}

impl LockedRelease {
    /// Whether this lock was made in a rehearsal, from the stand-in release.
    pub fn is_rehearsal(&self) -> bool {
        self.url.starts_with(REHEARSAL_SCHEME)
    }

    /// Checks that the lock may be used with a source: a rehearsal's lock with the stand-in, a real one with a
    /// real source.
    ///
    /// # Errors
    ///
    /// [`Error::RehearsalLock`] or [`Error::RealReleaseInRehearsal`] if they don't fit together, and
    /// [`Error::InconsistentLock`] if the file name is not the one of the version, architecture and variant.
    pub fn check_fits(&self, source: &Source) -> Result<(), Error> {
        let stand_in = matches!(source, Source::StandIn { .. });
        if self.is_rehearsal() && !stand_in {
            return Err(Error::RehearsalLock(self.version.clone()));
        }
        if stand_in && !self.is_rehearsal() {
            return Err(Error::RealReleaseInRehearsal("lock"));
        }
        let expected = asset_name(&self.version, self.arch, self.variant)?;
        if self.asset != expected {
            return Err(Error::InconsistentLock(self.asset.escape_debug().to_string(), expected));
        }
        Ok(())
    }

    /// Checks a size of the archive, where both it and the one in the lock are known.
    pub(super) fn check_size(&self, size: Option<u64>) -> Result<(), Error> {
        match (self.size, size) {
            (Some(expected), Some(actual)) if expected != actual => {
                Err(Error::WrongSize { asset: self.asset.clone(), expected, actual })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn lock(url: &str) -> LockedRelease {
        LockedRelease {
            version: Version::new(0, 19, 2),
            variant: Variant::Default,
            arch: Arch::Amd64,
            asset: "gotosocial_0.19.2_freebsd_amd64.tar.gz".into(),
            url: url.into(),
            size: None,
            sha256: Sha256Digest::of(b""),
        }
    }

    fn stand_in() -> Source {
        Source::StandIn { path: PathBuf::from("/rehearsal"), versions: [].into() }
    }

    fn mirror() -> Source {
        Source::MirrorDir(PathBuf::from("/mirror"))
    }

    #[test]
    fn a_lock_survives_being_stored() {
        let lock = lock("https://example.org/a");
        let json = serde_json::to_string(&lock).unwrap();
        assert!(json.contains("\"variant\":\"default\"") && json.contains("\"arch\":\"amd64\""));
        assert!(!json.contains("size"));
        assert_eq!(serde_json::from_str::<LockedRelease>(&json).unwrap(), lock);
    }

    #[test]
    fn rehearsal_and_reality_are_kept_apart() {
        let rehearsed = lock("rehearsal:v0.19.2/a");
        let real = lock("https://example.org/a");
        assert!(rehearsed.check_fits(&stand_in()).is_ok());
        assert!(real.check_fits(&mirror()).is_ok());
        assert!(matches!(rehearsed.check_fits(&mirror()), Err(Error::RehearsalLock { .. })));
        let error = real.check_fits(&stand_in()).unwrap_err();
        assert!(matches!(error, Error::RealReleaseInRehearsal { .. }));
        assert!(error.to_string().contains("--mirror"));
    }

    #[test]
    fn a_lock_that_names_another_file_is_refused() {
        let mut odd = lock("https://example.org/a");
        odd.asset = "../gotosocial.tar.gz".into();
        assert!(matches!(odd.check_fits(&mirror()), Err(Error::InconsistentLock { .. })));
    }
}
