//! What `upgrade` and `rollback` have in common: consent, changes, the trial, and the proof of what serves afterwards.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::super::exit::Exit;
use super::super::install::prove;
use super::super::report::{self, Report, wrap};
use super::super::screen::Tone;
use super::super::transaction::{Stop, Transaction, With};
use crate::change::Plan;
use crate::check::{Check, Status, installation, profile};
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::host::{Host, HostError, Owner};
use crate::parts::install::{self as parts_install, Wanted};
use crate::parts::passage::{self, Passage};
use crate::release::Source;

/// How long the checks may take to pass once the server is ready.
const PATIENCE: u64 = 60;
/// How long the old release may take to serve again after a failure.
const RETURN: u64 = 600;

/// A change of release.
pub(super) struct Course<'a> {
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
    /// A copy that is of no use once all has gone well.
    pub(super) done: Option<&'a Path>,
}

/// Makes the plan.
pub(super) fn make_plan(host: &dyn Host, course: &Course<'_>, passage: Passage) -> Result<Plan, Stop> {
    let plan = parts_install::with_passage(host.observe(), &course.wanted, Some(passage)).map_err(Stop::failed)?;
    if plan.reboot.is_empty() {
        return Ok(plan);
    }
    let why = plan.reboot.join("; ");
    let why = format!("this host needs a reboot before a change of release: {why}. Nothing was changed");
    Err(Stop::refused(ErrorCode::Reboot, why))
}

impl Course<'_> {
    /// Has it agreed to, does it, and proves it.
    pub(super) fn run(
        &self,
        transaction: &Transaction<'_>,
        heading: &str,
        make: &dyn Fn() -> Result<Plan, Stop>,
        explanation: &[String],
        report: &mut Report,
    ) -> Result<Exit, Stop> {
        let (host, screen) = (transaction.host, transaction.screen);
        let plan = make()?;
        transaction.show(&plan, heading, "Nothing to change.", report);
        if transaction.ends_with(&plan, report) {
            return Ok(Exit::Done);
        }
        if plan.is_empty() {
            return self.finish(transaction, report);
        }
        screen.line(&wrap(
            &format!(
                "Once the new state is proved, what is no longer needed goes: releases beyond the {} old ones that are kept, with \
                 the copies of their databases, and a copy that was put back.",
                self.keep
            ),
            0,
        ));
        transaction.consent(&plan, explanation)?;
        let was_running = host.service(SERVICE)?.is_running();
        let trial = |stop: &dyn Fn() -> Option<String>| self.on_trial(host, stop);
        let with = With { source: self.source, trial: Some(&trial), down: true, ..With::default() };
        if let Err(mut stop) = transaction.apply(&plan, make, with, report) {
            if stop.exit == Exit::Failed && was_running {
                stop.why = format!("{}\n{}", stop.why, self.still_serves(host, report));
            }
            return Err(stop);
        }
        self.tidy(transaction, report);
        let exit = prove(host, &self.wanted, None, screen, report)?;
        let page = profile::check(host.observe(), self.wanted.deployment, self.wanted.layout);
        report::show_checks(
            screen,
            "The page of a profile, which an old program fails on with a newer database",
            std::slice::from_ref(&page),
            false,
        );
        let failed = page.status == Status::Fail;
        report.checks.push(page);
        Ok(if failed { Exit::Check } else { exit })
    }

    /// The end of a change of release that has been made: what is not needed any more goes, and what serves is proved.
    pub(super) fn finish(&self, transaction: &Transaction<'_>, report: &mut Report) -> Result<Exit, Stop> {
        self.tidy(transaction, report);
        prove(transaction.host, &self.wanted, None, transaction.screen, report)
    }

    /// Everything that has to be right for a release to be the one that serves.
    fn findings(&self, host: &dyn Host, version: &Version) -> Result<Vec<Check>, HostError> {
        let Wanted { deployment, layout, .. } = self.wanted;
        let mut checks = installation::check(host.observe(), deployment, layout, version, self.owner)?.checks;
        checks.push(profile::check(host.observe(), deployment, layout));
        Ok(checks)
    }

    /// Looks again and again, until the checks pass, the time is over, or somebody has had enough.
    fn on_trial(&self, host: &dyn Host, stop: &dyn Fn() -> Option<String>) -> Result<(), String> {
        let until = host.now() + PATIENCE;
        loop {
            let checks = self.findings(host, &self.wanted.lock.release.version).map_err(|error| error.to_string())?;
            let failed = failures(&checks);
            if failed.is_empty() {
                return Ok(());
            }
            if let Some(why) = stop() {
                return Err(why);
            }
            if host.now() >= until {
                return Err(format!("not all was well after {PATIENCE} s:\n{}", failed.join("\n")));
            }
            host.sleep(Duration::from_secs(2));
        }
    }

    /// After a failure: proves that the release of before serves, in words.
    fn still_serves(&self, host: &dyn Host, report: &mut Report) -> String {
        const PROOFS: [&str; 4] = ["service", "readyz", "nodeinfo", "profile"];
        let until = host.now() + RETURN;
        loop {
            let checks: Vec<Check> = match self.findings(host, self.from) {
                Ok(checks) => checks.into_iter().filter(|check| PROOFS.contains(&&*check.name)).collect(),
                Err(error) => {
                    return format!("Whether GoToSocial {} serves could not be looked at: {error}.", self.from);
                }
            };
            let failed = failures(&checks);
            if !failed.is_empty() && host.now() < until {
                host.sleep(Duration::from_secs(2));
                continue;
            }
            let told: Vec<String> = checks.iter().map(|check| format!("  {}: {}", check.name, check.detail)).collect();
            report.checks.extend(checks);
            report.add("serves", serde_json::json!(failed.is_empty()));
            return if failed.is_empty() {
                format!("GoToSocial {} serves as before:\n{}", self.from, told.join("\n"))
            } else {
                format!("GoToSocial {} does NOT serve as before:\n{}", self.from, told.join("\n"))
            };
        }
    }

    /// Takes away what is not needed any more; not before all else has been proved.
    fn tidy(&self, transaction: &Transaction<'_>, report: &mut Report) {
        let make = || -> Result<Plan, Stop> {
            let host = transaction.host.observe();
            let steps = passage::superfluous(host, self.wanted.layout, self.keep, self.done).map_err(Stop::failed)?;
            Ok(Plan { steps, ..Plan::default() })
        };
        let tidied = make().and_then(|plan| {
            if plan.is_empty() {
                return Ok(());
            }
            transaction.screen.line("No longer needed, and removed:");
            report.changes.extend(plan.steps.iter().map(report::Changed::from));
            transaction.apply(&plan, make, With::default(), report).map(drop)
        });
        // What was asked for is done all the same.
        if let Err(stop) = tidied {
            let warning = transaction.screen.paint(Tone::Caution, "warning:");
            transaction.screen.attention(&wrap(&format!("{warning} it stays: {}", stop.why), 2));
        }
    }
}

fn failures(checks: &[Check]) -> Vec<String> {
    checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .map(|check| format!("  {}: {}", check.name, check.detail))
        .collect()
}
