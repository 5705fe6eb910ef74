//! The first account.

use super::service::environment;
use super::{Instance, Refusal, rc_script};
use crate::change::readiness::{ask, has_certificate};
use crate::change::{Account, Action, Readiness, Step, journal};
use crate::gotosocial::readiness::webfinger;
use crate::host::Owner;

/// Plans the account, if the answers ask for one and it does not exist. The running server tells by webfinger whether it does. A
/// server that does not run yet has no accounts, or hides them; GoToSocial itself refuses a second one of the same name. The
/// second value is a warning where the server does not tell.
///
/// # Errors
/// A receipt cannot be read.
pub fn plan(
    wanted: Instance<'_>,
    service: Owner,
    readiness: &Readiness,
) -> Result<(Option<Step>, Option<String>), Refusal> {
    let Instance { host, layout, deployment } = wanted;
    let Some(admin) = &deployment.admin else { return Ok((None, None)) };
    let username = admin.username.to_string();
    let done = journal::account_done(host, &username)?;
    let known = done == Some(true);
    // Without a certificate, asking would have the server order one each time.
    let exists = if host.service(rc_script::SERVICE)?.is_running() && has_certificate(host, readiness) {
        let domain = deployment.effective_account_domain();
        match ask(host, readiness, &webfinger(&username, domain.as_str())).map(|answer| answer.status) {
            Ok(200) => true,
            Ok(404) => false,
            _ if known => true,
            _ => {
                let warning = format!(
                    "whether there is an account {username} cannot be told, since the server does not answer as it should; \
                     nothing is done for it now. Run this again when `gts-bootstrap check` passes"
                );
                return Ok((None, Some(warning)));
            }
        }
    } else {
        known
    };
    let repair = done == Some(false);
    if exists && !repair {
        return Ok((None, None));
    }
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
