//! [`FrontVersion`]: the release of a web server, as a package manager writes it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A release of nginx or Apache httpd: three numbers, compared in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that does not begin like a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{given:?} is not the version of a web server: it should begin like 1.26.2 or 2.4.62. Look at what the package manager says of the package, and report it"
)]
pub struct FrontVersionError {
    /// What was given.
    pub given: String,
}

impl FrontVersion {
    /// The version of three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for FrontVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for FrontVersion {
    type Err = FrontVersionError;

    /// Reads the version of a package, or what the program says itself. What the packager adds is left out: FreeBSD's
    /// revision and epoch (`1.26.2_1,3`, see the Porter's Handbook, 5.2), or Debian's revision (`1.22.1-9+deb12u4`).
    fn from_str(text: &str) -> Result<Self, FrontVersionError> {
        let bad = || FrontVersionError { given: text.to_owned() };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers: Vec<u32> = text[..end].split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
        match numbers[..] {
            [major, minor] => Ok(Self::new(major, minor, 0)),
            [major, minor, patch] => Ok(Self::new(major, minor, patch)),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages_are_read() {
        for (text, expected) in [
            ("1.26.2,3", FrontVersion::new(1, 26, 2)),
            ("1.26.2_1,3", FrontVersion::new(1, 26, 2)),
            ("1.22.1-9+deb12u4", FrontVersion::new(1, 22, 1)),
            ("2.4.62", FrontVersion::new(2, 4, 62)),
            ("1.28", FrontVersion::new(1, 28, 0)),
        ] {
            assert_eq!(text.parse::<FrontVersion>().unwrap(), expected, "{text}");
        }
        assert!(FrontVersion::new(1, 9, 15) < FrontVersion::new(1, 25, 1));
        assert_eq!(FrontVersion::new(2, 4, 62).to_string(), "2.4.62");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "nginx", "1", "1.2.3.4", "1..2", "99999999999.1.1"] {
            let error = text.parse::<FrontVersion>().unwrap_err();
            assert!(error.to_string().contains("is not the version of a web server"), "{text}");
        }
    }
}
