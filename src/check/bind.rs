//! The bind check: the right user can bind the ports, and no other user can.
//!
//! Child processes really switch to each uid and call bind(2); the kernel's answer counts. EADDRINUSE proves
//! permission, because the kernel checks the permission first. So the service keeps running. Modelled on the matrix of
//! FreeBSD's own `tests/sys/mac/portacl`.

use super::permission::{self, NOBODY, Question};
use super::{Check, Matter};
use crate::error_code::ErrorCode;
use crate::host::{BindOutcome, Family, HostError, Observe, Owner};
use crate::parts::port_access::RULES;
use crate::portacl::{self, Protocol, Rule, State, Subject};

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
        family_name(self.protocol, self.family)
    }

    /// The row as a check.
    pub fn check(&self) -> Check {
        let name = format!("bind {} {}/{}", self.user, self.port, self.family());
        let matter = Matter(&name, if self.wanted { ErrorCode::PortRefused } else { ErrorCode::PortOpen });
        let outcome = in_words(self.outcome);
        match self.right() {
            None => matter.skip(outcome),
            Some(true) => matter.pass(outcome),
            Some(false) if self.wanted => matter.fail(format!("{outcome}; {}", self.mend())),
            Some(false) => matter.fail(format!(
                "{outcome}, and must not: {} on this host can impersonate a service on port {}. Close it now with \
                 `sysctl net.inet.ip.portrange.reservedhigh=1023` and look at `sysctl security.mac.portacl`",
                if self.uid == NOBODY { "any user" } else { &self.user },
                self.port
            )),
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

/// `tcp4`, `udp6`, …
pub(super) fn family_name(protocol: Protocol, family: Family) -> String {
    format!("{protocol}{}", if family == Family::V4 { 4 } else { 6 })
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
    let mut rows = Vec::new();
    for (uid, gid) in [(service.uid, service.gid), (NOBODY, NOBODY)] {
        let user = host.user_by_id(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
        for port in tried.iter().copied().chain([other]) {
            let question = Question { uid, groups: vec![gid], protocol: Protocol::Tcp, port };
            let wanted = uid == service.uid && ports.contains(&port);
            rows.extend(both_families(host, &question, (&user, uid), wanted, "gts-bootstrap install")?);
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
    for &as_nobody in if granted { &[false, true][..] } else { &[false] } {
        for &Rule { subject, protocol, port } in rules {
            let (user, id, uid, groups) = match subject {
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
            // An id without an account has no name.
            let named = match subject {
                Subject::Uid(uid) if user == "uid" => format!("--allow-unknown uid:{uid}"),
                Subject::Gid(gid) if user == "@gid" => format!("--allow-unknown gid:{gid}"),
                Subject::Uid(_) | Subject::Gid(_) => user.clone(),
            };
            let suffix = if protocol == Protocol::Udp { "/udp" } else { "" };
            let granted_by = format!("gts-bootstrap portacl grant {named} {port}{suffix}");
            let question = Question { uid, groups, protocol, port };
            let wanted = (granted && !as_nobody) || permission::verdict(state, &question).allowed;
            rows.extend(both_families(host, &question, (&user, id), wanted, &granted_by)?);
        }
    }
    Ok(rows)
}

/// Tries one port over IPv4 and IPv6, for a row each.
fn both_families(
    host: &dyn Observe,
    question: &Question,
    (user, id): (&str, u32),
    wanted: bool,
    granted_by: &str,
) -> Result<[Row; 2], HostError> {
    let row = |family: Family| -> Result<Row, HostError> {
        let outcome = host.bind(&question.probe(family))?;
        let Question { protocol, port, .. } = *question;
        let (user, granted_by) = (user.to_owned(), granted_by.to_owned());
        Ok(Row { user, uid: id, protocol, port, family, outcome, wanted, granted_by })
    };
    Ok([row(Family::V4)?, row(Family::V6)?])
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
