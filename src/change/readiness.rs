//! Whether GoToSocial is ready: asked over http, or of its log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gotosocial::USER;
use crate::gotosocial::readiness::{READYZ, ready_by_log};
use crate::host::{Entry, HostError, Observe, WebAnswer, WebFailure, WebRequest, Whose};

/// How long one of the service's own pages may take.
pub(super) const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the first TLS connection may take, with which the server orders its certificate: seconds, or a slow minute.
pub const FIRST_CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(120);
/// How much of the end of the log is looked at.
pub(super) const TAIL: usize = 256 * 1024;

/// How to tell that GoToSocial is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Its host name.
    pub host: String,
    /// Where it is reached from this host.
    pub address: SocketAddr,
    /// Whether that socket speaks TLS.
    pub tls: bool,
    /// Its log.
    pub log: PathBuf,
    /// The file in the certificate cache that holds its certificate once there is one; asking over TLS before would
    /// have the server order one with every poll.
    pub certificate: Option<PathBuf>,
}

impl Readiness {
    /// A request to the service on this host.
    pub fn request(&self, path: &str, timeout: Duration) -> WebRequest {
        WebRequest::to(self.address, self.tls, &self.host, path, timeout)
    }
}

/// The size of the log, in bytes.
///
/// # Errors
/// The log cannot be looked up.
pub fn log_size(host: &dyn Observe, log: &Path) -> Result<u64, HostError> {
    Ok(match host.entry(log)? {
        Some(Entry::File { size, .. }) => size,
        _ => 0,
    })
}

/// What the log has gained since it had `began` bytes; of much only the end.
pub fn log_since(host: &dyn Observe, log: &Path, began: u64) -> String {
    // Of a link's target the size is unknown, so nothing tells what is new in it.
    let Ok(Some(Entry::File { size, .. })) = host.entry(log) else { return String::new() };
    // A log that is shorter than it was has been rotated meanwhile.
    let from = if size < began { 0 } else { began.max(size.saturating_sub(TAIL as u64)) };
    String::from_utf8_lossy(&host.read_from(log, Whose::ROOT, from, TAIL).ok().flatten().unwrap_or_default())
        .into_owned()
}

/// Whether it is ready, or is so as far as its log tells and cannot be asked.
pub fn is_ready(host: &dyn Observe, readiness: &Readiness, log: &str, patience: Duration) -> bool {
    // Each TLS connection without a certificate in the cache has the server order one; a certificate authority counts
    // failed orders and shuts its door after a few. So the log is asked until there is a certificate, or no need of one.
    if !has_certificate(host, readiness) {
        return ready_by_log(log);
    }
    match host.web(&readiness.request(READYZ, patience)) {
        Ok(answer) => answer.status == 200,
        Err(WebFailure::Tls(_)) => ready_by_log(log),
        Err(_) => false,
    }
}

/// Whether the server can be asked over TLS without ordering a certificate: it has one in its cache that has not expired, or
/// needs none.
pub fn has_certificate(host: &dyn Observe, readiness: &Readiness) -> bool {
    let Some(path) = &readiness.certificate else { return true };
    let Ok(Some(user)) = host.user(USER) else { return false };
    let Ok(Some(pem)) = host.read_of(path, Whose::User(user.uid)) else { return false };
    // What is no certificate GoToSocial replaces at the next handshake, like one that has expired.
    x509_parser::pem::Pem::iter_from_buffer(&pem)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .find_map(|block| block.parse_x509().ok().map(|leaf| leaf.validity().not_after.timestamp()))
        .is_some_and(|end| end >= i64::try_from(host.now()).unwrap_or(i64::MAX))
}

/// Whether the log says of the newest start that it was finished.
pub fn log_says_ready(host: &dyn Observe, readiness: &Readiness) -> bool {
    ready_by_log(&log_since(host, &readiness.log, 0))
}

/// One request to the service on this host.
///
/// # Errors
/// There was no answer.
pub fn ask(host: &dyn Observe, readiness: &Readiness, path: &str) -> Result<WebAnswer, WebFailure> {
    host.web(&readiness.request(path, PAGE_TIMEOUT))
}

/// The last lines of a log, indented.
pub(super) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<String> = log.lines().map(|line| format!("  {line}")).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Group, Host, Owner, User};

    #[test]
    #[allow(clippy::unwrap_used)]
    fn an_expired_certificate_is_none() {
        // Valid until 2124.
        const PEM: &[u8] = include_bytes!("../../tests/release/fixtures/loopback-cert.pem");
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let mut readiness = Readiness {
            host: "a.example".into(),
            address: "127.0.0.1:443".parse().unwrap(),
            tls: true,
            log: "/var/log/gotosocial/gotosocial.log".into(),
            certificate: Some("/var/db/certificate".into()),
        };
        host.add_group(&Group { name: USER.into(), gid: 209 }).unwrap();
        let [gecos, home, shell] = ["", "/nonexistent", "/usr/sbin/nologin"];
        let user =
            User { name: USER.into(), uid: 209, gid: 209, gecos: gecos.into(), home: home.into(), shell: shell.into() };
        host.add_user(&user).unwrap();
        assert!(!has_certificate(&host, &readiness), "there is none");
        host.write_file("/var/db/certificate".as_ref(), b"nonsense", 0o600, Owner::ROOT).unwrap();
        assert!(!has_certificate(&host, &readiness), "that is none");
        host.write_file("/var/db/certificate".as_ref(), PEM, 0o600, Owner::ROOT).unwrap();
        assert!(has_certificate(&host, &readiness));
        host.edit(|model| model.clock = 5_000_000_000).unwrap();
        assert!(!has_certificate(&host, &readiness), "in 2128");
        readiness.certificate = None;
        assert!(has_certificate(&host, &readiness), "it needs none");
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_log_that_is_a_link_has_gained_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let [log, link] = ["/var/log/real.log", "/var/log/link.log"].map(Path::new);
        host.write_file(log, b"started long ago\n", 0o644, Owner::ROOT).unwrap();
        host.make_symlink(link, log).unwrap();
        assert_eq!(log_since(&host, log, 0), "started long ago\n");
        assert_eq!(log_since(&host, link, log_size(&host, link).unwrap()), "");
    }
}
