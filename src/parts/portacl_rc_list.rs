//! The list that security/portacl-rc will write, computed as its script does, see `docs/portacl-rc.md`.
//!
//! The script prints it (`printrules`), but only where it can be run, and without what it leaves out.

use std::collections::BTreeSet;
use std::path::Path;

use super::portacl_rc;
use crate::host::{HostError, Observe, User};
use crate::portacl::{KERNEL_LIMIT, LeftOut, PortaclRc, Protocol, Services};
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
    let services = Services::parse(&services);
    let mut found = Found { services, lines: BTreeSet::new(), left_out: Vec::new() };
    found.accounts(host, "user")?;
    found.accounts(host, "group")?;
    let additional = host.rc_variable("portacl_additional_rules")?.unwrap_or_default();
    for rule in additional.split(',').filter(|_| !additional.is_empty()) {
        found.lines.insert((rule.to_owned(), "portacl_additional_rules".to_owned()));
    }
    let list = found.list();
    let switch = |name| host.rc_variable(name).map(|text| text.is_none_or(|text| is_yes(&text)));
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

/// The account that the script takes a word of `portacl_users` or `portacl_groups` for. `id -g NAME` looks up a user, too, and
/// prints its primary group.
///
/// # Errors
/// The host could not be read.
pub(super) fn account(host: &dyn Observe, word: &str) -> Result<Option<User>, HostError> {
    match (host.user(word)?, word.parse()) {
        (None, Ok(uid)) => host.user_by_id(uid),
        (by_name, _) => Ok(by_name),
    }
}

/// Whether a name can be part of a shell variable.
pub(super) fn fits_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `is_integer` of the script, and `[0-9]+` of its awk(1).
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Found {
    services: Services,
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
            if !fits_variable(word) {
                self.leave_out(&list, word, "the name cannot be part of an rc.conf variable");
                continue;
            }
            let id = if kind == "user" { account.uid } else { account.gid };
            for protocol in [Protocol::Tcp, Protocol::Udp] {
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

    /// `resolve_port`: digits as they are, a name or an alias of a service as `/etc/services` has it.
    fn port(&self, port: &str, protocol: Protocol) -> Option<String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        match is_digits(port) {
            true => Some(port.to_owned()),
            false if port.bytes().all(is_name) => self.services.port(port, protocol).map(|port| port.to_string()),
            false => None,
        }
    }

    /// `validate_rules`: rules not of the plain form are left out, and so are all from the first one on that no longer fits.
    fn list(&mut self) -> String {
        let mut list = String::new();
        let mut full = false;
        let mut lines: Vec<_> = std::mem::take(&mut self.lines).into_iter().collect();
        lines.dedup_by(|(rule, _), (before, _)| rule == before);
        for (rule, variable) in lines {
            let comma = if list.is_empty() { "" } else { "," };
            full |= list.len() + comma.len() + rule.len() > KERNEL_LIMIT;
            if full {
                self.leave_out(&variable, &rule, format!("the list would be longer than {KERNEL_LIMIT} bytes"));
            } else if let Some(why) = why_invalid(&rule) {
                self.leave_out(&variable, &rule, why);
            } else {
                list += &format!("{comma}{rule}");
            }
        }
        list
    }
}

fn why_invalid(rule: &str) -> Option<&'static str> {
    let fields: Vec<&str> = rule.split(':').collect();
    let [kind, id, protocol, port] = fields[..] else { return Some("it must have four fields, like uid:209:tcp:80") };
    if !is_digits(id) || !is_digits(port) {
        Some("id and port must be plain numbers")
    } else if id.parse::<u16>().is_err() || port.parse::<u16>().is_err() {
        Some("numbers over 65535 are not taken")
    } else if !matches!(kind, "uid" | "gid") || !matches!(protocol, "tcp" | "udp") {
        Some("it must read like uid:209:tcp:80")
    } else {
        None
    }
}
