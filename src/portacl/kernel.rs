//! The lenient parser: accepts and refuses exactly what the kernel does, and returns what each element really means.
//!
//! Follows `parse_rules()` and `parse_rule_element()` in FreeBSD's `sys/security/mac_portacl/mac_portacl.c` (unchanged
//! in substance from 5.x to 15) with `strtol()` of `sys/libkern/strtol.c`, for platforms whose `long` has 64 bits:
//! amd64, aarch64, powerpc64, riscv64. On i386 and armv7 numbers are already clamped at 31 bits.
//!
//! An id is an `id_t`, which is signed and has 64 bits (`sys/sys/_types.h`). It is compared whole with a uid of 32
//! bits, so a negative or larger uid matches no user. A gid is passed to `groupmember()`, which truncates it to 32
//! bits.

use std::fmt;

use super::merge::KERNEL_LIMIT;
use super::rule::{Protocol, Rule, Subject};

/// The id of a rule as the kernel stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KernelId {
    /// Compared with the effective user id, all 64 bits.
    Uid(i64),
    /// Compared with the groups, the lower 32 bits.
    Gid(i64),
}

/// What a rule means to the kernel, however it is spelt, and whether it makes sense or not.
pub type Meaning = (KernelId, Protocol, u16);

/// One element as the kernel understands it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelRule {
    /// The element as it is in the list, byte for byte.
    pub text: String,
    /// The subject of the rule.
    pub id: KernelId,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port, already truncated to 16 bits: `65616` is 80 here.
    pub port: u16,
}

/// As an element begins: `uid:209`, with the number as the kernel stores it.
impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelId::Uid(id) => write!(f, "uid:{id}"),
            KernelId::Gid(id) => write!(f, "gid:{id}"),
        }
    }
}

impl KernelRule {
    /// What the kernel stores of the element: the subject, the protocol and the port, without the spelling.
    pub fn meaning(&self) -> Meaning {
        (self.id, self.protocol, self.port)
    }

    /// The permission that this element really gives; `None` if it can match no user (`uid:-1`, `uid:4294967296`).
    pub fn effective(&self) -> Option<Rule> {
        effective(self.meaning())
    }

    /// Whether the element has the spelling that this program writes, so that it means what it seems to mean.
    pub fn is_canonical(&self) -> bool {
        self.port != 0 && self.effective().is_some_and(|rule| rule.to_string() == self.text)
    }
}

/// The permission that a meaning really gives; `None` if it can match no user.
pub fn effective((id, protocol, port): Meaning) -> Option<Rule> {
    let subject = match id {
        KernelId::Uid(id) => Subject::Uid(u32::try_from(id).ok()?),
        // The kernel truncates to 32 bits, too: groupmember() takes a gid_t.
        KernelId::Gid(id) => Subject::Gid(id as u32),
    };
    Some(Rule { subject, protocol, port })
}

/// Why the kernel would return EINVAL. The list in force would stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelRefusal {
    /// 1024 bytes or more: `MAC_RULE_STRING_LEN` includes the closing NUL.
    #[error("the list is {length} bytes long, and the kernel takes at most {KERNEL_LIMIT}")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// A NUL byte. The kernel would take it for the end of the list and silently drop the rest. Reading the list back
    /// could not show it either, so it is refused here.
    #[error("the list contains a NUL byte, where the kernel's text would end")]
    NulByte,
    /// One element does not parse.
    #[error("element {position}, “{element}”: {fault}")]
    Element {
        /// The position of the element, counted from 1, including empty ones.
        position: usize,
        /// The element as it is in the list.
        element: String,
        /// What the kernel refuses.
        fault: KernelFault,
    },
}

/// What the kernel refuses in one element, in the order in which it checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KernelFault {
    /// There is no colon at all.
    #[error("it has no id")]
    IdMissing,
    /// The id is not a number, or something follows the number.
    #[error("its id is not a number")]
    Id,
    /// The first field is neither `uid` nor `gid`.
    #[error("it begins with neither “uid” nor “gid”")]
    Kind,
    /// There is no third field.
    #[error("it has no protocol")]
    ProtocolMissing,
    /// The third field is neither `tcp` nor `udp`.
    #[error("its protocol is neither “tcp” nor “udp”")]
    Protocol,
    /// There is no fourth field.
    #[error("it has no port")]
    PortMissing,
    /// The port is not a number, or something follows the number.
    #[error("its port is not a number")]
    Port,
}

