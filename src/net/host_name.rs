//! [`HostName`]: the public DNS name under which an instance is reached.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text_type::text_type;

/// The longest host name in characters (RFC 1035, section 2.3.4: 255 octets on the wire).
const LONGEST_NAME: usize = 253;

/// The longest label in characters (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// A public DNS host name of at least two labels, such as `social.example.org`.
///
/// Always in lower case: DNS does not tell cases apart, but `GoToSocial` writes the name into every link and id
/// that it sends to other servers, so there must be one form. Upper case is accepted and lowered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

text_type!(HostName, HostNameError);

/// Why a text is not a [`HostName`]. Each message names the rule and shows what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostNameError {
    /// Nothing, or only blanks.
    #[error("the host name is empty. Write the name under which the instance is reached, like social.example.org")]
    Empty,
    /// A whole URL or a path.
    #[error("{text:?} is a URL, but only the bare host name belongs here. Write {fix}")]
    Url {
        /// What was given.
        text: String,
        /// The bare name, or an example where none can be seen.
        fix: String,
    },
    /// An account or e-mail address.
    #[error("{text:?} is an address with a user in it, but only the host name belongs here. Write {fix}")]
    Address {
        /// What was given.
        text: String,
        /// The part behind the last `@`.
        fix: String,
    },
    /// An IPv4 or IPv6 address.
    #[error(
        "{text:?} is an IP address, but other servers know an instance by its DNS name. Write a name that leads to this address, like social.example.org"
    )]
    IpAddress {
        /// What was given.
        text: String,
    },
    /// A port behind the name.
    #[error(
        "{text:?} has a port in it, but only the host name belongs here: other servers always use port 443. Write {fix}"
    )]
    Port {
        /// What was given.
        text: String,
        /// The name without the port.
        fix: String,
    },
    /// The trailing dot of a fully qualified name.
    #[error("{text:?} ends with a dot, which GoToSocial would take for a part of the name. Write {fix}")]
    TrailingDot {
        /// What was given.
        text: String,
        /// The name without the dot.
        fix: String,
    },
    /// Letters outside ASCII.
    #[error(
        "{text:?} has the letter {letter:?} in it, which is not ASCII. Write the name in its punycode form, which begins with xn-- (like xn--mnchen-3ya.example for münchen.example)"
    )]
    NotAscii {
        /// What was given.
        text: String,
        /// The first letter outside ASCII.
        letter: char,
    },
    /// `localhost`, or a name under it (RFC 6761, section 6.3).
    #[error(
        "{text:?} always means the machine itself, so no other server can reach it. Write the public name, like social.example.org"
    )]
    Localhost {
        /// What was given.
        text: String,
    },
    /// One label only.
    #[error(
        "{text:?} is a single word, but a public name has at least two parts with a dot between them. Write the whole name, like {text}.example.org"
    )]
    OneLabel {
        /// What was given.
        text: String,
    },
    /// Two dots in a row, or one at the beginning.
    #[error("{text:?} has nothing between two dots, or begins with a dot. Write {fix}")]
    EmptyLabel {
        /// What was given.
        text: String,
        /// The name with the surplus dots left out.
        fix: String,
    },
    /// A character that no host name has.
    #[error(
        "{text:?} has {character:?} in it, but a host name has only letters, digits, hyphens and dots. Write it like social.example.org"
    )]
    Character {
        /// What was given.
        text: String,
        /// The first wrong character.
        character: char,
    },
    /// A hyphen at the edge of a label (RFC 952, RFC 1123 section 2.1).
    #[error(
        "the part {label:?} of {text:?} begins or ends with a hyphen, which DNS does not allow. Write it like social.example.org"
    )]
    Hyphen {
        /// What was given.
        text: String,
        /// The label in question.
        label: String,
    },
    /// A label that begins with `xn--` and is not what any name in another script becomes (RFC 5891, section 4.2.3.1; UTS 46).
    #[error(
        "the part {label:?} of {text:?} begins with xn--, but stands for no name in another script, so no certificate is issued for it. Copy it anew from where it is registered"
    )]
    Punycode {
        /// What was given.
        text: String,
        /// The label in question.
        label: String,
    },
    /// A label of more than 63 characters.
    #[error(
        "a part of {text:?} has {length} characters, but DNS allows 63 at most between two dots. Choose a shorter name"
    )]
    LongLabel {
        /// What was given.
        text: String,
        /// Its length in characters.
        length: usize,
    },
    /// A name of more than 253 characters.
    #[error("the host name has {length} characters, but DNS allows 253 at most. Choose a shorter name")]
    LongName {
        /// Its length in characters.
        length: usize,
    },
    /// A last label of digits only: no such top-level domain exists, and programs take such names for addresses.
    #[error(
        "{text:?} ends with a number, so programs take it for an IP address. Write a name that ends with letters, like social.example.org"
    )]
    NumericEnd {
        /// What was given.
        text: String,
    },
}

