//! A profile page: an old release on a newer database fails on it while `/readyz` still answers 200.

use super::Check;
use crate::change::readiness::{ask, has_certificate};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::service;

const NAME: &str = "profile";

/// Checks that the page of an account answers. The account is the administrator from the answers, or the contact that
/// the instance names. The instance's own account proves nothing, because its page does not need what migrations
/// change.
pub fn check(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Check {
    let readiness = service::readiness(deployment, layout);
    if !has_certificate(host, &readiness) {
        return Check::skip(NAME, "without a certificate the server cannot be queried");
    }
    let named = deployment.admin.as_ref().map(|admin| admin.username.to_string());
    let contact = || {
        let answer = ask(host, &readiness, "/api/v1/instance").ok()?;
        let instance: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        let name = instance.get("contact_account")?.get("username")?.as_str()?;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| name.to_owned())
    };
    let Some(username) = named.or_else(contact) else {
        return Check::skip(
            NAME,
            "the answers name no first account ([admin]) and the instance no contact, so no profile page was checked",
        );
    };
    let path = format!("/@{username}");
    match ask(host, &readiness, &path) {
        Ok(answer) if answer.status == 200 => Check::pass(NAME, format!("{path} answers 200")),
        Ok(answer) if answer.status == 404 => {
            Check::skip(NAME, format!("there is no account {username}, so no profile page was checked"))
        }
        Ok(answer) => Check::fail(
            ErrorCode::Profile,
            NAME,
            format!("{path} answers {}: program and database do not fit together; see the log", answer.status),
        ),
        Err(why) => Check::fail(ErrorCode::Profile, NAME, format!("{path}: {why}")),
    }
}

/// The number of posts that the instance reports.
pub fn posts(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Option<u64> {
    let readiness = service::readiness(deployment, layout);
    if !has_certificate(host, &readiness) {
        return None;
    }
    let answer = ask(host, &readiness, "/api/v1/instance").ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice::<serde_json::Value>(&answer.body).ok()?.get("stats")?.get("status_count")?.as_u64()
}
