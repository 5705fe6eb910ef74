//! The HTTP client: how a request is made, and what an answer or its absence means.
//!
//! **TLS.** rustls with the ring provider; there is no OpenSSL in the program. Certificates are verified by
//! rustls-platform-verifier, which on FreeBSD takes its roots from rustls-native-certs 0.8 and openssl-probe 0.2.
//! These read, on FreeBSD:
//!
//! - the files and folders named by `SSL_CERT_FILE` and `SSL_CERT_DIR`, and nothing else if either is set;
//! - else `/usr/local/etc/ssl/cert.pem` (the package `ca_root_nss`), and every file in `/etc/ssl/certs` (the base
//!   system's store, kept by certctl(8)) and in `/usr/local/share/certs`.
//!
//! Where none of them yields a certificate, no client is made and the error is [`Error::NoCaCertificates`]. This
//! happens on the first https request, so that a mirror folder and a rehearsal work on a host without a CA bundle.
//!
//! **Proxies.** `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (or in lower case) are honoured, but never
//! for this machine itself.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::{self, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, Url};

use super::answer::{self, Answer, Silence};
use super::error::in_words;
use super::source::is_loopback;
use super::{Error, Progress, Retry};

/// How many redirects are followed. Codeberg needs one, to its store of attachments.
const MAX_REDIRECTS: usize = 10;

/// How long to wait for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For the beginning of an answer, and between any two pieces of it. A download as a whole has no limit: a slow
    /// line is no error.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 15 s to connect, 60 s of silence.
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), idle: Duration::from_secs(60) }
    }
}

/// How the HTTP client behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// How long to wait for the network.
    pub timeouts: Timeouts,
    /// What to do after a failure.
    pub retry: Retry,
}

/// The HTTP client, which presents itself as `gts-bootstrap/<version>`.
///
/// Making one costs nothing; the first request reads the CA certificates.
#[derive(Debug, Default)]
pub struct HttpClient {
    settings: HttpSettings,
    verifying: OnceLock<Client>,
    loopback: OnceLock<Client>,
}

/// A request that failed, and whether it may be repeated.
#[derive(Debug)]
pub(super) struct Failure {
    /// What to tell if it is not repeated.
    pub(super) error: Box<Error>,
    /// Whether the same request may succeed a moment later.
    pub(super) transient: bool,
    /// How long the server asked to be left alone.
    pub(super) asked_wait: Option<Duration>,
}

impl Failure {
    /// A failure that stays one.
    pub(super) fn lasting(error: Error) -> Self {
        Self { error: Box::new(error), transient: false, asked_wait: None }
    }

    /// A failure that may pass.
    pub(super) fn passing(error: Error) -> Self {
        Self { error: Box::new(error), transient: true, asked_wait: None }
    }
}

/// Why a redirect was not followed; carried through reqwest's own error.
#[derive(Debug, thiserror::Error)]
enum RedirectRefusal {
    #[error("from {from} to {to}")]
    Insecure { from: String, to: String },
    #[error("too many redirects")]
    TooMany,
}

impl HttpClient {
    /// A client with these settings.
    pub fn new(settings: HttpSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// Sends one GET request, following redirects, and gives the answer if its status is 200 or 206.
    pub(super) fn get(&self, url: &Url, headers: HeaderMap, progress: &dyn Progress) -> Result<Answer, Failure> {
        let client = self.client_for(url).map_err(Failure::lasting)?;
        let answer =
            answer::send(client.get(url.clone()).headers(headers), progress).map_err(|silence| match silence {
                Silence::Left => Failure::lasting(Error::Stopped),
                Silence::Failed(error) => self.failure_of(url, &error),
                Silence::Thread(error) => {
                    Failure::lasting(Error::Unreachable { url: url.to_string(), reason: error.to_string() })
                }
            })?;
        match answer.head.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            status => Err(refused_by_server(url, status, &answer.head.headers)),
        }
    }

    fn client_for(&self, url: &Url) -> Result<&Client, Error> {
        // A plain connection to this machine needs neither CA certificates nor a proxy.
        let loopback = url.scheme() == "http" && is_loopback(url);
        let slot = if loopback { &self.loopback } else { &self.verifying };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(url, loopback)?;
        Ok(slot.get_or_init(|| client))
    }

    fn build(&self, url: &Url, loopback: bool) -> Result<Client, Error> {
        // Fails only if a provider was installed before, by us or by a test, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.settings.timeouts.connect)
            .timeout(self.settings.timeouts.idle)
            .redirect(Policy::custom(follow));
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        if loopback {
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| Error::NoCaCertificates { reason: in_words(&error) })
    }

