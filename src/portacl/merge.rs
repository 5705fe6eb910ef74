//! Adds rules to a list that other programs write to as well, and removes them again.
//!
//! One write to `security.mac.portacl.rules` replaces the whole list. So every change starts from the existing list,
//! and keeps the other rules byte for byte, however odd their spelling.

use super::kernel::{KernelRefusal, parse_kernel};
use super::rule::Rule;

/// The longest list that the kernel accepts at run time, in bytes: `MAC_RULE_STRING_LEN` (1024) in
/// `sys/security/mac_portacl/mac_portacl.c` minus the closing NUL. 1024 bytes were seen to be refused with EINVAL.
pub const KERNEL_LIMIT: usize = 1023;

/// The longest list that fits into a line of sysctl.conf(5), in bytes: sysctl(8) reads lines of 1023 bytes, and
/// `security.mac.portacl.rules=` takes 27 of them. A longer line was seen to be cut there, and the rest of its last
/// rule may be a rule for another port.
pub const SYSCTL_CONF_LIMIT: usize = 996;

/// Why rules cannot be merged into a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The kernel would refuse the existing list, so nothing added to it would take effect.
    #[error(
        "The mac_portacl rules that are there would be refused by the kernel: {0}. Correct them first, then try again."
    )]
    ExistingRefused(#[from] KernelRefusal),
    /// A rule for port 0, which grants no port.
    #[error("The mac_portacl rule {rule} is for port 0, which grants nothing. Name a port from 1 to 65535.")]
    PortZero {
        /// The rule.
        rule: Rule,
    },
    /// The merged list is longer than the kernel allows.
    #[error(
        "With our rules added, the list of mac_portacl rules would be {length} bytes long, and the kernel takes at most {KERNEL_LIMIT}. Remove rules that are no longer needed."
    )]
    TooLongForKernel {
        /// The length of the merged list, in bytes.
        length: usize,
    },
    /// The list does not fit into a line of sysctl.conf(5).
    #[error(
        "The list of mac_portacl rules is {length} bytes long, and a line of sysctl.conf has room for {SYSCTL_CONF_LIMIT}: a longer one would be silently truncated at boot. Remove rules that are no longer needed."
    )]
    TooLongForSysctlConf {
        /// Its length, in bytes.
        length: usize,
    },
}

/// Returns the list with every wanted rule in it. Rules that the list does not already grant, to the same user or
/// group, are appended in order. If nothing is missing, the text is returned unchanged.
///
/// [`check_sysctl_conf_limit`] checks whether the result also fits into sysctl.conf.
///
/// # Errors
/// [`MergeError::ExistingRefused`] if the kernel would refuse the existing list, [`MergeError::PortZero`] for a wanted
/// rule without a port, [`MergeError::TooLongForKernel`] if the result exceeds [`KERNEL_LIMIT`].
pub fn with_rules(existing_kernel_text: &str, wanted: &[Rule]) -> Result<String, MergeError> {
    let mut granted: Vec<Rule> =
        parse_kernel(existing_kernel_text)?.iter().filter_map(|rule| rule.effective()).collect();
    let mut text = existing_kernel_text.to_owned();
    for &rule in wanted {
        if rule.port == 0 {
            return Err(MergeError::PortZero { rule });
        }
        if granted.contains(&rule) {
            continue;
        }
        if !text.is_empty() && !text.ends_with(',') {
            text.push(',');
        }
        text.push_str(&rule.to_string());
        granted.push(rule);
    }
    if text.len() > KERNEL_LIMIT {
        return Err(MergeError::TooLongForKernel { length: text.len() });
    }
    Ok(text)
}

