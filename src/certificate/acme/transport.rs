//! How ACME requests travel: by the HTTP library that the downloads use too, so with the same roots of trust and the same
//! proxies; each with a time-out, which the ACME library's own client has not; and with an eye on `Retry-After`, which that
//! library leaves out of its errors.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use super::{AcmeError, Authority};

/// RFC 8555, section 6.1, wants the name of the program and of the library.
const NAME: &str = concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION"), " instant-acme");

/// The longest answer that is read, bytes. Chains are a few kilobytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Sends requests, and remembers the last `Retry-After`.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    patience: Duration,
    asked_wait: Arc<Mutex<Option<Duration>>>,
}

/// Why a request has no answer that the ACME library could make something of.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("{url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url}: {reason}")]
    Untrusted { url: String, reason: String },
    #[error("{url}: time-out")]
    TimedOut { url: String, after: Duration },
    #[error("{url}: status {status}")]
    Status { url: String, status: u16, wait: Option<Duration> },
    #[error("{url}: {reason}")]
    Nonsense { url: String, reason: String },
}

impl From<TransportError> for AcmeError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Unreachable { url, reason } => Self::Unreachable { url, reason },
            TransportError::Untrusted { url, reason } => Self::Untrusted { url, reason },
            TransportError::TimedOut { url, after } => Self::TimedOut { url, after },
            TransportError::Status { url, status, wait } => Self::Status { url, status, wait },
            TransportError::Nonsense { url, reason } => Self::NotAcme { directory: url, reason },
        }
    }
}

impl Transport {
    pub(super) fn new(authority: &Authority) -> Result<Self, AcmeError> {
        // Fails only if a provider was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let no_client = |error: &reqwest::Error| AcmeError::NoClient { reason: in_words(error) };
        let roots: Result<Vec<Certificate>, _> =
            authority.roots.iter().map(|root| Certificate::from_der(root)).collect();
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .timeout(authority.timeouts.request)
            .tls_certs_merge(roots.map_err(|error| no_client(&error))?);
        if is_loopback(&authority.directory) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| no_client(&error))?;
        Ok(Self { client, patience: authority.timeouts.request, asked_wait: Arc::default() })
    }

    /// The `Retry-After` of the last answer, if it had one.
    pub(super) fn asked_wait(&self) -> Option<Duration> {
        *self.asked_wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let url = request.uri().to_string();
        let method = request.method().clone();
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        let failed = |error: &reqwest::Error| Error::Other(Box::new(failure(&url, error, self.patience)));
        let request = reqwest::Request::try_from(Request::from_parts(parts, reqwest::Body::wrap(body)))
            .map_err(|error| failed(&error))?;
        let mut response = self.client.execute(request).await.map_err(|error| failed(&error))?;
        let wait = retry_after(response.headers(), SystemTime::now());
        *self.asked_wait.lock().unwrap_or_else(PoisonError::into_inner) = wait;
        let status = response.status();
        if !status.is_success() && (method == Method::HEAD || !is_problem(response.headers())) {
            let url = response
                .headers()
                .get(LOCATION)
                .and_then(|to| to.to_str().ok())
                .map_or_else(|| url.clone(), |to| format!("{url} (which points to {to})"));
            return Err(Error::Other(Box::new(TransportError::Status { url, status: status.as_u16(), wait })));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                let reason = "its answer does not end".to_owned();
                return Err(Error::Other(Box::new(TransportError::Nonsense { url: url.clone(), reason })));
            }
        }
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(BytesResponse { parts: answer.into_parts().0, body: Box::new(Bytes::from(bytes)) })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

/// Whether a URL leads to this machine, which no proxy could reach.
fn is_loopback(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an answer is an ACME problem document (RFC 8555, section 6.7).
fn is_problem(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/problem+json"))
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok().map(|time| time.duration_since(now).unwrap_or_default())
}

fn failure(url: &str, error: &reqwest::Error, patience: Duration) -> TransportError {
    let url = url.to_owned();
    if error.is_timeout() {
        return TransportError::TimedOut { url, after: patience };
    }
    match in_tls(error) {
        Some(reason) => TransportError::Untrusted { url, reason },
        None => TransportError::Unreachable { url, reason: in_words(error) },
    }
}

/// What was wrong with the server's certificate, if that was it. An `io::Error` hides the error in it from `source()`.
fn in_tls(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason.to_string());
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause. The layers above it repeat the address and say that there was an error.
fn in_words(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_wait_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_420);
        let wait = |value| retry_after(&headers(RETRY_AFTER, value), now).map(|wait| wait.as_secs());
        assert_eq!(wait("3600"), Some(3600));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(wait("Wed, 21 Oct 2015 07:20:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn this_machine_needs_no_proxy() {
        for (url, local) in [
            ("https://localhost:14000/dir", true),
            ("https://127.0.0.1/dir", true),
            ("https://[::1]:1/dir", true),
            ("https://acme-v02.api.letsencrypt.org/directory", false),
            ("https://localhost.example.org/dir", false),
        ] {
            assert_eq!(is_loopback(url), local, "{url}");
        }
    }

    #[test]
    fn a_problem_is_known_by_its_type() {
        assert!(is_problem(&headers(CONTENT_TYPE, "application/problem+json; charset=utf-8")));
        assert!(!is_problem(&headers(CONTENT_TYPE, "text/html")));
        assert!(!is_problem(&HeaderMap::new()));
    }
}
