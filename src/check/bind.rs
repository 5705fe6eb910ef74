//! May a user bind a port? The prediction of the rules, in words, and the bind check: the right user can bind the ports, and
//! no other user can.
//!
//! Child processes really switch to each uid and call bind(2); the kernel's answer counts. EADDRINUSE proves
//! permission, because the kernel checks the permission first. So the service keeps running. Modelled on the matrix of
//! FreeBSD's own `tests/sys/mac/portacl`.

use serde::Serialize;

use super::{Check, Matter};
use crate::change::listening::{self, Rightful};
use crate::error_code::ErrorCode;
use crate::front::Front;
use crate::host::{BindOutcome, BindProbe, Family, HostError, Listener, Observe, Owner};
use crate::parts::port_settings::RULES;
use crate::portacl::{self, Decision, Errno, KernelRule, Names, Protocol, Request, Rule, State, Subject, may_bind};

/// `nobody`, by convention the user without rights, and its group.
const NOBODY: u32 = 65534;

/// Ids that hardly an account has, for a host whose rules favour nobody.
const HARDLY_USED: std::ops::Range<u32> = 65_000..65_533;

/// Low ports that the service does not use. The check tries the first one without a rule.
const OTHER_PORTS: [u16; 4] = [25, 81, 1023, 7];

/// A user and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The user.
    pub uid: u32,
    /// Its groups, the primary one first.
    pub groups: Vec<u32>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl Question {
    /// The bind request that answers it.
    pub fn probe(&self, family: Family) -> BindProbe {
        let Self { uid, ref groups, protocol, port } = *self;
        let gid = groups.first().copied().unwrap_or(NOBODY);
        BindProbe { uid, gid, groups: groups.clone(), family, protocol, port }
    }
}

/// One attempt to bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// `tcp4`, `udp6`, …
    pub family: String,
    /// The result of bind(2), in words.
    pub outcome: String,
    /// Whether the prediction was right; `None` if the host has no such address.
    pub agrees: Option<bool>,
}

/// The groups of a user, the primary one first. An id without an account has only the group of nobody.
///
/// # Errors
/// The databases cannot be read.
pub fn groups_of(host: &dyn Observe, uid: u32) -> Result<Vec<u32>, HostError> {
    host.user_by_id(uid)?.map_or_else(|| Ok(vec![NOBODY]), |user| host.groups_of(&user.name))
}

/// What the rules predict.
pub fn verdict(state: &State, question: &Question) -> Decision {
    let Question { uid, ref groups, protocol, port } = *question;
    may_bind(&state.policy, &Request { uid, groups, protocol, port, privileged: uid == 0 })
}

/// The rule that decided, if one did.
pub fn rule(state: &State, decision: Decision) -> Option<&KernelRule> {
    match decision {
        Decision::Rule { index } => state.policy.rules.get(index),
        _ => None,
    }
}

/// What decided, as a word for other programs.
pub fn code(decision: Decision) -> &'static str {
    match decision {
        Decision::Rule { .. } => "rule",
        Decision::ReservedRange => "reserved-range",
        Decision::Privilege => "privilege",
        Decision::OrdinaryPort => "ordinary-port",
        Decision::AbovePortHigh => "above-port-high",
        Decision::SuserExempt => "suser-exempt",
        Decision::NoRule => "no-rule",
        Decision::PortZero => "port-zero",
    }
}

