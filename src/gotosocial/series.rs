//! The series of GoToSocial's releases, and what tells them apart.

use semver::Version;

/// A series of releases. Candidates belong to the series that they lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// 0.19. What is older counts as this one.
    V0_19,
    /// 0.20 and later.
    V0_20,
}

impl Series {
    /// The series of a release.
    pub fn of(version: &Version) -> Self {
        Self::of_text(&version.to_string())
    }

    /// The series of a version as the program prints it.
    pub fn of_text(version: &str) -> Self {
        let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u64>().unwrap_or(0));
        if (numbers.next(), numbers.next()) >= (Some(0), Some(20)) { Self::V0_20 } else { Self::V0_19 }
    }

    /// Whether it has `migrations run`. Without that, a start of the server migrates the database.
    pub fn migrates_by_command(self) -> bool {
        self >= Self::V0_20
    }

    /// Whether the server adds the brackets around an IPv6 `bind-address` itself. It then panics at others.
    pub fn adds_brackets(self) -> bool {
        self >= Self::V0_20
    }

    /// Whether the program reports a configuration file that it cannot read. Without that it runs on its defaults.
    pub fn reports_broken_files(self) -> bool {
        self < Self::V0_20
    }

    /// Whether nested keys are printed in one piece (`http-client-timeout`) and read from the environment.
    pub fn is_flat(self) -> bool {
        self >= Self::V0_20
    }

    /// Rows of `bun_migrations` after its migrations.
    pub fn migrations(self) -> u32 {
        if self == Self::V0_19 { 110 } else { 118 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_belong_to_their_series() {
        for (text, series) in [
            ("0.18.0", Series::V0_19),
            ("0.19.2", Series::V0_19),
            ("0.20.0-rc1", Series::V0_20),
            ("0.20.3", Series::V0_20),
            ("1.0.0", Series::V0_20),
        ] {
            assert_eq!(Series::of_text(text), series, "{text}");
            assert_eq!(Version::parse(text).map(|version| Series::of(&version)).ok(), Some(series), "{text}");
        }
        assert_eq!(Series::of_text("0.20.3+git-87b026d"), Series::V0_20);
    }
}
