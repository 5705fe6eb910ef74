//! sysrc(8), step by step as `usr.sbin/bsdconfig/share/sysrc.subr` does it: with grep(1), `tail -r` and awk(1), line by line. So
//! it knows nothing of values over several lines, and does odd things to files whose last line has no end.

use std::path::Path;

use super::super::HostError;
use super::machine::{Machine, command_failed};
use super::rc_conf::syntax_error;
use crate::sysconf::rc_conf::{FILES, assigned, refusal};

/// `kern.osreldate` from which a line without an end gets one before something is appended: seen on 15.1; the sources of 13
/// and 14 do not do it.
const ENDS_LINES: u32 = 1_500_000;

/// `sysrc NAME=VALUE`, or `sysrc -x NAME`. Removing a variable that is not set is not an error.
pub(super) fn set(machine: &mut Machine, name: &str, value: Option<&str>) -> Result<(), HostError> {
    // What both hosts refuse before they run anything.
    if let Some(why) = refusal(name, value.unwrap_or_default()) {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
        return Err(HostError::Start { command: format!("/usr/sbin/sysrc {name}"), source });
    }
    match value {
        Some(value) => assign(machine, name, value),
        None => remove(machine, name),
    }
}

fn assign(machine: &mut Machine, name: &str, value: &str) -> Result<(), HostError> {
    for file in FILES.into_iter().rev() {
        let old = machine.text(file)?;
        if old.lines().any(|line| assigned(line, name).is_some()) {
            return put(machine, file, &changed(&old, name, value), &format!("sysrc {name}={value}"));
        }
    }
    let text = machine.text(FILES[0])?;
    let ends = machine.model.osreldate >= ENDS_LINES && !text.is_empty() && !text.ends_with('\n');
    let gap = if ends { "\n" } else { "" };
    put(machine, FILES[0], &format!("{text}{gap}{name}=\"{value}\"\n"), &format!("sysrc {name}={value}"))
}

fn remove(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    for file in FILES {
        let old = machine.text(file)?;
        if old.lines().any(|line| assigned(line, name).is_some()) {
            let kept = old.lines().filter(|line| assigned(line, name).is_none());
            let new: String = kept.map(|line| format!("{line}\n")).collect();
            put(machine, file, &new, &format!("sysrc -x {name}"))?;
        }
    }
    Ok(())
}

fn put(machine: &mut Machine, file: &str, text: &str, command: &str) -> Result<(), HostError> {
    if machine.model.immutable.contains(Path::new(file)) {
        return Err(command_failed(command, 1, format!("sysrc: cannot create {file}: Operation not permitted")));
    }
    if syntax_error(text).is_some() {
        let why = format!("sysrc: Not overwriting `{file}' due to previous syntax errors");
        return Err(command_failed(command, 1, why));
    }
    machine.set_text(file, text, 0o644)
}

/// `f_sysrc_set` on a text that assigns the variable.
fn changed(text: &str, name: &str, value: &str) -> String {
    // $( tail -r ): the last line comes first, as it is, and empty lines at the end, once the beginning, are lost.
    let reversed: String = text.split_inclusive('\n').rev().collect();
    let mut lines: Vec<String> = reversed.trim_end_matches('\n').split('\n').map(str::to_owned).collect();
    let mut appended = String::new();
    if let Some(line) = lines.iter_mut().find(|line| assigned(line, name).is_some()) {
        let old = assigned(line, name).unwrap_or_default();
        let start = line[..line.len() - old.len()].to_owned();
        match old.chars().next() {
            // Not its own work, so it leaves that alone.
            Some('`' | '$' | '\\') => appended = format!("{name}=\"{value}\"\n"),
            Some(quote @ ('"' | '\'')) => {
                // A backslash before a quote does not count.
                let (end, rest) = match old[1..].find(quote) {
                    Some(at) => (quote.to_string(), &old[at + 2..]),
                    None => (String::new(), ""),
                };
                *line = format!("{start}{quote}{value}{end}{rest}");
            }
            None => *line = format!("{start}{value}"),
            Some(' ' | '\t' | ';') => *line = format!("{start}\"{value}\"{old}"),
            Some(_) => {
                let rest = old.find([' ', '\t']).map_or("", |at| &old[at..]);
                *line = format!("{start}\"{value}\"{rest}");
            }
        }
    }
    lines.iter().rev().map(|line| format!("{line}\n")).collect::<String>() + &appended
}
