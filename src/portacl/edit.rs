//! Replaces a whole list, without touching the spelling of what stays.

use std::collections::HashMap;

use super::kernel::{KernelId, KernelRefusal, KernelRule, parse_kernel};
use super::merge::KERNEL_LIMIT;
use super::rule::Protocol;

/// Why a list cannot replace the existing one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// The kernel would refuse the existing list.
    #[error(
        "The mac_portacl rules that are there would be refused by the kernel: {0}. Correct them first, then try again."
    )]
    ExistingRefused(#[from] KernelRefusal),
    /// A new rule for port 0, which grants no port.
    #[error("The mac_portacl rule {id}:{protocol}:0 is for port 0, which grants nothing. Name a port from 1 to 65535.")]
    PortZero {
        /// The subject of the rule.
        id: KernelId,
        /// Its protocol.
        protocol: Protocol,
    },
    /// A new rule for an id that no user or group can have.
    #[error(
        "The mac_portacl rule {id}:{protocol}:{port} is for an id that no user can have. Name a user or group, or an id from 0 to 4294967295."
    )]
    Id {
        /// The subject of the rule.
        id: KernelId,
        /// Its protocol.
        protocol: Protocol,
        /// Its port.
        port: u16,
    },
    /// The new list is longer than the kernel allows.
    #[error(
        "The list of mac_portacl rules would be {length} bytes long, and the kernel takes at most {KERNEL_LIMIT}. Leave some rules out."
    )]
    TooLongForKernel {
        /// The length of the new list, in bytes.
        length: usize,
    },
}

/// Returns the list with exactly the wanted rules, in this order.
///
/// If the existing list already means exactly that, it is returned unchanged, including empty elements. Otherwise each
/// wanted rule takes the spelling of an existing element with the same meaning, the first one first and each once. New
/// rules are written plainly. Only new rules must make sense: what the kernel holds may stay, however odd.
///
/// [`check_sysctl_conf_limit`](super::check_sysctl_conf_limit) checks whether the result also fits into sysctl.conf.
///
/// # Errors
/// [`ReplaceError::ExistingRefused`] if the kernel would refuse the existing list, [`ReplaceError::PortZero`] and
/// [`ReplaceError::Id`] for a new rule that would permit nothing, [`ReplaceError::TooLongForKernel`] if the result
/// exceeds [`KERNEL_LIMIT`].
pub fn replace(existing_kernel_text: &str, wanted: &[(KernelId, Protocol, u16)]) -> Result<String, ReplaceError> {
    let existing = parse_kernel(existing_kernel_text)?;
    if existing.iter().map(KernelRule::meaning).eq(wanted.iter().copied()) {
        return Ok(existing_kernel_text.to_owned());
    }
    let mut spellings: HashMap<(KernelId, Protocol, u16), Vec<&str>> = HashMap::new();
    for rule in existing.iter().rev() {
        spellings.entry(rule.meaning()).or_default().push(&rule.text);
    }
    let elements = wanted
        .iter()
        .map(|&rule| match spellings.get_mut(&rule).and_then(Vec::pop) {
            Some(text) => Ok(text.to_owned()),
            None => written(rule),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let list = elements.join(",");
    if list.len() > KERNEL_LIMIT {
        return Err(ReplaceError::TooLongForKernel { length: list.len() });
    }
    Ok(list)
}

/// A new element in our own spelling.
fn written((id, protocol, port): (KernelId, Protocol, u16)) -> Result<String, ReplaceError> {
    let (KernelId::Uid(number) | KernelId::Gid(number)) = id;
    if u32::try_from(number).is_err() {
        return Err(ReplaceError::Id { id, protocol, port });
    }
    if port == 0 {
        return Err(ReplaceError::PortZero { id, protocol });
    }
    Ok(format!("{id}:{protocol}:{port}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::state::strategies::state;
    use super::*;
    use crate::portacl::KernelFault;
    use crate::portacl::rule::strategies;
    use KernelId::{Gid, Uid};
    use Protocol::{Tcp, Udp};
    use proptest::prelude::*;

    fn meaning(text: &str) -> Vec<(KernelId, Protocol, u16)> {
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
        assert_eq!(replace("", &[(Uid(209), Tcp, 0)]), Err(ReplaceError::PortZero { id: Uid(209), protocol: Tcp }));
        for id in [Uid(-1), Gid(1 << 32)] {
            assert_eq!(replace("", &[(id, Tcp, 80)]), Err(ReplaceError::Id { id, protocol: Tcp, port: 80 }));
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
    fn a_list_that_the_kernel_would_refuse_is_an_error() {
        let refusal = KernelRefusal::Element { position: 1, element: "www".to_owned(), fault: KernelFault::IdMissing };
        assert_eq!(replace("www", &[]), Err(ReplaceError::ExistingRefused(refusal)));
    }

    #[test]
    fn the_limit_is_the_kernels() {
        let rules: Vec<_> = (0..68).map(|port| (Uid(209), Tcp, 10 + port)).collect();
        // 68 elements of 14 bytes and 67 commas are 1019 bytes.
        assert_eq!(replace("", &rules).unwrap().len(), 1019);
        let longer: Vec<_> = rules.iter().map(|&(_, protocol, port)| (Uid(2090), protocol, port)).collect();
        let mixed: Vec<_> = longer[..4].iter().chain(&rules[4..]).copied().collect();
        assert_eq!(replace("", &mixed).unwrap().len(), KERNEL_LIMIT);
        let mixed: Vec<_> = longer[..5].iter().chain(&rules[5..]).copied().collect();
        assert_eq!(replace("", &mixed), Err(ReplaceError::TooLongForKernel { length: 1024 }));
    }

    proptest! {
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