/// Parses a list as the kernel would parse it from `security.mac.portacl.rules`.
///
/// What sysctl(8) removes first (a space or a pair of quotes around the whole value) must be gone already.
///
/// # Errors
/// [`KernelRefusal`] where the kernel returns EINVAL.
pub fn parse_kernel(text: &str) -> Result<Vec<KernelRule>, KernelRefusal> {
    if text.len() > KERNEL_LIMIT {
        return Err(KernelRefusal::TooLong { length: text.len() });
    }
    if text.contains('\0') {
        return Err(KernelRefusal::NulByte);
    }
    text.split(',')
        .enumerate()
        .filter(|(_, element)| !element.is_empty())
        .map(|(index, element)| {
            parse_element(element).map_err(|fault| KernelRefusal::Element {
                position: index + 1,
                element: element.to_owned(),
                fault,
            })
        })
        .collect()
}

fn parse_element(element: &str) -> Result<KernelRule, KernelFault> {
    let mut fields = element.splitn(4, ':');
    let kind = fields.next().unwrap_or_default();
    let id = fields.next().ok_or(KernelFault::IdMissing)?;
    let id = strtol(id).ok_or(KernelFault::Id)?;
    let id = match kind {
        "uid" => KernelId::Uid(id),
        "gid" => KernelId::Gid(id),
        _ => return Err(KernelFault::Kind),
    };
    let protocol = fields.next().ok_or(KernelFault::ProtocolMissing)?;
    let protocol = Protocol::named(protocol).ok_or(KernelFault::Protocol)?;
    // The rest of the element, including colons: with a fifth field the port is not a number.
    let port = fields.next().ok_or(KernelFault::PortMissing)?;
    // The kernel stores it in a u_int16_t without a check.
    let port = strtol(port).ok_or(KernelFault::Port)? as u16;
    Ok(KernelRule { text: element.to_owned(), id, protocol, port })
}

/// The kernel's `strtol(text, &end, 10)`, followed by its check that `end` is the end of the text.
///
/// Spaces and one sign may come first. Numbers that are too large are clamped. The empty text is 0, because with no
/// digit found `end` is the start, which is the end. A lone space or sign is refused for the same reason.
pub(super) fn strtol(text: &str) -> Option<i64> {
    let (sign, digits) = signed(text);
    if text.is_empty() { Some(0) } else { clamped(sign, digits, 10) }
}

/// The minus sign, if there is one, and what follows the spaces and the sign.
pub(super) fn signed(text: &str) -> (&'static str, &str) {
    let number = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let sign = if number.starts_with('-') { "-" } else { "" };
    (sign, number.strip_prefix(['-', '+']).unwrap_or(number))
}

