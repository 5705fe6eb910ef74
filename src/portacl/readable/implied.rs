//! The lines that follow from the settings of the kernel, whatever the list of rules contains.
//!
//! They agree with [`may_bind`](crate::portacl::may_bind). The property test in `print.rs` verifies this.

use std::ops::Range;

use super::line::{Action, Line, PortRange, Sign, Whom};
use crate::portacl::Policy;

/// The ports that FreeBSD reserves for root by default. If one of them is open to every user, that is worth a warning.
const LOW_PORTS: Range<i32> = 1..1024;

/// The ports that each of the two gates checks.
pub(super) struct Gates {
    /// Ports for which mac_portacl requires a rule; includes port 0 if it is not exempt.
    pub enforced: Range<i32>,
    /// Ports that are reserved for privilege.
    pub reserved: Range<i32>,
}

impl Gates {
    pub(super) fn of(policy: &Policy) -> Gates {
        let last = |bound: i32| bound.min(i32::from(u16::MAX)) + 1;
        let first = i32::from(policy.autoport_exempt != 0);
        let enforced = if policy.enforces() { first..last(policy.port_high) } else { 0..0 };
        Gates { enforced, reserved: policy.reservedlow.max(1)..last(policy.reservedhigh) }
    }
}

/// The implied lines, in the order in which they apply after the rules.
pub(super) fn implied(policy: &Policy, numbers_only: bool) -> Vec<Line> {
    let Gates { enforced, reserved } = Gates::of(policy);
    let root = || Whom::User { id: 0, name: (!numbers_only).then(|| "root".to_owned()) };
    let reservation = reservation(policy);
    let mut lines = Vec::new();
    if policy.suser_exempt != 0 {
        lines.extend(line(Action::Pass, &enforced, root(), "suser_exempt"));
    }
    for ports in without(&reserved, &enforced) {
        lines.extend(line(Action::Pass, &ports, root(), &reservation));
    }
    for ports in without(&enforced, &reserved) {
        lines.extend(line(Action::Block, &ports, Whom::All, "mac_portacl default"));
    }
    lines.extend(line(Action::Block, &reserved, Whom::All, &reservation));
    let reason = match (policy.loaded, policy.enabled) {
        (false, _) => "OPEN: mac_portacl is not loaded".to_owned(),
        (true, 0) => "OPEN: mac_portacl is switched off".to_owned(),
        (true, _) => format!("OPEN: port_high is {}", policy.port_high),
    };
    for ports in without(&LOW_PORTS, &enforced).iter().flat_map(|ports| without(ports, &reserved)) {
        lines.extend(line(Action::Pass, &ports, Whom::All, &reason));
    }
    lines
}

/// The setting that reserves ports for privilege, as a note shows it.
pub(super) fn reservation(policy: &Policy) -> String {
    let high = format!("reservedhigh {}", policy.reservedhigh);
    // Port 1 is the first port, so 0 and every lower value mean the same as 1.
    if policy.reservedlow > 1 { format!("reservedlow {}, {high}", policy.reservedlow) } else { high }
}

/// The rest of `ports`, in at most two pieces.
fn without(ports: &Range<i32>, taken: &Range<i32>) -> Vec<Range<i32>> {
    if taken.is_empty() {
        return vec![ports.clone()];
    }
    vec![ports.start..ports.end.min(taken.start), ports.start.max(taken.end)..ports.end]
}

