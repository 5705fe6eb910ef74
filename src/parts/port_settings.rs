//! The settings of port access: their names and files, and the steps that change them.

use std::path::Path;

use super::Refusal;
use super::rule_edit::RESERVED_BY_DEFAULT;
use crate::change::{Action, SetSysctl, Step, WriteFile};
use crate::host::{Entry, HostError, Observe, Owner, System};
use crate::portacl::MergeError;

/// The part of every step of port access.
pub(super) const PART: &str = "port-access";
/// The kernel module.
pub const MODULE: &str = "mac_portacl";
/// The rule list of the running kernel.
pub const RULES: &str = "security.mac.portacl.rules";
/// Whether the rules are enforced.
pub const ENABLED: &str = "security.mac.portacl.enabled";
/// The highest port that the rules are enforced for.
pub const PORT_HIGH: &str = "security.mac.portacl.port_high";
/// Whether root is exempt.
pub const SUSER_EXEMPT: &str = "security.mac.portacl.suser_exempt";
/// The highest port that only root may bind, mac_portacl or not.
pub const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
/// loader.conf's variable that loads the module.
pub const LOADER_VARIABLE: &str = "mac_portacl_load";

pub(super) const LOADER_CONF: &str = "/boot/loader.conf";
pub(super) const LOADER_CONF_FOLDER: &str = "/boot/loader.conf.d";
pub(super) const LOADER_CONF_LOCAL: &str = "/boot/loader.conf.local";
pub(super) const SYSCTL_CONF: &str = "/etc/sysctl.conf";
pub(super) const SYSCTL_CONF_LOCAL: &str = "/etc/sysctl.conf.local";
pub(super) const SYSCTL_KLD: &str = "/etc/sysctl.kld.d/mac_portacl.conf";

/// What becomes of port access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PortAccess {
    /// The changes, in the order that keeps the host closed.
    pub(super) steps: Vec<Step>,
    /// What the administrator should know.
    pub(super) warnings: Vec<String>,
    /// Why it is in force only after a reboot; empty if it is at once.
    pub(super) reboot: Vec<String>,
    /// Whether the boot guard belongs on this host: not in a jail that shares its host's reserved range.
    pub(super) guard: bool,
}

/// A number of the running kernel.
pub(super) fn sysctl_number(host: &dyn Observe, name: &str) -> Result<Option<i64>, HostError> {
    Ok(host.sysctl(name)?.and_then(|value| value.trim().parse().ok()))
}

/// The highest reserved port of the running kernel.
pub(super) fn reserved_high(host: &dyn Observe) -> Result<i64, HostError> {
    Ok(sysctl_number(host, RESERVED_HIGH)?.unwrap_or(RESERVED_BY_DEFAULT))
}

/// Sets the reserved range of the running kernel to what `target` makes of its present value.
pub(super) fn reserved_step(
    host: &dyn Observe,
    system: &System,
    target: impl FnOnce(i64) -> i64,
    reboot: &mut Vec<String>,
) -> Result<Option<Step>, Refusal> {
    let now = reserved_high(host)?;
    let target = target(now);
    if now == target {
        return Ok(None);
    }
    if system.securelevel > 0 {
        reboot.push(format!(
            "{RESERVED_HIGH} is {now} and cannot be changed at securelevel {}; the next boot sets it to {target}",
            system.securelevel
        ));
        return Ok(None);
    }
    Ok(Some(set_sysctl(RESERVED_HIGH, target.to_string())))
}

pub(super) fn set_sysctl(name: &str, value: String) -> Step {
    Step::new(PART, Action::Set, SetSysctl { name: name.to_owned(), value })
}

/// Replaces a system file, whose mode and owner stay as they are.
pub(super) fn edited(host: &dyn Observe, path: &Path, old: Option<&[u8]>, new: &[u8]) -> Result<Option<Step>, Refusal> {
    if old.unwrap_or_default() == new {
        return Ok(None);
    }
    let (mode, owner) = match host.entry(path)? {
        Some(Entry::File { mode, owner, .. }) => (mode, owner),
        None => (0o644, Owner::ROOT),
        Some(other) => return Err(Refusal::wrong_kind(path, &other, "a file")),
    };
    let action = if old.is_some() { Action::Update } else { Action::Create };
    Ok(Some(Step::new(PART, action, WriteFile::new(path, new, mode, owner))))
}

/// An editor's error as a refusal.
pub(super) fn edit<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Refusal {
    move |why| Refusal::Edit { path: path.to_owned(), why: why.to_string() }
}

/// The error of a rule list as a refusal.
pub(super) fn refused(place: &str) -> impl Fn(MergeError) -> Refusal {
    move |why| Refusal::Rules { place: place.to_owned(), why: why.to_string() }
}
