//! The domain of the account names, where it is not the host: who answers what other servers ask it.
//!
//! If its name leads here and no other site has it, the front answers, with a certificate of its own. If not, the administrator
//! learns what the domain's web server has to do.

use super::{FrontPlan, survey};
use crate::certificate::renewal::Keeper;
use crate::deployment::{Deployment, HostName};
use crate::front::{Conflict, Front};
use crate::host::{HostError, Observe};
use crate::parts::tls::{self, PairPlan};
use crate::parts::{Instance, Refusal};

/// Plans the certificate of the account domain, if the front is to answer for it. `keeper` keeps that of the host.
///
/// # Errors
/// The host, or the web server's configuration, cannot be read.
pub(super) fn plan(
    instance: Instance<'_>,
    front: Front,
    installed: bool,
    keeper: &Keeper,
    planned: &mut FrontPlan,
) -> Result<Option<PairPlan>, Refusal> {
    let Instance { host, deployment, .. } = instance;
    let Some(domain) = deployment.account_domain.as_ref().filter(|domain| **domain != deployment.host) else {
        return Ok(None);
    };
    if installed && let Some(place) = served_by(host, front, domain)? {
        planned.warnings.push(advice(deployment, domain, &format!("the site at {place} has that name")));
        return Ok(None);
    }
    let elsewhere = elsewhere(host, deployment, domain)?;
    // Whoever keeps the one certificate keeps the other.
    let pair = tls::plan(instance, domain, elsewhere.is_none() && *keeper == Keeper::Us)?;
    if pair.is_none() {
        let why = elsewhere.as_deref().unwrap_or(
            "there is no certificate for that name, and none is ordered, because another client manages the host's",
        );
        planned.warnings.push(advice(deployment, domain, why));
    }
    Ok(pair)
}

/// Where a site of somebody else's has the name.
fn served_by(host: &dyn Observe, front: Front, domain: &HostName) -> Result<Option<String>, Refusal> {
    let found = survey(host, front, &[domain])?;
    Ok(found.conflicts.into_iter().find_map(|conflict| match conflict {
        Conflict::Name { place, .. } if place.file != front.site_file() => Some(place.to_string()),
        _ => None,
    }))
}

/// Where the name leads, if not here. Behind NAT it leads where the host's name does.
fn elsewhere(host: &dyn Observe, deployment: &Deployment, domain: &HostName) -> Result<Option<String>, HostError> {
    let (mut leads, mut as_host) = match (host.resolve(domain.as_str()), host.resolve(deployment.host.as_str())) {
        (Ok(leads), Ok(as_host)) => (leads, as_host),
        (Err(error), _) | (_, Err(error)) => return Ok(Some(error.to_string())),
    };
    let own = host.addresses()?;
    if leads.is_empty() {
        return Ok(Some("that name has no address".to_owned()));
    }
    leads.sort_unstable();
    as_host.sort_unstable();
    if leads == as_host || leads.iter().all(|address| own.contains(address)) {
        return Ok(None);
    }
    let shown: Vec<String> = leads.iter().map(ToString::to_string).collect();
    Ok(Some(format!("that name resolves to {}, which is not this host", shown.join(", "))))
}

/// What has to be done for the account names to work.
fn advice(deployment: &Deployment, domain: &HostName, why: &str) -> String {
    let host = &deployment.host;
    format!(
        "accounts are @{domain}, and {why}: other servers ask https://{domain} where these accounts are, so its web server has to \
         redirect /.well-known/webfinger, /.well-known/host-meta and /.well-known/nodeinfo. nginx: `location ~ \
         ^/\\.well-known/(webfinger|host-meta|nodeinfo) {{ return 301 https://{host}$request_uri; }}`; Apache: `RedirectMatch 301 \
         \"^/(\\.well-known/(webfinger|host-meta|nodeinfo).*)$\" \"https://{host}/$1\"`"
    )
}
