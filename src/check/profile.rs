//! A profile page: an old release on a newer database fails on it while `/readyz` still answers 200.

use serde_json::Value;

use super::{Check, Matter};
use crate::change::Readiness;
use crate::change::readiness::{ask, has_certificate};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::service;

const PROFILE: Matter<'static> = Matter("profile", ErrorCode::Profile);

/// Checks that the page of an account answers. The account is the administrator from the answers, or the contact that
/// the instance names. The instance's own account proves nothing, because its page does not need what migrations
/// change.
pub fn check(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Check {
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
