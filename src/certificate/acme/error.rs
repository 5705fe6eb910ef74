//! Why there is no certificate, in an administrator's words.

use std::time::Duration;

use instant_acme::{Error as Underlying, Problem};
use serde::{Deserialize, Serialize};

use super::transport::Transport;
use crate::certificate::BundleError;

/// Why an account, an order or a question to the authority failed. The certificate in use has not been touched.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum AcmeError {
    /// No client can be made, for want of CA certificates.
    #[error(
        "no connection over https can be made from this host ({0}); \
         run `certctl rehash`, or on FreeBSD 13 `pkg install ca_root_nss`"
    )]
    NoClient(String),
    /// Nobody answers at this address, and why.
    #[error(
        "the certificate authority cannot be reached at {0} ({1}); \
         look at this host's resolver, route and firewall, and at the address itself"
    )]
    Unreachable(String, String),
    /// The certificate that is shown at this address is not trusted, and why.
    #[error(
        "the certificate authority at {0} shows a certificate that this host does not trust ({1}); \
         if it is a test authority, name its root certificate; if not, look at this host's clock and CA certificates"
    )]
    Untrusted(String, String),
    /// There is no answer at this address for so long.
    #[error(
        "the certificate authority did not answer at {0} within {after} s; its status page shows whether it has problems. \
         Try again later", after = .1.as_secs()
    )]
    TimedOut(String, Duration),
    /// The order as a whole got that far in so long.
    #[error("no certificate within {after} s: {0}; the authority is slow today, try again later", after = .1.as_secs())]
    Slow(String, Duration),
    /// An answer that is an error, and not one of ACME's.
    #[error("{url} answered with status {status}{}; {}", wait_in_words(*.wait), status_in_words(*.status))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// `Retry-After`.
        wait: Option<Duration>,
    },
    /// The answer from this address cannot be understood, and why.
    #[error("what answers at {0} does not speak ACME ({1}); check the address of the directory")]
    NotAcme(String, String),
    /// Too many orders, failures or accounts.
    #[error(
        "the certificate authority refuses for now because of too many requests (rate limit): {0}{wait}. \
         Wait that long, and do not try again and again", wait = wait_in_words(*.1)
    )]
    RateLimited(String, Option<Duration>),
    /// The challenge for this name was answered wrongly, or not at all.
    #[error(
        "the certificate authority did not get the right answer from http://{0}/.well-known/acme-challenge/ : {1}. \
         {0} must resolve to this host, over IPv4 and IPv6, and port 80 must be open from outside"
    )]
    Challenge(String, String),
    /// The authority does not offer HTTP-01 for this name.
    #[error(
        "the certificate authority does not offer the challenge http-01 for {0}, which is the one that is used here"
    )]
    NoHttp01(String),
    /// The token for this name could not serve as a file name.
    #[error(
        "the certificate authority sent a challenge for {0} whose token has characters in it that RFC 8555 forbids; \
         nothing was published. See that the directory's address is the right one"
    )]
    Token(String),
    /// The answer to the challenge for this name could not be put in place, and why.
    #[error("the answer to the challenge for {0} could not be published: {1}")]
    Publish(String, String),
    /// The mail address was refused.
    #[error("the certificate authority refuses the mail address of the account: {0}. Write another one, or none")]
    Email(String),
    /// The authority wants accounts made on its web site first.
    #[error(
        "the certificate authority makes accounts only for its registered customers ({0}), \
         which is not supported; use another authority, or another client for this one"
    )]
    ExternalAccount(String),
    /// The account is unknown, deactivated or revoked.
    #[error(
        "the certificate authority does not accept the account stored here: {0}. \
         Put the account's file aside, and a new account is made"
    )]
    Account(String),
    /// The stored account cannot be read.
    #[error("the account stored here cannot be read ({0}); put its file aside, and a new account is made")]
    AccountFile(String),
    /// The order for this name was refused.
    #[error("the certificate authority refuses to issue for {0}: {1}")]
    Refused(String, String),
    /// The order for this name became invalid.
    #[error("the order for {0} became invalid at the certificate authority: {1}. Order again")]
    Invalid(String, String),
    /// What was issued is not what was ordered.
    #[error("the certificate authority issued a certificate that cannot be used: {0}")]
    Issued(#[from] BundleError),
    /// The child that talks with the authority failed, and how.
    #[error(
        "the process that talks with the certificate authority failed: {0}. Try again; if it fails again, report that as \
         an error of this program"
    )]
    Child(String),
    /// The program's own side: no runtime, no key.
    #[error("the order could not be prepared on this host: {0}")]
    Internal(String),
}

