//! The strict parser: accepts only what this program itself would write.
//!
//! It parses what people give us. It refuses anything that the kernel would read in a surprising way, and names the
//! element and the reason.

use std::str::FromStr;

use super::merge::KERNEL_LIMIT;
use super::rule::{Protocol, Rule, RuleList, Subject};

/// Why this program would not write such a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// The list has more bytes than the kernel allows.
    #[error(
        "The list of rules is {length} bytes long, and the kernel takes at most {KERNEL_LIMIT}. Leave some rules out."
    )]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// One element is wrong.
    #[error("Rule {position} of the list, “{element}”: {fault}")]
    Element {
        /// The position of the element, counted from 1.
        position: usize,
        /// The element as it was given.
        element: String,
        /// What is wrong with it.
        fault: StrictFault,
    },
}

/// What is wrong with one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrictFault {
    /// There is nothing between two commas, or before the first or after the last one.
    #[error("it is empty. Take out the comma that is too many.")]
    Empty,
    /// Not four fields.
    #[error("it has {found} fields instead of four. Write it like uid:209:tcp:80.")]
    FieldCount {
        /// How many fields there are.
        found: usize,
    },
    /// The first field is neither `uid` nor `gid`.
    #[error("it must begin with “uid” or “gid”, in small letters and without a blank before it.")]
    Kind,
    /// The id is not a plain decimal number of 32 bits.
    #[error(
        "the id must be a plain number from 0 to 4294967295, without sign, blank or leading zero: the kernel knows no names."
    )]
    Id,
    /// The protocol is neither `tcp` nor `udp`.
    #[error("the protocol must be “tcp” or “udp”, in small letters.")]
    Protocol,
    /// The port is not a plain decimal number from 1 to 65535.
    #[error(
        "the port must be a plain number from 1 to 65535, without sign, blank or leading zero: the kernel knows no service names."
    )]
    Port,
}