/// One or more digits, and nothing else, as a number. One that is too large is clamped.
pub(super) fn clamped(sign: &str, digits: &str, base: u32) -> Option<i64> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let largest = if sign == "-" { i64::MIN } else { i64::MAX };
    Some(i64::from_str_radix(&format!("{sign}{digits}"), base).unwrap_or(largest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::rule::strategies;
    use super::*;
    use KernelId::{Gid, Uid};
    use Protocol::{Tcp, Udp};
    use proptest::prelude::*;

    fn meaning(text: &str) -> Vec<(KernelId, Protocol, u16)> {
        parse_kernel(text)
            .unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
            .iter()
            .map(KernelRule::meaning)
            .collect()
    }

    fn fault(text: &str) -> KernelFault {
        match parse_kernel(text) {
            Err(KernelRefusal::Element { fault, .. }) => fault,
            other => panic!("{text}: expected a faulty element, got {other:?}"),
        }
    }

    /// Every value that was refused with EINVAL on FreeBSD 13.2.
    #[test]
    fn refuses_what_was_seen_to_be_refused() {
        for (text, expected) in [
            ("uid:gts:tcp:80", KernelFault::Id),
            ("uid:209:tcp", KernelFault::PortMissing),
            ("uid:209", KernelFault::ProtocolMissing),
            ("uid", KernelFault::IdMissing),
            ("foo", KernelFault::IdMissing),
            ("uid:209:sctp:80", KernelFault::Protocol),
            ("uid:209:TCP:80", KernelFault::Protocol),
            ("UID:209:tcp:80", KernelFault::Kind),
            ("user:209:tcp:80", KernelFault::Kind),
            ("uid:209:tcp:http", KernelFault::Port),
            ("uid:209:tcp:80:1", KernelFault::Port),
            ("uid:0x50:tcp:80", KernelFault::Id),
            ("uid:209 :tcp:80", KernelFault::Id),
            ("uid:209:tcp:80 ", KernelFault::Port),
            ("uid:209:tcp:80, uid:209:tcp:443", KernelFault::Kind),
            ("uid:209:tcp:80;uid:209:tcp:443", KernelFault::Port),
            ("uid:209:tcp:80 uid:209:tcp:443", KernelFault::Port),
            ("uid:209:tcp:80,bogus", KernelFault::IdMissing),
            ("bogus", KernelFault::IdMissing),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }

    /// Every value that FreeBSD 13.2 accepted, and what it means.
    #[test]
    fn takes_what_was_seen_to_be_taken() {
        let rule = |port| (Uid(209), Tcp, port);
        for (text, expected) in [
            ("uid:209:tcp:", vec![rule(0)]),
            ("uid::tcp:80", vec![(Uid(0), Tcp, 80)]),
            ("uid:-1:tcp:80", vec![(Uid(-1), Tcp, 80)]),
            ("uid:209:tcp:-1", vec![rule(65535)]),
            ("uid:209:tcp:0", vec![rule(0)]),
            ("uid:209:tcp:65535", vec![rule(65535)]),
            ("uid:209:tcp:65536", vec![rule(0)]),
            ("uid:209:tcp:65616", vec![rule(80)]),
            ("uid:209:tcp:99999", vec![rule(34463)]),
            ("uid:4294967295:tcp:80", vec![(Uid(4_294_967_295), Tcp, 80)]),
            ("uid:99999999999:tcp:80", vec![(Uid(99_999_999_999), Tcp, 80)]),
            ("uid: 209:tcp:80", vec![rule(80)]),
            ("uid:209:tcp: 80", vec![rule(80)]),
            ("uid:209:tcp:80,", vec![rule(80)]),
            (",uid:209:tcp:80", vec![rule(80)]),
            ("uid:209:tcp:80,,uid:209:tcp:443", vec![rule(80), rule(443)]),
            (",", vec![]),
            ("uid:209:tcp:80,uid:209:tcp:80", vec![rule(80), rule(80)]),
            ("uid:+209:tcp:080", vec![rule(80)]),
            ("uid:209:tcp:8080", vec![rule(8080)]),
            ("", vec![]),
            ("uid:65534:tcp:65616", vec![(Uid(65534), Tcp, 80)]),
            ("uid:4295032830:tcp:80", vec![(Uid(4_295_032_830), Tcp, 80)]),
            ("gid:209:tcp:443", vec![(Gid(209), Tcp, 443)]),
            ("uid:209:tcp:80,uid:209:tcp:443,uid:80:udp:53", vec![rule(80), rule(443), (Uid(80), Udp, 53)]),
        ] {
            assert_eq!(meaning(text), expected, "{text}");
        }
    }

    /// sysctl(8) removes a space before a value and quotes around it; the kernel itself would accept neither.
    #[test]
    fn blanks_and_quotes_around_the_whole_are_not_the_kernels_business() {
        assert_eq!(fault(" uid:209:tcp:80"), KernelFault::Kind);
        assert_eq!(fault("\"uid:209:tcp:80\""), KernelFault::Kind);
        assert_eq!(fault("'uid:209:tcp:80'"), KernelFault::Kind);
        assert_eq!(fault("uid:209:tcp:80\""), KernelFault::Port);
    }

    #[test]
    fn takes_1023_bytes_and_refuses_1024_as_seen() {
        let list = |length: usize| format!("{:,<length$}", "uid:209:tcp:80");
        for length in [1000, 1021, 1022, 1023] {
            assert!(parse_kernel(&list(length)).is_ok(), "{length}");
        }
        for length in [1024, 1025, 2000, 4096] {
            assert_eq!(parse_kernel(&list(length)), Err(KernelRefusal::TooLong { length }));
        }
    }

    #[test]
    fn refuses_a_nul_byte() {
        assert_eq!(parse_kernel("uid:209:tcp:80\0,uid:1:tcp:1"), Err(KernelRefusal::NulByte));
    }

    #[test]
    fn a_lone_blank_or_sign_is_no_number() {
        for number in [" ", "-", "+", " -", "--1", "+-1", "- 1"] {
            assert_eq!(fault(&format!("uid:{number}:tcp:80")), KernelFault::Id);
            assert_eq!(fault(&format!("uid:1:tcp:{number}")), KernelFault::Port);
        }
        assert_eq!(meaning("uid:\t\n\x0b\x0c\r -0:tcp:80"), [(Uid(0), Tcp, 80)]);
    }

    #[test]
    fn the_id_is_looked_at_before_the_word_in_front_of_it() {
        assert_eq!(fault("user:gts:tcp:80"), KernelFault::Id);
        assert_eq!(fault("user:209"), KernelFault::Kind);
    }

    /// Seen: with `uid:4295032830:tcp:80` (2³² + 65534) uid 65534 was still refused. groupmember() truncates a gid.
    #[test]
    fn a_uid_over_32_bits_matches_nobody_but_a_gid_is_cut() {
        let subject = |text: &str| parse_kernel(text).unwrap()[0].effective().map(|rule| rule.subject);
        assert_eq!(subject("uid:4295032830:tcp:80"), None);
        assert_eq!(subject("uid:-1:tcp:80"), None);
        assert_eq!(subject("uid:4294967295:tcp:80"), Some(Subject::Uid(u32::MAX)));
        assert_eq!(subject("gid:4295032830:tcp:80"), Some(Subject::Gid(65534)));
        assert_eq!(subject("gid:-1:tcp:80"), Some(Subject::Gid(u32::MAX)));
    }

    #[test]
    fn too_large_numbers_are_clamped() {
        let digits = "9".repeat(30);
        assert_eq!(meaning(&format!("uid:{digits}:tcp:{digits}")), [(Uid(i64::MAX), Tcp, 65535)]);
        assert_eq!(meaning(&format!("uid:-{digits}:tcp:-{digits}")), [(Uid(i64::MIN), Tcp, 0)]);
    }

    #[test]
    fn the_text_is_kept_and_only_our_spelling_is_canonical() {
        let rules =
            parse_kernel("uid:209:tcp:80,uid: 209:tcp:80,uid:209:tcp:65616,uid:209:tcp:0,uid:-1:tcp:80").unwrap();
        let texts: Vec<_> = rules.iter().map(|rule| rule.text.as_str()).collect();
        assert_eq!(texts, ["uid:209:tcp:80", "uid: 209:tcp:80", "uid:209:tcp:65616", "uid:209:tcp:0", "uid:-1:tcp:80"]);
        let canonical: Vec<_> = rules.iter().map(KernelRule::is_canonical).collect();
        assert_eq!(canonical, [true, false, false, false, false]);
    }

    #[test]
    fn the_message_names_the_element_with_empty_ones_counted() {
        assert_eq!(
            parse_kernel(",,uid:gts:tcp:80").unwrap_err().to_string(),
            "element 3, “uid:gts:tcp:80”: its id is not a number"
        );
    }

    proptest! {
        #[test]
        fn what_is_kept_joins_up_to_what_was_read(elements in prop::collection::vec(strategies::element(), 0..8)) {
            let text = elements.join(",");
            if let Ok(rules) = parse_kernel(&text) {
                let kept: Vec<_> = rules.iter().map(|rule| rule.text.clone()).collect();
                let given: Vec<_> = elements
                    .iter()
                    .flat_map(|element| element.split(','))
                    .filter(|element| !element.is_empty())
                    .collect();
                prop_assert_eq!(kept, given);
            }
        }
    }
}
