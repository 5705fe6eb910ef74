//! What the web servers of a rehearsal serve, as they read their configuration at their last start or reload: the part
//! of `state.json` that is theirs.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::ServedCertificate;

/// A server block of nginx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebServer {
    /// `server_name`.
    pub names: Vec<String>,
    /// `listen`.
    pub listens: Vec<ListenOn>,
    /// `ssl_certificate`, as it was when it was read: a new one in the file counts from the next reload on.
    pub certificate: Option<ServedCertificate>,
    /// `ssl_reject_handshake`.
    pub rejects_handshake: bool,
    /// The server's own `return`, which comes before any location.
    pub answer: Option<Action>,
    /// What happens to a path that has no location: files below the server's `root`.
    pub otherwise: Action,
    /// `error_page`.
    pub error_pages: Vec<ErrorPage>,
    /// What happens to which paths.
    pub routes: Vec<Route>,
}

/// A `listen` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenOn {
    /// Address; `None` is the wildcard.
    pub address: Option<IpAddr>,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// `ssl`.
    pub tls: bool,
    /// `default_server`.
    pub default: bool,
}

/// An `error_page` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    /// For which statuses.
    pub of: Vec<u16>,
    /// `=503`: the status that is sent in their place; 0 is the one of the page.
    pub status: Option<u16>,
    /// A path, or a location with a name (`@down`).
    pub page: String,
}

/// A `location`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// How the path is compared.
    pub kind: RouteKind,
    /// With what.
    pub pattern: String,
    /// `internal`: no request from outside gets here.
    pub internal: bool,
    /// What is done.
    pub action: Action,
    /// The `Retry-After` that `add_header` puts in, and whether into every answer (`always`).
    pub retry_after: Option<(String, bool)>,
}

/// The ways in which a `location` is compared with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// `=`: it is that very path.
    Exact,
    /// It begins so.
    Prefix,
    /// `^~`: it begins so, and no regular expression is asked.
    FirmPrefix,
    /// `~`
    Regex,
    /// `~*`
    RegexAnyCase,
    /// `@name`: for `error_page` and `try_files` alone.
    Named,
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// `return`.
    Return {
        /// HTTP status.
        status: u16,
        /// Where to, with nginx's variables.
        location: Option<String>,
        /// The text that is sent.
        body: Option<String>,
    },
    /// `proxy_pass`.
    Proxy {
        /// To which address.
        to: SocketAddr,
    },
    /// Files below a folder.
    Files {
        /// `root` or `alias`.
        folder: PathBuf,
        /// Whether it is `alias`, so that the location's own prefix is no part of the file's path.
        alias: bool,
        /// The last of `try_files`, where there is one: a location with a name, or `=STATUS`.
        otherwise: Option<String>,
    },
    /// What is not modelled.
    Other,
}

/// Apache httpd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Httpd {
    /// `Listen`. A port without an address is there twice, once for each family.
    pub sockets: Vec<ListenOn>,
    /// The main server, then the virtual hosts in their order.
    pub hosts: Vec<VirtualHost>,
}

/// A virtual host of Apache, or its main server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualHost {
    /// Where it takes requests: address (`None` is every one) and port (`None` is every one). The main server has none.
    pub addresses: Vec<(Option<IpAddr>, Option<u16>)>,
    /// `ServerName` and `ServerAlias`.
    pub names: Vec<String>,
    /// `SSLEngine on`.
    pub tls: bool,
    /// The certificate, as it was when it was read.
    pub certificate: Option<ServedCertificate>,
    /// `DocumentRoot`.
    pub root: Option<PathBuf>,
    /// What happens to a request, in the order in which Apache asks: rewriting, then the proxy, then aliases and redirects.
    pub rules: Vec<Rule>,
    /// Folders whose files may be served, or may not (`Require all granted`, `denied`).
    pub grants: Vec<(PathBuf, bool)>,
    /// The `Retry-After` of an answer that is no success, and the status that it belongs to.
    pub retry_after: Vec<(String, Option<u16>)>,
    /// `ErrorDocument`: the text for a status.
    pub error_texts: Vec<(u16, String)>,
}

/// What Apache may do with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// `RewriteRule`.
    Rewrite {
        /// The regular expression.
        pattern: String,
        /// Paths that must be files (`RewriteCond … -f`).
        files: Vec<String>,
        /// Whether a condition is not modelled. Such a rule is never followed.
        unknown: bool,
        /// What the path becomes; `-` leaves it.
        to: String,
        /// `[R=…]`, `[F]` or `[G]`.
        status: Option<u16>,
    },
    /// `ProxyPass`.
    Pass {
        /// How the path begins.
        prefix: String,
        /// Which server, and the path there; `None` is `!`.
        to: Option<(SocketAddr, String)>,
    },
    /// `Alias`.
    Alias {
        /// How the path begins.
        prefix: String,
        /// The folder that stands for it.
        folder: PathBuf,
    },
    /// `Redirect` and `RedirectMatch`.
    Redirect {
        /// How the path begins, or the regular expression.
        pattern: String,
        /// Whether it is a regular expression.
        regex: bool,
        /// HTTP status.
        status: u16,
        /// Where to.
        to: Option<String>,
    },
}
