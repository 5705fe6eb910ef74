//! Health: which process listens, and does the server answer correctly over the real sockets?

use serde_json::Value;

use super::{Check, Matter, Status};
use crate::change::Readiness;
use crate::change::listening::{self, Rightful};
use crate::change::readiness::{ask, has_certificate, log_says_ready, startup};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::gotosocial::readiness::{HOST_META, LIVEZ, NODEINFO, READYZ, is_version, software};
use crate::host::{HostError, Observe, Owner, ServiceState, WebAnswer, WebFailure};
use crate::parts::service;
use crate::shown::Shown;

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
    const RUNS: Matter<'static> = Matter("service", ErrorCode::ServiceDown);
    let mut checks = vec![match host.service(SERVICE)? {
        ServiceState::Running { pid: Some(pid) } => RUNS.pass(format!("{SERVICE} runs as pid {pid}")),
        ServiceState::Running { pid: None } => RUNS.pass(format!("{SERVICE} runs")),
        ServiceState::Stopped => RUNS.fail(format!(
            "{SERVICE} does not run; the reason is at the end of {}; start it with `service {SERVICE} start`",
            expected.readiness.log.shown()
        )),
        ServiceState::Missing => RUNS.fail(format!("{SERVICE} is not installed; run `gts-bootstrap install`")),
    }];
    let listeners = host.listeners()?;
    checks.extend(listening::unreadable(&listeners).map(|why| Matter("listeners", ErrorCode::PortTaken).fail(why)));
    let uid = expected.service.uid;
    checks.extend(expected.ports.iter().map(|&port| {
        super::listens(
            ErrorCode::ServiceDown,
            (&listeners, port),
            &Rightful::service(uid),
            &format!(", then `service {SERVICE} restart`"),
            &|by| format!("{} as {} (uid {uid})", by.command, by.user),
        )
    }));
    Ok(checks)
}

/// Checks that the server answers correctly.
pub fn answers(host: &dyn Observe, expected: &Expected<'_>) -> Vec<Check> {
    let get = |path: &str| ask(host, expected.readiness, path);
    let status_is_200 = |name: &str, path: &str, otherwise: &str| {
        let matter = Matter(name, ErrorCode::NotReady);
        match get(path).map(|answer| answer.status) {
            Ok(200) => matter.pass(format!("{path} answers 200")),
            Ok(status) => matter.fail(format!("{path} answers {status}; {otherwise}")),
            Err(why) => matter.fail(format!("{path}: {why}; {otherwise}")),
        }
    };
    let ready = status_is_200(
        "readyz",
        READYZ,
        "it is not ready: it may still be starting or migrating its database (never stop it then); see its log",
    );
    let starts = if ready.status == Status::Fail { startup(host, expected.readiness) } else { None };
    vec![
        status_is_200("livez", LIVEZ, "the server is not up: see its log"),
        ready.while_starting(starts),
        nodeinfo(get(NODEINFO), expected.version),
        host_meta(get(HOST_META), &expected.readiness.host),
    ]
}

/// The same checks if the server cannot be queried.
pub fn unanswered(why: &str) -> Vec<Check> {
    ["livez", "readyz", "nodeinfo", "host-meta"].map(|name| Matter(name, ErrorCode::NotReady).skip(why)).into()
}

/// The same checks if the server has no certificate, so that only its log is available.
pub fn without_certificate(host: &dyn Observe, readiness: &Readiness) -> Vec<Check> {
    let mut checks = unanswered("without a certificate the server cannot be queried");
    if log_says_ready(host, readiness) {
        let ready = "ready according to its log; without a certificate it cannot be queried";
        checks[1] = Matter("readyz", ErrorCode::NotReady).warn(ready);
    }
    checks
}

fn nodeinfo(answer: Result<WebAnswer, WebFailure>, version: &semver::Version) -> Check {
    const MATTER: Matter<'static> = Matter("nodeinfo", ErrorCode::WrongAnswer);
    match answer.map(|answer| (answer.status, software(&answer.body))) {
        Ok((200, Some((name, told)))) if name == SERVICE && is_version(&told, version) => {
            MATTER.pass(format!("gotosocial {told}"))
        }
        Ok((200, Some((name, told)))) => MATTER
            .fail(format!("it says {name} {told}, and gotosocial {version} is installed; `service {SERVICE} restart`")),
        Ok((200, None)) => MATTER.fail(format!("{NODEINFO} does not answer with nodeinfo")),
        Ok((status, _)) => MATTER.fail(format!("{NODEINFO} answers {status}")),
        Err(why) => MATTER.fail(format!("{NODEINFO}: {why}")),
    }
}

fn host_meta(answer: Result<WebAnswer, WebFailure>, host: &str) -> Check {
    const MATTER: Matter<'static> = Matter("host-meta", ErrorCode::WrongAnswer);
    let webfinger = format!("https://{host}/.well-known/webfinger");
    match answer.map(|answer| (answer.status, String::from_utf8_lossy(&answer.body).contains(&webfinger))) {
        Ok((200, true)) => MATTER.pass(format!("points to https://{host}")),
        Ok((200, false)) => {
            MATTER.fail(format!("does not point to https://{host}: other servers will not find its accounts"))
        }
        Ok((status, _)) => MATTER.fail(format!("{HOST_META} answers {status}")),
        Err(why) => MATTER.fail(format!("{HOST_META}: {why}")),
    }
}

/// Checks that the page of an account answers: an old release on a newer database fails on it while `/readyz` still answers
/// 200. The account is the administrator from the answers, or the contact that
/// the instance names. The instance's own account proves nothing, because its page does not need what migrations
/// change.
pub fn profile(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Check {
    const PROFILE: Matter<'static> = Matter("profile", ErrorCode::Profile);
    let readiness = service::readiness(deployment, layout);
    if !has_certificate(host, &readiness) {
        return PROFILE.skip("without a certificate the server cannot be queried");
    }
    let named = deployment.admin.as_ref().map(|admin| admin.username.to_string());
    let contact = || {
        let instance = instance(host, &readiness)?;
        let name = instance["contact_account"]["username"].as_str()?;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| name.to_owned())
    };
    let Some(username) = named.or_else(contact) else {
        return PROFILE.skip(
            "the answers name no first account ([admin]) and the instance no contact, so no profile page was checked",
        );
    };
    let path = format!("/@{username}");
    match ask(host, &readiness, &path).map(|answer| answer.status) {
        Ok(200) => PROFILE.pass(format!("{path} answers 200")),
        Ok(404) => PROFILE.skip(format!("there is no account {username}, so no profile page was checked")),
        Ok(status) => {
            PROFILE.fail(format!("{path} answers {status}: program and database do not fit together; see the log"))
        }
        Err(why) => PROFILE.fail(format!("{path}: {why}")),
    }
}

/// The number of posts that the instance reports.
pub fn posts(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Option<u64> {
    let readiness = service::readiness(deployment, layout);
    let instance = has_certificate(host, &readiness).then(|| instance(host, &readiness))??;
    instance["stats"]["status_count"].as_u64()
}

/// What the instance says about itself.
fn instance(host: &dyn Observe, readiness: &Readiness) -> Option<Value> {
    let answer = ask(host, readiness, "/api/v1/instance").ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}
