//! Web requests, which a child makes, and the meaning of an answer or of its absence.

mod late_verdict;

use std::error::Error;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;

use self::late_verdict::Verdict;
use super::lasting::{self, Lasting};
use crate::child::{Confinement, Conversation, Ids, NETWORK, Role};
use crate::host::{ServedCertificate, WebAnswer, WebFailure, WebRequest};
use crate::net::web::{environment, roots, use_ring};

/// GoToSocial answers 418 to a request without one (`internal/middleware/useragent.go`).
const USER_AGENT: &str = concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION"));

/// The limit for a body, in bytes.
const BODY_LIMIT: u64 = 1024 * 1024;

/// How much longer than its request a child may take, to start and to answer on a busy machine.
const GRACE: Duration = Duration::from_secs(30);

/// Sends [`WebRequest`]s; its answers are what `get` returns.
pub const WEB: Role = ("web", NETWORK, |task| lasting::answers(task, get));

/// Has a child send a request: the answer may come from anybody. One child asks this host's own servers again and again, as long
/// as it carries nothing; whoever is elsewhere, and whatever is secret, has a child of its own.
pub(super) fn get_as(ids: Option<Ids>, request: &WebRequest, own: &Lasting) -> Result<WebAnswer, WebFailure> {
    let limit = request.timeout.saturating_add(GRACE);
    let begin = || Conversation::begin(WEB.0, &Confinement::of(ids), request, &environment(), limit);
    let child = if request.is_own() { own } else { &Lasting::default() };
    let answer = child.ask(request, limit, begin);
    answer.unwrap_or_else(|error| Err(WebFailure::Other(format!("the process that asks failed: {error}"))))
}

/// Gets the answer to one request, and does not follow redirects.
fn get(request: &WebRequest) -> Result<WebAnswer, WebFailure> {
    use_ring();
    let verdict = Verdict::default();
    let answer = ask(&client(request, &verdict)?, request);
    // Whatever it is, it may be anybody's.
    verdict.get().map_or(answer, |why| Err(WebFailure::Tls(why.to_string())))
}

fn ask(client: &Client, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
    let (url, carries) = (url(request), &request.carries);
    let mut asked = match &carries.form {
        Some(form) => client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone()),
        None => client.get(url),
    };
    if request.address.is_some() {
        // Without the port of the address, which the outside does not see.
        asked = asked.header(HOST, request.host.as_str());
    }
    if let Some(cookie) = &carries.cookie {
        asked = asked.header(COOKIE, cookie);
    }
    if let Some(token) = &carries.token {
        asked = asked.bearer_auth(token);
    }
    // The client's own time-out would begin anew with each piece of the body.
    let response = asked.timeout(request.timeout).send().map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    let header = |name: HeaderName| {
        response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (location, retry_after) = (header(LOCATION), header(RETRY_AFTER));
    let set = response.headers().get_all(SET_COOKIE).iter().next_back().and_then(|value| value.to_str().ok());
    let cookie = set.and_then(|set| set.split(';').next()).map(str::to_owned);
    let certificate =
        response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate).and_then(ServedCertificate::of_der);
    let mut body = Vec::new();
    response.take(BODY_LIMIT).read_to_end(&mut body).map_err(|error| failure(&error))?;
    Ok(WebAnswer { status, location, retry_after, cookie, body, certificate })
}

fn client(request: &WebRequest, verdict: &Verdict) -> Result<Client, WebFailure> {
    let no_authorities = |why| WebFailure::Other(format!("no CA certificates: {why}"));
    let mut builder = ClientBuilder::new().user_agent(USER_AGENT).redirect(Policy::none()).http1_only().tls_info(true);
    builder = match request.tls && request.verify {
        // If no certificate is to be judged, the system's trusted ones need not even exist.
        false => builder.tls_danger_accept_invalid_certs(true),
        true if request.is_own() => {
            builder.tls_backend_preconfigured(late_verdict::client(verdict).map_err(no_authorities)?)
        }
        // What is secret, and what goes through a proxy, waits for the verdict.
        true => builder.tls_certs_only(roots().map_err(no_authorities)?),
    };
    if let Some(address) = request.address {
        builder = builder.no_proxy().resolve(&request.host.to_ascii_lowercase(), address);
    }
    builder.build().map_err(|error| failure(&error))
}

fn url(request: &WebRequest) -> String {
    let scheme = if request.tls { "https" } else { "http" };
    let host = match request.host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => request.host.clone(),
    };
    let port = request.address.map_or_else(String::new, |address| format!(":{}", address.port()));
    format!("{scheme}://{host}{port}{}", request.path)
}

/// Finds the cause in the chain of an error's sources.
fn failure(error: &(dyn Error + 'static)) -> WebFailure {
    let mut words: Vec<String> = Vec::new();
    let mut timed_out = false;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return WebFailure::Tls(tls.to_string());
        }
        timed_out |= error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout);
        let text = error.to_string();
        if text.starts_with("dns error") || text.starts_with("failed to lookup address information") {
            return WebFailure::Unresolved;
        }
        if words.last() != Some(&text) {
            words.push(text);
        }
        next = error.source();
        if let Some(system) = error.downcast_ref::<io::Error>() {
            match system.kind() {
                io::ErrorKind::ConnectionRefused => return WebFailure::Refused,
                io::ErrorKind::TimedOut => timed_out = true,
                _ => {}
            }
            // The source of an io::Error is the source of its inner error: the inner error itself would be skipped.
            if let Some(inner) = system.get_ref() {
                next = Some(inner);
            }
        }
    }
    if timed_out { WebFailure::TimedOut } else { WebFailure::Other(words.join(": ")) }
}

#[cfg(test)]
mod tests;
