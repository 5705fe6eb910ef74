//! rc.conf(5) as rc(8) reads it and sysrc(8) edits it, in the files themselves.
//!
//! The files are shell scripts. What is read is assignments, one a line, quoted or not; `${name}` and everything
//! else that only a shell could tell is taken as text.

use super::super::HostError;
use super::machine::{Machine, command_failed};

const DEFAULTS: &str = "/etc/defaults/rc.conf";
/// `rc_conf_files`, in the order in which rc(8) reads them.
const FILES: [&str; 2] = ["/etc/rc.conf", "/etc/rc.conf.local"];

/// An assignment found in a line: where its value (with quotes) begins and ends, and what it is.
struct Assignment {
    from: usize,
    to: usize,
    value: String,
}

/// The assignment to a variable in a line, if it is one.
fn assignment(line: &str, name: &str) -> Option<Assignment> {
    let start = line.len() - line.trim_start_matches([' ', '\t']).len();
    let rest = line[start..].strip_prefix(name)?.strip_prefix('=')?;
    let from = start + name.len() + 1;
    let mut value = String::new();
    let mut quote = None;
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, ' ' | '\t' | ';' | '\n' | '#') => return Some(Assignment { from, to: from + at, value }),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    Some(Assignment { from, to: line.len(), value })
}

fn last_in(text: &str, name: &str) -> Option<String> {
    text.lines().filter_map(|line| assignment(line, name)).next_back().map(|found| found.value)
}

/// What rc(8) sees for a variable; the last file wins.
pub(super) fn get(machine: &Machine, name: &str) -> Result<Option<String>, HostError> {
    let mut value = None;
    for file in [DEFAULTS].into_iter().chain(FILES) {
        value = last_in(&machine.text(file)?, name).or(value);
    }
    Ok(value)
}

/// What a service's script sees after `load_rc_config SERVICE`: also the files named after the service.
pub(super) fn get_for(machine: &Machine, service: &str, name: &str) -> Result<Option<String>, HostError> {
    let mut value = get(machine, name)?;
    for folder in ["/etc/rc.conf.d", "/usr/local/etc/rc.conf.d"] {
        value = last_in(&machine.text(format!("{folder}/{service}"))?, name).or(value);
    }
    Ok(value)
}

/// A service's variable, or its default where it is unset or empty.
pub(super) fn get_or(machine: &Machine, service: &str, name: &str, default: &str) -> Result<String, HostError> {
    let value = get_for(machine, service, name)?.unwrap_or_default();
    Ok(if value.is_empty() { default.to_string() } else { value })
}

/// `checkyesno` of rc.subr(8) on a service's variable.
pub(super) fn is_yes(machine: &Machine, service: &str, name: &str) -> Result<bool, HostError> {
    let value = get_for(machine, service, name)?.unwrap_or_default().to_ascii_lowercase();
    Ok(matches!(value.as_str(), "yes" | "true" | "on" | "1"))
}

/// `sysrc NAME=VALUE`, or `sysrc -x NAME`; taking away what is not set is no error.
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
    let mut quoted = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    // The last assignment of the last file is the one in force, so that is the one that sysrc(8) edits.
    for file in FILES.iter().rev() {
        let text = machine.text(file)?;
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_string).collect();
        let found = lines.iter().enumerate().rev().find_map(|(at, line)| Some((at, assignment(line, name)?)));
        if let Some((at, found)) = found {
            if found.value != value {
                lines[at].replace_range(found.from..found.to, &quoted);
                machine.set_text(file, &lines.concat(), 0o644)?;
            }
            return Ok(());
        }
    }
    let text = machine.text(FILES[0])?;
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    machine.set_text(FILES[0], &format!("{text}{gap}{name}={quoted}\n"), 0o644)
}

fn remove(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    for file in FILES {
        let old = machine.text(file)?;
        let new: String = old.split_inclusive('\n').filter(|line| assignment(line, name).is_none()).collect();
        if new != old {
            machine.set_text(file, &new, 0o644)?;
        }
    }
    Ok(())
}
