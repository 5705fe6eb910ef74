//! Why no certificate was had, in an administrator's words.

use std::time::Duration;

use instant_acme::{Error as Underlying, Problem};

use super::Step;
use super::transport::TransportError;
use crate::certificate::BundleError;

/// Why an account, an order or a question to the authority failed. Whatever it is, the certificate that is in use has not
/// been touched.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The directory is not an https URL.
    #[error(
        "{directory} is not the https URL of an ACME directory; \
         write it like https://acme-staging-v02.api.letsencrypt.org/directory"
    )]
    NotHttps {
        /// What was given.
        directory: String,
    },
    /// The certificates to trust cannot be read.
    #[error("the certificate to trust for the authority cannot be read ({reason}); it must be a PEM file")]
    Roots {
        /// What is wrong with it.
        reason: String,
    },
    /// No client can be made, for want of CA certificates.
    #[error(
        "no connection over https can be made from this host ({reason}); \
         see that /etc/ssl/certs is filled (`certctl rehash`) or the package ca_root_nss is installed"
    )]
    NoClient {
        /// What the TLS library says.
        reason: String,
    },
    /// Nobody answers.
    #[error(
        "the certificate authority cannot be reached at {url} ({reason}); \
         look at this host's resolver, route and firewall, and at the address itself"
    )]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It shows a certificate that is not trusted.
    #[error(
        "the certificate authority at {url} shows a certificate that this host does not trust ({reason}); \
         if it is a test authority, name its root certificate; if not, look at this host's clock and CA certificates"
    )]
    Untrusted {
        /// What was asked.
        url: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// It answers too late.
    #[error(
        "the certificate authority did not answer at {url} within {} s; its status page shows whether it has problems. \
         Try again later", after.as_secs()
    )]
    TimedOut {
        /// What was asked.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The order as a whole took too long.
    #[error("no certificate within {} s: {step}; the authority is slow today, try again later", after.as_secs())]
    Slow {
        /// How far it had got.
        step: Step,
        /// How long was waited.
        after: Duration,
    },
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
    /// An answer that is not understood.
    #[error("what answers at {directory} does not speak ACME ({reason}); check the address of the directory")]
    NotAcme {
        /// The directory.
        directory: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Too many orders, failures or accounts.
    #[error(
        "the certificate authority refuses for now because of too many requests (rate limit): {detail}{}. \
         Wait that long, and do not try again and again", wait_in_words(*.wait)
    )]
    RateLimited {
        /// Its own words.
        detail: String,
        /// `Retry-After`.
        wait: Option<Duration>,
    },
    /// The challenge was answered wrongly, or not at all.
    #[error(
        "the certificate authority did not get the right answer from http://{name}/.well-known/acme-challenge/ : {detail}. \
         {name} must resolve to this host, over IPv4 and IPv6, and port 80 must be open from outside"
    )]
    Challenge {
        /// The name that was to be proved.
        name: String,
        /// The authority's own words.
        detail: String,
    },
    /// The authority does not offer HTTP-01.
    #[error(
        "the certificate authority does not offer the challenge http-01 for {name}, which is the one that is used here"
    )]
    NoHttp01 {
        /// The name that was to be proved.
        name: String,
    },
    /// The token could not serve as a file name.
    #[error(
        "the certificate authority sent a challenge for {name} whose token has characters in it that RFC 8555 forbids; \
         nothing was published. See that the directory's address is the right one"
    )]
    Token {
        /// The name that was to be proved.
        name: String,
    },
    /// The answer to the challenge could not be put in place.
    #[error("the answer to the challenge for {name} could not be published: {reason}")]
    Publish {
        /// The name that was to be proved.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The mail address was refused.
    #[error("the certificate authority refuses the mail address of the account: {detail}. Write another one, or none")]
    Email {
        /// Its own words.
        detail: String,
    },
    /// The authority wants accounts made on its web site first.
    #[error(
        "the certificate authority makes accounts only for its registered customers ({detail}), \
         which is not supported; use another authority, or another client for this one"
    )]
    ExternalAccount {
        /// Its own words.
        detail: String,
    },
    /// The account is unknown, deactivated or revoked.
    #[error(
        "the certificate authority does not accept the account stored here: {detail}. \
         Put the account's file aside, and a new account is made"
    )]
    Account {
        /// Its own words.
        detail: String,
    },
    /// The stored account cannot be read.
    #[error("the account stored here cannot be read ({reason}); put its file aside, and a new account is made")]
    AccountFile {
        /// What is wrong with it.
        reason: String,
    },
    /// The stored account is for another authority.
    #[error("the account stored here is one at {kept}, not at {wanted}; each authority needs its own account")]
    OtherAuthority {
        /// The directory that the account belongs to.
        kept: String,
        /// The directory that was asked for.
        wanted: String,
    },
    /// The order was refused.
    #[error("the certificate authority refuses to issue for {names}: {detail}")]
    Refused {
        /// What was ordered.
        names: String,
        /// Its own words.
        detail: String,
    },
    /// The order became invalid.
    #[error("the order for {names} became invalid at the certificate authority: {detail}. Order again")]
    Invalid {
        /// What was ordered.
        names: String,
        /// What is known about it.
        detail: String,
    },
    /// What was issued is not what was ordered.
    #[error("the certificate authority issued a certificate that cannot be used: {0}")]
    Issued(#[from] BundleError),
    /// The program's own side: no runtime, no key.
    #[error("the order could not be prepared on this host: {reason}")]
    Internal {
        /// Why not.
        reason: String,
    },
}

