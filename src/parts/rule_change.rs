//! The plan of `portacl grant`, `revoke` and `apply`: the rules, and what makes a grant safe.

use super::host_names::HostNames;
use super::rule_edit::RuleEdit;
use super::{Refusal, folders, port_access, portacl_boot, rc_script, service};
use crate::change::{AfterPlan, Plan};
use crate::host::{HostError, Listener, Observe};
use crate::portacl::{Finding, Protocol, Rule, Severity, Subject, lint};

/// Plans a change of the rules. Findings of `lint` with one of the codes `tolerated` do not stand in its way.
///
/// # Errors
/// The change is not possible, or `lint` would find something afterwards that it does not find now.
pub fn plan(host: &dyn Observe, edit: &RuleEdit, tolerated: &[&str]) -> Result<Plan, Refusal> {
    const PART: &str = "port-access";
    let access = port_access::plan(host, &host.system()?, edit)?;
    let mut plan = Plan { warnings: access.warnings, reboot: access.reboot, ..Plan::default() };
    // The guard comes first: it must be there before anything is lowered.
    if access.guard {
        let guards = rc_script::plan_guards(host)?;
        if !guards.is_empty() {
            plan.steps.extend(folders::for_scripts(host, PART)?);
        }
        plan.steps.extend(guards);
        plan.steps.extend(service::variable(host, PART, rc_script::GUARD_ENABLE, "YES")?);
    }
    plan.steps.extend(access.steps);
    // Until a reboot, the running kernel differs from what only that brings into force.
    let kernel = plan.reboot.is_empty();
    let before = findings(host, kernel)?;
    let is_news = |finding: &Finding| !before.iter().any(|old| is_no_news(finding, old));
    let mut findings = findings(&AfterPlan::new(host, &plan.steps), kernel)?;
    findings.retain(|finding| !tolerated.contains(&finding.code) && is_news(finding));
    plan.warnings.extend(in_use(host, edit)?);
    if findings.is_empty() { Ok(plan) } else { Err(Refusal::Flagged { findings }) }
}

/// Whether a finding was there before. Its places do not count: lines move, and with the module comes a rule of somebody else's
/// that the boot would set anyway. But no more may be open than before.
fn is_no_news(finding: &Finding, old: &Finding) -> bool {
    let thing = |finding: &Finding| finding.subject.split(" (").next().unwrap_or_default().to_owned();
    let about_places =
        ["rules-in-several-places", "module-not-loaded", "module-missing", "kld-list"].contains(&finding.code);
    finding.code == old.code
        && match finding.severity {
            Severity::Alarm => finding.what == old.what,
            _ => about_places || thing(finding) == thing(old),
        }
}

/// Warns of servers that listen on a port which is about to be taken from their user.
fn in_use(host: &dyn Observe, edit: &RuleEdit) -> Result<Vec<String>, HostError> {
    let mut warnings = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let warning = |socket: &Listener| {
            let rule = Rule { subject: Subject::Uid(socket.uid?), protocol, port: socket.port };
            edit.revoked().contains(&rule).then(|| {
                format!(
                    "{socket} has port {}/{protocol} open: it keeps the port until it ends, and cannot bind it again at its next start",
                    socket.port
                )
            })
        };
        warnings.extend(host.sockets(protocol)?.iter().filter_map(warning));
    }
    warnings.dedup();
    Ok(warnings)
}

/// The findings of `lint` on a host; with those about the running kernel, or only those about the next boot.
///
/// # Errors
/// The host could not be read.
pub fn findings(host: &dyn Observe, kernel: bool) -> Result<Vec<Finding>, HostError> {
    let names = HostNames::new(host)?;
    let now = if kernel { Some(portacl_boot::now(host)?) } else { None };
    let found = lint(now.as_ref(), &portacl_boot::settings(host)?, &names);
    names.finish()?;
    Ok(found)
}
