//! [`FrontSettings`]: what a web server's configuration is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::body_limit::body_limit;
use super::version::FrontVersion;
use crate::deployment::{Deployment, HostName, Layout, PortNumber};

/// A web server that can stand in front of `GoToSocial`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Front {
    /// nginx.
    Nginx,
    /// Apache httpd 2.4.
    Httpd,
}

impl Front {
    /// The folder of the web server's own configuration on FreeBSD: `ETCDIR` of the ports www/nginx and www/apache24.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        match self {
            Self::Nginx => "/usr/local/etc/nginx".into(),
            Self::Httpd => "/usr/local/etc/apache24".into(),
        }
    }

    /// The name of the main configuration file in [`Front::folder`].
    #[must_use]
    pub fn main_file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Httpd => "httpd.conf",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Httpd => "Apache httpd",
        }
    }

    /// The oldest version that the configuration works with. nginx has `ssl_reject_handshake` since 1.19.4
    /// (`ngx_http_ssl_module`), Apache the parameter `upgrade` of `ProxyPass` since 2.4.47 (`mod_proxy`).
    #[must_use]
    pub fn oldest(self) -> FrontVersion {
        match self {
            Self::Nginx => FrontVersion::new(1, 19, 4),
            Self::Httpd => FrontVersion::new(2, 4, 47),
        }
    }
}

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

/// Where the requests of the instance are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// One line a request, in the combined format, with the client's address.
    pub access: PathBuf,
    /// What went wrong.
    pub error: PathBuf,
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
    /// The largest request body in bytes, see [`body_limit`]; from 1 on, since 0 means no limit to both web servers.
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
    /// Where requests are logged.
    pub logs: Logs,
    /// Where the web server listens: usually every address of both families. Leave a family out that the host lacks.
    pub addresses: Vec<IpAddr>,
    /// The port of the redirect and of ACME challenges.
    pub http_port: PortNumber,
    /// The port of the instance.
    pub https_port: PortNumber,
    /// The web server's own configuration folder.
    pub folder: PathBuf,
    /// The web server's version, which decides how HTTP/2 is switched on.
    pub version: FrontVersion,
    /// Apache: where its modules lie.
    pub httpd_modules: PathBuf,
    /// Apache: the ports for which our file has to bring the `Listen`, since nothing else does; see
    /// [`super::httpd_conf::Survey::missing_listens`].
    pub httpd_listens: Vec<PortNumber>,
}

impl FrontSettings {
    /// The settings for a web server from FreeBSD's packages: without an account domain, without HSTS, media left to
    /// `GoToSocial`, and Apache in need of `Listen 443` alone, as its package is.
    #[must_use]
    pub fn new(
        front: Front,
        deployment: &Deployment,
        layout: &Layout,
        certificate: Certificate,
        version: FrontVersion,
    ) -> Self {
        let log = |kind: &str| match front {
            Front::Nginx => format!("/var/log/nginx/gotosocial-{kind}.log").into(),
            Front::Httpd => format!("/var/log/httpd-gotosocial-{kind}.log").into(),
        };
        Self {
            host: deployment.host.clone(),
            account_domain: None,
            certificate,
            backend: SocketAddr::new(deployment.local_address().ip(), PortNumber::BEHIND_PROXY.get()),
            body_limit: body_limit(&deployment.config),
            assets: layout.web_assets(),
            media: None,
            acme_webroot: super::ACME_WEBROOT.into(),
            hsts: false,
            logs: Logs { access: log("access"), error: log("error") },
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            http_port: PortNumber::HTTP,
            https_port: PortNumber::HTTPS,
            folder: front.folder(),
            version,
            httpd_modules: "/usr/local/libexec/apache24".into(),
            httpd_listens: vec![PortNumber::HTTPS],
        }
    }

    /// The folder of our own files that are included: `/usr/local/etc/nginx/gts-bootstrap`.
    #[must_use]
    pub fn own_folder(&self) -> PathBuf {
        self.folder.join(super::OWN_FOLDER)
    }

    /// Where filter files for the whole web server lie (nginx: inside `http`; Apache: outside any virtual host), as
    /// `*.conf`. The folder may be missing.
    #[must_use]
    pub fn global_filters(&self) -> PathBuf {
        self.own_folder().join("filters/global")
    }

    /// Where filter files for the instance's own server lie (nginx: inside `server`; Apache: inside the virtual
    /// host), as `*.conf`. The folder may be missing.
    #[must_use]
    pub fn site_filters(&self) -> PathBuf {
        self.own_folder().join("filters/site")
    }
}
