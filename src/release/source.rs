//! Where releases come from, and where in there each file lies.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;
use semver::Version;

use super::Error;

/// What the `url` of a rehearsal's lock begins with, in place of a path that differs between rehearsals.
pub(super) const REHEARSAL_SCHEME: &str = "rehearsal:";

/// Upstream's repository on its server.
const REPOSITORY: &str = "superseriousbusiness/gotosocial";

/// An `https` or `http` address below which releases lie, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Cow<'static, str>);

impl BaseUrl {
    /// The server on which upstream publishes.
    pub const CODEBERG: Self = Self(Cow::Borrowed("https://codeberg.org"));

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of something below.
    pub(super) fn join(&self, path: &str) -> Result<Url, Error> {
        let text = format!("{}/{path}", self.0);
        Url::parse(&text).map_err(|error| Error::BadSource { given: text, reason: error.to_string() })
    }

    /// Whether the traffic is encrypted and the server proves who it is.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BaseUrl {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::BadSource`] unless the text is an `http` or `https` address without user name, password, query and
    /// fragment. (A password would end up in the lock file and in messages.)
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::BadSource { given: text.escape_debug().to_string(), reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it must begin with https://, or http:// with a pinned digest"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::BadSource {
                // The password itself must not reach a log.
                given: url.host_str().unwrap_or_default().to_owned(),
                reason: "it carries a user name or password, which would be recorded in the lock file".into(),
            });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it must not have a part after ? or #"));
        }
        Ok(Self(Cow::Owned(url.as_str().trim_end_matches('/').to_owned())))
    }
}

/// Whether the address is this very machine, given as a number or as `localhost`.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// Where releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Forgejo server that has upstream's repository.
    Upstream {
        /// The server.
        base_url: BaseUrl,
    },
    /// A mirror on the web, laid out as `v0.19.2/<asset>` and `v0.19.2/checksums.txt`. It has no catalogue.
    MirrorUrl {
        /// The address of the tree.
        base_url: BaseUrl,
    },
    /// A folder laid out like a mirror on the web.
    MirrorDir {
        /// The folder.
        path: PathBuf,
    },
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

impl Default for Source {
    fn default() -> Self {
        Self::upstream()
    }
}

impl Source {
    /// Upstream, on Codeberg.
    pub fn upstream() -> Self {
        Self::Upstream { base_url: BaseUrl::CODEBERG }
    }

    /// A mirror as an administrator names it: an `https://` or `http://` address, a `file://` address, or the
    /// absolute path of a folder.
    ///
    /// # Errors
    ///
    /// [`Error::BadSource`] for anything else.
    pub fn mirror(text: &str) -> Result<Self, Error> {
        let path = if text.starts_with("file:") {
            Url::parse(text)
                .ok()
                .filter(|_| text.starts_with("file:///"))
                .and_then(|url| url.to_file_path().ok())
                .ok_or_else(|| Error::BadSource {
                    given: text.escape_debug().to_string(),
                    reason: "a file: address must be file:// and an absolute path".into(),
                })?
        } else if text.contains("://") {
            return Ok(Self::MirrorUrl { base_url: text.parse()? });
        } else {
            PathBuf::from(text)
        };
        if path.is_absolute() {
            Ok(Self::MirrorDir { path })
        } else {
            Err(Error::BadSource {
                given: text.escape_debug().to_string(),
                reason: "a mirror is an https:// address or the absolute path of a folder".into(),
            })
        }
    }

    /// Where a file of a release lies.
    pub(super) fn place(&self, version: &Version, name: &str) -> Result<Place, Error> {
        match self {
            Self::Upstream { base_url } => {
                base_url.join(&format!("{REPOSITORY}/releases/download/v{version}/{name}")).map(Place::Url)
            }
            Self::MirrorUrl { base_url } => base_url.join(&format!("v{version}/{name}")).map(Place::Url),
            Self::MirrorDir { path } | Self::StandIn { path, .. } => {
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
            Place::File(path) => file_url(&path),
        }
    }

    /// The source that a lock's record of an archive's place leads back to; `None` for a rehearsal's stand-in, which has another
    /// port each time, and for what is no such record.
    pub fn recorded(label: &str, version: &Version, asset: &str) -> Option<Self> {
        let base = label.strip_suffix(&format!("/v{version}/{asset}"))?;
        if base == format!("{}/{REPOSITORY}/releases/download", BaseUrl::CODEBERG) {
            return Some(Self::upstream());
        }
        Self::mirror(base).ok()
    }

    /// One page of the catalogue, for the sources that have Forgejo's interface
    /// (`GET /api/v1/repos/{owner}/{repo}/releases`).
    pub(super) fn catalogue_page(base_url: &BaseUrl, limit: u32, page: u32) -> Result<Url, Error> {
        base_url.join(&format!("api/v1/repos/{REPOSITORY}/releases?limit={limit}&page={page}"))
    }

    /// Checks that bytes from here can be trusted once `pinned` says whether their digest is known from elsewhere.
    pub(super) fn check_transport(&self, pinned: bool) -> Result<(), Error> {
        match self {
            Self::MirrorDir { .. } | Self::StandIn { .. } => Ok(()),
            Self::Upstream { base_url } | Self::MirrorUrl { base_url } => {
                if base_url.is_https() || pinned {
                    Ok(())
                } else {
                    Err(Error::HttpWithoutPin { url: base_url.to_string() })
                }
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream { base_url } => write!(f, "{base_url}/{REPOSITORY}"),
            Self::MirrorUrl { base_url } => write!(f, "the mirror {base_url}"),
            Self::MirrorDir { path } => write!(f, "the mirror folder {}", path.display()),
            Self::StandIn { .. } => f.write_str("the rehearsal's stand-in release"),
        }
    }
}

fn file_url(path: &Path) -> Result<String, Error> {
    Url::from_file_path(path).map(String::from).map_err(|()| Error::BadSource {
        given: path.display().to_string(),
        reason: "the path of a mirror folder must be absolute".into(),
    })
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
        let source = Source::default();
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
            assert_eq!(source, Source::MirrorDir { path: "/srv/gts".into() });
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