/// The reason, with the rule or the setting that decided.
pub fn reason(state: &State, question: &Question, decision: Decision, names: &dyn Names) -> String {
    let policy = &state.policy;
    let Question { protocol, port, .. } = *question;
    // The lower end is 0 unless an administrator has raised it. Then it is not worth mentioning.
    let low = match policy.reservedlow {
        0 => String::new(),
        low => format!("net.inet.ip.portrange.reservedlow is {low}, "),
    };
    let reserved = format!("{low}net.inet.ip.portrange.reservedhigh is {}", policy.reservedhigh);
    match decision {
        Decision::Rule { index } => {
            let text = policy.rules.get(index).map_or("", |rule| &rule.text);
            format!("rule {}, {text}", index + 1)
        }
        Decision::ReservedRange if policy.loaded && policy.enabled != 0 => {
            let has_rule = policy.rules.iter().any(|rule| rule.protocol == protocol && rule.port == port);
            let passed = if has_rule { "mac_portacl has no objection, but " } else { "" };
            format!("{passed}the port is reserved for root: {reserved}")
        }
        Decision::ReservedRange => {
            format!("the port is reserved for root: {reserved}, and mac_portacl is not in force")
        }
        Decision::Privilege => format!("root may bind reserved ports ({reserved})"),
        Decision::OrdinaryPort => {
            let open = if port < 1024 { ", so ANY user may bind it" } else { "" };
            format!("mac_portacl is not in force, and the port is not reserved: {reserved}{open}")
        }
        Decision::AbovePortHigh => {
            format!("security.mac.portacl.port_high is {}, and above it anybody may", policy.port_high)
        }
        Decision::SuserExempt => "no rule is needed by root: security.mac.portacl.suser_exempt is 1".to_owned(),
        Decision::NoRule if question.uid == 0 => {
            "no rule allows it, and security.mac.portacl.suser_exempt is 0, so that root needs one, too".to_owned()
        }
        Decision::NoRule => {
            let name = names.service(port, protocol).map(|name| format!(" ({name})")).unwrap_or_default();
            format!("no mac_portacl rule allows {protocol} port {port}{name}")
        }
        Decision::PortZero => "port 0 asks for any free port".to_owned(),
    }
}

/// Tries it with the kernel, as that user, over IPv4 and IPv6.
///
/// # Errors
/// A probe could not be run, for example without root.
pub fn prove(host: &dyn Observe, question: &Question, predicted: Decision) -> Result<Vec<Trial>, HostError> {
    let tried = |family| {
        let outcome = host.bind(&question.probe(family))?;
        let family = family_name(question.protocol, family);
        Ok(Trial { family, outcome: in_words(outcome), agrees: agrees(outcome, predicted) })
    };
    [Family::V4, Family::V6].into_iter().map(tried).collect()
}

