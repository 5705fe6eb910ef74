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

use std::time::Duration;

use rustls::pki_types::CertificateDer;

pub use account::Account;
pub use error::AcmeError;

/// The ACME authorities of the internet, each by its directory URL, and how to talk to them.
#[derive(Debug, Clone)]
pub struct Internet {
    /// Root certificates to trust besides the system's, for an authority whose own certificate no public authority has
    /// issued. They say nothing about the certificates that it issues.
    pub roots: Vec<CertificateDer<'static>>,
    /// How long to wait for each answer.
    pub request: Duration,
    /// How long to wait for an order as a whole, from the first request to the certificate.
    pub order: Duration,
    /// The pause between two looks at an order, at first; the authority's `Retry-After` counts if it is longer.
    pub look: Duration,
}

/// With the system's roots, 30 s for an answer, 5 minutes for an order, and a look each second at first.
pub static INTERNET: Internet = Internet {
    roots: Vec::new(),
    request: Duration::from_secs(30),
    order: Duration::from_secs(300),
    look: Duration::from_secs(1),
};

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

/// Runs `work` to its end, here and now.
fn run<T>(work: impl Future<Output = Result<T, AcmeError>>) -> Result<T, AcmeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AcmeError::Internal(error.to_string()))?;
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
