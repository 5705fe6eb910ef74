//! Ordering a certificate from an ACME authority (RFC 8555) with the challenge HTTP-01.
//!
//! Two processes do it. The child ([`ACME`], nobody) has the network: HTTP, TLS, JSON, and the first look at a certificate.
//! Root has the keys: it makes the one of the certificate, signs with that of the account what the errand needs, publishes
//! answers to challenges, and checks what comes back. What passes between them is in `task`.
//!
//! The rest of the program is synchronous. The ACME library is not, so the child runs each errand to its end on a small
//! runtime of one thread.
//!
//! Nothing is written but the answer to the challenge, and that by the caller's [`Challenge`]. The account, and the key and
//! certificate that were issued, are returned; so whatever fails, the caller's old certificate is as it was.

mod account;
mod authority;
mod error;
mod key;
mod order;
mod role;
mod task;
mod transport;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use account::Account;
pub use error::AcmeError;
pub use role::ACME;

use crate::child::Ids;

/// The longest token: it has to be a file's name, with something before and after it.
const LONGEST_TOKEN: usize = 200;

/// The ACME authorities of the internet, each by its directory URL, and how to talk to them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Internet {
    /// Who the child is that talks with them; `None`: whoever runs this program.
    #[serde(skip)]
    pub ids: Option<Ids>,
    /// Root certificates (DER) to trust besides the system's, for an authority whose own certificate no public authority has
    /// issued. They say nothing about the certificates that it issues.
    pub roots: Vec<Vec<u8>>,
    /// How long to wait for each answer.
    pub request: Duration,
    /// How long to wait for an order as a whole, from the first request to the certificate.
    pub order: Duration,
    /// The pause between two looks at an order, at first; the authority's `Retry-After` counts if it is longer.
    pub look: Duration,
}

impl Internet {
    /// With the system's roots, 30 s for an answer, 5 minutes for an order, and a look each second at first.
    pub fn new(ids: Option<Ids>) -> Self {
        let [request, order, look] = [30, 300, 1].map(Duration::from_secs);
        Self { ids, roots: Vec::new(), request, order, look }
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

/// RFC 8555, section 8.3: only characters of base64url.
fn is_token(token: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(is_of_token)
}

/// Why a child is no longer listened to.
fn unasked() -> AcmeError {
    AcmeError::Child("it asked for what its errand does not need".into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_can_be_nothing_but_a_name() {
        assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA_"));
        for token in ["", "..", "a/b", "a.b", "a b", "a\n", "\u{e9}", &"a".repeat(201)] {
            assert!(!is_token(token), "{token}");
        }
    }
}
