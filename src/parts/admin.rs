//! The first account.

use super::service::environment;
use super::{Refusal, rc_script};
use crate::change::readiness::{ask, has_certificate};
use crate::change::{Account, Action, Readiness, Step, journal};
use crate::deployment::{Deployment, Layout};
use crate::gotosocial::readiness::webfinger;
use crate::host::{Observe, Owner};

/// Plans the account, if the answers ask for one and it is not there. Whether it is there the running server tells by
/// webfinger; a server that does not run yet has no accounts, or they cannot be seen, and GoToSocial itself refuses a
/// second one of the same name. The second value is a warning where that cannot be told.
///
/// # Errors
/// A receipt cannot be read.
pub fn plan(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    service: Owner,
    readiness: &Readiness,
) -> Result<(Option<Step>, Option<String>), Refusal> {
    let Some(admin) = &deployment.admin else { return Ok((None, None)) };
    let username = admin.username.to_string();
    let done = journal::account_done(host, &username)?;
    let unfinished = done == Some(false);
    let there = if host.service(rc_script::SERVICE)?.is_running() {
        exists(host, readiness, &username, deployment)
    } else {
        // Stopped, but installed before: the receipt knows.
        Presence::from(done == Some(true))
    };
    let repair = match there {
        Presence::There if unfinished => true,
        Presence::There => return Ok((None, None)),
        Presence::Unknown => {
            let warning = format!(
                "whether there is an account {username} cannot be told, since the server does not answer as it should; \
                 nothing is done for it now. Run this again when `gts-bootstrap check` passes"
            );
            return Ok((None, Some(warning)));
        }
        // Without a certificate the server could not be asked, so "absent" may only mean that it was never finished.
        Presence::Absent => unfinished,
    };
    let account = Account {
        username,
        email: admin.email.to_string(),
        program: layout.program(),
        config: layout.config.clone(),
        owner: service,
        directory: layout.data.clone(),
        environment: environment(layout),
        repair,
        readiness: Some(Box::new(readiness.clone())),
    };
    let action = if repair { Action::Update } else { Action::Create };
    Ok((Some(Step::new("admin", action, account)), None))
}

/// What is known of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Absent,
    /// The server runs but cannot be asked, for want of a certificate.
    Unknown,
}

impl From<bool> for Presence {
    fn from(there: bool) -> Self {
        if there { Self::There } else { Self::Absent }
    }
}

fn exists(host: &dyn Observe, readiness: &Readiness, username: &str, deployment: &Deployment) -> Presence {
    let known = journal::account_done(host, username).is_ok_and(|done| done == Some(true));
    if !has_certificate(host, readiness) {
        // Asking would have the server order a certificate each time; what our receipts say is all there is.
        return Presence::from(known);
    }
    let domain = deployment.effective_account_domain();
    match ask(host, readiness, &webfinger(username, domain.as_str())) {
        Ok(answer) if answer.status == 200 => Presence::There,
        Ok(answer) if answer.status == 404 => Presence::Absent,
        Ok(_) | Err(_) if known => Presence::There,
        Ok(_) | Err(_) => Presence::Unknown,
    }
}
