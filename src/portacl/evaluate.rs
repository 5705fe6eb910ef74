//! Decides like bind(2): may this process bind this port, and which gate decides?
//!
//! The gates come in the kernel's order. First `mac_portacl`: `socket_check_bind()` and `rules_check()` in
//! `sys/security/mac_portacl/mac_portacl.c`, which return EPERM. Then the protocol's own reserved range:
//! `in_pcbbind_setup()` in `sys/netinet/in_pcb.c` and its counterpart in `sys/netinet6/in6_pcb.c`, which return EACCES.
//! A rule opens only the first gate. The reserved range must not cover the port either.
//!
//! Left out, because they concern the socket and not the permission: EADDRINUSE, EADDRNOTAVAIL, raw sockets, and
//! `IP_PORTRANGE_LOW`, with which binding port 0 is not exempt.

use std::fmt;

use super::kernel::{KernelId, KernelRule};
use super::rule::Protocol;

/// Every setting of the host that matters. The numbers are the sysctls' own, signed and of 32 bits: for the switches
/// every value but 0 means on, and a negative bound is below every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether the module `mac_portacl` is in the kernel. If not, the fields up to `rules` do not matter.
    pub loaded: bool,
    /// `security.mac.portacl.enabled`: 0 disables this gate.
    pub enabled: i32,
    /// `security.mac.portacl.suser_exempt`: if not 0, privilege replaces a rule.
    pub suser_exempt: i32,
    /// `security.mac.portacl.autoport_exempt`: if not 0, port 0 (any free port) needs no rule.
    pub autoport_exempt: i32,
    /// `security.mac.portacl.port_high`: ports above it need no rule.
    pub port_high: i32,
    /// `security.mac.portacl.rules`, as [`parse_kernel`](super::parse_kernel) reads them.
    pub rules: Vec<KernelRule>,
    /// `net.inet.ip.portrange.reservedlow`: the first port reserved for privilege. It is IPv6's bound, too.
    pub reservedlow: i32,
    /// `net.inet.ip.portrange.reservedhigh`: the last port reserved for privilege. It is IPv6's bound, too.
    pub reservedhigh: i32,
}

impl Default for Policy {
    /// FreeBSD's defaults: the module is not loaded, and its switches have the values that loading gives them.
    fn default() -> Self {
        Policy {
            loaded: false,
            enabled: 1,
            suser_exempt: 1,
            autoport_exempt: 1,
            port_high: 1023,
            rules: Vec::new(),
            reservedlow: 0,
            reservedhigh: 1023,
        }
    }
}

impl Policy {
    /// Whether portacl is in force.
    pub fn enforces(&self) -> bool {
        self.loaded && self.enabled != 0
    }

    /// Whether the reserved range covers the port. Port 0 never reaches it: in_pcb.c checks only a named port.
    pub(super) fn reserves(&self, port: u16) -> bool {
        port != 0 && (self.reservedlow..=self.reservedhigh).contains(&i32::from(port))
    }
}

/// A process that wants to bind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The effective user id.
    pub uid: u32,
    /// The groups: the effective one first, then the supplementary ones.
    pub groups: &'a [u32],
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port; 0 asks for any free one.
    pub port: u16,
    /// Whether the process has the privilege `PRIV_NETINET_RESERVEDPORT`, as root has outside a jail.
    pub privileged: bool,
}

/// The error that bind(2) returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Errno {
    /// 1, “Operation not permitted”: no portacl rule allows it.
    Eperm,
    /// 13, “Permission denied”: the reserved range covers the port.
    Eacces,
}

