//! Port access inside a jail: the rules are the host's, and with VNET(9) the reserved range is the jail's own.

use std::collections::BTreeMap;

use super::Refusal;
use super::port_access::{self, LOADER_VARIABLE, MODULE, PortAccess, RESERVED_HIGH, RULES};
use super::rule_edit::{RESERVED_BY_DEFAULT, RuleEdit, When};
use super::sysctl_files::SysctlFiles;
use crate::host::{Jail, Observe, System};
use crate::portacl::{self, Protocol, Rule, Subject};

/// Plans a change of the rules inside a jail.
///
/// # Errors
/// [`Refusal::JailHost`] with what is to be run on the host, where the host has to act.
pub(super) fn plan(host: &dyn Observe, system: &System, edit: &RuleEdit) -> Result<PortAccess, Refusal> {
    let running = host.sysctl(RULES)?;
    let old = running.clone().unwrap_or_default();
    let new = edit.list(When::Now, &old).map_err(|error| Refusal::Rules {
        place: "the kernel of the jail's host".to_owned(),
        why: error.to_string(),
    })?;
    let reserved = port_access::reserved_high(host)?;
    let target = edit.reserved_high(&[&old], &[&new], reserved);
    let shared = system.jail == Jail::Shared;
    if (running.is_none() && edit.grants()) || new != old || (shared && reserved != target) {
        return Err(Refusal::JailHost { commands: host_commands(edit, &new, shared.then_some(target)) });
    }
    // A VNET jail has a reserved range of its own, and so needs the guard as a host does.
    let mut access = PortAccess { guard: !shared && edit.grants(), ..PortAccess::default() };
    if !shared {
        let mut files = SysctlFiles::read(host, None)?;
        let current = files.number(RESERVED_HIGH).unwrap_or(RESERVED_BY_DEFAULT);
        // The host may have taken the rules out already, and the jail's range was lowered for them.
        let had = portacl::with_rules(&old, edit.revoked()).unwrap_or_else(|_| old.clone());
        let target = edit.reserved_high(&[&had], &[&new], current);
        if target != current {
            files.set(RESERVED_HIGH, &target.to_string(), &RESERVED_BY_DEFAULT.to_string())?;
        }
        access.steps.extend(files.steps(host)?);
        let now = |current| edit.reserved_high(&[&had], &[&new], current);
        access.steps.extend(port_access::reserved_step(host, system, now, &mut access.reboot)?);
    }
    Ok(access)
}

/// What the administrator of the host has to run, word for word: with this program, or by hand.
fn host_commands(edit: &RuleEdit, rules: &str, reserved: Option<i64>) -> String {
    // The host need not have an account of that number.
    let mut lines = Vec::new();
    for (word, rules) in [("grant --allow-unknown", edit.granted()), ("revoke", edit.revoked())] {
        lines.extend(
            by_subject(rules)
                .into_iter()
                .map(|(subject, ports)| format!("  gts-bootstrap portacl {word} {subject} {}", ports.join(","))),
        );
    }
    lines.extend(["".to_owned(), "or, where gts-bootstrap is not installed:".to_owned(), String::new()]);
    if edit.grants() {
        lines.push(format!("  sysrc -f /boot/loader.conf {LOADER_VARIABLE}=YES"));
        lines.push(format!("  kldload -n {MODULE}"));
    }
    lines.push(format!("  echo '{RULES}={rules}' >> /etc/sysctl.conf"));
    lines.push(format!("  sysctl {RULES}={rules}"));
    if let Some(reserved) = reserved {
        lines.push(format!("  echo '{RESERVED_HIGH}={reserved}' >> /etc/sysctl.conf"));
        lines.push(format!("  sysctl {RESERVED_HIGH}={reserved}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The ports of each subject, as `portacl grant` takes them.
fn by_subject(rules: &[Rule]) -> BTreeMap<Subject, Vec<String>> {
    let mut subjects: BTreeMap<Subject, Vec<String>> = BTreeMap::new();
    for rule in rules {
        let port = match rule.protocol {
            Protocol::Tcp => rule.port.to_string(),
            Protocol::Udp => format!("{}/udp", rule.port),
        };
        subjects.entry(rule.subject).or_default().push(port);
    }
    subjects
}