impl AcmeError {
    /// How long the authority asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait, .. } | Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

fn wait_in_words(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        let seconds = wait.as_secs();
        match seconds {
            0..=119 => format!(" (try again in {seconds} s)"),
            120..=7199 => format!(" (try again in {} minutes)", seconds.div_ceil(60)),
            _ => format!(" (try again in {} hours)", seconds.div_ceil(3600)),
        }
    })
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

/// What was being done when the authority refused; the same problem means different things.
pub(super) enum Doing<'a> {
    /// Making or using the account.
    Account,
    /// Ordering for these names.
    Order(&'a str),
}

/// Translates an error of the ACME library. `wait` is the `Retry-After` of the last answer.
pub(super) fn translate(error: Underlying, directory: &str, doing: &Doing<'_>, wait: Option<Duration>) -> AcmeError {
    match error {
        Underlying::Api(problem) => of_problem(&problem, doing, wait),
        Underlying::Json(error) => not_acme(directory, &error.to_string()),
        Underlying::Str(text) => not_acme(directory, text),
        Underlying::Unsupported(text) => not_acme(directory, text),
        Underlying::Http(error) => not_acme(directory, &error.to_string()),
        Underlying::InvalidUri(error) => not_acme(directory, &error.to_string()),
        Underlying::KeyRejected => AcmeError::AccountFile { reason: "its key is not one for P-256".into() },
        Underlying::Other(error) => match error.downcast::<TransportError>() {
            Ok(error) => (*error).into(),
            Err(error) => not_acme(directory, &error.to_string()),
        },
        other => AcmeError::Internal { reason: other.to_string() },
    }
}

fn not_acme(directory: &str, reason: &str) -> AcmeError {
    AcmeError::NotAcme { directory: directory.to_owned(), reason: reason.to_owned() }
}

/// The kind of a problem: what follows `urn:ietf:params:acme:error:` (RFC 8555, section 6.7).
pub(super) fn kind(problem: &Problem) -> &str {
    let whole = problem.r#type.as_deref().unwrap_or_default();
    whole.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(whole)
}

/// What the authority says about a problem, its parts included.
pub(super) fn detail(problem: &Problem) -> String {
    let mut words: Vec<String> = problem.detail.iter().cloned().collect();
    words.extend(problem.subproblems.iter().filter_map(|part| part.detail.clone()));
    if words.is_empty() {
        words.push(kind(problem).to_owned());
    }
    words.join("; ").trim_end_matches('.').to_owned()
}

fn of_problem(problem: &Problem, doing: &Doing<'_>, wait: Option<Duration>) -> AcmeError {
    let detail = detail(problem);
    match (kind(problem), doing) {
        ("rateLimited", _) => AcmeError::RateLimited { detail, wait },
        ("invalidContact" | "unsupportedContact", _) => AcmeError::Email { detail },
        ("externalAccountRequired", _) => AcmeError::ExternalAccount { detail },
        ("accountDoesNotExist" | "userActionRequired", _) => AcmeError::Account { detail },
        // A deactivated account is "unauthorized" (RFC 8555, section 7.3.6).
        ("unauthorized", _) | (_, Doing::Account) => AcmeError::Account { detail },
        (_, Doing::Order(names)) => AcmeError::Refused { names: (*names).to_owned(), detail },
    }
}
