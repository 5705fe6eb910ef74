//! [`ReleaseWish`]: which release of `GoToSocial` is wanted.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Serialize, Serializer};

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

/// The newest version, or one in particular.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionWish {
    /// The newest.
    Latest,
    /// This one.
    Exact(Version),
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
    type Err = String;

    /// A leading `v`, as in the names of tags, is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        Version::parse(text.strip_prefix('v').unwrap_or(text)).map(Self::Exact).map_err(|cause| {
            format!("{text:?} is not a version, because of this: {cause}. Write \"latest\", or all three numbers, like \"0.19.2\"")
        })
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

impl Serialize for VersionWish {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

text_type!(HexDigest, String);

impl FromStr for HexDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(character) => format!("has {character:?} in it, but only 0-9 and a-f are hexadecimal digits"),
            None if text.len() != 64 => format!("has {} characters, but must have 64", text.len()),
            None => return Ok(Self(text.to_ascii_lowercase())),
        };
        Err(format!("the SHA-256 digest {wrong}. Copy it whole from checksums.txt of the release"))
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
        assert_eq!(serde_json::to_string(&candidate).unwrap(), "\"0.20.0-rc1\"");
        for text in ["", "0.19", "vv0.19.2", "Latest", "newest", "0.19.2 "] {
            assert!(text.parse::<VersionWish>().unwrap_err().starts_with(&format!("{text:?} is not a version")));
        }
    }

    #[test]
    fn digests() {
        let digest: HexDigest = "0123456789ABCDEF".repeat(4).parse().unwrap();
        assert_eq!(digest.as_str(), "0123456789abcdef".repeat(4));
        for (text, why) in [
            ("ab", "has 2 characters"),
            (&"a".repeat(65), "has 65 characters"),
            ("", "has 0 characters"),
            (&"g".repeat(64), "has 'g' in it"),
        ] {
            assert!(text.parse::<HexDigest>().unwrap_err().contains(why), "{text}");
        }
    }
}
