//! Health: which process listens, and does the server answer correctly over the real sockets?

use super::Check;
use crate::change::Readiness;
use crate::change::readiness::{ask, log_says_ready};
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::gotosocial::readiness::{HOST_META, LIVEZ, NODEINFO, READYZ, is_version, software};
use crate::host::{HostError, Observe, Owner, ServiceState, WebAnswer};

/// What the server should be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// How to query it.
    pub readiness: &'a Readiness,
    /// The service user.
    pub service: Owner,
    /// The ports that the server itself listens on.
    pub ports: &'a [u16],
    /// Its version.
    pub version: &'a semver::Version,
}

/// Checks that the service runs and listens as the right user.
///
/// # Errors
/// The host could not be read.
pub fn processes(host: &dyn Observe, expected: &Expected<'_>) -> Result<Vec<Check>, HostError> {
    let mut checks = vec![match host.service(SERVICE)? {
        ServiceState::Running { pid: Some(pid) } => Check::pass("service", format!("{SERVICE} runs as pid {pid}")),
        ServiceState::Running { pid: None } => Check::pass("service", format!("{SERVICE} runs")),
        ServiceState::Stopped => Check::fail(
            ErrorCode::ServiceDown,
            "service",
            format!(
                "{SERVICE} does not run; the reason is at the end of {}; start it with `service {SERVICE} start`",
                expected.readiness.log.display()
            ),
        ),
        ServiceState::Missing => Check::fail(
            ErrorCode::ServiceDown,
            "service",
            format!("{SERVICE} is not installed; run `gts-bootstrap install`"),
        ),
    }];
    let listeners = host.listeners()?;
    for port in expected.ports {
        let name = format!("listens {port}");
        let on_port: Vec<_> = listeners.iter().filter(|listener| listener.port == *port).collect();
        let stranger = on_port.iter().find(|listener| listener.uid != Some(expected.service.uid));
        checks.push(match (on_port.first(), stranger) {
            (None, _) => Check::fail(ErrorCode::ServiceDown, name, format!("nothing listens on port {port}")),
            (Some(_), Some(stranger)) => Check::fail(
                ErrorCode::ServiceDown,
                name,
                format!(
                    "{} listens on port {port} as {}, not {SERVICE}; stop it, then `service {SERVICE} restart`",
                    stranger.command, stranger.user
                ),
            ),
            (Some(listener), None) => {
                Check::pass(name, format!("{} as {} (uid {})", listener.command, listener.user, expected.service.uid))
            }
        });
    }
    Ok(checks)
}

/// Checks that the server answers correctly.
pub fn answers(host: &dyn Observe, expected: &Expected<'_>) -> Vec<Check> {
    let get = |path: &str| ask(host, expected.readiness, path);
    let status_is_200 = |name: &str, path: &str, otherwise: &str| match get(path) {
        Ok(answer) if answer.status == 200 => Check::pass(name, format!("{path} answers 200")),
        Ok(answer) => Check::fail(ErrorCode::NotReady, name, format!("{path} answers {}; {otherwise}", answer.status)),
        Err(why) => Check::fail(ErrorCode::NotReady, name, format!("{path}: {why}; {otherwise}")),
    };
    vec![
        status_is_200("livez", LIVEZ, "the server is not up: see its log"),
        status_is_200(
            "readyz",
            READYZ,
            "it is not ready: it may still be starting or migrating its database (never stop it then); see its log",
        ),
        nodeinfo(get(NODEINFO), expected.version),
        host_meta(get(HOST_META), &expected.readiness.host),
    ]
}

/// The same checks if the server cannot be queried.
pub fn unanswered(why: &str) -> Vec<Check> {
    ["livez", "readyz", "nodeinfo", "host-meta"].into_iter().map(|name| Check::skip(name, why)).collect()
}

/// The same checks if the server has no certificate, so that only its log is available.
pub fn without_certificate(host: &dyn Observe, readiness: &Readiness) -> Vec<Check> {
    let mut checks = unanswered("without a certificate the server cannot be queried");
    if log_says_ready(host, readiness)
        && let Some(readyz) = checks.iter_mut().find(|check| check.name == "readyz")
    {
        *readyz = Check::warn("readyz", "ready according to its log; without a certificate it cannot be queried");
    }
    checks
}

fn nodeinfo(answer: Result<WebAnswer, crate::host::WebFailure>, version: &semver::Version) -> Check {
    const NAME: &str = "nodeinfo";
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            return Check::fail(ErrorCode::WrongAnswer, NAME, format!("{NODEINFO} answers {}", answer.status));
        }
        Err(why) => return Check::fail(ErrorCode::WrongAnswer, NAME, format!("{NODEINFO}: {why}")),
    };
    match software(&answer.body) {
        Some((name, told)) if name == SERVICE && is_version(&told, version) => {
            Check::pass(NAME, format!("gotosocial {told}"))
        }
        Some((name, told)) => Check::fail(
            ErrorCode::WrongAnswer,
            NAME,
            format!("it says {name} {told}, and gotosocial {version} is installed; `service {SERVICE} restart`"),
        ),
        None => Check::fail(ErrorCode::WrongAnswer, NAME, format!("{NODEINFO} does not answer with nodeinfo")),
    }
}

fn host_meta(answer: Result<WebAnswer, crate::host::WebFailure>, host: &str) -> Check {
    const NAME: &str = "host-meta";
    match answer {
        Ok(answer)
            if answer.status == 200
                && String::from_utf8_lossy(&answer.body).contains(&format!("https://{host}/.well-known/webfinger")) =>
        {
            Check::pass(NAME, format!("points to https://{host}"))
        }
        Ok(answer) if answer.status == 200 => Check::fail(
            ErrorCode::WrongAnswer,
            NAME,
            format!("does not point to https://{host}: other servers will not find its accounts"),
        ),
        Ok(answer) => Check::fail(ErrorCode::WrongAnswer, NAME, format!("{HOST_META} answers {}", answer.status)),
        Err(why) => Check::fail(ErrorCode::WrongAnswer, NAME, format!("{HOST_META}: {why}")),
    }
}
