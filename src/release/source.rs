//! Where releases come from, and where in there each file lies.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::net::text_type::text_type;
use crate::shown::Shown;

/// What the `url` of a rehearsal's lock begins with, in place of a path that differs between rehearsals.
pub(super) const REHEARSAL_SCHEME: &str = "rehearsal:";

/// The server on which upstream publishes.
const CODEBERG: &str = "https://codeberg.org";

/// Upstream's repository on its server.
pub(super) const REPOSITORY: &str = "superseriousbusiness/gotosocial";

/// An `https` or `http` address below which releases lie, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(String);

text_type!(BaseUrl, Error);

impl BaseUrl {
    /// The address of something below.
    pub(super) fn join(&self, path: &str) -> Result<Url, Error> {
        let text = format!("{self}/{path}");
        Url::parse(&text).map_err(|error| Error::BadSource(text, error.to_string()))
    }

    /// Whether the traffic is encrypted and the server proves who it is.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl FromStr for BaseUrl {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::BadSource`] unless the text is an `http` or `https` address without user name, password, query and
    /// fragment. (A password would end up in the lock file and in messages.)
    fn from_str(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|error| bad(text, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(text, "it must begin with https://, or http:// with a pinned digest"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // The password itself must not reach a log.
            let host = url.host_str().unwrap_or_default();
            return Err(bad(host, "it carries a user name or password, which would be recorded in the lock file"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(text, "it must not have a part after ? or #"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

fn bad(given: &str, reason: &str) -> Error {
    Error::BadSource(given.escape_debug().to_string(), reason.to_owned())
}

/// Where releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Forgejo server that has upstream's repository.
    Upstream(BaseUrl),
    /// A mirror on the web, laid out as `v0.19.2/<asset>` and `v0.19.2/checksums.txt`. It has no catalogue.
    MirrorUrl(BaseUrl),
    /// A folder laid out like a mirror on the web.
    MirrorDir(PathBuf),
    /// The release that a rehearsal has made itself: a folder laid out like a mirror.
    StandIn {
        /// The folder.
        path: PathBuf,
        /// The versions of this run. The folder may hold more.
        versions: BTreeSet<Version>,
    },
}

/// Where one file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Url(Url),
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Upstream, on Codeberg.
    pub fn upstream() -> Self {
        Self::Upstream(BaseUrl(CODEBERG.to_owned()))
    }

    /// A mirror as an administrator names it: an `https://` or `http://` address, a `file://` address, or the
    /// absolute path of a folder.
    ///
    /// # Errors
    ///
    /// [`Error::BadSource`] for anything else.
    pub fn mirror(text: &str) -> Result<Self, Error> {
        let path = if text.starts_with("file:") {
            let url = Url::parse(text).ok().filter(|_| text.starts_with("file:///"));
            url.and_then(|url| url.to_file_path().ok())
                .ok_or_else(|| bad(text, "a file: address must be file:// and an absolute path"))?
        } else if text.contains("://") {
            return text.parse().map(Self::MirrorUrl);
        } else {
            PathBuf::from(text)
        };
        if path.is_absolute() {
            Ok(Self::MirrorDir(path))
        } else {
            Err(bad(text, "a mirror is an https:// address or the absolute path of a folder"))
        }
    }

    /// Where a file of a release lies.
    pub(super) fn place(&self, version: &Version, name: &str) -> Result<Place, Error> {
        match self {
            Self::Upstream(url) => {
                url.join(&format!("{REPOSITORY}/releases/download/v{version}/{name}")).map(Place::Url)
            }
            Self::MirrorUrl(url) => url.join(&format!("v{version}/{name}")).map(Place::Url),
            Self::MirrorDir(path) | Self::StandIn { path, .. } => {
                Ok(Place::File(path.join(format!("v{version}")).join(name)))
            }
        }
    }

    /// What a lock records as the place of an archive. It never holds the folder of a stand-in, so that the same
    /// rehearsal gives the same lock anywhere.
    pub(super) fn label(&self, version: &Version, asset: &str) -> Result<String, Error> {
        if matches!(self, Self::StandIn { .. }) {
            return Ok(format!("{REHEARSAL_SCHEME}v{version}/{asset}"));
        }
        match self.place(version, asset)? {
            Place::Url(url) => Ok(url.into()),
            Place::File(path) => Url::from_file_path(&path)
                .map(String::from)
                .map_err(|()| bad(path.shown().as_ref(), "the path of a mirror folder must be absolute")),
        }
    }

    /// The source that a lock's record of an archive's place leads back to; `None` for a rehearsal's stand-in, which has another
    /// port each time, and for what is no such record.
    pub fn recorded(label: &str, version: &Version, asset: &str) -> Option<Self> {
        let base = label.strip_suffix(&format!("/v{version}/{asset}"))?;
        if base == format!("{CODEBERG}/{REPOSITORY}/releases/download") {
            return Some(Self::upstream());
        }
        Self::mirror(base).ok()
    }

    /// Checks that bytes from here can be trusted once `pinned` says whether their digest is known from elsewhere.
    pub(super) fn check_transport(&self, pinned: bool) -> Result<(), Error> {
        match self {
            Self::Upstream(url) | Self::MirrorUrl(url) if !url.is_https() && !pinned => {
                Err(Error::HttpWithoutPin(url.to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(url) => write!(f, "{url}/{REPOSITORY}"),
            Self::MirrorUrl(url) => write!(f, "the mirror {url}"),
            Self::MirrorDir(path) => write!(f, "the mirror folder {}", path.shown()),
            Self::StandIn { .. } => f.write_str("the rehearsal's stand-in release"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const ASSET: &str = "gotosocial_0.19.2_freebsd_amd64.tar.gz";

    fn version() -> Version {
        Version::new(0, 19, 2)
    }

    #[test]
    fn upstream_files_lie_where_upstream_puts_them() {
        let source = Source::upstream();
        let url = format!("https://codeberg.org/superseriousbusiness/gotosocial/releases/download/v0.19.2/{ASSET}");
        assert_eq!(source.place(&version(), ASSET).unwrap().to_string(), url);
        assert_eq!(source.label(&version(), ASSET).unwrap(), url);
    }

    #[test]
    fn mirrors_are_trees_of_versions() {
        let source = Source::mirror("https://mirror.example.org/gts/").unwrap();
        assert_eq!(source.label(&version(), ASSET).unwrap(), format!("https://mirror.example.org/gts/v0.19.2/{ASSET}"));
        for text in ["/srv/gts", "file:///srv/gts"] {
            let source = Source::mirror(text).unwrap();
            assert_eq!(source, Source::MirrorDir("/srv/gts".into()));
            assert_eq!(source.label(&version(), ASSET).unwrap(), format!("file:///srv/gts/v0.19.2/{ASSET}"));
        }
    }

    #[test]
    fn a_record_leads_back_to_its_source() {
        for source in [
            Source::upstream(),
            Source::mirror("https://mirror.example.org/gts").unwrap(),
            Source::mirror("/srv/a folder").unwrap(),
        ] {
            let label = source.label(&version(), ASSET).unwrap();
            assert_eq!(Source::recorded(&label, &version(), ASSET), Some(source), "{label}");
        }
        for label in ["rehearsal:v0.19.2/x", &format!("rehearsal:v0.19.2/{ASSET}"), "", "https://example.org/x"] {
            assert_eq!(Source::recorded(label, &version(), ASSET), None, "{label}");
        }
    }

    #[test]
    fn the_label_of_a_stand_in_has_no_folder() {
        let source = Source::StandIn { path: "/tmp/x".into(), versions: BTreeSet::new() };
        assert_eq!(source.label(&version(), ASSET).unwrap(), format!("rehearsal:v0.19.2/{ASSET}"));
    }

    #[test]
    fn odd_mirrors_are_refused() {
        for text in [
            "",
            "srv/gts",
            "file:srv/gts",
            "file://host/srv/gts",
            "ftp://example.org/gts",
            "https://user:secret@example.org/",
            "https://example.org/?a=b",
            "https://example.org/#a",
            "https://",
        ] {
            let error = Source::mirror(text).unwrap_err();
            assert!(matches!(error, Error::BadSource { .. }), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn plain_http_needs_a_pinned_digest() {
        let plain = Source::mirror("http://mirror.example.org").unwrap();
        assert!(matches!(plain.check_transport(false), Err(Error::HttpWithoutPin { .. })));
        assert!(plain.check_transport(true).is_ok());
        assert!(Source::upstream().check_transport(false).is_ok());
        assert!(Source::mirror("/srv/gts").unwrap().check_transport(false).is_ok());
    }
}