/// Whether the kernel did what was predicted, including the errno.
fn agrees(outcome: BindOutcome, predicted: Decision) -> Option<bool> {
    let errno = match outcome {
        BindOutcome::NoAddress => return None,
        BindOutcome::Bound | BindOutcome::InUse => None,
        BindOutcome::NoRule => Some(Errno::Eperm),
        BindOutcome::Reserved => Some(Errno::Eacces),
        BindOutcome::Other(_) => return Some(false),
    };
    Some(errno == predicted.errno())
}

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
    /// Whether the user stands for everybody to whom no rule gives anything.
    pub bystander: bool,
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
                if self.bystander { "any user" } else { &self.user },
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
fn family_name(protocol: Protocol, family: Family) -> String {
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

/// A user who stands for everybody else: nobody, or an id without an account where a rule favours nobody. Its name, and its
/// uid, which is its gid too.
fn bystander(host: &dyn Observe, favoured: impl Fn(u32) -> bool) -> Result<(String, u32), HostError> {
    if !favoured(NOBODY) {
        return Ok(("nobody".to_owned(), NOBODY));
    }
    for id in HARDLY_USED.rev().filter(|id| !favoured(*id)) {
        if host.user_by_id(id)?.is_none() && host.group_by_id(id)?.is_none() {
            return Ok(("uid".to_owned(), id));
        }
    }
    let text =
        "a rule is for nobody, and every id that hardly an account has is taken, so that no other user is left to try";
    Err(HostError::Unreadable { what: "the users of this host".to_owned(), text: text.to_owned() })
}

/// Whether one of these rules is for the user or the group with this id.
fn is_for(rules: &[Rule], id: u32) -> bool {
    rules.iter().any(|rule| matches!(rule.subject, Subject::Uid(named) | Subject::Gid(named) if named == id))
}

/// Tries the whole matrix: {service user, another user} × {`tried`, another low port} × {IPv4, IPv6}. The service user should
/// have `ports`, which are among `tried`, and no others.
///
/// # Errors
/// A probe could not be run.
pub fn matrix(host: &dyn Observe, service: Owner, tried: &[u16], ports: &[u16]) -> Result<Vec<Row>, HostError> {
    let list = host.sysctl(RULES)?.and_then(|text| portacl::parse_kernel(&text).ok()).unwrap_or_default();
    let in_force: Vec<Rule> = list.iter().filter_map(KernelRule::effective).collect();
    let granted: Vec<u16> = in_force.iter().map(|rule| rule.port).collect();
    let other = OTHER_PORTS.into_iter().find(|port| !granted.contains(port)).unwrap_or(OTHER_PORTS[0]);
    let mut rows = Vec::new();
    let name = host.user_by_id(service.uid)?.map_or_else(|| service.uid.to_string(), |user| user.name);
    let (other_name, other_id) = bystander(host, |id| is_for(&in_force, id))?;
    for (user, uid, gid) in [(name, service.uid, service.gid), (other_name, other_id, other_id)] {
        for port in tried.iter().copied().chain([other]) {
            let question = Question { uid, groups: vec![gid], protocol: Protocol::Tcp, port };
            let wanted = uid == service.uid && ports.contains(&port);
            let mut both = both_families(host, &question, (&user, uid), wanted, "gts-bootstrap install")?;
            both.iter_mut().for_each(|row| row.bystander = uid != service.uid);
            rows.extend(both);
        }
    }
    Ok(rows)
}

/// Tries the ports of these rules, as the user or group that each rule names, and for `granted` rules also as somebody whom
/// no rule in force favours. A granted port must be possible. Otherwise the prediction from `state` must be right.
///
/// # Errors
/// A probe could not be run.
pub fn rules(host: &dyn Observe, state: &State, rules: &[Rule], granted: bool) -> Result<Vec<Row>, HostError> {
    let mut rows = Vec::new();
    let in_force: Vec<Rule> = state.policy.rules.iter().filter_map(KernelRule::effective).collect();
    let other = bystander(host, |id| is_for(&in_force, id) || is_for(rules, id))?;
    for other in [None, granted.then_some(other)].iter().take(1 + usize::from(granted)) {
        for &Rule { subject, protocol, port } in rules {
            let (user, id, uid, groups) = match subject {
                _ if let Some((name, id)) = other => (name.clone(), *id, *id, vec![*id]),
                Subject::Uid(uid) => {
                    let name = host.user_by_id(uid)?.map_or_else(|| "uid".to_owned(), |user| user.name);
                    (name, uid, uid, groups_of(host, uid)?)
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
            let wanted = (granted && other.is_none()) || verdict(state, &question).errno().is_none();
            let mut both = both_families(host, &question, (&user, id), wanted, &granted_by)?;
            both.iter_mut().for_each(|row| row.bystander = other.is_some());
            rows.extend(both);
        }
    }
    Ok(rows)
}

/// Looks for sockets that have survived the loss of these rules: whoever has one keeps the port until it is closed.
///
/// # Errors
/// The host cannot be read.
pub fn still_open(host: &dyn Observe, state: &State, revoked: &[Rule]) -> Result<Vec<Check>, HostError> {
    let (tcp, udp) = (host.listeners()?, host.sockets(Protocol::Udp)?);
    let fronts = Front::ALL.into_iter().map(|front| Rightful::front(host, front));
    let fronts = fronts.collect::<Result<Vec<_>, _>>()?;
    let unreadable = [&tcp, &udp].into_iter().filter_map(listening::unreadable);
    let mut checks: Vec<Check> = unreadable.map(|why| Matter("listeners", ErrorCode::PortTaken).fail(why)).collect();
    checks.dedup();
    for &Rule { subject, protocol, port } in revoked {
        let name = format!("socket {port}/{protocol}");
        let matter = Matter(&name, ErrorCode::PortTaken);
        let sockets = if protocol == Protocol::Udp { &udp } else { &tcp };
        let on_port = || sockets.iter().filter(|it| it.port == port);
        let place = |it: &Listener| (it.address, it.ipv4, it.ipv6);
        // A web server's processes inherit what root has opened, and has open still.
        let is_inherited = |it: &Listener| {
            let is_roots = |other: &Listener| other.uid == Some(0) && place(other) == place(it);
            fronts.iter().any(|front| front.have(it) && on_port().any(|other| is_roots(other) && front.have(other)))
        };
        for socket in on_port().filter(|it| !is_inherited(it)) {
            let may_not = match socket.uid {
                None => true,
                Some(uid) => {
                    let groups = groups_of(host, uid)?;
                    let had = match subject {
                        Subject::Uid(subject) => subject == uid,
                        Subject::Gid(group) => groups.contains(&group),
                    };
                    had && verdict(state, &Question { uid, groups, protocol, port }).errno().is_some()
                }
            };
            let check = may_not.then(|| matter.fail(listening::may_not(socket)));
            checks.extend(check.filter(|check| !checks.contains(check)));
        }
    }
    Ok(checks)
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
        Ok(Row { user, uid: id, protocol, port, family, outcome, wanted, bystander: false, granted_by })
    };
    Ok([row(Family::V4)?, row(Family::V6)?])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::portacl::{NumbersOnly, Policy};

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

    #[test]
    fn a_negative_proof_is_made_with_somebody_whom_no_rule_favours() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let who = |list: &str, granted: &[Rule]| {
            let policy = Policy { rules: portacl::parse_kernel(list).unwrap(), ..Policy::default() };
            let rows = rules(&host, &State { policy, ..State::default() }, granted, true).unwrap();
            let others: Vec<u32> = rows.iter().filter(|row| row.bystander).map(|row| row.uid).collect();
            assert_eq!(others.len(), rows.len() / 2);
            others[0]
        };
        let grant = |subject| [Rule { subject, protocol: Protocol::Tcp, port: 81 }];
        assert_eq!(who("", &grant(Subject::Uid(80))), NOBODY);
        assert_eq!(who("", &grant(Subject::Uid(NOBODY))), 65_532);
        assert_eq!(who("gid:65534:udp:53,uid:65532:tcp:1", &grant(Subject::Gid(80))), 65_531);
    }

    #[test]
    fn both_ends_of_the_reserved_range_are_named_where_both_decide() {
        let why = |reservedlow, port| {
            let state = State { policy: Policy { reservedlow, ..Policy::default() }, ..State::default() };
            let question = Question { uid: 80, groups: vec![80], protocol: Protocol::Tcp, port };
            reason(&state, &question, verdict(&state, &question), &NumbersOnly)
        };
        assert_eq!(
            why(0, 80),
            "the port is reserved for root: net.inet.ip.portrange.reservedhigh is 1023, and mac_portacl is not in force"
        );
        let low = why(500, 80);
        assert!(low.contains("reservedlow is 500") && low.contains("ANY user"), "{low}");
        assert!(why(500, 600).contains("reserved for root: net.inet.ip.portrange.reservedlow is 500"));
    }

    #[test]
    fn the_errno_has_to_be_the_one_that_was_predicted() {
        use Decision::{NoRule, OrdinaryPort, ReservedRange};
        for (outcome, predicted, expected) in [
            (BindOutcome::Bound, OrdinaryPort, Some(true)),
            (BindOutcome::InUse, OrdinaryPort, Some(true)),
            (BindOutcome::Bound, NoRule, Some(false)),
            (BindOutcome::NoRule, NoRule, Some(true)),
            (BindOutcome::NoRule, ReservedRange, Some(false)),
            (BindOutcome::Reserved, ReservedRange, Some(true)),
            (BindOutcome::Reserved, OrdinaryPort, Some(false)),
            (BindOutcome::Other(12), OrdinaryPort, Some(false)),
            (BindOutcome::NoAddress, OrdinaryPort, None),
        ] {
            assert_eq!(agrees(outcome, predicted), expected, "{outcome:?} {predicted:?}");
        }
    }
}
