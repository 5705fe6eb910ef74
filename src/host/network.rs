//! Requests over the network or to the socket layer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use x509_parser::parse_x509_certificate;

use crate::certificate::bundle::dns_names;
pub use crate::gotosocial::password_change::Carried;
use crate::portacl::Protocol;
use crate::release::Sha256Digest;

/// Address family of a bind probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// `0.0.0.0`
    V4,
    /// `::`, with `IPV6_V6ONLY` set
    V6,
}

/// One attempt to bind a socket to the wildcard address as some user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindProbe {
    /// Effective, real and saved uid of the child.
    pub uid: u32,
    /// Effective, real and saved gid of the child.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// IPv4 or IPv6.
    pub family: Family,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// The result of bind(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindOutcome {
    /// The socket was bound (and closed again).
    Bound,
    /// EADDRINUSE: this user may bind the port, but something already has.
    InUse,
    /// EPERM: no mac_portacl(4) rule allows it.
    NoRule,
    /// EACCES: the reserved range still covers the port for this user.
    Reserved,
    /// EADDRNOTAVAIL, EAFNOSUPPORT or EPROTONOSUPPORT: the host does not have this address family.
    NoAddress,
    /// Any other errno.
    Other(i32),
}

impl BindOutcome {
    /// Whether the user is permitted to bind the port. EADDRINUSE counts: the permission is checked first.
    pub fn permitted(self) -> bool {
        matches!(self, Self::Bound | Self::InUse)
    }
}

/// One request: a GET, or a POST if it carries a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRequest {
    /// https or http.
    pub tls: bool,
    /// Name for SNI and the Host header.
    pub host: String,
    /// The address to connect to; `None` resolves `host`.
    pub address: Option<SocketAddr>,
    /// Path with query, for example `/readyz`.
    pub path: String,
    /// Form, cookie and token.
    pub carries: Carried,
    /// Whether the certificate must be valid. If it need not be, it is still reported.
    pub verify: bool,
    /// The time-out of the whole request.
    pub timeout: Duration,
}

impl WebRequest {
    /// A request to a server at this address, whose certificate need not be valid.
    pub fn to(address: SocketAddr, tls: bool, host: &str, path: &str, timeout: Duration) -> Self {
        let (host, path) = (host.to_owned(), path.to_owned());
        Self { tls, host, address: Some(address), path, carries: Carried::default(), verify: false, timeout }
    }

    /// Whether it is for this host's own servers and carries nothing.
    pub(super) fn is_own(&self) -> bool {
        self.address.is_some() && self.carries == Carried::default()
    }
}

/// The answer to a [`WebRequest`]; redirects are not followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebAnswer {
    /// HTTP status.
    pub status: u16,
    /// The `Location` header of a redirect.
    pub location: Option<String>,
    /// The `Retry-After` header, unchanged: seconds, or a date.
    pub retry_after: Option<String>,
    /// Name and value of the cookie that was set last.
    pub cookie: Option<String>,
    /// Body, at most 1 MiB of it.
    #[serde(with = "base64")]
    pub body: Vec<u8>,
    /// The certificate that the server presented.
    pub certificate: Option<ServedCertificate>,
}

/// Bytes in JSON.
mod base64 {
    use data_encoding::BASE64;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map_err(D::Error::custom)
    }
}

impl WebAnswer {
    /// A status and nothing else.
    pub(super) fn plain(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// The content of a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedCertificate {
    /// DNS names of the subjectAltName extension.
    pub names: Vec<String>,
    /// Its issuer.
    pub issuer: String,
    /// End of validity, seconds since 1970.
    pub not_after: u64,
    /// SHA-256 of the certificate (DER), as 64 hexadecimal digits, which identifies it.
    pub sha256: String,
}

impl ServedCertificate {
    /// The content of an X.509 certificate (DER), RFC 5280.
    pub(super) fn of_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        Some(Self {
            names: dns_names(&certificate),
            issuer: certificate.issuer().to_string(),
            not_after: u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0),
            sha256: Sha256Digest::of(der).to_string(),
        })
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum WebFailure {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("no answer within the time allowed")]
    TimedOut,
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// The TLS handshake failed, or the certificate is not valid where it must be.
    #[error("TLS: {0}")]
    Tls(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A port of this host to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedPort {
    /// Its number.
    pub port: u16,
    /// The name to ask for where TLS is spoken: of a handshake that ends early, servers keep a record.
    pub tls: Option<String>,
}

/// When a port refused connections, by the time since its watch began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// For how long in all.
    pub total: Duration,
    /// When it first did.
    pub from: Option<Duration>,
    /// When it last answered again; `None` also while it refuses.
    pub until: Option<Duration>,
}

impl Refused {
    /// Notes what was the case from `from` to `to`.
    pub(super) fn note(&mut self, answers: bool, from: Duration, to: Duration) {
        if answers {
            if self.from.is_some() {
                self.until.get_or_insert(from);
            }
            return;
        }
        self.from.get_or_insert(from);
        self.until = None;
        self.total += to.saturating_sub(from);
    }
}

/// When ports of this host refused connections, by port. It contains every port that was watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals(pub BTreeMap<u16, Refused>);

impl Refusals {
    /// The longest time of any port.
    pub fn longest(&self) -> Duration {
        self.0.values().map(|port| port.total).max().unwrap_or_default()
    }

    /// When each port had been let go of that was.
    pub fn free(&self) -> Option<Duration> {
        self.0.values().filter_map(|port| port.from).max()
    }

    /// When all of these were taken again; `None` if one was not.
    pub fn bound(&self) -> Option<Duration> {
        let refused = self.0.values().filter(|port| port.from.is_some());
        refused.map(|port| port.until).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// A watch on ports of this host, which continues until it is finished or dropped.
pub trait PortWatch {
    /// The ports have their new owner: once a port has answered for two seconds without a break, the watch leaves it alone.
    fn ease(&self);

    /// The time since it began.
    fn elapsed(&self) -> Duration;

    /// Ends the watch and returns its result.
    fn finish(self: Box<Self>) -> Refusals;
}
