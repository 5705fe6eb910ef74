//! [`FrontSettings`]: what a web server's configuration is made from.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use semver::Version;

use crate::net::{HostName, PortNumber};

/// The folder below which the answers to ACME challenges lie.
pub const ACME_WEBROOT: &str = "/usr/local/www/gts-bootstrap";

/// The folder of our own files below the web server's configuration folder.
pub(super) const OWN_FOLDER: &str = "gts-bootstrap";

/// The folder in which our files stand beside [`OWN_FOLDER`] while they are tested.
pub(super) const CANDIDATE_FOLDER: &str = "gts-bootstrap-candidate";

/// Our site in [`CANDIDATE_FOLDER`].
pub(super) const CANDIDATE_SITE: &str = "gotosocial.conf";

/// A certificate with its chain, and its key, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, followed by those that lead to a root.
    pub chain: PathBuf,
    /// The key. Read by the web server's first process, as root, and never by those that serve.
    pub key: PathBuf,
}

/// The domain of the account names, where its web pages are on this host too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDomain {
    /// The name.
    pub name: HostName,
    /// What is shown for it; may be that of the host if it has both names.
    pub certificate: Certificate,
}

/// Everything that the configuration of a web server depends on. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSettings {
    /// The name of the instance.
    pub host: HostName,
    /// The account domain, if this web server answers for it too; it must differ from `host`.
    pub account_domain: Option<AccountDomain>,
    /// What is shown for `host`.
    pub certificate: Certificate,
    /// Where `GoToSocial` listens.
    pub backend: SocketAddr,
    /// The largest request body in bytes, from 1 on, since 0 means no limit to both web servers.
    pub body_limit: u64,
    /// `GoToSocial`'s style sheets and pictures, served by the web server itself.
    pub assets: PathBuf,
    /// `GoToSocial`'s storage, if the web server's account may read it; see `docs/fronts.md` for why it may not by
    /// default. Without it media come from `GoToSocial`, with the same headers.
    pub media: Option<PathBuf>,
    /// The folder below which ACME challenges lie, as `.well-known/acme-challenge/TOKEN`.
    pub acme_webroot: PathBuf,
    /// Whether browsers are told to use https alone for two years (RFC 6797).
    pub hsts: bool,
    /// Where it logs: one line a request, in the combined format, with the client's address; and what went wrong.
    pub logs: [PathBuf; 2],
    /// Where the web server listens: usually every address of both families. Leave a family out that the host lacks.
    pub addresses: Vec<IpAddr>,
    /// The port of the redirect and of ACME challenges.
    pub http_port: PortNumber,
    /// The port of the instance.
    pub https_port: PortNumber,
    /// The web server's own configuration folder.
    pub folder: PathBuf,
    /// The web server's version, which decides how HTTP/2 is switched on.
    pub version: Version,
    /// Where its modules lie, if it loads any.
    pub modules: PathBuf,
    /// The ports for which our site has to bring its own line to listen, see [`super::Survey::missing_listens`].
    pub missing_listens: Vec<PortNumber>,
}

impl FrontSettings {
    /// The folder of our own files that are included: `/usr/local/etc/nginx/gts-bootstrap`.
    pub fn own_folder(&self) -> PathBuf {
        self.folder.join(OWN_FOLDER)
    }

    /// Where filter files for the whole web server lie (nginx: inside `http`; Apache: outside any virtual host), as
    /// `*.conf`. The folder may be missing.
    pub fn global_filters(&self) -> PathBuf {
        self.own_folder().join("filters/global")
    }

    /// Where filter files for the instance's own server lie (nginx: inside `server`; Apache: inside the virtual
    /// host), as `*.conf`. The folder may be missing.
    pub fn site_filters(&self) -> PathBuf {
        self.own_folder().join("filters/site")
    }
}
