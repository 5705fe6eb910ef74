//! The strict parser: accepts only what this program itself would write.
//!
//! It refuses anything that the kernel would refuse or read in a surprising way, and names the element and the reason.

use super::kernel::{KernelRefusal, KernelRule, parse_kernel};
use super::rule::Rule;

/// Why this program would not write such a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// The kernel would refuse it.
    #[error(transparent)]
    Refused(#[from] KernelRefusal),
    /// There is nothing between two commas, or before the first or after the last one.
    #[error("an element is empty: the list has a comma too many")]
    Empty,
    /// An element that has a sign, a blank, a leading zero, no number or one that is out of range.
    #[error(
        "“{element}” does not mean what it seems to mean. Write it like uid:209:tcp:80, with a plain id from 0 to 4294967295 and a plain port from 1 to 65535"
    )]
    Odd {
        /// The element as it was given.
        element: String,
    },
}

/// Parses a list in the form that this program writes. The empty text is the empty list.
///
/// # Errors
/// [`StrictError`] for a list in another form.
pub fn parse_strict(text: &str) -> Result<Vec<Rule>, StrictError> {
    let elements = parse_kernel(text)?;
    if !text.is_empty() && text.split(',').any(str::is_empty) {
        return Err(StrictError::Empty);
    }
    let plain = |element: &KernelRule| element.effective().filter(|_| element.is_canonical());
    elements
        .iter()
        .map(|element| plain(element).ok_or_else(|| StrictError::Odd { element: element.text.clone() }))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::rule::strategies::{self, list};
    use super::*;
    use crate::portacl::merge::KERNEL_LIMIT;
    use crate::portacl::{KernelFault, Protocol, Subject};
    use proptest::prelude::*;

    fn fault(text: &str) -> KernelFault {
        match parse_strict(text) {
            Err(StrictError::Refused(KernelRefusal::Element { fault, .. })) => fault,
            other => panic!("{text}: expected a faulty element, got {other:?}"),
        }
    }

    #[test]
    fn takes_what_we_write() {
        assert_eq!(
            parse_strict("uid:209:tcp:80,gid:0:udp:65535,uid:4294967295:tcp:1").unwrap(),
            [
                Rule { subject: Subject::Uid(209), protocol: Protocol::Tcp, port: 80 },
                Rule { subject: Subject::Gid(0), protocol: Protocol::Udp, port: 65535 },
                Rule { subject: Subject::Uid(u32::MAX), protocol: Protocol::Tcp, port: 1 },
            ]
        );
        assert_eq!(parse_strict("").unwrap(), []);
    }

    #[test]
    fn refuses_every_oddity_that_the_kernel_takes() {
        let odd = |element: String| {
            assert_eq!(parse_strict(&format!("uid:1:tcp:1,{element}")), Err(StrictError::Odd { element }));
        };
        for kind in ["uid", "gid"] {
            for id in ["", "-1", "+209", "0209", "00", " 209", "4294967296"] {
                odd(format!("{kind}:{id}:tcp:80"));
            }
        }
        for port in ["", "0", "-1", "+80", "080", " 80", "65536", "65616", "99999"] {
            odd(format!("uid:209:tcp:{port}"));
        }
        for list in [",", "uid:209:tcp:80,", ",uid:209:tcp:80", "uid:1:tcp:1,,uid:1:tcp:2"] {
            assert_eq!(parse_strict(list), Err(StrictError::Empty), "{list}");
        }
    }

    #[test]
    fn refuses_what_the_kernel_refuses_and_says_why() {
        assert_eq!(fault("uid:gts:tcp:80"), KernelFault::Id);
        assert_eq!(fault("uid:0x50:tcp:80"), KernelFault::Id);
        assert_eq!(fault("uid:209 :tcp:80"), KernelFault::Id);
        assert_eq!(fault("uid:209:tcp:http"), KernelFault::Port);
        assert_eq!(fault("uid:209:tcp:80 "), KernelFault::Port);
        assert_eq!(fault("uid:209:tcp:80;uid:209:tcp:443"), KernelFault::Port);
        assert_eq!(fault("uid:209:tcp"), KernelFault::PortMissing);
        assert_eq!(fault("uid:209:tcp:80:1"), KernelFault::Port);
        assert_eq!(fault("UID:209:tcp:80"), KernelFault::Kind);
        assert_eq!(fault("uid:209:tcp:80, uid:209:tcp:443"), KernelFault::Kind);
        assert_eq!(fault("uid:209:TCP:80"), KernelFault::Protocol);
        assert_eq!(fault("uid:209:sctp:80"), KernelFault::Protocol);
    }

    #[test]
    fn takes_1023_bytes_and_not_one_more() {
        // 1023 = 68 × 15 + 3: rules of 14 bytes and a comma, the last one three bytes longer and without a comma.
        let mut list = "uid:209:tcp:80,".repeat(67);
        list.push_str("uid:209209:tcp:443");
        assert_eq!(list.len(), KERNEL_LIMIT);
        assert!(parse_strict(&list).is_ok());
        list.push('4');
        assert_eq!(parse_strict(&list), Err(KernelRefusal::TooLong { length: 1024 }.into()));
    }

    proptest! {
        #[test]
        fn printed_and_read_again_is_the_same(rules in prop::collection::vec(strategies::rule(), 0..30)) {
            prop_assert_eq!(parse_strict(&list(&rules)).unwrap(), rules);
        }

        #[test]
        fn what_is_strict_prints_as_it_was_and_the_kernel_reads_the_same(
            elements in prop::collection::vec(strategies::element(), 0..6)
        ) {
            let text = elements.join(",");
            let strict = parse_strict(&text);
            if let Ok(rules) = &strict {
                prop_assert_eq!(list(rules), text.as_str());
            }
            // What prints as it was is strict.
            if let Ok(lenient) = parse_kernel(&text)
                && let Some(rules) = lenient.iter().map(|rule| rule.effective()).collect::<Option<Vec<Rule>>>()
            {
                let plain = list(&rules) == text && rules.iter().all(|rule| rule.port != 0);
                prop_assert_eq!(plain, strict == Ok(rules));
            }
        }
    }
}
