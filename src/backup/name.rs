//! Names of backups: `HOST-VERSION-20260101T000000Z.tar`.

use std::fmt;

use semver::Version;

use crate::utc;

/// The name of a backup, which shows host, version and time without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupName {
    /// Host name of the instance.
    pub host: String,
    /// Version of GoToSocial.
    pub version: Version,
    /// When it was made, in UTC: `20260101T000000Z` (ISO 8601, basic format). Sorts by time.
    pub stamp: String,
}

impl BackupName {
    /// The name of a backup made at this time, in seconds since 1970.
    pub fn new(host: &str, version: &Version, time: u64) -> Self {
        Self { host: host.to_owned(), version: version.clone(), stamp: utc::stamp(time) }
    }

    /// Parses a name, if it is that of a backup of this host. A host name may itself look like host and version, so the
    /// host must be known.
    pub fn of_host(host: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(host)?.strip_prefix('-')?.strip_suffix(".tar")?;
        let (version, stamp) = rest.rsplit_once('-')?;
        let version = Version::parse(version).ok()?;
        utc::of_stamp(stamp).map(|_| Self { host: host.to_owned(), version, stamp: stamp.to_owned() })
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}.tar", self.host, self.version, self.stamp)
    }
}

/// Which of these names are backups of the host to be removed, oldest first, so that `keep` stay. One of those that
/// stay is `new`, which has just been made or is about to be: the clock may have been wrong before, so names can lie in
/// the future.
pub fn surplus(host: &str, names: &[String], keep: usize, new: &str) -> Vec<String> {
    let mut ours: Vec<(String, &String)> = names
        .iter()
        .filter(|name| *name != new)
        .filter_map(|name| Some((BackupName::of_host(host, name)?.stamp, name)))
        .collect();
    ours.sort_unstable();
    let goes = ours.len().saturating_sub(keep.saturating_sub(1));
    ours.into_iter().take(goes).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_not_ours() {
        let version: Version = "0.20.0-rc1".parse().unwrap();
        let name = BackupName::new("social.example.org", &version, 1_767_225_600);
        assert_eq!(name.to_string(), "social.example.org-0.20.0-rc1-20260101T000000Z.tar");
        assert_eq!(BackupName::of_host("social.example.org", &name.to_string()), Some(name));
        for other in [
            "social.example.org-0.20.0-20260101T000000Z.tar.gz",
            "social.example.org-0.20.0-20260101.tar",
            "social.example.org-0.20.0-20260101T00000xZ.tar",
            "social.example.org-latest-20260101T000000Z.tar",
            "asocial.example.org-0.20.0-20260101T000000Z.tar",
            "social.example.org.evil-0.20.0-20260101T000000Z.tar",
            "my-copy-of-social.example.org-0.20.0-20260101T000000Z.tar",
            "social.example.org",
            "",
        ] {
            assert_eq!(BackupName::of_host("social.example.org", other), None, "{other}");
        }
    }

    #[test]
    fn the_oldest_of_this_host_go_first_and_nothing_else_goes() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = names(&[
            "a.example-0.20.0-20260103T000000Z.tar",
            "a.example-0.19.2-20260101T000000Z.tar",
            "a.example-0.19.2-20260102T000000Z.tar",
            "b.example-0.19.2-20250101T000000Z.tar",
            "a.example-0.19.2-20240101T000000Z.tar.age",
            "notes.txt",
        ]);
        let gone = names(&["a.example-0.19.2-20260101T000000Z.tar", "a.example-0.19.2-20260102T000000Z.tar"]);
        assert_eq!(surplus("a.example", &all, 1, &all[0]), gone);
        assert_eq!(surplus("a.example", &all, 3, &all[0]), names(&[]));
        // One that is about to be made.
        assert_eq!(surplus("a.example", &all, 2, "a.example-0.20.0-20260104T000000Z.tar"), gone);
        // Whatever the clock was then, the new one is never removed.
        assert_eq!(surplus("a.example", &all, 1, &all[1]), names(&[&all[2], &all[0]]));
    }
}
