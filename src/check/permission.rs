//! May a user bind a port? The prediction of the rules, in words, and the kernel's answer when it is tried.

use serde::Serialize;

use super::bind;
use crate::host::{BindOutcome, BindProbe, Family, HostError, Observe};
use crate::portacl::{Decision, Errno, KernelRule, Names, Protocol, Request, State, Verdict, may_bind};

/// `nobody`, by convention the user without rights, and its group.
pub(super) const NOBODY: u32 = 65534;

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
pub fn verdict(state: &State, question: &Question) -> Verdict {
    let Question { uid, ref groups, protocol, port } = *question;
    may_bind(&state.policy, &Request { uid, groups, protocol, port, privileged: uid == 0 })
}

/// The rule that decided, if one did.
pub fn rule<'a>(state: &'a State, verdict: &Verdict) -> Option<&'a KernelRule> {
    match verdict.decided_by {
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
pub fn reason(state: &State, question: &Question, verdict: &Verdict, names: &dyn Names) -> String {
    let policy = &state.policy;
    let Question { protocol, port, .. } = *question;
    // The lower end is 0 unless an administrator has raised it. Then it is not worth mentioning.
    let low = match policy.reservedlow {
        0 => String::new(),
        low => format!("net.inet.ip.portrange.reservedlow is {low}, "),
    };
    let reserved = format!("{low}net.inet.ip.portrange.reservedhigh is {}", policy.reservedhigh);
    match verdict.decided_by {
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
pub fn prove(host: &dyn Observe, question: &Question, predicted: &Verdict) -> Result<Vec<Trial>, HostError> {
    let tried = |family| {
        let outcome = host.bind(&question.probe(family))?;
        let family = bind::family_name(question.protocol, family);
        Ok(Trial { family, outcome: bind::in_words(outcome), agrees: agrees(outcome, predicted) })
    };
    [Family::V4, Family::V6].into_iter().map(tried).collect()
}

/// Whether the kernel did what was predicted, including the errno.
fn agrees(outcome: BindOutcome, predicted: &Verdict) -> Option<bool> {
    let errno = match outcome {
        BindOutcome::NoAddress => return None,
        BindOutcome::Bound | BindOutcome::InUse => None,
        BindOutcome::NoRule => Some(Errno::Eperm),
        BindOutcome::Reserved => Some(Errno::Eacces),
        BindOutcome::Other(_) => return Some(false),
    };
    Some(errno == predicted.errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portacl::{NumbersOnly, Policy};

    #[test]
    fn both_ends_of_the_reserved_range_are_named_where_both_decide() {
        let why = |reservedlow, port| {
            let state = State { policy: Policy { reservedlow, ..Policy::default() }, ..State::default() };
            let question = Question { uid: 80, groups: vec![80], protocol: Protocol::Tcp, port };
            reason(&state, &question, &verdict(&state, &question), &NumbersOnly)
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
        let verdict = |errno: Option<Errno>| Verdict { allowed: errno.is_none(), errno, decided_by: Decision::NoRule };
        for (outcome, errno, expected) in [
            (BindOutcome::Bound, None, Some(true)),
            (BindOutcome::InUse, None, Some(true)),
            (BindOutcome::Bound, Some(Errno::Eperm), Some(false)),
            (BindOutcome::NoRule, Some(Errno::Eperm), Some(true)),
            (BindOutcome::NoRule, Some(Errno::Eacces), Some(false)),
            (BindOutcome::Reserved, Some(Errno::Eacces), Some(true)),
            (BindOutcome::Reserved, None, Some(false)),
            (BindOutcome::Other(12), None, Some(false)),
            (BindOutcome::NoAddress, None, None),
        ] {
            assert_eq!(agrees(outcome, &verdict(errno)), expected, "{outcome:?} {errno:?}");
        }
    }
}