/// Returns the list without these rules, in any spelling and however often they occur. Everything else stays in its
/// place, byte for byte.
///
/// # Errors
/// [`MergeError::ExistingRefused`] if the kernel would refuse the existing list.
pub fn without_rules(existing_kernel_text: &str, unwanted: &[Rule]) -> Result<String, MergeError> {
    let goes: Vec<bool> = parse_kernel(existing_kernel_text)?
        .iter()
        .map(|rule| rule.effective().is_some_and(|rule| unwanted.contains(&rule)))
        .collect();
    if !goes.contains(&true) {
        return Ok(existing_kernel_text.to_owned());
    }
    let mut goes = goes.into_iter();
    // The parser leaves out empty elements. They stay here.
    let kept: Vec<&str> = existing_kernel_text
        .split(',')
        .filter(|element| element.is_empty() || !goes.next().unwrap_or_default())
        .collect();
    Ok(if kept.iter().all(|element| element.is_empty()) { String::new() } else { kept.join(",") })
}

/// Checks whether the list fits into a line of sysctl.conf(5).
///
/// # Errors
/// [`MergeError::TooLongForSysctlConf`] if it is longer than [`SYSCTL_CONF_LIMIT`].
pub fn check_sysctl_conf_limit(list: &str) -> Result<(), MergeError> {
    if list.len() > SYSCTL_CONF_LIMIT {
        return Err(MergeError::TooLongForSysctlConf { length: list.len() });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::rule::strategies;
    use super::*;
    use crate::portacl::{KernelFault, parse_strict};
    use proptest::prelude::*;

    fn rules(text: &str) -> Vec<Rule> {
        parse_strict(text).unwrap().0
    }

    fn merged(existing: &str, wanted: &str) -> String {
        with_rules(existing, &rules(wanted)).unwrap()
    }

    const OURS: &str = "uid:209:tcp:80,uid:209:tcp:443";

    #[test]
    fn an_empty_list_becomes_ours() {
        assert_eq!(merged("", OURS), OURS);
    }

    #[test]
    fn foreign_elements_stay_byte_for_byte_and_in_order() {
        assert_eq!(merged("uid: 80:udp:053,,gid:1:tcp:22", OURS), format!("uid: 80:udp:053,,gid:1:tcp:22,{OURS}"));
        assert_eq!(merged("uid:1:tcp:1,", OURS), format!("uid:1:tcp:1,{OURS}"));
        assert_eq!(merged(",", OURS), format!(",{OURS}"));
    }

    #[test]
    fn only_what_is_missing_is_added() {
        assert_eq!(merged("uid:209:tcp:443,uid:1:tcp:1", OURS), "uid:209:tcp:443,uid:1:tcp:1,uid:209:tcp:80");
        assert_eq!(merged("", "uid:1:tcp:1,uid:1:tcp:1"), "uid:1:tcp:1");
    }

    #[test]
    fn what_is_granted_in_another_spelling_is_granted() {
        for existing in ["uid:+209:tcp:080,uid: 209:tcp:443,", "uid:209:tcp:65616,uid:209:tcp:65979"] {
            assert_eq!(merged(existing, OURS), existing);
        }
    }

    #[test]
    fn a_rule_for_another_subject_or_protocol_or_for_nobody_grants_nothing() {
        for existing in ["gid:209:tcp:80", "uid:209:udp:80", "uid:4294967505:tcp:80", "uid:209:tcp:8"] {
            assert_eq!(merged(existing, "uid:209:tcp:80"), format!("{existing},uid:209:tcp:80"));
        }
        // 4294967505 is 2³² + 209: a gid is truncated to 32 bits, a uid is not.
        assert_eq!(merged("gid:4294967505:tcp:80", "gid:209:tcp:80"), "gid:4294967505:tcp:80");
    }

    #[test]
    fn a_list_that_the_kernel_would_refuse_is_an_error() {
        let error = with_rules("uid:www:tcp:80", &rules(OURS)).unwrap_err();
        assert_eq!(
            error,
            MergeError::ExistingRefused(KernelRefusal::Element {
                position: 1,
                element: "uid:www:tcp:80".to_owned(),
                fault: KernelFault::Id,
            })
        );
        assert_eq!(
            error.to_string(),
            "The mac_portacl rules that are there would be refused by the kernel: element 1, “uid:www:tcp:80”: its id \
             is not a number. Correct them first, then try again."
        );
    }

    #[test]
    fn port_zero_is_an_error() {
        let rule = Rule { port: 0, ..rules("uid:209:tcp:80")[0] };
        assert_eq!(with_rules("", &[rule]), Err(MergeError::PortZero { rule }));
    }

    #[test]
    fn the_limits_are_exact() {
        let foreign = |length: usize| format!("{:,<length$}", "uid:1:tcp:1");
        let fits = with_rules(&foreign(KERNEL_LIMIT - 14), &rules("uid:209:tcp:80")).unwrap();
        assert_eq!(fits.len(), KERNEL_LIMIT);
        assert_eq!(
            with_rules(&foreign(KERNEL_LIMIT - 13), &rules("uid:209:tcp:80")),
            Err(MergeError::TooLongForKernel { length: 1024 })
        );
        assert_eq!(check_sysctl_conf_limit(&foreign(SYSCTL_CONF_LIMIT)), Ok(()));
        assert_eq!(
            check_sysctl_conf_limit(&foreign(SYSCTL_CONF_LIMIT + 1)),
            Err(MergeError::TooLongForSysctlConf { length: 997 })
        );
    }

    #[test]
    fn taken_out_is_what_means_the_same_and_nothing_else() {
        let ours = rules(OURS);
        let without = |list: &str| without_rules(list, &ours).unwrap();
        assert_eq!(without(OURS), "");
        assert_eq!(
            without("uid:1:tcp:1,uid:209:tcp:80,,uid: +209:tcp:65616,uid:209:tcp:443,uid:209:tcp:4433"),
            "uid:1:tcp:1,,uid:209:tcp:4433"
        );
        assert_eq!(without(",uid:209:tcp:80,,"), "", "nothing is left to be kept");
        for untouched in ["", ",,", "gid:209:tcp:80,,", "uid:209:udp:80", "uid:4294967505:tcp:80"] {
            assert_eq!(without(untouched), untouched);
        }
        assert!(matches!(without_rules("gts:80", &ours), Err(MergeError::ExistingRefused(_))));
    }

    proptest! {
        #[test]
        fn merging_grants_what_is_wanted_and_keeps_what_was_there(
            elements in prop::collection::vec(strategies::element(), 0..5),
            wanted in prop::collection::vec(strategies::rule(), 0..5),
        ) {
            let existing = elements.join(",");
            let Ok(before) = parse_kernel(&existing) else {
                prop_assert!(matches!(with_rules(&existing, &wanted), Err(MergeError::ExistingRefused(_))));
                return Ok(());
            };
            let text = with_rules(&existing, &wanted).unwrap();
            prop_assert!(text.starts_with(&existing));
            let after = parse_kernel(&text).unwrap();
            prop_assert_eq!(&after[..before.len()], &before[..]);
            for rule in &wanted {
                prop_assert!(after.iter().any(|kernel| kernel.effective() == Some(*rule)));
            }
            // Nothing else was granted, and a second merge changes nothing.
            for rule in &after[before.len()..] {
                prop_assert!(rule.is_canonical() && wanted.contains(&rule.effective().unwrap()));
            }
            prop_assert_eq!(with_rules(&text, &wanted).unwrap(), text);
        }

        #[test]
        fn what_was_put_in_can_be_taken_out(
            elements in prop::collection::vec(strategies::element(), 0..5),
            wanted in prop::collection::vec(strategies::rule(), 0..5),
        ) {
            let existing = elements.join(",");
            let Ok(before) = parse_kernel(&existing) else { return Ok(()) };
            let added: Vec<Rule> = wanted
                .into_iter()
                .filter(|rule| before.iter().all(|kernel| kernel.effective() != Some(*rule)))
                .collect();
            let text = without_rules(&with_rules(&existing, &added).unwrap(), &added).unwrap();
            prop_assert_eq!(&parse_kernel(&text).unwrap(), &before);
            if !existing.ends_with(',') && !before.is_empty() {
                prop_assert_eq!(text, existing);
            }
        }
    }
}