/// The gate or rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Allowed: port 0, which stands for any free port.
    PortZero,
    /// Allowed: the port is above `port_high`, and the reserved range does not cover it.
    AbovePortHigh,
    /// Allowed: by this rule, the first that matches.
    Rule {
        /// Its index in [`Policy::rules`], counted from 0.
        index: usize,
    },
    /// Allowed: no rule matches, but the process is privileged and `suser_exempt` is on.
    SuserExempt,
    /// Refused with EPERM: no rule matches, and privilege does not help.
    NoRule,
    /// Refused with EACCES: the reserved range covers the port. Portacl allowed it, or is not in force.
    ReservedRange,
    /// Allowed: the reserved range covers the port, but the process is privileged. Portacl did not check.
    Privilege,
    /// Allowed: portacl is not in force, and the reserved range does not cover the port. Any user may bind it.
    OrdinaryPort,
}

impl Decision {
    /// The error that bind(2) returns; none if it is permitted. The port may still be in use.
    pub fn errno(self) -> Option<Errno> {
        match self {
            Self::NoRule => Some(Errno::Eperm),
            Self::ReservedRange => Some(Errno::Eacces),
            _ => None,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Errno::Eperm => "EPERM",
            Errno::Eacces => "EACCES",
        })
    }
}

/// Decides whether bind(2) permits this port to this process, and by which gate.
pub fn may_bind(policy: &Policy, request: &Request<'_>) -> Decision {
    let passed = policy.enforces().then(|| pass_portacl(policy, request));
    let reserved = policy.reserves(request.port);
    match passed {
        Some(Decision::NoRule) => Decision::NoRule,
        _ if reserved && !request.privileged => Decision::ReservedRange,
        Some(decision @ (Decision::Rule { .. } | Decision::SuserExempt)) => decision,
        _ if reserved => Decision::Privilege,
        Some(decision) => decision,
        None if request.port == 0 => Decision::PortZero,
        None => Decision::OrdinaryPort,
    }
}

