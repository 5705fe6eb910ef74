//! `certificate renew`: what periodic(8) runs each day.

use super::{Exit, Manner, Run, Stop, With, deployed};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::record::Records;
use crate::certificate::renewal::{Keeper, Situation, Verdict, Window};
use crate::certificate::{Bundle, date};
use crate::change::{Plan, Step, digest};
use crate::deployment::{AcmeDirectory, Deployment, HostName, Layout, Mode};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::Refusal;
use crate::parts::tls::{self, Kept};

/// The next look comes a day later.
const INTERVAL: u64 = 86_400;

/// What a renewal takes.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whether it is due or not.
    pub force: bool,
    /// Order from this authority, this once.
    pub directory: Option<AcmeDirectory>,
}

/// Renews what is due.
///
/// # Errors
/// It was refused, or failed.
pub fn renew(run: &Run<'_>, wish: &Wish) -> Result<Exit, Stop> {
    run.for_root("renew the certificate")?;
    run.settle()?;
    let host = run.observe();
    let deployment = deployed::deployment(host, &run.layout, Exit::Failed)?;
    if deployment.exposure.mode == Mode::Direct {
        run.tell(
            Manner::Line,
            "GoToSocial faces the internet itself, and renews its certificate itself. Nothing to do.",
        );
        return Ok(Exit::Done);
    }
    let course = Course { run, wish, layout: &run.layout, deployment: &deployment };
    let windows = names(&deployment).iter().map(|name| course.window(name)).collect::<Result<Vec<_>, _>>()?;
    let (plan, notes) = course.plan(&windows)?;
    notes.iter().for_each(|note| run.tell(Manner::Text(0), note));
    run.report().add("notes", notes);
    if !plan.is_empty() {
        run.show(&plan, "Plan: certificate", "");
        run.carry_out(&plan, &[EXPLANATION], &|| Ok(course.plan(&windows)?.0), With::default())?;
    }
    Ok(Exit::Done)
}

/// What the consent's "explain" says.
const EXPLANATION: &str = "The authority asks the web server for an answer over port 80, and issues a certificate with a new key. The web server \
     then reloads, and is seen to show it. Until that is so the old certificate and its key are kept, and they are back in \
     service if anything fails.";

/// What is common to the look at each name.
struct Course<'a> {
    run: &'a Run<'a>,
    wish: &'a Wish,
    layout: &'a Layout,
    deployment: &'a Deployment,
}

