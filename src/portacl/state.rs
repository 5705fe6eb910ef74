//! What is in force at one time: the list of rules as it is written, and every other setting that matters.

use super::evaluate::Policy;
use super::kernel::{KernelRefusal, parse_kernel};

/// What is in force: in the running kernel, or after the next boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `security.mac.portacl.rules`, byte for byte; empty if the module is not loaded.
    pub list: String,
    /// The switches and bounds, and the rules as the kernel reads them from `list`.
    pub policy: Policy,
}

impl State {
    /// Puts the list into the policy and replaces the policy's own rules.
    ///
    /// # Errors
    /// [`KernelRefusal`] if the kernel would refuse the list.
    pub fn new(list: impl Into<String>, policy_without_rules: Policy) -> Result<State, KernelRefusal> {
        let list = list.into();
        let rules = parse_kernel(&list)?;
        Ok(State { list, policy: Policy { rules, ..policy_without_rules } })
    }
}

#[cfg(test)]
pub(super) mod strategies {
    //! Random states of the kernel, for the property tests of this folder.

    use super::State;
    use crate::portacl::Policy;
    use crate::portacl::rule::strategies::element;
    use proptest::prelude::*;

    /// A list of rules and a policy. Few ids and ports, so that rules, names and requests meet often.
    pub fn state() -> impl Strategy<Value = State> {
        (list(), policy()).prop_map(|(list, policy)| {
            State::new(list, policy.clone()).unwrap_or(State { list: String::new(), policy })
        })
    }

    fn list() -> impl Strategy<Value = String> {
        let id = prop_oneof![
            6 => (0..4_i64).prop_map(|id| id.to_string()),
            1 => prop_oneof!["", "-1", "\\+2", " 01", "4294967296", "4294967298", "9{20}"],
        ];
        let port = prop_oneof![
            6 => prop_oneof![0..4_i64, 78..82_i64, 1022..1026_i64].prop_map(|port| port.to_string()),
            1 => prop_oneof!["", "65536", "65616", "\\+080", "\n80", "-1", "65535"],
        ];
        let rule = (prop_oneof!["uid", "gid"], id, prop_oneof!["tcp", "udp"], port)
            .prop_map(|(kind, id, protocol, port)| format!("{kind}:{id}:{protocol}:{port}"));
        let rules = prop_oneof![
            4 => prop::collection::vec(prop_oneof![9 => rule, 1 => Just(String::new())], 0..6),
            1 => prop::collection::vec(element(), 0..4),
        ];
        rules.prop_map(|rules| rules.join(","))
    }

    fn policy() -> impl Strategy<Value = Policy> {
        // Bounds at exactly the ports that rules and requests use.
        let near = || prop_oneof![0..4_i32, 77..83_i32, 1021..1026_i32];
        let bound = || prop_oneof![3 => Just(1023), 4 => near(), 1 => -2..200_i32, 1 => any::<i32>()];
        let low = prop_oneof![3 => Just(0), 4 => near(), 1 => -2..200_i32, 1 => any::<i32>()];
        let switch = || prop_oneof![3 => Just(1), 2 => Just(0), 1 => prop_oneof![Just(2), Just(-1)]];
        (prop::bool::weighted(0.8), switch(), switch(), switch(), bound(), low, bound()).prop_map(
            |(loaded, enabled, suser_exempt, autoport_exempt, port_high, reservedlow, reservedhigh)| Policy {
                loaded,
                enabled,
                suser_exempt,
                autoport_exempt,
                port_high,
                rules: Vec::new(),
                reservedlow,
                reservedhigh,
            },
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::portacl::KernelFault;

    #[test]
    fn the_rules_come_from_the_list() {
        let state = State::new(",uid:+209:tcp:80", Policy { reservedhigh: 79, ..Policy::default() }).unwrap();
        assert_eq!(state.list, ",uid:+209:tcp:80");
        assert_eq!(state.policy.rules, parse_kernel("uid:+209:tcp:80").unwrap());
        assert_eq!(state.policy.reservedhigh, 79);
    }

    #[test]
    fn a_list_that_the_kernel_refuses_is_no_state() {
        assert_eq!(
            State::new("uid:209", Policy::default()),
            Err(KernelRefusal::Element {
                position: 1,
                element: "uid:209".to_owned(),
                fault: KernelFault::ProtocolMissing,
            })
        );
    }
}