/// The first gate, while the module is in force: how the process passes it, or that no rule allows it.
fn pass_portacl(policy: &Policy, request: &Request<'_>) -> Decision {
    if request.port == 0 && policy.autoport_exempt != 0 {
        return Decision::PortZero;
    }
    if i32::from(request.port) > policy.port_high {
        return Decision::AbovePortHigh;
    }
    let matches = |rule: &KernelRule| {
        let is_subject = match rule.id {
            KernelId::Uid(id) => i64::from(request.uid) == id,
            // groupmember(9) gets it truncated to 32 bits.
            KernelId::Gid(id) => request.groups.contains(&(id as u32)),
        };
        is_subject && rule.protocol == request.protocol && rule.port == request.port
    };
    match policy.rules.iter().position(matches) {
        Some(index) => Decision::Rule { index },
        None if policy.suser_exempt != 0 && request.privileged => Decision::SuserExempt,
        None => Decision::NoRule,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::portacl::parse_kernel;
    use Protocol::{Tcp, Udp};

    const OK: Option<Errno> = None;
    const EPERM: Option<Errno> = Some(Errno::Eperm);
    const EACCES: Option<Errno> = Some(Errno::Eacces);

    fn loaded(rules: &str, reservedhigh: i32) -> Policy {
        Policy { loaded: true, rules: parse_kernel(rules).unwrap(), reservedhigh, ..Policy::default() }
    }

    /// As measured with a small program that switches to the ids and calls bind(2).
    fn bind(policy: &Policy, uid: u32, groups: &[u32], protocol: Protocol, port: u16) -> Decision {
        may_bind(policy, &Request { uid, groups, protocol, port, privileged: uid == 0 })
    }

    fn tcp(policy: &Policy, uid: u32, port: u16) -> Option<Errno> {
        bind(policy, uid, &[uid], Tcp, port).errno()
    }

    #[test]
    fn seen_without_the_module() {
        let policy = Policy::default();
        assert_eq!(tcp(&policy, 209, 80), EACCES);
        assert_eq!(tcp(&policy, 65534, 80), EACCES);
        assert_eq!(bind(&policy, 209, &[209], Udp, 80).errno(), EACCES);
        assert_eq!(tcp(&policy, 209, 1023), EACCES);
        assert_eq!(tcp(&policy, 209, 1024), OK);
        assert_eq!(tcp(&policy, 0, 80), OK);
    }

    #[test]
    fn seen_with_the_module_and_no_rules() {
        let policy = loaded("", 1023);
        assert_eq!(tcp(&policy, 209, 80), EPERM);
        assert_eq!(tcp(&policy, 0, 80), OK);
        assert_eq!(tcp(&policy, 209, 1024), OK);
        assert_eq!(tcp(&policy, 209, 8080), OK);
        assert_eq!(tcp(&policy, 209, 0), OK);
    }

    #[test]
    fn seen_with_a_rule_while_the_range_is_still_reserved() {
        let policy = loaded("uid:209:tcp:80", 1023);
        assert_eq!(tcp(&policy, 209, 80), EACCES);
        assert_eq!(tcp(&policy, 65534, 80), EPERM);
    }

    #[test]
    fn seen_with_a_rule_and_no_reserved_range() {
        let policy = loaded("uid:209:tcp:80", 0);
        assert_eq!(tcp(&policy, 209, 80), OK);
        assert_eq!(tcp(&policy, 65534, 80), EPERM);
        assert_eq!(bind(&policy, 209, &[209], Udp, 80).errno(), EPERM);
        assert_eq!(tcp(&policy, 209, 81), EPERM);
        assert_eq!(tcp(&policy, 209, 443), EPERM);
        assert_eq!(tcp(&policy, 65534, 22), EPERM);
        assert_eq!(tcp(&policy, 65534, 1023), EPERM);
        assert_eq!(tcp(&policy, 65534, 1024), OK);
        assert_eq!(tcp(&policy, 0, 80), OK);
    }

    #[test]
    fn seen_with_gid_rules() {
        let policy = loaded("gid:209:tcp:443", 0);
        assert_eq!(bind(&policy, 1001, &[209], Tcp, 443).errno(), OK);
        assert_eq!(bind(&policy, 1001, &[1001, 209], Tcp, 443).errno(), OK);
        assert_eq!(bind(&policy, 1001, &[1001], Tcp, 443).errno(), EPERM);
        assert_eq!(bind(&policy, 209, &[1001], Tcp, 443).errno(), EPERM);
        assert_eq!(bind(&policy, 209, &[209], Tcp, 80).errno(), EPERM);
    }

    #[test]
    fn seen_with_several_rules() {
        let policy = loaded("uid:209:tcp:80,uid:209:tcp:443,uid:80:udp:53", 0);
        assert_eq!(tcp(&policy, 209, 80), OK);
        assert_eq!(tcp(&policy, 209, 443), OK);
        assert_eq!(bind(&policy, 80, &[80], Udp, 53).errno(), OK);
        assert_eq!(tcp(&policy, 80, 53), EPERM);
    }

    #[test]
    fn seen_with_odd_rules() {
        assert_eq!(tcp(&loaded("uid:65534:tcp:65616", 0), 65534, 80), OK);
        assert_eq!(tcp(&loaded("uid:4295032830:tcp:80", 0), 65534, 80), EPERM);
        let strict = |rules| Policy { suser_exempt: 0, ..loaded(rules, 0) };
        assert_eq!(tcp(&loaded("uid::tcp:80", 0), 0, 80), OK);
        assert_eq!(tcp(&strict("uid::tcp:80"), 0, 80), OK);
        assert_eq!(tcp(&strict("uid:209:tcp:80"), 0, 80), EPERM);
        assert_eq!(tcp(&strict("uid:209:tcp:80"), 209, 80), OK);
    }

    #[test]
    fn seen_with_port_high_moved() {
        let policy = Policy { port_high: 9000, ..loaded("uid:209:tcp:80", 0) };
        assert_eq!(tcp(&policy, 65534, 8080), EPERM);
        assert_eq!(tcp(&policy, 65534, 9001), OK);
    }

    #[test]
    fn seen_with_the_module_switched_off_or_unloaded_while_nothing_is_reserved() {
        let off = Policy { enabled: 0, ..loaded("uid:209:tcp:80", 0) };
        assert_eq!(tcp(&off, 65534, 80), OK);
        let unloaded = Policy { loaded: false, ..loaded("", 0) };
        assert_eq!(tcp(&unloaded, 65534, 80), OK);
        // A value of 2 also means on.
        let two = Policy { enabled: 2, ..loaded("uid:209:tcp:80", 0) };
        assert_eq!(tcp(&two, 65534, 80), EPERM);
    }

    /// reservedhigh 79 keeps ports 1 to 79 closed on a boot without the module, and opens the rest to every user.
    #[test]
    fn seen_with_reservedhigh_just_below_the_ports_in_use() {
        let policy = loaded("uid:209:tcp:80,uid:209:tcp:443", 79);
        assert_eq!(tcp(&policy, 209, 80), OK);
        assert_eq!(tcp(&policy, 209, 443), OK);
        assert_eq!(tcp(&policy, 65534, 80), EPERM);
        let without = Policy { loaded: false, ..policy };
        assert_eq!(tcp(&without, 65534, 22), EACCES);
        assert_eq!(tcp(&without, 65534, 80), OK);
    }

    #[test]
    fn the_decision_names_the_gate() {
        let rules = "uid:1:tcp:80,uid:209:tcp:80,uid:209:tcp:80";
        let decision = |policy: &Policy, uid, port| bind(policy, uid, &[uid], Tcp, port);
        let open = loaded(rules, 0);
        let reserved = loaded(rules, 1023);
        assert_eq!(decision(&open, 209, 80), Decision::Rule { index: 1 });
        assert_eq!(decision(&open, 0, 80), Decision::SuserExempt);
        assert_eq!(decision(&reserved, 0, 80), Decision::SuserExempt);
        assert_eq!(decision(&open, 65534, 80), Decision::NoRule);
        assert_eq!(decision(&open, 209, 0), Decision::PortZero);
        assert_eq!(decision(&open, 209, 1024), Decision::AbovePortHigh);
        assert_eq!(decision(&reserved, 209, 80), Decision::ReservedRange);
        let absent = Policy::default();
        assert_eq!(decision(&absent, 209, 0), Decision::PortZero);
        assert_eq!(decision(&absent, 209, 80), Decision::ReservedRange);
        assert_eq!(decision(&absent, 0, 80), Decision::Privilege);
        assert_eq!(decision(&absent, 209, 1024), Decision::OrdinaryPort);
        let low = Policy { port_high: 50, ..reserved };
        assert_eq!(decision(&low, 0, 80), Decision::Privilege);
        assert_eq!(decision(&low, 209, 80), Decision::ReservedRange);
    }

    #[test]
    fn port_zero_without_its_exemption_needs_a_rule_and_is_never_reserved() {
        let policy = |rules, port_high| Policy { autoport_exempt: 0, port_high, ..loaded(rules, 1023) };
        assert_eq!(tcp(&policy("", 1023), 209, 0), EPERM);
        let verdict = bind(&policy("uid:209:tcp:65536", 1023), 209, &[209], Tcp, 0);
        assert_eq!(verdict, Decision::Rule { index: 0 });
        let verdict = bind(&policy("", -1), 209, &[209], Tcp, 0);
        assert_eq!(verdict, Decision::AbovePortHigh);
    }

    #[test]
    fn signed_bounds_are_compared_as_the_kernel_does() {
        let policy = loaded("", -1);
        assert_eq!(tcp(&policy, 209, 1024), OK);
        let all = Policy { reservedhigh: 70_000, ..Policy::default() };
        assert_eq!(tcp(&all, 209, 65535), EACCES);
        let from = Policy { reservedlow: 100, ..Policy::default() };
        assert_eq!(tcp(&from, 209, 99), OK);
        assert_eq!(tcp(&from, 209, 100), EACCES);
        let below_every_port = Policy { port_high: -1, ..loaded("", 0) };
        assert_eq!(tcp(&below_every_port, 209, 80), OK);
    }
}
