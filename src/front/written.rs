//! How a path is written down in a configuration, and why no configuration can be written.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::version::FrontVersion;
use crate::templates::TemplateError;

/// Why no configuration can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SiteError {
    /// A path that cannot be written down safely.
    #[error(
        "the web server's configuration cannot be written: the path {} is not absolute, or has a quote, a dollar sign, a backslash, a percent sign, one of * ? [ or a control character in it, or is not valid UTF-8. Choose a plain path",
        path.display()
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The web server is too old.
    #[error("{name} {version} is too old: {oldest} or later is needed. Upgrade the package and run this again")]
    TooOld {
        /// Which web server.
        name: &'static str,
        /// What is installed.
        version: FrontVersion,
        /// What is needed.
        oldest: FrontVersion,
    },
    /// No address to listen on.
    #[error("the web server would listen nowhere: give it at least one address, or the instance cannot be reached")]
    NoAddress,
    /// A limit of nothing.
    #[error(
        "a largest request of 0 bytes would mean no limit to the web server. Give media-local-max-size under [config] a size"
    )]
    NoBodyLimit,
    /// The account domain is the host.
    #[error(
        "{name} is the host and the account domain at once; then there is nothing to redirect. Leave the account domain out"
    )]
    SameDomain {
        /// The name.
        name: String,
    },
    /// The template and its values don't fit each other.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A path that means itself between double quotes.
pub(super) fn written(path: &Path) -> Result<String, SiteError> {
    let text = path.to_str().filter(|_| is_plain(path));
    text.map(str::to_owned).ok_or_else(|| SiteError::Path { path: path.to_owned() })
}

/// Whether a path is absolute and means itself between double quotes, in nginx's syntax as in Apache's. Both put values in
/// for `$`, Apache's logs also for `%`.
pub(super) fn is_plain(path: &Path) -> bool {
    let plain = |text: &str| !text.chars().any(|c| c.is_control() || "\"'$\\%*?[".contains(c));
    path.is_absolute() && path.to_str().is_some_and(plain)
}
