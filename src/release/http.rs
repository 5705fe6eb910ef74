//! The HTTP client of the child that fetches: how a request is made, and what an answer or its absence means.
//!
//! **TLS.** rustls with the ring provider; there is no OpenSSL in the program. `net::authorities` says whom it trusts. Where
//! that is nobody, no client is made and the error is [`Error::NoCaCertificates`]. This happens on the first https
//! request, so that a mirror folder and a rehearsal work on a host without a CA bundle.
//!
//! **Proxies.** `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (or in lower case) are honoured, but never
//! for this machine itself.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::{Error, Retry};
use crate::net::web::{deepest_cause, find_cause, is_loopback, refused_certificate, retry_after, roots, use_ring};

/// How many redirects are followed. Codeberg needs one, to its store of attachments.
const MAX_REDIRECTS: usize = 10;

/// How the HTTP client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSettings {
    /// How long to wait for the connection, TLS included.
    pub connect: Duration,
    /// How long to wait for the beginning of an answer, and between any two pieces of it. A download as a whole has no
    /// limit: a slow line is no error.
    pub idle: Duration,
    /// What to do after a failure.
    pub retry: Retry,
}

impl Default for HttpSettings {
    /// 15 s to connect, 60 s of silence.
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), idle: Duration::from_secs(60), retry: Retry::default() }
    }
}

/// Is told why an attempt failed, and after what wait the next one comes.
pub(super) type Retries<'a> = &'a dyn Fn(String, Duration);

/// Is called when something has come that is not told of itself.
pub(super) type Lives<'a> = &'a dyn Fn();

/// The HTTP client, which presents itself as `gts-bootstrap/<version>`. One client is for one source.
///
/// Making one costs nothing; the first request reads the CA certificates.
pub(super) struct HttpClient<'a> {
    pub(super) settings: HttpSettings,
    pub(super) retries: Retries<'a>,
    pub(super) lives: Lives<'a>,
    client: OnceLock<Client>,
}

impl<'a> HttpClient<'a> {
    /// A client with these settings.
    pub(super) fn new(settings: HttpSettings, retries: Retries<'a>, lives: Lives<'a>) -> Self {
        Self { settings, retries, lives, client: OnceLock::new() }
    }

    /// A GET request to be sent with [`Self::send`].
    pub(super) fn get(&self, url: &Url) -> Result<RequestBuilder, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client.get(url.clone()));
        }
        use_ring();
        let mut builder = Client::builder()
            .user_agent(concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.settings.connect)
            .timeout(self.settings.idle)
            .redirect(Policy::custom(|attempt| match refused_redirect(attempt.previous(), attempt.url()) {
                Some(refusal) => attempt.error(refusal),
                None => attempt.follow(),
            }));
        // A plain connection to this machine needs neither CA certificates nor a proxy.
        let is_local = is_loopback(url);
        if is_local {
            builder = builder.no_proxy();
        }
        builder = builder.tls_certs_only(match is_local && url.scheme() == "http" {
            true => Vec::new(),
            false => roots().map_err(Error::NoCaCertificates)?,
        });
        let client = builder.build().map_err(|error| Error::NoCaCertificates(deepest_cause(&error)))?;
        Ok(self.client.get_or_init(|| client).get(url.clone()))
    }

    /// Sends a request, following redirects, and gives the answer if its status is 200 or 206.
    pub(super) fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response, Error> {
        let answer = request.send().map_err(|error| self.failure_of(url, &error))?;
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            status => {
                let wait = retry_after(answer.headers(), SystemTime::now());
                Err(Error::Status { url: url.to_string(), status: status.as_u16(), wait })
            }
        }
    }

    /// What a request that got no answer failed of.
    fn failure_of(&self, url: &Url, error: &reqwest::Error) -> Error {
        let url = url.to_string();
        if let Some(Error::InsecureRedirect(from, to)) = find_cause(error) {
            return Error::InsecureRedirect(from.clone(), to.clone());
        }
        if let Some(reason) = refused_certificate(error) {
            return Error::Certificate(url, reason);
        }
        match error {
            error if error.is_redirect() => Error::TooManyRedirects(url),
            error if error.is_timeout() && error.is_connect() => Error::TimedOut(url, self.settings.connect),
            error if error.is_timeout() => Error::TimedOut(url, self.settings.idle),
            error => Error::Unreachable(url, deepest_cause(error)),
        }
    }
}

/// Why a redirect is not followed. reqwest itself would follow from https to http.
fn refused_redirect(previous: &[Url], next: &Url) -> Option<Error> {
    if previous.len() > MAX_REDIRECTS {
        return Some(Error::TooManyRedirects(next.to_string()));
    }
    let from = previous.iter().find(|url| url.scheme() == "https")?;
    (next.scheme() != "https").then(|| Error::InsecureRedirect(from.to_string(), next.to_string()))
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
        assert!(refused_redirect(&from_secure, &secure).is_none());
        assert!(matches!(refused_redirect(&from_secure, &plain), Some(Error::InsecureRedirect(..))));
        let from_plain = urls(&["http://example.org/a"]);
        assert!(refused_redirect(&from_plain, &plain).is_none());
        assert!(refused_redirect(&from_plain, &secure).is_none());
    }

    #[test]
    fn redirects_are_counted() {
        let url = Url::parse("https://example.org/b").unwrap();
        assert!(refused_redirect(&vec![url.clone(); MAX_REDIRECTS], &url).is_none());
        assert!(matches!(
            refused_redirect(&vec![url.clone(); MAX_REDIRECTS + 1], &url),
            Some(Error::TooManyRedirects(_))
        ));
    }
}
