//! What the HTTP clients of downloads and of certificate orders have in common.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Url};

use super::authorities::{Authorities, SSL_CERT_DIR, SSL_CERT_FILE};

/// What leads an HTTP client to the network: its proxies, and the CA certificates that it trusts. A server that runs this
/// program for a request has a variable `REQUEST_METHOD`, and `HTTP_PROXY` then comes from the client (httpoxy).
const ENVIRONMENT: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
    SSL_CERT_FILE,
    SSL_CERT_DIR,
    #[cfg(debug_assertions)]
    super::authorities::ROOT_FOR_TESTS,
];

/// This program's own environment, as far as a child that makes requests over the network has to have it.
pub(crate) fn environment() -> Vec<(String, String)> {
    ENVIRONMENT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// The CA certificates that this process trusts, for an HTTP client.
///
/// # Errors
/// In words: there are none.
pub(crate) fn roots() -> Result<Vec<Certificate>, String> {
    let roots = Authorities::of_this_process()?.certificates;
    roots.iter().map(|root| Certificate::from_der(root).map_err(|error| deepest_cause(&error))).collect()
}

/// Makes ring the TLS library's provider of cryptography.
pub(crate) fn use_ring() {
    // An error means that a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether an address is this very machine, which no proxy could reach.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || httpdate::parse_http_date(value).ok().map(|time| time.duration_since(now).unwrap_or_default());
    value.parse().ok().map(Duration::from_secs).or_else(until)
}

/// What is wrong with the server's certificate, if a request failed because of that.
pub(crate) fn refused_certificate(error: &(dyn Error + 'static)) -> Option<String> {
    match find_cause(error)? {
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        _ => None,
    }
}

/// Looks for a certain type among the causes of an error. An `io::Error` hides the error that it wraps from
/// `source()`, so that one is looked into as well.
pub(crate) fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause in words. The layers above it only repeat the address and say that there was an error.
pub(crate) fn deepest_cause(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), deepest_cause)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_420);
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
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
            assert_eq!(is_loopback(&url.parse().unwrap()), local, "{url}");
        }
    }

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let inner = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let outer = io::Error::other(io::Error::other(inner));
        assert!(refused_certificate(&outer).is_some());
        assert!(find_cause::<reqwest::Error>(&outer).is_none());
    }
}