/// No line for no ports.
fn line(action: Action, ports: &Range<i32>, subject: Whom, note: &str) -> Option<Line> {
    if ports.is_empty() {
        return None;
    }
    let ports = PortRange { first: u16::try_from(ports.start).ok()?, last: u16::try_from(ports.end - 1).ok()? };
    Some(Line {
        sign: Sign::Both,
        action,
        protocol: None,
        ports,
        service: None,
        subject,
        note: Some(note.to_owned()),
        effective: true,
        root_alone: false,
        implied: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portacl::readable::render;

    fn table(policy: &Policy) -> String {
        render(&implied(policy, false))
    }

    fn loaded() -> Policy {
        Policy { loaded: true, ..Policy::default() }
    }

    #[test]
    fn freebsd_as_it_comes() {
        assert_eq!(
            table(&Policy::default()),
            "pass  proto any  port 1-1023  user root  # reservedhigh 1023\n\
             block proto any  port 1-1023  all        # reservedhigh 1023\n"
        );
    }

    #[test]
    fn open_without_the_module() {
        assert_eq!(
            table(&Policy { reservedhigh: 79, ..Policy::default() }),
            "pass  proto any  port 1-79     user root  # reservedhigh 79\n\
             block proto any  port 1-79     all        # reservedhigh 79\n\
             pass  proto any  port 80-1023  all        # OPEN: mac_portacl is not loaded\n"
        );
        assert_eq!(
            table(&Policy { reservedhigh: 0, enabled: 0, ..loaded() }),
            "pass  proto any  port 1-1023  all  # OPEN: mac_portacl is switched off\n"
        );
    }

    #[test]
    fn the_module_in_front_of_the_whole_reserved_range() {
        assert_eq!(
            table(&loaded()),
            "pass  proto any  port 1-1023  user root  # suser_exempt\n\
             block proto any  port 1-1023  all        # reservedhigh 1023\n"
        );
        assert_eq!(
            table(&Policy { suser_exempt: 0, ..loaded() }),
            "block proto any  port 1-1023  all  # reservedhigh 1023\n"
        );
    }

    #[test]
    fn nothing_reserved() {
        for reservedhigh in [0, -1, i32::MIN] {
            assert_eq!(
                table(&Policy { reservedhigh, ..loaded() }),
                "pass  proto any  port 1-1023  user root  # suser_exempt\n\
                 block proto any  port 1-1023  all        # mac_portacl default\n"
            );
        }
    }

    #[test]
    fn port_high_above_and_below() {
        assert_eq!(
            table(&Policy { port_high: 9000, reservedhigh: 79, ..loaded() }),
            "pass  proto any  port 1-9000   user root  # suser_exempt\n\
             block proto any  port 80-9000  all        # mac_portacl default\n\
             block proto any  port 1-79     all        # reservedhigh 79\n"
        );
        assert_eq!(
            table(&Policy { port_high: 500, reservedhigh: 79, ..loaded() }),
            "pass  proto any  port 1-500     user root  # suser_exempt\n\
             block proto any  port 80-500    all        # mac_portacl default\n\
             block proto any  port 1-79      all        # reservedhigh 79\n\
             pass  proto any  port 501-1023  all        # OPEN: port_high is 500\n"
        );
        assert_eq!(
            table(&Policy { port_high: -1, reservedhigh: 1, ..loaded() }),
            "pass  proto any  port 1       user root  # reservedhigh 1\n\
             block proto any  port 1       all        # reservedhigh 1\n\
             pass  proto any  port 2-1023  all        # OPEN: port_high is -1\n"
        );
    }

    #[test]
    fn reserved_above_port_high_and_from_a_low_bound_on() {
        assert_eq!(
            table(&Policy { reservedlow: 100, reservedhigh: i32::MAX, ..loaded() }),
            "pass  proto any  port 1-1023      user root  # suser_exempt\n\
             pass  proto any  port 1024-65535  user root  # reservedlow 100, reservedhigh 2147483647\n\
             block proto any  port 1-99        all        # mac_portacl default\n\
             block proto any  port 100-65535   all        # reservedlow 100, reservedhigh 2147483647\n"
        );
        assert_eq!(
            table(&Policy { reservedlow: 100, reservedhigh: 200, ..loaded() }),
            "pass  proto any  port 1-1023    user root  # suser_exempt\n\
             block proto any  port 1-99      all        # mac_portacl default\n\
             block proto any  port 201-1023  all        # mac_portacl default\n\
             block proto any  port 100-200   all        # reservedlow 100, reservedhigh 200\n"
        );
        assert_eq!(
            table(&Policy { reservedlow: 100, ..Policy::default() }),
            "pass  proto any  port 100-1023  user root  # reservedlow 100, reservedhigh 1023\n\
             block proto any  port 100-1023  all        # reservedlow 100, reservedhigh 1023\n\
             pass  proto any  port 1-99      all        # OPEN: mac_portacl is not loaded\n"
        );
    }

    #[test]
    fn port_zero_only_where_it_is_not_exempt() {
        assert_eq!(
            table(&Policy { autoport_exempt: 0, reservedhigh: 79, ..loaded() }),
            "pass  proto any  port 0-1023   user root  # suser_exempt\n\
             block proto any  port 0        all        # mac_portacl default\n\
             block proto any  port 80-1023  all        # mac_portacl default\n\
             block proto any  port 1-79     all        # reservedhigh 79\n"
        );
    }
}
