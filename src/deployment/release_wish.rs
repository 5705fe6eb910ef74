//! [`ReleaseWish`]: which release of `GoToSocial` is wanted.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text_type::text_type;

/// Which release is wanted; the resolver turns it into one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseWish {
    /// The version.
    pub version: VersionWish,
    /// What the archive must hash to, where the administrator knows it from elsewhere. Only with an exact version.
    pub sha256: Option<HexDigest>,
    /// The build.
    pub variant: Variant,
    /// Whether "latest" may be a release candidate. An exact version is taken as it is.
    pub prereleases: bool,
}

impl Default for ReleaseWish {
    fn default() -> Self {
        Self { version: VersionWish::Latest, sha256: None, variant: Variant::Auto, prereleases: false }
    }
}

/// The newest version, or one in particular.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionWish {
    /// The newest.
    Latest,
    /// This one.
    Exact(Version),
}

/// A text that is neither `latest` nor a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a version, because of this: {cause}. Write \"latest\", or all three numbers, like \"0.19.2\"")]
pub struct VersionWishError {
    /// What was given.
    pub text: String,
    /// What the version reader said.
    pub cause: String,
}

impl VersionWish {
    /// Whether this version is wanted.
    pub fn is_met_by(&self, version: &Version) -> bool {
        match self {
            Self::Latest => true,
            Self::Exact(wanted) => wanted == version,
        }
    }
}

impl FromStr for VersionWish {
    type Err = VersionWishError;

    /// A leading `v`, as in the names of tags, is accepted.
    fn from_str(text: &str) -> Result<Self, VersionWishError> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        Version::parse(text.strip_prefix('v').unwrap_or(text))
            .map(Self::Exact)
            .map_err(|error| VersionWishError { text: text.to_owned(), cause: error.to_string() })
    }
}

impl fmt::Display for VersionWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

impl From<VersionWish> for String {
    fn from(wish: VersionWish) -> Self {
        wish.to_string()
    }
}

impl TryFrom<String> for VersionWish {
    type Error = VersionWishError;

    fn try_from(text: String) -> Result<Self, VersionWishError> {
        text.parse()
    }
}

/// Which of upstream's builds is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The ordinary build, with ffmpeg and `SQLite` inside as WebAssembly.
    Default,
    /// The build without WebAssembly, which needs the ffmpeg package. Upstream does not support it.
    NoWasm,
    /// The ordinary build where the processor can run it (SSE4.1 on amd64), else the one without WebAssembly.
    Auto,
}

impl Variant {
    /// Every variant, as written in the answers.
    pub const ALL: [(&'static str, Self); 3] =
        [("default", Self::Default), ("nowasm", Self::NoWasm), ("auto", Self::Auto)];
}

/// A SHA-256 digest as 64 lower-case hexadecimal digits. Upper case is accepted and lowered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexDigest(String);

text_type!(HexDigest, HexDigestError);

/// Why a text is not a [`HexDigest`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HexDigestError {
    /// Too short or too long.
    #[error(
        "the SHA-256 digest has {length} characters, but must have 64. Copy it whole from checksums.txt of the release"
    )]
    Length {
        /// How many characters were given.
        length: usize,
    },
    /// Not a hexadecimal digit.
    #[error(
        "the SHA-256 digest has {character:?} in it, but only 0-9 and a-f are hexadecimal digits. Copy it whole from checksums.txt of the release"
    )]
    Character {
        /// The first wrong character.
        character: char,
    },
}

impl FromStr for HexDigest {
    type Err = HexDigestError;

    fn from_str(text: &str) -> Result<Self, HexDigestError> {
        if let Some(character) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(HexDigestError::Character { character });
        }
        if text.len() != 64 {
            return Err(HexDigestError::Length { length: text.len() });
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!("latest".parse(), Ok(VersionWish::Latest));
        let exact = VersionWish::Exact(Version::new(0, 19, 2));
        assert_eq!("0.19.2".parse(), Ok(exact.clone()));
        assert_eq!("v0.19.2".parse(), Ok(exact.clone()));
        assert_eq!(exact.to_string(), "0.19.2");
        let candidate = VersionWish::Exact(Version::parse("0.20.0-rc1").unwrap());
        assert_eq!("v0.20.0-rc1".parse(), Ok(candidate.clone()));
        let json = serde_json::to_string(&candidate).unwrap();
        assert_eq!(serde_json::from_str::<VersionWish>(&json).unwrap(), candidate);
        for text in ["", "0.19", "vv0.19.2", "Latest", "newest", "0.19.2 "] {
            assert_eq!(text.parse::<VersionWish>().unwrap_err().text, text);
        }
    }

    #[test]
    fn digests() {
        let digest: HexDigest = "0123456789ABCDEF".repeat(4).parse().unwrap();
        assert_eq!(digest.as_str(), "0123456789abcdef".repeat(4));
        assert_eq!("ab".parse::<HexDigest>(), Err(HexDigestError::Length { length: 2 }));
        assert_eq!("a".repeat(65).parse::<HexDigest>(), Err(HexDigestError::Length { length: 65 }));
        assert_eq!("".parse::<HexDigest>(), Err(HexDigestError::Length { length: 0 }));
        assert_eq!("g".repeat(64).parse::<HexDigest>(), Err(HexDigestError::Character { character: 'g' }));
    }

    #[test]
    fn the_default_is_the_newest_supported_build() {
        let wish = ReleaseWish::default();
        assert_eq!((wish.version, wish.variant, wish.prereleases), (VersionWish::Latest, Variant::Auto, false));
    }
}
