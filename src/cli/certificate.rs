//! `certificate`: who keeps the certificate that clients are shown, how long it is valid, and its renewal.

mod renew;
mod status;

use clap::Subcommand;

use super::Global;
use super::exit::Exit;
use super::screen::Screen;
use super::transaction::Stop;
use crate::certificate::Bundle;
use crate::certificate::record::Records;
use crate::certificate::renewal::{Keeper, Situation, Window};
use crate::deployment::{Deployment, HostName, Layout};
use crate::host::Observe;
use crate::parts::Refusal;
use crate::parts::tls::{self, Kept};
use crate::utc::date;

/// What `certificate` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Show each certificate: names, issuer, who keeps it, days left, next renewal, last failure
    Status(status::Arguments),
    /// Renew what is due, behind a web server
    Renew(renew::Arguments),
}

/// Runs `certificate`.
#[must_use]
pub fn run(global: &Global, action: &Action, screen: &Screen) -> Exit {
    match action {
        Action::Status(arguments) => status::run(global, *arguments, screen),
        Action::Renew(arguments) => renew::run(global, arguments, screen),
    }
}

/// The names that a front may have a certificate for: the instance's own, and the account domain's.
fn names(deployment: &Deployment) -> Vec<HostName> {
    let domain = deployment.account_domain.iter().filter(|domain| **domain != deployment.host);
    std::iter::once(&deployment.host).chain(domain).cloned().collect()
}

/// The certificate of a name: in direct mode what GoToSocial has in its cache.
fn kept(host: &dyn Observe, layout: &Layout, deployment: &Deployment, name: &HostName) -> Result<Option<Kept>, Stop> {
    tls::kept(host, layout, deployment, name).map_err(|refusal| match refusal {
        // What the answers name, or GoToSocial keeps, cannot serve: that is what was looked for.
        Refusal::Certificate { .. } | Refusal::CachedCertificate { .. } | Refusal::CertificateMissing { .. } => {
            Stop::with(Exit::Check, refusal)
        }
        other => Stop::failed(other),
    })
}

fn records(host: &dyn Observe, layout: &Layout) -> Result<Records, Stop> {
    Ok(Records::read(host.read(&tls::record(layout))?.as_deref()))
}

/// What the renewal of a certificate is judged by.
fn situation<'a>(bundle: &Bundle, window: Option<&'a Window>, records: &'a Records, name: &HostName) -> Situation<'a> {
    let record = records.of(name.as_str());
    Situation {
        validity: bundle.leaf().into(),
        window,
        chance: chance(bundle),
        failures: record.and_then(|record| record.failures.as_ref()),
    }
}

/// A number that belongs to the certificate: the beginning of its digest.
fn chance(bundle: &Bundle) -> u64 {
    let sha256 = crate::change::digest(bundle.leaf_der());
    u64::from_str_radix(sha256.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// Who keeps a certificate, in words.
fn keeper(keeper: &Keeper) -> String {
    match keeper {
        Keeper::Us => "gts-bootstrap, by periodic(8) each day".to_owned(),
        Keeper::GoToSocial => "GoToSocial itself".to_owned(),
        Keeper::Client(name) => name.clone(),
        Keeper::Administrator => "the administrator, who named its files under [tls] in the answers".to_owned(),
    }
}

/// A day and hour, UTC.
fn when(seconds: u64) -> String {
    date(seconds)
}
