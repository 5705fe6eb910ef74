//! The list that security/portacl-rc will write, worked out as its script does, see `docs/portacl-rc.md`.
//!
//! It can be asked itself (`printrules`), but only where its script can be run, and it does not say what it leaves out
//! on standard output.

use std::collections::BTreeSet;
use std::path::Path;

use super::portacl_rc;
use crate::host::{HostError, Observe, User};
use crate::portacl::{KERNEL_LIMIT, LeftOut, PortaclRc};
use crate::sysconf::rc_conf::is_yes;

/// What portacl-rc sets at the next boot; `None` if it is not installed or not enabled.
///
/// # Errors
/// The host could not be read.
pub(super) fn settings(host: &dyn Observe) -> Result<Option<PortaclRc>, HostError> {
    if !portacl_rc::enabled(host)? {
        return Ok(None);
    }
    let services = host.read(Path::new("/etc/services"))?.unwrap_or_default();
    let mut found = Found {
        services: String::from_utf8_lossy(&services).into_owned(),
        lines: BTreeSet::new(),
        left_out: Vec::new(),
    };
    found.accounts(host, "user")?;
    found.accounts(host, "group")?;
    let additional = host.rc_variable("portacl_additional_rules")?.unwrap_or_default();
    for rule in additional.split(',').filter(|_| !additional.is_empty()) {
        found.lines.insert((rule.to_owned(), "portacl_additional_rules".to_owned()));
    }
    let list = found.list();
    let switch =
        |name: &str| -> Result<bool, HostError> { Ok(host.rc_variable(name)?.is_none_or(|text| is_yes(&text))) };
    let port_high = host.rc_variable("portacl_port_high")?.filter(|text| is_digits(text));
    Ok(Some(PortaclRc {
        list,
        suser_exempt: switch("portacl_suser_exempt")?,
        autoport_exempt: switch("portacl_autoport_exempt")?,
        port_high: port_high.unwrap_or_else(|| "1023".to_owned()),
        left_out: found.left_out,
    }))
}

/// The list alone; empty if portacl-rc is not in charge.
///
/// # Errors
/// The host could not be read.
pub(super) fn list(host: &dyn Observe) -> Result<String, HostError> {
    Ok(settings(host)?.map(|rc| rc.list).unwrap_or_default())
}

/// Whom the script takes a word of `portacl_users` or `portacl_groups` for. `id -g NAME` looks up a user, too: what it prints
/// is the primary group of that one.
///
/// # Errors
/// The host could not be read.
pub(super) fn account(host: &dyn Observe, word: &str) -> Result<Option<User>, HostError> {
    match (host.user(word)?, word.parse()) {
        (None, Ok(uid)) => host.user_by_id(uid),
        (by_name, _) => Ok(by_name),
    }
}

/// `is_integer` of the script, and `[0-9]+` of its awk(1).
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Found {
    services: String,
    /// Rules before they are checked, sorted as text, each with the variable that it comes from.
    lines: BTreeSet<(String, String)>,
    left_out: Vec<LeftOut>,
}

impl Found {
    fn leave_out(&mut self, variable: &str, what: &str, why: impl Into<String>) {
        self.left_out.push(LeftOut { variable: variable.to_owned(), what: what.to_owned(), why: why.into() });
    }

    /// `list_rules_for`.
    fn accounts(&mut self, host: &dyn Observe, kind: &str) -> Result<(), HostError> {
        let key = if kind == "user" { "uid" } else { "gid" };
        let list = format!("portacl_{kind}s");
        for word in host.rc_variable(&list)?.unwrap_or_default().split_whitespace() {
            let Some(account) = account(host, word)? else {
                self.leave_out(&list, word, format!("there is no user “{word}”"));
                continue;
            };
            if !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                self.leave_out(&list, word, "the name cannot be part of an rc.conf variable");
                continue;
            }
            let id = if kind == "user" { account.uid } else { account.gid };
            for protocol in ["tcp", "udp"] {
                let variable = format!("portacl_{kind}_{word}_{protocol}");
                for port in host.rc_variable(&variable)?.unwrap_or_default().split_whitespace() {
                    let Some(number) = self.port(port, protocol) else {
                        self.leave_out(&variable, port, format!("/etc/services has no {protocol} service “{port}”"));
                        continue;
                    };
                    self.lines.insert((format!("{key}:{id}:{protocol}:{number}"), variable.clone()));
                }
            }
        }
        Ok(())
    }

    /// `resolve_port`: digits as they are, a name as `/etc/services` has it, by name or alias, the first match.
    fn port(&self, port: &str, protocol: &str) -> Option<String> {
        if is_digits(port) {
            return Some(port.to_owned());
        }
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !port.bytes().all(in_name) {
            return None;
        }
        self.services.lines().find_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let (name, rest) = line.split_once([' ', '\t'])?;
            let (number, rest) = rest.trim_start_matches([' ', '\t']).split_once('/')?;
            let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
            let is_it = words.next() == Some(protocol) && (name == port || words.any(|alias| alias == port));
            is_it.then(|| number.to_owned()).filter(|number| !number.is_empty())
        })
    }

    /// `validate_rules`: what is not of the plain form is left out, and from the first rule on that is too many all
    /// others are.
    fn list(&mut self) -> String {
        let mut list = String::new();
        let mut last = None;
        let mut full = false;
        for (rule, variable) in self.lines.clone() {
            if last.replace(rule.clone()).as_ref() == Some(&rule) {
                continue;
            }
            let separator = usize::from(!list.is_empty());
            full = full || list.len() + separator + rule.len() > KERNEL_LIMIT;
            if full {
                self.leave_out(&variable, &rule, format!("the list would be longer than {KERNEL_LIMIT} bytes"));
            } else if let Some(why) = why_invalid(&rule) {
                self.leave_out(&variable, &rule, why);
            } else {
                list.push_str(if separator == 1 { "," } else { "" });
                list.push_str(&rule);
            }
        }
        list
    }
}

fn why_invalid(rule: &str) -> Option<&'static str> {
    let fields: Vec<&str> = rule.split(':').collect();
    let small = |text: &str| text.parse::<u64>().is_ok_and(|number| number <= 65_535);
    match fields[..] {
        [kind, id, protocol, port] => {
            if !is_digits(id) || !is_digits(port) {
                Some("id and port must be plain numbers")
            } else if !small(id) || !small(port) {
                Some("numbers over 65535 are not taken")
            } else if !matches!(kind, "uid" | "gid") || !matches!(protocol, "tcp" | "udp") {
                Some("it must read like uid:209:tcp:80")
            } else {
                None
            }
        }
        _ => Some("it must have four fields, like uid:209:tcp:80"),
    }
}