impl Course<'_> {
    /// When the authority would like the certificate renewed. That it does not say is no failure: it is then due by its age.
    fn window(&self, name: &HostName) -> Result<Option<Window>, Stop> {
        let host = self.run.host;
        let ours = kept(host.observe(), self.layout, self.deployment, name)?
            .is_some_and(|kept| kept.keeper == Keeper::Us && !is_placeholder(kept.bundle.leaf()));
        if !ours || self.wish.force {
            return Ok(None);
        }
        let order = tls::certificate_order(self.layout, self.deployment, name, None);
        match host.renewal_window(&order) {
            Ok(window) => Ok(window),
            Err(error) => {
                let text = format!("When to renew could not be asked, so the age decides: {error}");
                self.run.tell(Manner::Text(0), &text);
                Ok(None)
            }
        }
    }

    /// The plan, and what there is to say of names for which there is nothing to do.
    fn plan(&self, windows: &[Option<Window>]) -> Result<(Plan, Vec<String>), Stop> {
        let host = self.run.observe();
        let (mut plan, mut notes) = (Plan::default(), Vec::new());
        for (name, window) in names(self.deployment).iter().zip(windows) {
            match kept(host, self.layout, self.deployment, name)? {
                Some(kept) if kept.keeper == Keeper::Us => {
                    self.ours(host, name, &kept, window.as_ref(), &mut plan, &mut notes)?
                }
                Some(kept) => self.of_others(host, name, &kept, &mut plan, &mut notes)?,
                None if *name == self.deployment.host => plan.steps.extend(self.renewal(name)),
                None => {}
            }
        }
        if let Some(front) = tls::shown_by(self.deployment.exposure.mode)
            && !plan.is_empty()
            && !host.service(&front.service)?.is_running()
        {
            return Err(Stop::refused(
                ErrorCode::FrontDown,
                format!(
                    "{0} does not run, and without it the authority gets no answer; start it (`service {0} start`) and run this \
                 again. The certificate is as it was",
                    front.service
                ),
            ));
        }
        Ok((plan, notes))
    }

    fn renewal(&self, name: &HostName) -> Option<Step> {
        tls::renewal(self.layout, self.deployment, name, self.wish.directory.as_ref())
    }

    fn ours(
        &self,
        host: &dyn Observe,
        name: &HostName,
        kept: &Kept,
        window: Option<&Window>,
        plan: &mut Plan,
        notes: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let records = records(host, self.layout)?;
        let situation = situation(&kept.bundle, window, &records, name);
        let (now, force) = (host.now(), self.wish.force);
        // Another authority knows nothing of what this one has refused.
        let failures = situation.failures.filter(|_| self.wish.directory.is_none());
        if let Some(until) = failures.and_then(|failures| failures.refused_until()).filter(|until| now < *until) {
            let text = format!(
                "{name}: the certificate authority asked to be left alone until {}. The last attempt failed: {}",
                date(until),
                failures.map(|failures| failures.reason.as_str()).unwrap_or_default()
            );
            if force {
                return Err(Stop::refused(ErrorCode::Acme, text));
            }
            notes.push(text);
            return Ok(());
        }
        if force {
            plan.steps.extend(self.renewal(name));
            return Ok(());
        }
        let placeholder = is_placeholder(kept.bundle.leaf());
        match situation.verdict(now, INTERVAL) {
            // A placeholder is due at once, but for what failed lately.
            _ if placeholder && failures.is_none_or(|failures| failures.next_attempt() <= now) => {
                plan.steps.extend(self.renewal(name));
            }
            Verdict::Renew(_) => plan.steps.extend(self.renewal(name)),
            Verdict::Wait { until } => {
                let why = failures
                    .map(|failures| format!(" The last attempt failed: {}", failures.reason))
                    .unwrap_or_default();
                notes.push(format!(
                    "{name}: not due; valid until {}, to be renewed from {} on.{why}",
                    date(kept.bundle.leaf().not_after),
                    date(until)
                ));
            }
        }
        Ok(())
    }

    /// Files of somebody else: never renewed, but shown once they are.
    fn of_others(
        &self,
        host: &dyn Observe,
        name: &HostName,
        kept: &Kept,
        plan: &mut Plan,
        notes: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let showing = tls::showing(host, self.deployment, name)?;
        if showing.is_some_and(|showing| showing != digest(kept.bundle.leaf_der())) {
            plan.steps.extend(tls::reload(self.deployment, name, &kept.files.chain));
        } else {
            notes.push(format!("{name}: kept by {}, so it is not renewed here.", keeper(&kept.keeper)));
        }
        Ok(())
    }
}

/// The names that a front may have a certificate for: the instance's own, and the account domain's.
#[must_use]
pub fn names(deployment: &Deployment) -> Vec<HostName> {
    let domain = deployment.account_domain.iter().filter(|domain| **domain != deployment.host);
    std::iter::once(&deployment.host).chain(domain).cloned().collect()
}

/// The certificate of a name: in direct mode what GoToSocial has in its cache.
///
/// # Errors
/// It cannot be read, or cannot serve.
pub fn kept(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Kept>, Stop> {
    tls::kept(host, layout, deployment, name).map_err(|refusal| match refusal {
        // What the answers name, or GoToSocial keeps, cannot serve: that is what was looked for.
        Refusal::Certificate { .. } | Refusal::CachedCertificate { .. } | Refusal::CertificateMissing { .. } => {
            Stop::with(Exit::Check, refusal)
        }
        other => Stop::failed(other),
    })
}

/// What is on record of the orders.
///
/// # Errors
/// The record cannot be read.
pub fn records(host: &dyn Observe, layout: &Layout) -> Result<Records, Stop> {
    Ok(Records::read(host.read(&tls::record(layout))?.as_deref()))
}

/// What the renewal of a certificate is judged by.
#[must_use]
pub fn situation<'a>(
    bundle: &Bundle,
    window: Option<&'a Window>,
    records: &'a Records,
    name: &HostName,
) -> Situation<'a> {
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
    let sha256 = digest(bundle.leaf_der());
    u64::from_str_radix(sha256.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// Who keeps a certificate, in words.
#[must_use]
pub fn keeper(keeper: &Keeper) -> String {
    match keeper {
        Keeper::Us => "gts-bootstrap, by periodic(8) each day".to_owned(),
        Keeper::GoToSocial => "GoToSocial itself".to_owned(),
        Keeper::Client(name) => name.clone(),
        Keeper::Administrator => "the administrator, who named its files under [tls] in the answers".to_owned(),
    }
}
