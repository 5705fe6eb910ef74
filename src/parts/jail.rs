//! Port access inside a jail: the rules belong to the host, and with VNET(9) the reserved range to the jail.

use std::collections::BTreeMap;

use super::Refusal;
use super::port_settings::{self, LOADER_VARIABLE, MODULE, PortAccess, RESERVED_HIGH, RULES};
use super::rule_edit::{RESERVED_BY_DEFAULT, RuleEdit, When};
use super::sysctl_files::SysctlFiles;
use crate::host::{Jail, Observe, System};
use crate::portacl::{self, Protocol, Rule, Subject};

/// Plans a change of the rules inside a jail.
///
/// # Errors
/// [`Refusal::JailHost`], with the commands for the host, if the host has to act.
pub(super) fn plan(host: &dyn Observe, system: &System, edit: &RuleEdit) -> Result<PortAccess, Refusal> {
    let running = host.sysctl(RULES)?;
    let old = running.clone().unwrap_or_default();
    let new = edit.list(When::Now, &old).map_err(port_settings::refused("the kernel of the jail's host"))?;
    let reserved = port_settings::reserved_high(host)?;
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
        access.steps.extend(port_settings::reserved_step(host, system, now, &mut access.reboot)?);
    }
    Ok(access)
}

/// What the administrator of the host has to run, word for word: with this program, or by hand.
fn host_commands(edit: &RuleEdit, rules: &str, reserved: Option<i64>) -> String {
    let mut commands = String::new();
    // The host need not have an account of that number.
    for (word, rules) in [("grant --allow-unknown", edit.granted()), ("revoke", edit.revoked())] {
        for (subject, ports) in by_subject(rules) {
            commands += &format!("  gts-bootstrap portacl {word} {subject} {}\n", ports.join(","));
        }
    }
    commands += "\nor, where gts-bootstrap is not installed:\n\n";
    if edit.grants() {
        commands += &format!("  sysrc -f /boot/loader.conf {LOADER_VARIABLE}=YES\n  kldload -n {MODULE}\n");
    }
    let reserved = reserved.map(|reserved| (RESERVED_HIGH, reserved.to_string()));
    for (name, value) in [(RULES, rules.to_owned())].into_iter().chain(reserved) {
        commands += &format!("  echo '{name}={value}' >> /etc/sysctl.conf\n  sysctl {name}={value}\n");
    }
    commands
}

/// The ports of each subject, as `portacl grant` takes them.
fn by_subject(rules: &[Rule]) -> BTreeMap<Subject, Vec<String>> {
    let mut subjects: BTreeMap<Subject, Vec<String>> = BTreeMap::new();
    for rule in rules {
        let suffix = if rule.protocol == Protocol::Udp { "/udp" } else { "" };
        subjects.entry(rule.subject).or_default().push(format!("{}{suffix}", rule.port));
    }
    subjects
}
