//! Adds rules to a list that other programs write to as well, removes them again, and replaces a whole list.
//!
//! One write to `security.mac.portacl.rules` replaces the whole list. So every change starts from the existing list,
//! and keeps the other rules byte for byte, however odd their spelling.

use std::collections::HashMap;

use super::kernel::{KernelId, KernelRefusal, KernelRule, Meaning, parse_kernel};
use super::rule::Rule;

/// The longest list that the kernel accepts at run time, in bytes: `MAC_RULE_STRING_LEN` (1024) in
/// `sys/security/mac_portacl/mac_portacl.c` minus the closing NUL. 1024 bytes were seen to be refused with EINVAL.
pub const KERNEL_LIMIT: usize = 1023;

/// The longest list that fits into a line of sysctl.conf(5), in bytes: sysctl(8) reads lines of 1023 bytes, and
/// `security.mac.portacl.rules=` takes 27 of them. A longer line was seen to be cut there, and the rest of its last
/// rule may be a rule for another port.
pub const SYSCTL_CONF_LIMIT: usize = 996;

/// Why a list cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The kernel would refuse the existing list, so nothing added to it would take effect.
    #[error(
        "The mac_portacl rules that are there would be refused by the kernel: {0}. Correct them first, then try again."
    )]
    ExistingRefused(#[from] KernelRefusal),
    /// A new rule for port 0, which grants no port.
    #[error("The mac_portacl rule {0} is for port 0, which grants nothing. Name a port from 1 to 65535.")]
    PortZero(String),
    /// A new rule for an id that no user or group can have.
    #[error(
        "The mac_portacl rule {0} is for an id that no user can have. Name a user or group, or an id from 0 to 4294967295."
    )]
    Id(String),
    /// The new list is longer than the kernel allows.
    #[error(
        "The list of mac_portacl rules would be {length} bytes long, and the kernel takes at most {KERNEL_LIMIT}. Remove rules that are no longer needed."
    )]
    TooLongForKernel {
        /// The length of the new list, in bytes.
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
    let mut granted: Vec<Rule> = parse_kernel(existing_kernel_text)?.iter().filter_map(KernelRule::effective).collect();
    let mut text = existing_kernel_text.to_owned();
    for &rule in wanted {
        if rule.port == 0 {
            return Err(MergeError::PortZero(rule.to_string()));
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
    within_the_kernels_limit(text)
}

/// Returns the list without these rules, in any spelling and however often they occur. Everything else stays in its
/// place, byte for byte.
///
/// # Errors
/// [`MergeError::ExistingRefused`] if the kernel would refuse the existing list.
pub fn without_rules(existing_kernel_text: &str, unwanted: &[Rule]) -> Result<String, MergeError> {
    let existing = parse_kernel(existing_kernel_text)?;
    let is_unwanted = |rule: &KernelRule| rule.effective().is_some_and(|rule| unwanted.contains(&rule));
    if !existing.iter().any(is_unwanted) {
        return Ok(existing_kernel_text.to_owned());
    }
    let mut rules = existing.iter();
    // The parser leaves out empty elements. They stay here, unless nothing else does.
    let kept: Vec<&str> = existing_kernel_text
        .split(',')
        .filter(|element| element.is_empty() || !rules.next().is_some_and(is_unwanted))
        .collect();
    Ok(if kept.iter().all(|element| element.is_empty()) { String::new() } else { kept.join(",") })
}

/// Returns the list with exactly the wanted rules, in this order.
///
/// If the existing list already means exactly that, it is returned unchanged, including empty elements. Otherwise each
/// wanted rule takes the spelling of an existing element with the same meaning, the first one first and each once. New
/// rules are written plainly. Only new rules must make sense: what the kernel holds may stay, however odd.
///
/// # Errors
/// [`MergeError::ExistingRefused`] if the kernel would refuse the existing list, [`MergeError::PortZero`] and
/// [`MergeError::Id`] for a new rule that would permit nothing, [`MergeError::TooLongForKernel`] if the result exceeds
/// [`KERNEL_LIMIT`].
pub fn replace(existing_kernel_text: &str, wanted: &[Meaning]) -> Result<String, MergeError> {
    let existing = parse_kernel(existing_kernel_text)?;
    if existing.iter().map(KernelRule::meaning).eq(wanted.iter().copied()) {
        return Ok(existing_kernel_text.to_owned());
    }
    let mut spellings: HashMap<Meaning, Vec<String>> = HashMap::new();
    for rule in existing.into_iter().rev() {
        spellings.entry(rule.meaning()).or_default().push(rule.text);
    }
    let spelt = |&rule: &Meaning| match spellings.get_mut(&rule).and_then(Vec::pop) {
        Some(text) => Ok(text),
        None => plain(rule),
    };
    within_the_kernels_limit(wanted.iter().map(spelt).collect::<Result<Vec<_>, _>>()?.join(","))
}

/// A new element in our own spelling.
fn plain((id, protocol, port): Meaning) -> Result<String, MergeError> {
    let text = format!("{id}:{protocol}:{port}");
    let (KernelId::Uid(number) | KernelId::Gid(number)) = id;
    match u32::try_from(number) {
        Err(_) => Err(MergeError::Id(text)),
        Ok(_) if port == 0 => Err(MergeError::PortZero(text)),
        Ok(_) => Ok(text),
    }
}

fn within_the_kernels_limit(list: String) -> Result<String, MergeError> {
    if list.len() > KERNEL_LIMIT { Err(MergeError::TooLongForKernel { length: list.len() }) } else { Ok(list) }
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
    use super::super::state::strategies::state;
    use super::*;
    use crate::portacl::{KernelFault, Protocol, parse_strict};
    use KernelId::{Gid, Uid};
    use Protocol::{Tcp, Udp};
    use proptest::prelude::*;

    fn rules(text: &str) -> Vec<Rule> {
        parse_strict(text).unwrap()
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
        assert_eq!(with_rules("", &[rule]), Err(MergeError::PortZero("uid:209:tcp:0".to_owned())));
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

    fn meaning(text: &str) -> Vec<Meaning> {
        parse_kernel(text).unwrap().iter().map(KernelRule::meaning).collect()
    }

    #[test]
    fn the_same_meaning_leaves_the_text_alone() {
        let text = ",uid:+209:tcp:65616,,gid::udp:,";
        assert_eq!(replace(text, &[(Uid(209), Tcp, 80), (Gid(0), Udp, 0)]).unwrap(), text);
        assert_eq!(replace(",,", &[]).unwrap(), ",,");
    }

    #[test]
    fn what_stays_keeps_its_spelling_and_what_is_new_is_plain() {
        let text = "uid:+209:tcp:80,,uid:209:tcp:65616,gid:80:udp:53";
        assert_eq!(
            replace(text, &[(Gid(80), Udp, 53), (Uid(209), Tcp, 80), (Uid(1), Tcp, 443)]).unwrap(),
            "gid:80:udp:53,uid:+209:tcp:80,uid:1:tcp:443"
        );
        let eighty = (Uid(209), Tcp, 80);
        assert_eq!(
            replace(text, &[eighty, eighty, eighty]).unwrap(),
            "uid:+209:tcp:80,uid:209:tcp:65616,uid:209:tcp:80"
        );
        assert_eq!(replace(text, &[]).unwrap(), "");
    }

    #[test]
    fn a_new_rule_must_make_sense_but_an_old_one_may_stay() {
        assert_eq!(replace("", &[(Uid(209), Tcp, 0)]), Err(MergeError::PortZero("uid:209:tcp:0".to_owned())));
        for id in [Uid(-1), Gid(1 << 32)] {
            assert_eq!(replace("", &[(id, Tcp, 80)]), Err(MergeError::Id(format!("{id}:tcp:80"))));
        }
        assert_eq!(replace("uid:209:tcp:0,uid:1:tcp:1", &[(Uid(209), Tcp, 0)]).unwrap(), "uid:209:tcp:0");
        assert_eq!(replace("gid:-1:tcp:1,uid:1:tcp:1", &[(Gid(-1), Tcp, 1)]).unwrap(), "gid:-1:tcp:1");
        assert_eq!(
            replace("", &[(Uid(-1), Tcp, 80)]).unwrap_err().to_string(),
            "The mac_portacl rule uid:-1:tcp:80 is for an id that no user can have. Name a user or group, or an id from \
             0 to 4294967295."
        );
    }

    #[test]
    fn a_list_that_the_kernel_would_refuse_is_not_replaced() {
        let refusal = KernelRefusal::Element { position: 1, element: "www".to_owned(), fault: KernelFault::IdMissing };
        assert_eq!(replace("www", &[]), Err(MergeError::ExistingRefused(refusal)));
    }

    #[test]
    fn the_limit_of_a_replacement_is_the_kernels() {
        let rules: Vec<_> = (0..68).map(|port| (Uid(209), Tcp, 10 + port)).collect();
        // 68 elements of 14 bytes and 67 commas are 1019 bytes.
        assert_eq!(replace("", &rules).unwrap().len(), 1019);
        let longer: Vec<_> = rules.iter().map(|&(_, protocol, port)| (Uid(2090), protocol, port)).collect();
        let mixed: Vec<_> = longer[..4].iter().chain(&rules[4..]).copied().collect();
        assert_eq!(replace("", &mixed).unwrap().len(), KERNEL_LIMIT);
        let mixed: Vec<_> = longer[..5].iter().chain(&rules[5..]).copied().collect();
        assert_eq!(replace("", &mixed), Err(MergeError::TooLongForKernel { length: 1024 }));
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

        #[test]
        fn nothing_to_do_is_nothing_done(state in state()) {
            prop_assert_eq!(replace(&state.list, &meaning(&state.list)).unwrap(), state.list);
        }

        #[test]
        fn the_new_list_means_what_was_wanted(
            state in state(),
            new in prop::collection::vec(strategies::rule(), 0..5),
            chosen in any::<prop::sample::Index>(),
            turn in any::<bool>(),
        ) {
            let mut wanted = meaning(&state.list);
            wanted.truncate(chosen.index(wanted.len() + 1));
            wanted.extend(new.iter().map(|rule| parse_kernel(&rule.to_string()).unwrap()[0].meaning()));
            if turn {
                wanted.reverse();
            }
            let list = replace(&state.list, &wanted).unwrap();
            prop_assert_eq!(meaning(&list), wanted);
        }
    }
}
