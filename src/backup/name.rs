//! Names of backups: `HOST-VERSION-20260101T000000Z.tar`.

use std::fmt;

use semver::Version;

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
    #[must_use]
    pub fn new(host: &str, version: &Version, time: u64) -> Self {
        Self { host: host.to_owned(), version: version.clone(), stamp: stamp(time) }
    }

    /// Parses a name, if it is that of a backup of this host. A host name may itself look like host and version, so the
    /// host must be known.
    #[must_use]
    pub fn of_host(host: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(host)?.strip_prefix('-')?.strip_suffix(".tar")?;
        let (version, stamp) = rest.rsplit_once('-')?;
        let shape = |(place, byte): (usize, u8)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        };
        let is_stamp = stamp.len() == 16 && stamp.bytes().enumerate().all(shape);
        let version = Version::parse(version).ok()?;
        is_stamp.then(|| Self { host: host.to_owned(), version, stamp: stamp.to_owned() })
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
#[must_use]
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

/// A time in UTC, as `20260101T000000Z`.
#[must_use]
pub fn stamp(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, rest) = (seconds / DAY, seconds % DAY);
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        // The format has room for four digits only; a clock beyond them is broken.
        if days < length || year == 9999 {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let day = days.min(30) + 1;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // By `date -u -r SECONDS +%Y%m%dT%H%M%SZ`.
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_767_225_600, "20260101T000000Z"),
            (1_798_761_599, "20261231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
        assert_eq!(stamp(u64::MAX).len(), 16);
    }

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

    proptest! {
        #[test]
        fn stamps_sort_as_times_do(a in 0..250_000_000_000_u64, b in 0..250_000_000_000_u64) {
            prop_assert_eq!(a.cmp(&b), stamp(a).cmp(&stamp(b)));
        }
    }
}
