//! Port access inside a jail: the rules are the host's, and with VNET(9) the reserved range is the jail's own.

use std::path::Path;

use super::port_access::{
    self, LOADER_VARIABLE, MODULE, PortAccess, RESERVED_HIGH, RULES, SYSCTL_CONF, edit, edited, reserved_high,
};
use super::{Refusal, sysctl_conf};
use crate::host::{Jail, Observe, Owner, System};
use crate::portacl;

/// Plans port access inside a jail.
///
/// # Errors
/// [`Refusal::JailHost`] with what is to be run on the host, where the host does not allow the ports yet.
pub(super) fn plan(host: &dyn Observe, system: &System, service: Owner, ports: &[u16]) -> Result<PortAccess, Refusal> {
    let wanted = port_access::rules(service, ports);
    let target = reserved_high(ports);
    let running = host.sysctl(RULES)?;
    let old = running.clone().unwrap_or_default();
    let new = portacl::with_rules(&old, &wanted).map_err(|error| Refusal::Rules {
        place: "the kernel of the jail's host".to_owned(),
        why: error.to_string(),
    })?;
    let reserved: i64 = host.sysctl(RESERVED_HIGH)?.and_then(|value| value.trim().parse().ok()).unwrap_or(1023);
    let shared = system.jail == Jail::Shared;
    if running.is_none() || new != old || (shared && reserved > target) {
        return Err(Refusal::JailHost { commands: host_commands(&new, shared.then_some(target)) });
    }
    // A VNET jail has a reserved range of its own, and so needs the guard as a host does.
    let mut access = PortAccess { guard: !shared, ..PortAccess::default() };
    if !shared {
        let path = Path::new(SYSCTL_CONF);
        let text = host.read(path)?;
        let set: Option<i64> = sysctl_conf::get(text.as_deref().unwrap_or_default(), RESERVED_HIGH)
            .and_then(|value| value.trim().parse().ok());
        if set.is_none_or(|value| value > target) {
            let new = sysctl_conf::set(text.as_deref().unwrap_or_default(), RESERVED_HIGH, &target.to_string())
                .map_err(edit(path))?;
            access.steps.extend(edited(host, path, text.as_deref(), &new)?);
        }
        access.steps.extend(port_access::reserved_step(host, system, ports, &mut access.reboot)?);
    }
    Ok(access)
}

/// What the administrator of the host has to run, word for word.
fn host_commands(rules: &str, reserved: Option<i64>) -> String {
    let mut lines = vec![
        format!("  sysrc -f /boot/loader.conf {LOADER_VARIABLE}=YES"),
        format!("  kldload -n {MODULE}"),
        format!("  echo '{RULES}={rules}' >> /etc/sysctl.conf"),
        format!("  sysctl {RULES}={rules}"),
    ];
    if let Some(reserved) = reserved {
        lines.push(format!("  echo '{RESERVED_HIGH}={reserved}' >> /etc/sysctl.conf"));
        lines.push(format!("  sysctl {RESERVED_HIGH}={reserved}"));
    }
    lines.push(String::new());
    lines.join("\n")
}
