//! Releases that upstream says something about to those who come from an older one.

use semver::Version;

/// A release on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    /// Its number.
    pub version: Version,
    /// Whether it must not be skipped: whoever comes from an older one has to run it first.
    pub must: bool,
    /// What upstream says.
    pub why: &'static str,
    /// Where it says so.
    pub source: &'static str,
}

/// What is known. GoToSocial keeps all its migrations in every release (`internal/db/bundb/migrations`), and the notes of
/// newer releases send those who come from afar to the notes of older ones, not to the older releases: so far none must not be
/// skipped.
pub const WAYPOINTS: &[Waypoint] = &[Waypoint {
    version: Version::new(0, 17, 0),
    must: false,
    why: "coming from 0.16.0 or below involves serious migrations of the database, which can take very long",
    source: "the release notes of v0.17.0 and v0.17.3",
}];

/// The waypoints that are passed on the way between two releases, the last one included.
pub fn between<'a>(
    waypoints: &'a [Waypoint],
    from: &'a Version,
    to: &'a Version,
) -> impl Iterator<Item = &'a Waypoint> {
    waypoints.iter().filter(move |waypoint| *from < waypoint.version && waypoint.version <= *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_is_told() {
        let passed = |from: (u64, u64), to: (u64, u64)| {
            between(WAYPOINTS, &Version::new(0, from.0, from.1), &Version::new(0, to.0, to.1)).count()
        };
        assert_eq!(passed((16, 0), (19, 2)), 1);
        assert_eq!(passed((16, 0), (17, 0)), 1);
        assert_eq!(passed((17, 0), (19, 2)), 0);
        assert_eq!(passed((15, 0), (16, 0)), 0);
    }
}
