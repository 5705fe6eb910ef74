//! `certificate renew`: what periodic(8) runs each day.

use super::{Exit, Run, Stop, With, deployed};
use crate::certificate::Bundle;
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::record::Records;
use crate::certificate::renewal::{Keeper, Situation, Window};
use crate::change::{Plan, digest};
use crate::deployment::{AcmeDirectory, Deployment, HostName, Layout, Mode};
use crate::error_code::ErrorCode;
use crate::host::{Look, Observe};
use crate::parts::tls::{self, Kept};
use crate::parts::{Instance, Refusal};
use crate::utc::date;

/// The time until the next run, seconds.
const INTERVAL: u64 = 86_400;

/// Renews what is due; with `force` everything, now. `directory` is the authority for this one order.
///
/// # Errors
/// The command was refused, or failed.
pub fn renew(run: &Run<'_>, force: bool, directory: Option<&AcmeDirectory>) -> Result<Exit, Stop> {
    run.for_root("renew the certificate")?;
    run.settle()?;
    let deployment = &deployed::deployment(run.host, &run.layout, Exit::Failed)?;
    if deployment.exposure.mode == Mode::Direct {
        run.line("GoToSocial faces the internet itself, and renews its certificate itself. Nothing to do.");
        return Ok(Exit::Done);
    }
    let course = Course { run, force, directory, deployment };
    let look = Look::at(run.host);
    let windows = names(deployment).iter().map(|name| course.window(&look, name)).collect::<Result<Vec<_>, _>>()?;
    let (plan, notes) = course.plan(&look, &windows)?;
    notes.iter().for_each(|note| run.text(note));
    run.report().add("notes", notes);
    if !plan.is_empty() {
        run.show(&plan, "Plan: certificate", "");
        run.carry_out(&plan, &EXPLANATION, &|| Ok(course.plan(run.host, &windows)?.0), With::default())?;
    }
    Ok(Exit::Done)
}

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 1] = [
    "The authority asks the web server for an answer over port 80, and issues a certificate with a new key. The web server \
     then reloads, and is checked to serve it. Until then the old certificate and \
     its key are kept, and they are back in service if anything fails.",
];

/// What the renewals of all names share.
struct Course<'a> {
    run: &'a Run<'a>,
    force: bool,
    directory: Option<&'a AcmeDirectory>,
    deployment: &'a Deployment,
}

