//! The plan of `portacl grant`, `revoke` and `apply`: the rules, and what has to be there for a grant to be safe.

use super::host_names::HostNames;
use super::rule_edit::RuleEdit;
use super::{Refusal, folders, port_access, portacl_boot, rc_script};
use crate::change::{AfterPlan, Plan};
use crate::host::{HostError, Listener, Observe};
use crate::portacl::{Finding, Protocol, Severity, State, Subject, lint};

/// Plans a change of the rules. Findings of `lint` with one of the codes `tolerated` do not stand in its way.
///
/// # Errors
/// The change is not possible, or `lint` would find something afterwards that it does not find now.
pub fn plan(host: &dyn Observe, edit: &RuleEdit, tolerated: &[&str]) -> Result<Plan, Refusal> {
    let system = host.system()?;
    let access = port_access::plan(host, &system, edit)?;
    let mut plan = Plan { warnings: access.warnings, reboot: access.reboot, ..Plan::default() };
    // Whatever else comes to pass, the guard is there before anything is lowered.
    if access.guard {
        let guards = rc_script::plan_guards(host)?;
        if !guards.is_empty() {
            plan.steps.extend(folders::for_scripts(host, "port-access")?);
        }
        plan.steps.extend(guards);
        plan.steps.extend(rc_script::enable_guards(host, "port-access")?);
    }
    plan.steps.extend(access.steps);
    // What only a reboot can bring into force differs from the running kernel until then.
    let look = if plan.reboot.is_empty() { findings } else { findings_at_boot };
    let before = look(host)?;
    let news: Vec<Finding> = look(&AfterPlan::new(host, &plan))?
        .into_iter()
        .filter(|finding| !tolerated.contains(&finding.code))
        .filter(|finding| !before.iter().any(|old| is_no_news(finding, old)))
        .collect();
    plan.warnings.extend(in_use(host, edit)?);
    if !news.is_empty() {
        return Err(Refusal::Flagged { findings: news });
    }
    Ok(plan)
}

/// Whether a finding was there before. The places in it do not count: lines move, and a rule of somebody else's that the boot
/// would set anyway comes into the running kernel with the module. But what is open must not become more.
fn is_no_news(finding: &Finding, old: &Finding) -> bool {
    let thing = |finding: &Finding| finding.subject.split(" (").next().unwrap_or_default().to_owned();
    let about_places = ["rules-in-several-places", "module-not-loaded", "kld-list"].contains(&finding.code);
    finding.code == old.code
        && match finding.severity {
            Severity::Alarm => finding.what == old.what,
            _ => about_places || thing(finding) == thing(old),
        }
}

/// Servers that listen on a port which is about to be taken from their user.
fn in_use(host: &dyn Observe, edit: &RuleEdit) -> Result<Vec<String>, HostError> {
    let taken = |listener: &Listener| {
        edit.revoked().iter().any(|rule| {
            rule.protocol == Protocol::Tcp
                && rule.port == listener.port
                && listener.uid.map(Subject::Uid) == Some(rule.subject)
        })
    };
    let mut warnings: Vec<String> = host
        .listeners()?
        .into_iter()
        .filter(taken)
        .map(|listener| {
            format!(
                "{} of the user {} listens on port {} now: it keeps the port until it ends, and \
                 cannot bind it again at its next start",
                listener.command, listener.user, listener.port
            )
        })
        .collect();
    warnings.dedup();
    Ok(warnings)
}

/// What `lint` finds on a host.
///
/// # Errors
/// The host could not be read.
pub fn findings(host: &dyn Observe) -> Result<Vec<Finding>, HostError> {
    let now = portacl_boot::now(host)?;
    found(host, Some(&now))
}

/// What `lint` finds, but for the running kernel.
fn findings_at_boot(host: &dyn Observe) -> Result<Vec<Finding>, HostError> {
    found(host, None)
}

fn found(host: &dyn Observe, now: Option<&State>) -> Result<Vec<Finding>, HostError> {
    let names = HostNames::new(host)?;
    let found = lint(now, &portacl_boot::settings(host)?, &names);
    names.finish()?;
    Ok(found)
}