impl AcmeError {
    /// How long the authority asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(_, wait) | Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

fn wait_in_words(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs()) {
        None => String::new(),
        Some(seconds @ 0..=119) => format!(" (try again in {seconds} s)"),
        Some(seconds @ 120..=7199) => format!(" (try again in {} minutes)", seconds.div_ceil(60)),
        Some(seconds) => format!(" (try again in {} hours)", seconds.div_ceil(3600)),
    }
}

fn status_in_words(status: u16) -> &'static str {
    match status {
        300..=399 => "the directory has moved, or this is not one: look its address up",
        404 | 410 => "there is no ACME directory at this address: check it",
        429 => "that is its limit of requests: wait before trying again",
        500..=599 => "the authority has trouble: try again later",
        _ => "that is not what an ACME directory answers: check its address",
    }
}

/// Translates an error of the ACME library. The same problem means different things when something was ordered for a name,
/// and when the account was made or used.
pub(super) fn translate(error: Underlying, transport: &Transport, ordered: Option<&str>) -> AcmeError {
    let not_acme = |reason: String| AcmeError::NotAcme(transport.directory.clone(), reason);
    match error {
        Underlying::Api(problem) => of_problem(&problem, ordered, transport.asked_wait()),
        Underlying::KeyRejected => AcmeError::AccountFile("its key is not one for P-256".into()),
        Underlying::Other(error) => match error.downcast() {
            Ok(error) => *error,
            Err(error) => not_acme(error.to_string()),
        },
        Underlying::Crypto | Underlying::Timeout(_) => AcmeError::Internal(error.to_string()),
        other => not_acme(other.to_string()),
    }
}

/// The kind of a problem: what follows `urn:ietf:params:acme:error:` (RFC 8555, section 6.7).
pub(super) fn kind(problem: &Problem) -> &str {
    let whole = problem.r#type.as_deref().unwrap_or_default();
    whole.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(whole)
}

/// What the authority says about a problem, its parts included.
pub(super) fn detail(problem: &Problem) -> String {
    let parts = problem.subproblems.iter().map(|part| &part.detail);
    let words: Vec<&str> = [&problem.detail].into_iter().chain(parts).filter_map(|detail| detail.as_deref()).collect();
    let words = if words.is_empty() { kind(problem).to_owned() } else { words.join("; ") };
    words.trim_end_matches('.').to_owned()
}

fn of_problem(problem: &Problem, ordered: Option<&str>, wait: Option<Duration>) -> AcmeError {
    let detail = detail(problem);
    match (kind(problem), ordered) {
        ("rateLimited", _) => AcmeError::RateLimited(detail, wait),
        ("invalidContact" | "unsupportedContact", _) => AcmeError::Email(detail),
        ("externalAccountRequired", _) => AcmeError::ExternalAccount(detail),
        // A deactivated account is "unauthorized" (RFC 8555, section 7.3.6).
        ("accountDoesNotExist" | "userActionRequired" | "unauthorized", _) | (_, None) => AcmeError::Account(detail),
        (_, Some(name)) => AcmeError::Refused(name.to_owned(), detail),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::certificate::BundleError;

    #[test]
    fn an_error_crosses_a_pipe_whole() {
        let wait = Some(Duration::from_secs(7200));
        for error in [
            AcmeError::RateLimited("too many \u{1b}[2J\n".into(), wait),
            AcmeError::Status { url: "https://ca.example/".into(), status: 429, wait },
            AcmeError::Slow("placing the order".into(), Duration::from_millis(1500)),
            AcmeError::Issued(BundleError::Certificate(2, "it is cut off".into())),
            AcmeError::Issued(BundleError::NoCertificate),
        ] {
            let line = serde_json::to_string(&error).unwrap();
            let back: AcmeError = serde_json::from_str(&line).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(
                format!("{back:?} {back} {:?}", back.retry_after()),
                format!("{error:?} {error} {:?}", error.retry_after())
            );
        }
    }
}
