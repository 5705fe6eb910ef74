//! The bind check: the right user can bind the ports, and no other user can.
//!
//! Child processes really switch to each uid and call bind(2); the kernel's answer counts. EADDRINUSE proves
//! permission, because the kernel checks the permission first. So the service keeps running. Modelled on the matrix of
//! FreeBSD's own `tests/sys/mac/portacl`.

use super::Check;
use super::permission::{self, Question};
use crate::error_code::ErrorCode;
use crate::host::{BindOutcome, BindProbe, Family, HostError, Observe, Owner};
use crate::parts::port_access::RULES;
use crate::portacl::{self, Protocol, Rule, State, Subject};

/// `nobody`, by convention the user without rights.
const NOBODY: u32 = 65534;
/// Low ports that the service does not use. The check tries the first one without a rule.
const OTHER_PORTS: [u16; 4] = [25, 81, 1023, 7];

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Login name.
    pub user: String,
    /// The uid that the child switched to.
    pub uid: u32,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The result of bind(2).
    pub outcome: BindOutcome,
    /// Whether this user should have this port.
    pub wanted: bool,
    /// The command that grants the port to the user.
    pub granted_by: String,
}

impl Row {
    /// Whether the result is right. A missing address family is neither right nor wrong.
    pub fn right(&self) -> Option<bool> {
        (self.outcome != BindOutcome::NoAddress).then(|| self.outcome.permitted() == self.wanted)
    }

    /// `tcp4`, `udp6`, …
    pub fn family(&self) -> String {
        format!("{}{}", self.protocol, if self.family == Family::V4 { 4 } else { 6 })
    }

    /// The row as a check.
    pub fn check(&self) -> Check {
        let name = format!("bind {} {}/{}", self.user, self.port, self.family());
        let outcome = in_words(self.outcome);
        match self.right() {
            None => Check::skip(name, outcome),
            Some(true) => Check::pass(name, outcome),
            Some(false) if self.wanted => {
                Check::fail(ErrorCode::PortRefused, name, format!("{outcome}; {}", self.mend()))
            }
            Some(false) => Check::fail(
                ErrorCode::PortOpen,
                name,
                format!(
                    "{outcome}, and must not: {} on this host can impersonate a service on port {}. Close it now with \
                     `sysctl net.inet.ip.portrange.reservedhigh=1023` and look at `sysctl security.mac.portacl`",
                    if self.uid == NOBODY { "any user".to_owned() } else { self.user.clone() },
                    self.port
                ),
            ),
        }
    }

    fn mend(&self) -> String {
        let command = &self.granted_by;
        match self.outcome {
            BindOutcome::NoRule => format!("run `{command}` to put its rule back"),
            BindOutcome::Reserved => {
                format!("mac_portacl allows it, but net.inet.ip.portrange.reservedhigh is too high; run `{command}`")
            }
            _ => "see `sysctl security.mac.portacl net.inet.ip.portrange`".to_owned(),
        }
    }
}

/// The outcome in words, with the errno that a program would see.
pub fn in_words(outcome: BindOutcome) -> String {
    match outcome {
        BindOutcome::Bound => "can bind".to_owned(),
        BindOutcome::InUse => "may bind (EADDRINUSE: it is in use)".to_owned(),
        BindOutcome::NoRule => "may not (EPERM: no mac_portacl rule)".to_owned(),
        BindOutcome::Reserved => "may not (EACCES: reserved for root)".to_owned(),
        BindOutcome::NoAddress => "not tried (this host has no such address)".to_owned(),
        BindOutcome::Other(errno) => format!("may not (errno {errno})"),
    }
}