    /// What a request that got no answer failed of.
    fn failure_of(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let url = url.to_string();
        if let Some(refusal) = find_cause::<RedirectRefusal>(error) {
            return Failure::lasting(match refusal {
                RedirectRefusal::Insecure { from, to } => {
                    Error::InsecureRedirect { from: from.clone(), to: to.clone() }
                }
                RedirectRefusal::TooMany => Error::TooManyRedirects { url },
            });
        }
        if let Some(rustls::Error::InvalidCertificate(reason)) = find_cause::<rustls::Error>(error) {
            return Failure::lasting(Error::Certificate { url, reason: reason.to_string() });
        }
        if error.is_timeout() {
            return Failure::passing(Error::TimedOut {
                url,
                idle: if error.is_connect() { self.settings.timeouts.connect } else { self.settings.timeouts.idle },
            });
        }
        Failure::passing(Error::Unreachable { url, reason: deepest_cause(error) })
    }
}

/// Decides on one redirect. reqwest itself would follow from https to http.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match refuse_redirect(attempt.previous(), attempt.url()) {
        Some(refusal) => attempt.error(refusal),
        None => attempt.follow(),
    }
}

fn refuse_redirect(previous: &[Url], next: &Url) -> Option<RedirectRefusal> {
    if previous.len() > MAX_REDIRECTS {
        return Some(RedirectRefusal::TooMany);
    }
    let from = previous.iter().find(|url| url.scheme() == "https")?;
    (next.scheme() != "https").then(|| RedirectRefusal::Insecure { from: from.to_string(), to: next.to_string() })
}

/// What an answer without the wanted content means.
fn refused_by_server(url: &Url, status: StatusCode, headers: &HeaderMap) -> Failure {
    let url = url.to_string();
    let code = status.as_u16();
    let asked_wait = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    let (error, transient) = match code {
        404 | 410 => (Error::NotFound { url, status: code }, false),
        429 => (Error::TooManyRequests { url, wait: asked_wait }, true),
        500..=599 => (Error::ServerFault { url, status: code }, true),
        _ => (Error::UnexpectedStatus { url, status: code }, false),
    };
    Failure { error: Box::new(error), transient, asked_wait }
}

/// Looks for a certain type among the causes of an error. An `io::Error` hides the error that it wraps from
/// `source()`, so that one is looked into as well.
fn find_cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause in words. The layers above it only repeat the address and say that there was an error.
pub(super) fn deepest_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let plain = Url::parse("http://example.org/b").unwrap();
        let secure = Url::parse("https://example.org/b").unwrap();
        let from_secure = urls(&["https://example.org/a"]);
        assert!(refuse_redirect(&from_secure, &secure).is_none());
        assert!(matches!(refuse_redirect(&from_secure, &plain), Some(RedirectRefusal::Insecure { .. })));
        let from_plain = urls(&["http://example.org/a"]);
        assert!(refuse_redirect(&from_plain, &plain).is_none());
        assert!(refuse_redirect(&from_plain, &secure).is_none());
    }

    #[test]
    fn redirects_are_counted() {
        let url = Url::parse("https://example.org/b").unwrap();
        assert!(refuse_redirect(&vec![url.clone(); MAX_REDIRECTS], &url).is_none());
        assert!(matches!(refuse_redirect(&vec![url.clone(); MAX_REDIRECTS + 1], &url), Some(RedirectRefusal::TooMany)));
    }

    #[test]
    fn statuses_are_told_apart() {
        let url = Url::parse("https://example.org/a").unwrap();
        let answer = |code, headers: &HeaderMap| refused_by_server(&url, StatusCode::from_u16(code).unwrap(), headers);
        let none = HeaderMap::new();
        assert!(matches!(*answer(404, &none).error, Error::NotFound { status: 404, .. }));
        assert!(matches!(*answer(403, &none).error, Error::UnexpectedStatus { status: 403, .. }));
        assert!(!answer(403, &none).transient);
        assert!(answer(503, &none).transient);
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let failure = answer(429, &headers);
        assert!(failure.transient);
        assert_eq!(failure.asked_wait, Some(Duration::from_secs(7)));
        assert!(failure.error.to_string().contains("in 7 seconds"));
    }

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let inner = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let outer = std::io::Error::other(std::io::Error::other(inner));
        assert!(matches!(find_cause::<rustls::Error>(&outer), Some(rustls::Error::InvalidCertificate(_))));
        assert!(find_cause::<RedirectRefusal>(&outer).is_none());
    }
}
