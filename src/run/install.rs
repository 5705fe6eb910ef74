//! `install`, and the switches, which install with another mode: answers, preflight, lock, plan, consent, changes, checks.

use std::time::Duration;

use semver::Version;

use super::inputs::{Given, Inputs};
use super::people::Unsaved;
use super::trial::{OnTrial, failures};
use super::watch::watched;
use super::{Exit, Manner, Run, Stop, With, deployed, lock};
use crate::change::Plan;
use crate::change::readiness::has_certificate;
use crate::check::installation::{self, Findings};
use crate::check::{self, preflight};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::{HostError, Observe};
use crate::parts::answers::{self, Lock};
use crate::parts::install::{self as parts_install, Wanted};
use crate::parts::{account, front, service, uninstall};

/// The options of an installation.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// The answers.
    pub given: Given,
    /// A mirror to take the release from.
    pub mirror: Option<String>,
    /// Leave out the checks on the running system afterwards.
    pub no_check: bool,
    /// For a switch: how long to watch the running system. If a check fails in that time, everything is undone.
    pub trial: Option<Duration>,
}

/// Installs, or switches.
///
/// # Errors
/// The command was refused, or failed.
pub fn install(run: &Run<'_>, options: &InstallOptions) -> Result<Exit, Stop> {
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let earlier = Lock::of_host(host, layout)?;
    if options.given.mode.is_some() {
        if earlier.is_none() {
            let why = format!("{}, with [exposure] mode in the answers", deployed::NOT_INSTALLED);
            return Err(Stop::refused(ErrorCode::NotInstalled, why));
        }
        if let Some(name) = uninstall::only_data(host, layout)? {
            return Err(Stop::refused(ErrorCode::NotInstalled, deployed::uninstalled(&name)));
        }
    }
    let may_ask = options.given.ask || run.interactive() && !run.agreement.plan;
    let inputs = Inputs::gather(run, &options.given, may_ask, run.agreement.yes || run.agreement.plan)?;
    let deployment = &inputs.deployment;
    let unsaved = Unsaved { answers: inputs.answers.clone(), name: format!("{}.toml", deployment.host) };
    run.unsaved.replace(inputs.typed.then(|| unsaved.clone()));
    answers::check_identity(earlier.as_ref(), deployment)?;
    // An administrator may have put a lock there to get the same bytes as on another host.
    let installed = earlier.is_some() && host.entry(&layout.config)?.is_some();
    heading(run, &format!("GoToSocial for {}", deployment.host));

    // The preflight does not depend on the lock, so both report their findings before anything is refused.
    let source = lock::source(run, options.mirror.as_deref(), deployment, earlier.as_ref())?;
    preflight(run, deployment, lock::is_over_https(source.as_ref()), installed, false)?;
    let lock = lock::resolve(run, deployment, earlier.as_ref(), source.as_ref())?;
    let wanted = inputs.wanted(&lock, layout);
    let make = || parts_install::plan(host, &wanted).map_err(Stop::from);
    let plan = make()?;
    let front = deployment.exposure.mode.front();
    let behind = front.map(|front| format!(" behind {}", front.name)).unwrap_or_default();
    let heading = format!("Plan: GoToSocial {}{behind}", lock.release.version);
    run.show(&plan, &heading, "Nothing to change: this host is as the answers want it.");
    if !installed && !plan.is_empty() {
        let accounts = deployment.account_domain.as_ref().map(|domain| format!(" (accounts @{domain})"));
        run.text(&format!(
            "The name {}{} can never be changed once other servers know it, and must never have been used by other \
             fediverse software.",
            deployment.host,
            accounts.unwrap_or_default()
        ));
    }

    // After an interrupted switch between two web servers both are present.
    let switches = installed && !front::all_present(host)?.into_iter().eq(front);
    if switches && !plan.reboot.is_empty() {
        let why = "who stands at ports 80 and 443 can only change while the kernel takes the change of the rules, and now it \
                   does not (see above); nothing was changed. Set kern_securelevel_enable=\"NO\" in rc.conf, reboot, run \
                   this again, and raise the securelevel afterwards";
        return Err(Stop::refused(ErrorCode::Reboot, why));
    }
    if run.ends_with(&plan) {
        return Ok(Exit::Done);
    }
    let mut password = None;
    if !plan.is_empty() {
        run.consent(&plan, &[&explanation(deployment), EXPLANATION], Some(&unsaved))?;
        let failures = || {
            let Some(owner) = account::owner(host)? else {
                return Ok(vec![format!("  the user {} is not there", account::NAME)]);
            };
            Ok(failures(&installation::check(host, deployment, layout, &lock.release.version, owner)?.checks))
        };
        let length = options.trial.unwrap_or_default().as_secs();
        let on_trial = OnTrial { run, mode: deployment.exposure.mode, failures: &failures, patience: length, length };
        let trial = |stop: &dyn Fn() -> Option<String>| on_trial.watch(stop);
        let mut readiness = service::readiness(deployment, layout);
        if front::present(host)?.is_none() {
            readiness.certificate = Some(layout.certs().join(deployment.host.to_string()));
        }
        let watched = if switches { watched(host, &readiness, &front::PORTS) } else { Vec::new() };
        let with = With {
            source: source.as_ref(),
            trial: options.trial.is_some().then_some(&trial),
            watched: &watched,
            down: false,
        };
        password = run.apply(&plan, &make, with)?;
    }
    // The host has the answers now.
    run.unsaved.take();
    // Only after everything else was verified.
    run.tidy(
        "A package that was installed for a web server in front is no longer needed:",
        "it stays, and can be taken away with `pkg delete`",
        &|| Ok(Plan { steps: front::tidy(host)?, ..Plan::default() }),
    );
    conclude(run, &wanted, &plan, password.as_deref(), options.no_check)
}

