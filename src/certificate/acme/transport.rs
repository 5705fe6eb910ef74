//! How ACME requests travel: by the HTTP library that the downloads use too, so with the same roots of trust and the same
//! proxies; each with a time-out, which the ACME library's own client has not; and with an eye on `Retry-After`, which that
//! library leaves out of its errors.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, Client, Url};

use super::role::Root;
use super::{AcmeError, Internet};
use crate::net::web::{deepest_cause, is_loopback, refused_certificate, retry_after, roots, use_ring};

/// RFC 8555, section 6.1, wants the name of the program and of the library.
const NAME: &str = concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION"), " instant-acme");

/// The longest answer that is read, bytes. Chains are a few kilobytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Sends requests to one authority, and remembers the last `Retry-After`.
#[derive(Clone)]
pub(super) struct Transport {
    /// The URL of the authority's directory.
    pub(super) directory: String,
    client: Client,
    patience: Duration,
    asked_wait: Arc<Mutex<Option<Duration>>>,
    root: Root,
}

impl Transport {
    pub(super) fn new(internet: &Internet, directory: &str, root: Root) -> Result<Self, AcmeError> {
        use_ring();
        let no_client = |error: reqwest::Error| AcmeError::NoClient(deepest_cause(&error));
        let own: Result<Vec<_>, _> = internet.roots.iter().map(|root| Certificate::from_der(root)).collect();
        let mut trusted = own.map_err(no_client)?;
        match roots() {
            Ok(roots) => trusted.extend(roots),
            Err(why) if trusted.is_empty() => return Err(AcmeError::NoClient(why)),
            Err(_) => {}
        }
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .timeout(internet.request)
            .tls_certs_only(trusted);
        if Url::parse(directory).is_ok_and(|url| is_loopback(&url)) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(no_client)?;
        let (directory, patience) = (directory.to_owned(), internet.request);
        Ok(Self { directory, client, patience, asked_wait: Arc::default(), root })
    }

    /// The `Retry-After` of the last answer, if it had one.
    pub(super) fn asked_wait(&self) -> Option<Duration> {
        *self.asked_wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, AcmeError> {
        let url = request.uri().to_string();
        let is_head = request.method() == Method::HEAD;
        let (mut parts, mut body) = request.into_parts();
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        let failed = |error: reqwest::Error| failure(&url, &error, self.patience);
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.and_then(Result::ok);
        let body = match frame.and_then(|frame| frame.into_data().ok()) {
            // Only requests that have to be signed have a body.
            Some(body) => Body::from(self.root.sign(&body)?),
            None => Body::default(),
        };
        let request = reqwest::Request::try_from(Request::from_parts(parts, body)).map_err(failed)?;
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let wait = retry_after(response.headers(), SystemTime::now());
        *self.asked_wait.lock().unwrap_or_else(PoisonError::into_inner) = wait;
        let status = response.status();
        if !status.is_success() && (is_head || !is_problem(response.headers())) {
            let url = match response.headers().get(LOCATION).and_then(|to| to.to_str().ok()) {
                Some(to) => format!("{url} (which points to {to})"),
                None => url,
            };
            return Err(AcmeError::Status { url, status: status.as_u16(), wait });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                return Err(AcmeError::NotAcme(url, "its answer does not end".to_owned()));
            }
        }
        let (parts, _) = Response::<Body>::from(response).into_parts();
        Ok(BytesResponse { parts, body: Box::new(Bytes::from(bytes)) })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.clone().send(request);
        Box::pin(async move { answer.await.map_err(|error| Error::Other(Box::new(error))) })
    }
}

/// Whether an answer is an ACME problem document (RFC 8555, section 6.7).
fn is_problem(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/problem+json"))
}

fn failure(url: &str, error: &reqwest::Error, patience: Duration) -> AcmeError {
    let url = url.to_owned();
    match refused_certificate(error) {
        _ if error.is_timeout() => AcmeError::TimedOut(url, patience),
        Some(reason) => AcmeError::Untrusted(url, reason),
        None => AcmeError::Unreachable(url, deepest_cause(error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_known_by_its_type() {
        let of_kind = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        assert!(is_problem(&of_kind("application/problem+json; charset=utf-8")));
        assert!(!is_problem(&of_kind("text/html")));
        assert!(!is_problem(&HeaderMap::new()));
    }
}