/// Tries the whole matrix: {service user, nobody} × {`tried`, another low port} × {IPv4, IPv6}. The service user should
/// have `ports`, which are among `tried`, and no others.
///
/// # Errors
/// A probe could not be run.
pub fn matrix(host: &dyn Observe, service: Owner, tried: &[u16], ports: &[u16]) -> Result<Vec<Row>, HostError> {
    let granted: Vec<u16> = host
        .sysctl(RULES)?
        .and_then(|text| portacl::parse_kernel(&text).ok())
        .unwrap_or_default()
        .iter()
        .filter_map(|rule| rule.effective().map(|rule| rule.port))
        .collect();
    let other = OTHER_PORTS.into_iter().find(|port| !granted.contains(port)).unwrap_or(OTHER_PORTS[0]);
    let name = |uid: u32, gid: u32| -> Result<(String, u32, u32), HostError> {
        let user = host.user_by_id(uid)?;
        Ok((user.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone()), uid, gid))
    };
    let users = [name(service.uid, service.gid)?, name(NOBODY, NOBODY)?];
    let mut rows = Vec::new();
    for (user, uid, gid) in &users {
        for port in tried.iter().copied().chain([other]) {
            for family in [Family::V4, Family::V6] {
                let probe =
                    BindProbe { uid: *uid, gid: *gid, groups: Vec::new(), family, protocol: Protocol::Tcp, port };
                let outcome = host.bind(&probe)?;
                let wanted = *uid == service.uid && ports.contains(&port);
                let (user, uid, protocol) = (user.clone(), *uid, Protocol::Tcp);
                let granted_by = "gts-bootstrap install".to_owned();
                rows.push(Row { user, uid, protocol, port, family, outcome, wanted, granted_by });
            }
        }
    }
    Ok(rows)
}

/// Tries the ports of these rules, as the user or group that each rule names, and for `granted` rules also as nobody. A
/// granted port must be possible. Otherwise the prediction from `state` must be right.
///
/// # Errors
/// A probe could not be run.
pub fn rules(host: &dyn Observe, state: &State, rules: &[Rule], granted: bool) -> Result<Vec<Row>, HostError> {
    let mut rows = Vec::new();
    for as_nobody in [false, true] {
        for rule in rules {
            let (user, id, uid, groups) = match rule.subject {
                _ if as_nobody => ("nobody".to_owned(), NOBODY, NOBODY, vec![NOBODY]),
                Subject::Uid(uid) => {
                    let name = host.user_by_id(uid)?.map_or_else(|| "uid".to_owned(), |user| user.name);
                    (name, uid, uid, permission::groups_of(host, uid)?)
                }
                Subject::Gid(gid) => {
                    let name = host.group_by_id(gid)?.map_or_else(|| "gid".to_owned(), |group| group.name);
                    (format!("@{name}"), gid, NOBODY, vec![gid])
                }
            };
            if as_nobody && !granted {
                continue;
            }
            let granted_by = grant(&user, rule);
            let question = Question { uid, groups, protocol: rule.protocol, port: rule.port };
            let wanted = (granted && !as_nobody) || permission::verdict(state, &question).errno().is_none();
            for family in [Family::V4, Family::V6] {
                let outcome = host.bind(&question.probe(family))?;
                let (user, protocol, granted_by) = (user.clone(), rule.protocol, granted_by.clone());
                rows.push(Row { user, uid: id, protocol, port: rule.port, family, outcome, wanted, granted_by });
            }
        }
    }
    Ok(rows)
}

/// The command line that grants what a rule says. `user` is the displayed subject: an id without an account has no
/// name.
fn grant(user: &str, rule: &Rule) -> String {
    let subject = match rule.subject {
        Subject::Uid(uid) if user == "uid" => format!("--allow-unknown uid:{uid}"),
        Subject::Gid(gid) if user == "@gid" => format!("--allow-unknown gid:{gid}"),
        Subject::Uid(_) | Subject::Gid(_) => user.to_owned(),
    };
    let protocol = if rule.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("gts-bootstrap portacl grant {subject} {}{protocol}", rule.port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;

    #[test]
    fn a_failed_proof_names_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let state = State::default();
        let rule = |subject, protocol| Rule { subject, protocol, port: 80 };
        for (subject, protocol, command) in [
            (Subject::Uid(80), Protocol::Tcp, "portacl grant www 80"),
            (Subject::Gid(80), Protocol::Udp, "portacl grant @www 80/udp"),
            (Subject::Uid(4711), Protocol::Tcp, "portacl grant --allow-unknown uid:4711 80"),
            (Subject::Gid(4711), Protocol::Udp, "portacl grant --allow-unknown gid:4711 80/udp"),
        ] {
            let rows = rules(&host, &state, &[rule(subject, protocol)], true).unwrap();
            let first = rows.first().map(Row::check).unwrap();
            assert_eq!(first.status, crate::check::Status::Fail);
            assert!(first.detail.contains(&format!("`gts-bootstrap {command}`")), "{}", first.detail);
        }
        let rows = matrix(&host, Owner { uid: 209, gid: 209 }, &[80], &[80]).unwrap();
        let first = rows.first().map(Row::check).unwrap();
        assert!(first.detail.contains("`gts-bootstrap install`"), "{}", first.detail);
    }
}