impl Course<'_> {
    /// When the authority wants the certificate renewed. If it does not say, the age decides.
    fn window(&self, host: &dyn Observe, name: &HostName) -> Result<Option<Window>, Stop> {
        let ours = kept(host, &self.run.layout, self.deployment, name)?
            .is_some_and(|kept| kept.keeper == Keeper::Us && !is_placeholder(kept.bundle.leaf()));
        if !ours || self.force {
            return Ok(None);
        }
        let order = tls::certificate_order(&self.run.layout, self.deployment, name, None);
        Ok(order.renewal_window(self.run.host, self.run.authority).unwrap_or_else(|error| {
            self.run.text(&format!("The authority's renewal window is unknown, so the age decides: {error}"));
            None
        }))
    }

    /// The plan, and notes about names that need nothing.
    fn plan(&self, host: &dyn Observe, windows: &[Option<Window>]) -> Result<(Plan, Vec<String>), Stop> {
        let (mut plan, mut notes) = (Plan::default(), Vec::new());
        for (name, window) in names(self.deployment).iter().zip(windows) {
            let note = match kept(host, &self.run.layout, self.deployment, name)? {
                Some(kept) if kept.keeper == Keeper::Us => self.wait(name, &kept, window.as_ref())?,
                Some(kept) => {
                    let showing = tls::showing(host, self.deployment, name)?;
                    if showing.is_some_and(|showing| showing != digest(kept.bundle.leaf_der())) {
                        // Renewed elsewhere; the web server only has to load it.
                        plan.steps.extend(tls::reload(self.deployment, name, &kept.files.chain));
                        continue;
                    }
                    Some(format!("{name}: managed by {}, so it is not renewed here.", keeper(&kept.keeper)))
                }
                None if *name == self.deployment.host => None,
                None => continue,
            };
            match note {
                Some(note) => notes.push(note),
                None => plan.steps.extend(tls::renewal(&self.run.layout, self.deployment, name, self.directory)),
            }
        }
        if let Some(front) = tls::shown_by(self.deployment.exposure.mode)
            && !plan.is_empty()
            && !host.service(&front.service)?.is_running()
        {
            let why = format!(
                "{0} does not run, and without it the authority gets no answer; start it (`service {0} start`) and run this \
                 again. The certificate is as it was",
                front.service
            );
            return Err(Stop::refused(ErrorCode::FrontDown, why));
        }
        Ok((plan, notes))
    }

    /// Why one of ours is not renewed now; `None` if it is.
    fn wait(&self, name: &HostName, kept: &Kept, window: Option<&Window>) -> Result<Option<String>, Stop> {
        let host = self.run.host;
        let records = records(host, &self.run.layout)?;
        let situation = situation(&kept.bundle, window, &records, name);
        let (now, force) = (host.now(), self.force);
        // Another authority has not refused anything yet.
        let failures = situation.failures.filter(|_| self.directory.is_none());
        let last =
            failures.map(|failures| format!(" The last attempt failed: {}", failures.reason)).unwrap_or_default();
        if let Some(until) = failures.and_then(|failures| failures.refused_until()).filter(|until| now < *until) {
            let text = format!("{name}: the certificate authority asked for no requests until {}.{last}", date(until));
            return if force { Err(Stop::refused(ErrorCode::Acme, text)) } else { Ok(Some(text)) };
        }
        let leaf = kept.bundle.leaf();
        // A placeholder is due at once, unless an attempt has just failed.
        let is_due = || is_placeholder(leaf) && failures.is_none_or(|failures| failures.next_attempt() <= now);
        Ok(match situation.wait(now, INTERVAL) {
            Some(until) if !force && !is_due() => {
                let (end, from) = (date(leaf.not_after), date(until));
                Some(format!("{name}: not due; valid until {end}, to be renewed from {from} on.{last}"))
            }
            _ => None,
        })
    }
}

/// The names that a web server in front may have a certificate for: the instance's, and the account domain.
pub fn names(deployment: &Deployment) -> Vec<HostName> {
    let domain = deployment.account_domain.iter().filter(|domain| **domain != deployment.host);
    std::iter::once(&deployment.host).chain(domain).cloned().collect()
}

/// The certificate of a name; in direct mode the one in GoToSocial's cache.
///
/// # Errors
/// It cannot be read, or is unusable.
pub fn kept(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Kept>, Stop> {
    tls::kept(Instance { host, layout, deployment }, name).map_err(|refusal| match refusal {
        // The certificate itself is unusable, which is a finding.
        Refusal::Certificate { .. } | Refusal::CachedCertificate { .. } | Refusal::CertificateMissing { .. } => {
            Stop::with(Exit::Check, refusal)
        }
        other => other.into(),
    })
}

/// The record of the orders.
///
/// # Errors
/// The record cannot be read.
pub fn records(host: &dyn Observe, layout: &Layout) -> Result<Records, Stop> {
    Ok(Records::read(host.read(&tls::record(layout))?.as_deref()))
}

/// What decides whether a certificate is renewed.
pub fn situation<'a>(
    bundle: &'a Bundle,
    window: Option<&'a Window>,
    records: &'a Records,
    name: &HostName,
) -> Situation<'a> {
    let sha256 = digest(bundle.leaf_der());
    Situation {
        leaf: bundle.leaf(),
        window,
        // A number derived from the certificate: the beginning of its digest.
        chance: sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default(),
        failures: records.failures(name.as_str()),
    }
}

/// What manages a certificate, in words.
pub fn keeper(keeper: &Keeper) -> String {
    match keeper {
        Keeper::Us => "gts-bootstrap, by periodic(8) each day".to_owned(),
        Keeper::GoToSocial => "GoToSocial itself".to_owned(),
        Keeper::Client(name) => name.clone(),
        Keeper::Administrator => "the administrator, who named its files under [tls] in the answers".to_owned(),
    }
}