/// Parses a list in the form that this program writes. The empty text is the empty list.
///
/// # Errors
/// [`StrictError`] for the first element in another form, or for a list over [`KERNEL_LIMIT`] bytes.
pub fn parse_strict(text: &str) -> Result<RuleList, StrictError> {
    if text.len() > KERNEL_LIMIT {
        return Err(StrictError::TooLong { length: text.len() });
    }
    if text.is_empty() {
        return Ok(RuleList::default());
    }
    text.split(',')
        .enumerate()
        .map(|(index, element)| {
            parse_element(element).map_err(|fault| StrictError::Element {
                position: index + 1,
                element: element.to_owned(),
                fault,
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .map(RuleList)
}

impl FromStr for RuleList {
    type Err = StrictError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_strict(text)
    }
}

fn parse_element(element: &str) -> Result<Rule, StrictFault> {
    if element.is_empty() {
        return Err(StrictFault::Empty);
    }
    let fields: Vec<&str> = element.split(':').collect();
    let [kind, id, protocol, port] = fields[..] else {
        return Err(StrictFault::FieldCount { found: fields.len() });
    };
    let subject: fn(u32) -> Subject = match kind {
        "uid" => Subject::Uid,
        "gid" => Subject::Gid,
        _ => return Err(StrictFault::Kind),
    };
    let id = plain_number::<u32>(id).ok_or(StrictFault::Id)?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(StrictFault::Protocol),
    };
    let port = plain_number::<u16>(port).filter(|&port| port != 0).ok_or(StrictFault::Port)?;
    Ok(Rule { subject: subject(id), protocol, port })
}

/// Rust's own number parser accepts a plus sign and leading zeros. Both are left to the lenient parser.
fn plain_number<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if plain && !leading_zero { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::rule::strategies;
    use super::*;
    use crate::portacl::parse_kernel;
    use proptest::prelude::*;

    fn fault(text: &str) -> StrictFault {
        match parse_strict(text) {
            Err(StrictError::Element { fault, .. }) => fault,
            other => panic!("{text}: expected a faulty element, got {other:?}"),
        }
    }

    #[test]
    fn takes_what_we_write() {
        let list: RuleList = "uid:209:tcp:80,gid:0:udp:65535,uid:4294967295:tcp:1".parse().unwrap();
        assert_eq!(
            list.0,
            [
                Rule { subject: Subject::Uid(209), protocol: Protocol::Tcp, port: 80 },
                Rule { subject: Subject::Gid(0), protocol: Protocol::Udp, port: 65535 },
                Rule { subject: Subject::Uid(u32::MAX), protocol: Protocol::Tcp, port: 1 },
            ]
        );
        assert_eq!(parse_strict("").unwrap(), RuleList::default());
    }

    #[test]
    fn refuses_every_oddity_that_the_kernel_takes() {
        for id in ["", "-1", "+209", "0209", "00", " 209", "4294967296"] {
            assert_eq!(fault(&format!("uid:{id}:tcp:80")), StrictFault::Id, "{id}");
        }
        for port in ["", "0", "-1", "+80", "080", " 80", "65536", "65616", "99999"] {
            assert_eq!(fault(&format!("uid:209:tcp:{port}")), StrictFault::Port, "{port}");
        }
        for list in [",", "uid:209:tcp:80,", ",uid:209:tcp:80", "uid:1:tcp:1,,uid:1:tcp:2"] {
            assert_eq!(fault(list), StrictFault::Empty, "{list}");
        }
    }

    #[test]
    fn refuses_what_the_kernel_refuses_and_says_why() {
        assert_eq!(fault("uid:gts:tcp:80"), StrictFault::Id);
        assert_eq!(fault("uid:0x50:tcp:80"), StrictFault::Id);
        assert_eq!(fault("uid:209 :tcp:80"), StrictFault::Id);
        assert_eq!(fault("uid:209:tcp:http"), StrictFault::Port);
        assert_eq!(fault("uid:209:tcp:80 "), StrictFault::Port);
        assert_eq!(fault("uid:209:tcp:80;uid:209:tcp:443"), StrictFault::FieldCount { found: 7 });
        assert_eq!(fault("uid:209:tcp"), StrictFault::FieldCount { found: 3 });
        assert_eq!(fault("uid:209:tcp:80:1"), StrictFault::FieldCount { found: 5 });
        assert_eq!(fault("UID:209:tcp:80"), StrictFault::Kind);
        assert_eq!(fault("uid:209:tcp:80, uid:209:tcp:443"), StrictFault::Kind);
        assert_eq!(fault("uid:209:TCP:80"), StrictFault::Protocol);
        assert_eq!(fault("uid:209:sctp:80"), StrictFault::Protocol);
    }

    #[test]
    fn the_message_names_the_element() {
        assert_eq!(
            parse_strict("uid:209:tcp:80,uid:209:tcp:http").unwrap_err().to_string(),
            "Rule 2 of the list, “uid:209:tcp:http”: the port must be a plain number from 1 to 65535, without sign, \
             blank or leading zero: the kernel knows no service names."
        );
    }

    #[test]
    fn takes_1023_bytes_and_not_one_more() {
        // 1023 = 68 × 15 + 3: rules of 14 bytes and a comma, the last one three bytes longer and without a comma.
        let mut list = "uid:209:tcp:80,".repeat(67);
        list.push_str("uid:209209:tcp:443");
        assert_eq!(list.len(), KERNEL_LIMIT);
        assert!(parse_strict(&list).is_ok());
        list.push('4');
        assert_eq!(parse_strict(&list), Err(StrictError::TooLong { length: 1024 }));
    }

    proptest! {
        #[test]
        fn printed_and_read_again_is_the_same(rules in prop::collection::vec(strategies::rule(), 0..30)) {
            let list = RuleList(rules);
            prop_assert_eq!(parse_strict(&list.to_string()).unwrap(), list);
        }

        #[test]
        fn what_is_strict_prints_as_it_was_and_the_kernel_reads_the_same(
            elements in prop::collection::vec(strategies::element(), 0..6)
        ) {
            let text = elements.join(",");
            if let Ok(list) = parse_strict(&text) {
                prop_assert_eq!(list.to_string(), text.as_str());
                let lenient: Option<Vec<Rule>> =
                    parse_kernel(&text).unwrap().iter().map(|rule| rule.effective()).collect();
                prop_assert_eq!(lenient.unwrap(), list.0);
            }
        }
    }
}