impl FromStr for HostName {
    type Err = HostNameError;

    /// Checks the text in the order in which the causes are likely, so that the message meets the mistake.
    fn from_str(given: &str) -> Result<Self, HostNameError> {
        let text = || given.to_owned();
        let name = given.to_ascii_lowercase();
        if name.trim().is_empty() {
            return Err(HostNameError::Empty);
        }
        if name.contains('/') {
            return Err(HostNameError::Url { text: text(), fix: bare_name(&name) });
        }
        if let Some((_, behind)) = name.rsplit_once('@') {
            return Err(HostNameError::Address { text: text(), fix: bare_name(behind) });
        }
        let unbracketed = name.strip_prefix('[').unwrap_or(&name);
        let address = unbracketed.split_once(']').map_or(unbracketed, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_ok() || before_port(&name).parse::<Ipv4Addr>().is_ok() {
            return Err(HostNameError::IpAddress { text: text() });
        }
        if name.contains(':') {
            return Err(HostNameError::Port { text: text(), fix: bare_name(&name) });
        }
        if let Some(letter) = name.chars().find(|c| !c.is_ascii()) {
            return Err(HostNameError::NotAscii { text: text(), letter });
        }
        let wrong = |c: &char| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '.');
        if let Some(character) = name.chars().find(wrong) {
            return Err(HostNameError::Character { text: text(), character });
        }
        if name.split('.').rev().skip(1).any(str::is_empty) {
            return Err(HostNameError::EmptyLabel { text: text(), fix: bare_name(&name) });
        }
        if name.ends_with('.') {
            return Err(HostNameError::TrailingDot { text: text(), fix: bare_name(&name) });
        }
        check_labels(given, &name)?;
        Ok(Self(name))
    }
}

/// Checks what DNS says of the labels of `name`, which is ASCII, lower case and without empty labels.
fn check_labels(given: &str, name: &str) -> Result<(), HostNameError> {
    let text = || given.to_owned();
    if name.len() > LONGEST_NAME {
        return Err(HostNameError::LongName { length: name.len() });
    }
    for label in name.split('.') {
        if label.len() > LONGEST_LABEL {
            return Err(HostNameError::LongLabel { text: text(), length: label.len() });
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(HostNameError::Hyphen { text: text(), label: label.to_owned() });
        }
        if label.starts_with("xn--") && idna::domain_to_ascii_strict(label).is_err() {
            return Err(HostNameError::Punycode { text: text(), label: label.to_owned() });
        }
    }
    match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "localhost" => Err(HostNameError::Localhost { text: text() }),
        _ if !name.contains('.') => Err(HostNameError::OneLabel { text: text() }),
        last if last.bytes().all(|b| b.is_ascii_digit()) => Err(HostNameError::NumericEnd { text: text() }),
        _ => Ok(()),
    }
}

/// What stands before the first colon.
fn before_port(name: &str) -> &str {
    name.split_once(':').map_or(name, |(before, _)| before)
}

/// The host name inside a URL or another wrapping, for the fix in a message; an example where none can be seen.
fn bare_name(wrapped: &str) -> String {
    let behind_scheme = wrapped.split_once("//").map_or(wrapped, |(_, behind)| behind);
    let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let labels: Vec<&str> = before_port(host).split('.').filter(|label| !label.is_empty()).collect();
    let bare = labels.join(".");
    match check_labels(&bare, &bare) {
        Ok(()) if bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') => bare,
        _ => "social.example.org".to_owned(),
    }
}

