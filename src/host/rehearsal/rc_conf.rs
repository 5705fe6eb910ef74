//! The variables of rc(8) on the modelled machine: which files it reads, and what sysrc(8) refuses.

use super::super::HostError;
use super::machine::{Machine, command_failed};
use crate::sysconf::rc_conf::{self, FILES};

const DEFAULTS: &str = "/etc/defaults/rc.conf";

/// The value that the last of these files gives a variable.
fn last_of(machine: &Machine, files: &[&str], name: &str) -> Result<Option<String>, HostError> {
    files.iter().rev().find_map(|file| machine.text(file).map(|text| rc_conf::get(&text, name)).transpose()).transpose()
}

/// The value that rc(8) sees for a variable; the last file wins.
pub(super) fn get(machine: &Machine, name: &str) -> Result<Option<String>, HostError> {
    last_of(machine, &[DEFAULTS, FILES[0], FILES[1]], name)
}

/// The value that a service's script sees after `load_rc_config SERVICE`, which also reads the files with its name.
pub(super) fn get_for(machine: &Machine, service: &str, name: &str) -> Result<Option<String>, HostError> {
    let own = [format!("/etc/rc.conf.d/{service}"), format!("/usr/local/etc/rc.conf.d/{service}")];
    Ok(last_of(machine, &own.each_ref().map(String::as_str), name)?.or(get(machine, name)?))
}

/// A service's variable, or its default if it is unset or empty.
pub(super) fn get_or(machine: &Machine, service: &str, name: &str, default: &str) -> Result<String, HostError> {
    let value = get_for(machine, service, name)?.unwrap_or_default();
    Ok(if value.is_empty() { default.to_string() } else { value })
}

/// `checkyesno` of rc.subr(8) on a service's variable.
pub(super) fn is_yes(machine: &Machine, service: &str, name: &str) -> Result<bool, HostError> {
    Ok(get_for(machine, service, name)?.is_some_and(|value| rc_conf::is_yes(&value)))
}

/// `sysrc NAME=VALUE`, or `sysrc -x NAME`. Removing a variable that is not set is not an error.
pub(super) fn set(machine: &mut Machine, name: &str, value: Option<&str>) -> Result<(), HostError> {
    let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if !valid || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(command_failed(
            format!("sysrc {name}"),
            1,
            "sysrc: name contains characters invalid for a variable",
        ));
    }
    match value {
        Some(value) => assign(machine, name, value),
        None => remove(machine, name),
    }
}

fn assign(machine: &mut Machine, name: &str, value: &str) -> Result<(), HostError> {
    if value.contains('\n') {
        return Err(command_failed(format!("sysrc {name}=…"), 1, "sysrc: the value must be one line"));
    }
    // sysrc(8) edits the assignment in force: the last one of the last file.
    for file in FILES.iter().rev() {
        let old = machine.text(file)?;
        if let Some(new) = rc_conf::change(&old, name, value) {
            return if new == old { Ok(()) } else { machine.set_text(file, &new, 0o644) };
        }
    }
    let text = machine.text(FILES[0])?;
    machine.set_text(FILES[0], &rc_conf::append(&text, name, value), 0o644)
}

fn remove(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    for file in FILES {
        let old = machine.text(file)?;
        let new = rc_conf::remove(&old, name);
        if new != old {
            machine.set_text(file, &new, 0o644)?;
        }
    }
    Ok(())
}
