//! What `upgrade` and `rollback` have in common: consent, changes, the trial, and the checks of what serves afterwards.

use std::path::Path;

use semver::Version;

use super::inputs::Inputs;
use super::install::prove;
use super::trial::{self, OnTrial, failures};
use super::{Exit, Run, Stop, With, deployed};
use crate::change::Plan;
use crate::check::{Check, Status, health, installation};
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::host::{HostError, Look, Observe, Owner};
use crate::parts::answers::Lock;
use crate::parts::install::{self as parts_install, Wanted};
use crate::parts::passage::{self, Passage};
use crate::parts::release as parts_release;
use crate::release::Source;

/// How many old releases are kept.
pub const KEEP: u8 = 2;
/// How long the checks may take to pass once the server is ready, seconds.
const PATIENCE: u64 = 60;
/// How long the old release may take to serve again after a failure, seconds.
const RETURN: u64 = 600;

/// What is installed: its version and its lock.
pub(super) fn installed(run: &Run<'_>) -> Result<(Version, Lock), Stop> {
    let version = parts_release::installed(run.host, &run.layout)?;
    let lock = Lock::of_host(run.host, &run.layout)?;
    version.zip(lock).ok_or_else(|| Stop::refused(ErrorCode::NotInstalled, deployed::NOT_INSTALLED))
}

/// A change of release.
pub(super) struct Course<'a> {
    /// The run.
    pub(super) run: &'a Run<'a>,
    /// What is wanted.
    pub(super) wanted: Wanted<'a>,
    /// The release that is in use.
    pub(super) from: &'a Version,
    /// The service user.
    pub(super) owner: Owner,
    /// Where the release comes from.
    pub(super) source: Option<&'a Source>,
    /// How many old releases are kept.
    pub(super) keep: usize,
    /// A copy that is useless after a success.
    pub(super) done: Option<&'a Path>,
}

impl<'a> Course<'a> {
    /// A change of release, away from `from`.
    pub(super) fn new(
        run: &'a Run<'a>,
        inputs: &'a Inputs,
        lock: &'a Lock,
        from: &'a Version,
        source: Option<&'a Source>,
    ) -> Result<Self, Stop> {
        let wanted = inputs.wanted(lock, &run.layout);
        Ok(Self { run, wanted, from, owner: run.service_user()?, source, keep: KEEP.into(), done: None })
    }

    /// Makes the plan.
    pub(super) fn plan(&self, host: &dyn Observe, passage: Passage) -> Result<Plan, Stop> {
        let plan = parts_install::with_passage(host, &self.wanted, Some(passage))?;
        if plan.reboot.is_empty() {
            return Ok(plan);
        }
        let why = plan.reboot.join("; ");
        let why = format!("this host needs a reboot before a change of release: {why}. Nothing was changed");
        Err(Stop::refused(ErrorCode::Reboot, why))
    }

    /// Asks for consent to the plan made of this look, applies it, and checks the result.
    pub(super) fn carry_out(
        &self,
        look: &Look<'_>,
        heading: &str,
        make: &dyn Fn(&dyn Observe) -> Result<Plan, Stop>,
        explanation: &[&str],
    ) -> Result<Exit, Stop> {
        let Self { run, wanted, source, .. } = *self;
        let plan = make(look)?;
        run.show(&plan, heading, "Nothing to change.");
        if run.ends_with(&plan) {
            return Ok(Exit::Done);
        }
        if plan.is_empty() {
            return self.finish();
        }
        run.text(&format!(
            "After the checks pass, what is no longer needed is removed: releases beyond the {} old ones that are kept, with \
             the copies of their databases, and a copy that was put back.",
            self.keep
        ));
        run.consent(&plan, explanation, None)?;
        let was_running = run.host.service(SERVICE)?.is_running();
        let failures = || Ok(failures(&self.findings(&wanted.lock.release.version)?));
        let mode = wanted.deployment.exposure.mode;
        let on_trial = OnTrial { run, mode, failures: &failures, patience: PATIENCE, length: 0 };
        let trial = |stop: &dyn Fn() -> Option<String>| on_trial.watch(stop);
        let with = With { source, trial: Some(&trial), down: true, ..With::default() };
        if let Err(mut stop) = run.apply(&plan, &|| make(run.host), with) {
            if stop.exit == Exit::Failed && was_running {
                stop.why = format!("{}\n{}", stop.why, self.still_serves());
            }
            return Err(stop);
        }
        let exit = self.finish()?;
        let page = health::profile(run.host, wanted.deployment, wanted.layout);
        run.people.show_checks(
            "The page of a profile, which an old program fails on with a newer database",
            std::slice::from_ref(&page),
        );
        let failed = page.status == Status::Fail;
        run.report().checks.push(page);
        Ok(if failed { Exit::Check } else { exit })
    }

    /// The end of a completed change of release: removes what is no longer needed, and checks what serves.
    pub(super) fn finish(&self) -> Result<Exit, Stop> {
        self.run.tidy("No longer needed, and removed:", "it stays", &|| {
            let steps = passage::surplus(self.run.host, self.wanted.layout, self.keep, self.done)?;
            Ok(Plan { steps, ..Plan::default() })
        });
        prove(self.run, self.run.host, &self.wanted, None)
    }

    /// All checks that a serving release must pass.
    fn findings(&self, version: &Version) -> Result<Vec<Check>, HostError> {
        let Wanted { deployment, layout, .. } = self.wanted;
        let host = self.run.host;
        let mut checks = installation::check(host, deployment, layout, version, self.owner)?.checks;
        checks.push(health::profile(host, deployment, layout));
        Ok(checks)
    }

    /// After a failure: whether the previous release serves, in words.
    fn still_serves(&self) -> String {
        const PROOFS: [&str; 4] = ["service", "readyz", "nodeinfo", "profile"];
        let host = self.run.host;
        let until = host.now() + RETURN;
        loop {
            let mut checks = match self.findings(self.from) {
                Ok(checks) => checks,
                Err(error) => {
                    return format!("Whether GoToSocial {} serves could not be looked at: {error}.", self.from);
                }
            };
            checks.retain(|check| PROOFS.contains(&&*check.name));
            let serves = failures(&checks).is_empty();
            if !serves && host.now() < until {
                host.sleep(trial::AGAIN);
                continue;
            }
            let lines: Vec<String> = checks.iter().map(trial::line).collect();
            let mut report = self.run.report();
            report.checks.extend(checks);
            report.add("serves", serves);
            let serves = if serves { "serves" } else { "does NOT serve" };
            return format!("GoToSocial {} {serves} as before:\n{}", self.from, lines.join("\n"));
        }
    }
}
