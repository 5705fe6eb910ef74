//! Ordering a certificate from an ACME authority (RFC 8555) with the challenge HTTP-01.
//!
//! The rest of the program is synchronous. The ACME library is not, so each function here runs it to its end on a small
//! runtime of one thread.
//!
//! Nothing is written but the answer to the challenge, and that by the caller's [`Challenge`]. The account, and the key and
//! certificate that were issued, are returned; so whatever fails, the caller's old certificate is as it was.

mod account;
mod error;
mod order;
mod transport;

use std::fmt;
use std::time::Duration;

use instant_acme::LetsEncrypt;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

pub use account::{Account, register};
pub use error::AcmeError;
pub use order::{order, renewal_window};

use super::renewal::Window;
use super::{Bundle, CertificateAuthority, pem};
use crate::deployment::{EmailAddress, HostName};

/// An ACME authority, and how to talk to it.
#[derive(Debug, Clone)]
pub struct Authority {
    directory: String,
    roots: Vec<CertificateDer<'static>>,
    timeouts: Timeouts,
}

/// How long to wait for the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For each answer.
    pub request: Duration,
    /// For an order as a whole, from the first request to the certificate.
    pub order: Duration,
    /// Between two looks at an order, at first; the authority's `Retry-After` counts if it is longer.
    pub look: Duration,
}

impl Default for Timeouts {
    /// 30 s for an answer, 5 minutes for an order, a look each second at first.
    fn default() -> Self {
        Self { request: Duration::from_secs(30), order: Duration::from_secs(300), look: Duration::from_secs(1) }
    }
}

impl Authority {
    /// The authority with this directory URL, such as that of a staging environment.
    ///
    /// # Errors
    /// It is not an https URL, which RFC 8555, section 6.1, demands.
    pub fn new(directory: &str) -> Result<Self, AcmeError> {
        let is_https = reqwest::Url::parse(directory).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !is_https {
            return Err(AcmeError::NotHttps { directory: directory.to_owned() });
        }
        Ok(Self { directory: directory.to_owned(), roots: Vec::new(), timeouts: Timeouts::default() })
    }

    /// Let's Encrypt.
    pub fn lets_encrypt() -> Self {
        let directory = LetsEncrypt::Production.url().to_owned();
        Self { directory, roots: Vec::new(), timeouts: Timeouts::default() }
    }

    /// Trusts the certificates of a PEM file too, when it talks to the authority: for one whose own certificate no public
    /// authority has issued. It says nothing about the certificates that it issues.
    ///
    /// # Errors
    /// There is no certificate in it, or one that cannot be a root of trust.
    pub fn trusting(mut self, roots: &[u8]) -> Result<Self, AcmeError> {
        let unreadable = |reason: String| AcmeError::Roots { reason };
        let certificates = pem::read(roots).map_err(|error| unreadable(error.to_string()))?.certificates;
        if certificates.is_empty() {
            return Err(unreadable("there is no certificate in it".into()));
        }
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| unreadable(error.to_string()))?;
        }
        self.roots.extend(certificates);
        Ok(self)
    }

    /// With other time-outs.
    pub fn patient_for(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The directory URL.
    pub fn directory(&self) -> &str {
        &self.directory
    }
}

impl CertificateAuthority for Authority {
    fn register(&self, _directory: &str, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        register(self, email)
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        order(self, account, std::slice::from_ref(name), replaces, challenge, &mut |_| {})
    }

    fn renewal_window(&self, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
        renewal_window(self, account, bundle)
    }
}

/// The authorities of the internet, each by its directory URL.
#[derive(Debug, Clone, Copy)]
pub struct Internet;

impl CertificateAuthority for Internet {
    fn register(&self, directory: &str, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        Authority::new(directory)?.register(directory, email)
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        Authority::new(account.directory())?.order(account, name, replaces, challenge)
    }

    fn renewal_window(&self, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
        Authority::new(account.directory())?.renewal_window(account, bundle)
    }
}

/// Where the answer to the challenge HTTP-01 (RFC 8555, section 8.3) is put: what has to be served as
/// `http://NAME/.well-known/acme-challenge/TOKEN`.
pub trait Challenge {
    /// Serves `key_authorization` under `token` from now on. The token consists of `A` to `Z`, `a` to `z`, `0` to `9`, `-`
    /// and `_` alone, so it can be a file's name.
    ///
    /// An implementation may ask for it itself, the way the authority will, and fail if the wrong answer comes: then the
    /// order ends before the authority has looked, and counts no failure.
    ///
    /// # Errors
    /// It cannot be served. The order ends.
    fn publish(&mut self, token: &str, key_authorization: &str) -> Result<(), Box<dyn std::error::Error>>;

    /// Serves it no longer. Called for every token that was to be published, whatever became of the order.
    fn withdraw(&mut self, token: &str);
}

/// How far an order has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The directory is fetched.
    Directory,
    /// The order is placed.
    Order,
    /// The answer for this name is published.
    Publishing(String),
    /// The authority checks.
    Validation,
    /// The authority issues.
    Issuance,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("asking the certificate authority for its directory"),
            Self::Order => f.write_str("placing the order"),
            Self::Publishing(name) => write!(f, "publishing the answer to the challenge for {name}"),
            Self::Validation => f.write_str("waiting for the certificate authority to check the answer"),
            Self::Issuance => f.write_str("waiting for the certificate authority to issue the certificate"),
        }
    }
}

/// Runs `work` to its end, here and now.
fn run<T>(work: impl Future<Output = Result<T, AcmeError>>) -> Result<T, AcmeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AcmeError::Internal { reason: error.to_string() })?;
    runtime.block_on(work)
}

/// The authority refuses a nonce that is too old or already used, and any client must then try again with the fresh one that
/// came with the refusal (RFC 8555, section 6.5). The library tries three times.
async fn persistently<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, instant_acme::Error>,
) -> Result<T, instant_acme::Error> {
    const ROUNDS: usize = 10;
    for _ in 1..ROUNDS {
        match attempt().await {
            Err(instant_acme::Error::Api(problem)) if error::kind(&problem) == "badNonce" => {}
            other => return other,
        }
    }
    attempt().await
}