impl HostName {
    /// Whether this name is `other` itself, or a parent of it: `example.org` is a parent of `social.example.org`.
    pub fn is_same_or_parent_of(&self, other: &Self) -> bool {
        match other.0.strip_suffix(&self.0) {
            Some(before) => before.is_empty() || before.ends_with('.'),
            None => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> HostNameError {
        text.parse::<HostName>().unwrap_err()
    }

    #[test]
    fn accepts_names_and_lowers_them() {
        for name in [
            "social.example.org",
            "a.bc",
            "xn--mnchen-3ya.example",
            "xn--i-7iq.ws",
            "xn--11b4c3d.xn--h2brj9c",
            "1.2.3.com",
            "a-b.example",
        ] {
            assert_eq!(name.parse::<HostName>().unwrap().as_str(), name);
        }
        assert_eq!("Social.Example.ORG".parse::<HostName>().unwrap().as_str(), "social.example.org");
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        assert_eq!(longest.parse::<HostName>().unwrap().as_str().len(), 253);
    }

    #[test]
    fn each_refusal_names_its_rule() {
        let text = |s: &str| s.to_owned();
        assert_eq!(error(""), HostNameError::Empty);
        assert_eq!(error("  "), HostNameError::Empty);
        let url = |given: &str, fix: &str| {
            assert_eq!(error(given), HostNameError::Url { text: text(given), fix: text(fix) });
        };
        url("https://social.example.org/", "social.example.org");
        url("https://u:p@social.example.org:8443/x?y#z", "social.example.org");
        url("social.example.org/path", "social.example.org");
        url("https://", "social.example.org");
        url("https://bad name/", "social.example.org");
        let address = "@alice@social.example.org";
        assert_eq!(error(address), HostNameError::Address { text: text(address), fix: text("social.example.org") });
        for ip in ["192.0.2.1", "192.0.2.1:443", "::1", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(error(ip), HostNameError::IpAddress { text: text(ip) }, "{ip}");
        }
        assert_eq!(
            error("social.example.org:443"),
            HostNameError::Port { text: text("social.example.org:443"), fix: text("social.example.org") }
        );
        assert_eq!(
            error("social.example.org."),
            HostNameError::TrailingDot { text: text("social.example.org."), fix: text("social.example.org") }
        );
        assert_eq!(error("münchen.example"), HostNameError::NotAscii { text: text("münchen.example"), letter: 'ü' });
        for local in ["localhost", "LOCALHOST", "social.localhost"] {
            assert_eq!(error(local), HostNameError::Localhost { text: text(local) });
        }
        assert_eq!(error("social"), HostNameError::OneLabel { text: text("social") });
        for dots in ["social..org", ".social.org", "social.org.."] {
            assert_eq!(error(dots), HostNameError::EmptyLabel { text: text(dots), fix: text("social.org") });
        }
        for (bad, character) in [("so cial.org", ' '), ("so_cial.org", '_'), ("*.a.org", '*'), (" a.org", ' ')] {
            assert_eq!(error(bad), HostNameError::Character { text: text(bad), character });
        }
        for (bad, label) in [("-a.org", "-a"), ("a-.org", "a-"), ("a.org-", "org-")] {
            assert_eq!(error(bad), HostNameError::Hyphen { text: text(bad), label: text(label) });
        }
        for label in ["xn--zzzzzz", "xn--a", "xn--social-"] {
            let bad = format!("{label}.example.org");
            let expected = match label.ends_with('-') {
                true => HostNameError::Hyphen { text: bad.clone(), label: text(label) },
                false => HostNameError::Punycode { text: bad.clone(), label: text(label) },
            };
            assert_eq!(error(&bad), expected);
        }
        let long = format!("{}.org", "a".repeat(64));
        assert_eq!(error(&long), HostNameError::LongLabel { text: long.clone(), length: 64 });
        assert_eq!(error(&format!("{}org", "abc.".repeat(63))), HostNameError::LongName { length: 255 });
        assert_eq!(error("social.123"), HostNameError::NumericEnd { text: text("social.123") });
    }

    #[test]
    fn a_name_of_254_characters_is_too_long() {
        let labels = [63, 63, 63, 62].map(|length| "a".repeat(length)).join(".");
        assert_eq!(error(&labels), HostNameError::LongName { length: 254 });
    }

    #[test]
    fn message_shows_the_fix() {
        assert_eq!(
            error("https://social.example.org/").to_string(),
            "\"https://social.example.org/\" is a URL, but only the bare host name belongs here. Write social.example.org"
        );
        assert!(error("münchen.example").to_string().contains("xn--"));
    }

    #[test]
    fn parents() {
        let name = |text: &str| text.parse::<HostName>().unwrap();
        assert!(name("example.org").is_same_or_parent_of(&name("social.example.org")));
        assert!(name("example.org").is_same_or_parent_of(&name("example.org")));
        assert!(!name("ample.org").is_same_or_parent_of(&name("example.org")));
        assert!(!name("social.example.org").is_same_or_parent_of(&name("example.org")));
        assert!(!name("other.test").is_same_or_parent_of(&name("social.example.org")));
    }

    #[test]
    fn serde_goes_through_the_check() {
        let name: HostName = serde_json::from_str("\"Social.Example.org\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"social.example.org\"");
        assert!(serde_json::from_str::<HostName>("\"localhost\"").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_canonical(text in "[a-zA-Z0-9.:/@_ü -]{0,20}") {
            if let Ok(name) = text.parse::<HostName>() {
                prop_assert_eq!(name.as_str().parse::<HostName>().unwrap(), name.clone());
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'));
                prop_assert!(name.as_str().contains('.'));
            }
        }

        #[test]
        fn every_fix_is_itself_right(text in "(https?://)?[a-z@]{0,4}[a-z]{1,5}[.]{1,2}[a-z]{2,3}[.:/]{0,2}[0-9]{0,4}") {
            use HostNameError as E;
            if let Err(E::Url { fix, .. } | E::Port { fix, .. } | E::TrailingDot { fix, .. } | E::EmptyLabel { fix, .. } | E::Address { fix, .. }) = text.parse::<HostName>() {
                prop_assert!(fix.parse::<HostName>().is_ok(), "{text:?} gave the fix {fix:?}");
            }
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = text.parse::<HostName>();
        }
    }
}