/// Prints the heading, and marks a rehearsal.
pub(super) fn heading(run: &Run<'_>, text: &str) {
    run.heading(text);
    if run.releases.are_rehearsed() {
        run.line("A rehearsal: nothing outside its folder is touched; times are its model's.");
    }
}

/// Checks everything that can be checked in advance, and refuses what could only fail.
pub(super) fn preflight(
    run: &Run<'_>,
    deployment: &Deployment,
    download: bool,
    installed: bool,
    moves_here: bool,
) -> Result<(), Stop> {
    let subject = preflight::Subject { deployment, layout: &run.layout, download, installed, moves_here };
    let findings = preflight::checks(run.host, &subject)?;
    run.people.show_checks("Preflight", &findings);
    let is_refused = check::failed(&findings);
    run.report().checks.extend(findings);
    if is_refused {
        let why = "the preflight found problems to fix first (marked FAIL above); nothing was changed";
        return Err(Stop::refused(ErrorCode::Preflight, why));
    }
    Ok(())
}

/// The text of "explain" at the consent, for this deployment.
fn explanation(deployment: &Deployment) -> String {
    let ports = match deployment.exposure.mode.front().map(|front| front.name) {
        None => format!(
            "The kernel module mac_portacl lets that one user bind ports 80 and 443, and nobody but root any other port \
             below 1024. Afterwards this is proved: child processes try to bind as gotosocial and as nobody. {} gets its \
             certificate from Let's Encrypt.",
            deployment.host
        ),
        Some(name) => format!(
            "{name} listens on ports 80 and 443 and forwards requests to GoToSocial, which listens on {} and may \
             bind no port below 1024. Afterwards this is proved: child processes try to bind as gotosocial and as nobody. \
             The certificate of {} is {name}'s, and renewed by a daily script, unless another client manages it.",
            deployment.local_address(),
            deployment.host
        ),
    };
    format!("GoToSocial runs as the user gotosocial, which is there for this alone. {ports}")
}

const EXPLANATION: &str = "Every change is written to a journal before it is made. If one fails, the changes before \
     it are undone in reverse order. After a power cut the next run cleans up and continues. Lines of others in loader.conf, sysctl.conf and rc.conf stay.";

/// The end: what exists only after a reboot cannot be checked before.
pub(super) fn conclude(
    run: &Run<'_>,
    wanted: &Wanted<'_>,
    plan: &Plan,
    password: Option<&str>,
    no_check: bool,
) -> Result<Exit, Stop> {
    if !plan.reboot.is_empty() {
        run.report().checks.extend(installation::after_reboot());
        let text = "A reboot is needed; after it GoToSocial starts by itself. Then run `gts-bootstrap install` again: it \
                    makes what could not be made now, and checks everything.";
        run.tell(Manner::Notice, text);
        return Ok(Exit::Reboot);
    }
    if no_check { Ok(Exit::Done) } else { prove(run, wanted, password) }
}

/// Runs the checks on the running system. `say` prints what takes a while: the server requests its first certificate.
///
/// # Errors
/// They could not be run.
pub fn findings(
    host: &dyn Observe,
    deployment: &Deployment,
    layout: &Layout,
    version: &Version,
    say: &dyn Fn(&str),
) -> Result<Findings, Stop> {
    const GONE: &str = "the user gotosocial is gone; run `gts-bootstrap install`";
    let failed = |error: HostError| {
        Stop::new(Exit::Check, ErrorCode::CheckFailed, format!("the checks could not be run: {error}"))
    };
    let owner = account::owner(host).map_err(failed)?;
    let owner = owner.ok_or_else(|| Stop::new(Exit::Check, ErrorCode::NotInstalled, GONE))?;
    let readiness = service::readiness(deployment, layout);
    if readiness.tls && !has_certificate(host, &readiness) {
        say("Asking for the first certificate; this can take up to two minutes.");
    }
    installation::check(host, deployment, layout, version, owner).map_err(failed)
}

/// Checks the running system, and shows the result.
pub(super) fn prove(run: &Run<'_>, wanted: &Wanted<'_>, password: Option<&str>) -> Result<Exit, Stop> {
    let Wanted { deployment, layout, lock, .. } = *wanted;
    let findings = findings(run.host, deployment, layout, &lock.release.version, &|text| run.line(text))?;
    let has_failed = check::failed(&findings.checks);
    run.people.show_checks("Checks on the running system", &findings.checks[findings.matrix.len()..]);
    run.people.show_matrix(&findings.matrix);
    let mut report = run.report();
    report.checks.extend(findings.checks);
    if has_failed {
        run.attention(
            "The installation is in place, but a check failed (marked FAIL above). Fix that, then run `gts-bootstrap check`.",
        );
        return Ok(Exit::Check);
    }
    if report.changed {
        run.people.show_installation(deployment, layout, password);
    }
    Ok(Exit::Done)
}
