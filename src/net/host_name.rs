//! [`HostName`]: the public DNS name under which an instance is reached.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text_type::text_type;
use HostNameError as Wrong;

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

/// Why a text is not a [`HostName`]. Each message names the rule and shows what would be right. The first field is what
/// was given; a second text is the name to write instead, or the label in question.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostNameError {
    /// Nothing, or only blanks.
    #[error("the host name is empty. Write the name under which the instance is reached, like social.example.org")]
    Empty,
    /// A whole URL or a path.
    #[error("{0:?} is a URL, but only the bare host name belongs here. Write {1}")]
    Url(String, String),
    /// An account or e-mail address.
    #[error("{0:?} is an address with a user in it, but only the host name belongs here. Write {1}")]
    Address(String, String),
    /// An IPv4 or IPv6 address.
    #[error(
        "{0:?} is an IP address, but other servers know an instance by its DNS name. Write a name that leads to this address, like social.example.org"
    )]
    IpAddress(String),
    /// A port behind the name.
    #[error(
        "{0:?} has a port in it, but only the host name belongs here: other servers always use port 443. Write {1}"
    )]
    Port(String, String),
    /// The trailing dot of a fully qualified name.
    #[error("{0:?} ends with a dot, which GoToSocial would take for a part of the name. Write {1}")]
    TrailingDot(String, String),
    /// A letter outside ASCII.
    #[error(
        "{0:?} has the letter {1:?} in it, which is not ASCII. Write the name in its punycode form, which begins with xn-- (like xn--mnchen-3ya.example for münchen.example)"
    )]
    NotAscii(String, char),
    /// `localhost`, or a name under it (RFC 6761, section 6.3).
    #[error(
        "{0:?} always means the machine itself, so no other server can reach it. Write the public name, like social.example.org"
    )]
    Localhost(String),
    /// One label only.
    #[error(
        "{0:?} is a single word, but a public name has at least two parts with a dot between them. Write the whole name, like {0}.example.org"
    )]
    OneLabel(String),
    /// Two dots in a row, or one at the beginning.
    #[error("{0:?} has nothing between two dots, or begins with a dot. Write {1}")]
    EmptyLabel(String, String),
    /// A character that no host name has.
    #[error(
        "{0:?} has {1:?} in it, but a host name has only letters, digits, hyphens and dots. Write it like social.example.org"
    )]
    Character(String, char),
    /// A hyphen at the edge of a label (RFC 952, RFC 1123 section 2.1).
    #[error(
        "the part {1:?} of {0:?} begins or ends with a hyphen, which DNS does not allow. Write it like social.example.org"
    )]
    Hyphen(String, String),
    /// A label that begins with `xn--` and is not what any name in another script becomes (RFC 5891, section 4.2.3.1; UTS 46).
    #[error(
        "the part {1:?} of {0:?} begins with xn--, but stands for no name in another script, so no certificate is issued for it. Copy it anew from where it is registered"
    )]
    Punycode(String, String),
    /// A label of more than 63 characters.
    #[error("a part of {0:?} has {1} characters, but DNS allows 63 at most between two dots. Choose a shorter name")]
    LongLabel(String, usize),
    /// A name of more than 253 characters.
    #[error("the host name has {0} characters, but DNS allows 253 at most. Choose a shorter name")]
    LongName(usize),
    /// A last label of digits only: no such top-level domain exists, and programs take such names for addresses.
    #[error(
        "{0:?} ends with a number, so programs take it for an IP address. Write a name that ends with letters, like social.example.org"
    )]
    NumericEnd(String),
}

impl FromStr for HostName {
    type Err = HostNameError;

    /// Checks the text in the order in which the causes are likely, so that the message meets the mistake.
    fn from_str(given: &str) -> Result<Self, HostNameError> {
        let name = given.to_ascii_lowercase();
        let text = given.to_owned();
        let address = name.strip_prefix('[').unwrap_or(&name).split(']').next().unwrap_or_default();
        let is_address = address.parse::<Ipv6Addr>().is_ok() || before_port(&name).parse::<Ipv4Addr>().is_ok();
        let other = |c: &char| !is_of_name(*c);
        let wrong = if name.trim().is_empty() {
            Wrong::Empty
        } else if name.contains('/') {
            Wrong::Url(text, bare_name(&name))
        } else if let Some((_, behind)) = name.rsplit_once('@') {
            Wrong::Address(text, bare_name(behind))
        } else if is_address {
            Wrong::IpAddress(text)
        } else if name.contains(':') {
            Wrong::Port(text, bare_name(&name))
        } else if let Some(letter) = name.chars().find(|c| !c.is_ascii()) {
            Wrong::NotAscii(text, letter)
        } else if let Some(character) = name.chars().find(other) {
            Wrong::Character(text, character)
        } else if name.split('.').rev().skip(1).any(str::is_empty) {
            Wrong::EmptyLabel(text, bare_name(&name))
        } else if name.ends_with('.') {
            Wrong::TrailingDot(text, bare_name(&name))
        } else {
            return check_labels(given, &name).map(|()| Self(name));
        };
        Err(wrong)
    }
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.')
}

/// Checks what DNS says of the labels of `name`, which is ASCII, lower case and without empty labels.
fn check_labels(given: &str, name: &str) -> Result<(), HostNameError> {
    let text = given.to_owned();
    if name.len() > LONGEST_NAME {
        return Err(Wrong::LongName(name.len()));
    }
    for label in name.split('.') {
        if label.len() > LONGEST_LABEL {
            return Err(Wrong::LongLabel(text, label.len()));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Wrong::Hyphen(text, label.to_owned()));
        }
        if label.starts_with("xn--") && idna::domain_to_ascii_strict(label).is_err() {
            return Err(Wrong::Punycode(text, label.to_owned()));
        }
    }
    match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "localhost" => Err(Wrong::Localhost(text)),
        _ if !name.contains('.') => Err(Wrong::OneLabel(text)),
        last if last.bytes().all(|b| b.is_ascii_digit()) => Err(Wrong::NumericEnd(text)),
        _ => Ok(()),
    }
}

/// What stands before the first colon.
fn before_port(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The host name inside a URL or another wrapping, for the fix in a message; an example where none can be seen.
fn bare_name(wrapped: &str) -> String {
    let behind_scheme = wrapped.split_once("//").map_or(wrapped, |(_, behind)| behind);
    let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let labels: Vec<&str> = before_port(host).split('.').filter(|label| !label.is_empty()).collect();
    let bare = labels.join(".");
    match check_labels(&bare, &bare) {
        Ok(()) if bare.chars().all(is_of_name) => bare,
        _ => "social.example.org".to_owned(),
    }
}

impl HostName {
    /// Whether this name is `other` itself, or a parent of it: `example.org` is a parent of `social.example.org`.
    pub fn is_same_or_parent_of(&self, other: &Self) -> bool {
        other.0.strip_suffix(&self.0).is_some_and(|before| before.is_empty() || before.ends_with('.'))
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
            assert_eq!(error(given), HostNameError::Url(text(given), text(fix)));
        };
        url("https://social.example.org/", "social.example.org");
        url("https://u:p@social.example.org:8443/x?y#z", "social.example.org");
        url("social.example.org/path", "social.example.org");
        url("https://", "social.example.org");
        url("https://bad name/", "social.example.org");
        let address = "@alice@social.example.org";
        assert_eq!(error(address), HostNameError::Address(text(address), text("social.example.org")));
        for ip in ["192.0.2.1", "192.0.2.1:443", "::1", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(error(ip), HostNameError::IpAddress(text(ip)), "{ip}");
        }
        assert_eq!(
            error("social.example.org:443"),
            HostNameError::Port(text("social.example.org:443"), text("social.example.org"))
        );
        assert_eq!(
            error("social.example.org."),
            HostNameError::TrailingDot(text("social.example.org."), text("social.example.org"))
        );
        assert_eq!(error("münchen.example"), HostNameError::NotAscii(text("münchen.example"), 'ü'));
        for local in ["localhost", "LOCALHOST", "social.localhost"] {
            assert_eq!(error(local), HostNameError::Localhost(text(local)));
        }
        assert_eq!(error("social"), HostNameError::OneLabel(text("social")));
        for dots in ["social..org", ".social.org", "social.org.."] {
            assert_eq!(error(dots), HostNameError::EmptyLabel(text(dots), text("social.org")));
        }
        for (bad, character) in [("so cial.org", ' '), ("so_cial.org", '_'), ("*.a.org", '*'), (" a.org", ' ')] {
            assert_eq!(error(bad), HostNameError::Character(text(bad), character));
        }
        for (bad, label) in [("-a.org", "-a"), ("a-.org", "a-"), ("a.org-", "org-")] {
            assert_eq!(error(bad), HostNameError::Hyphen(text(bad), text(label)));
        }
        for label in ["xn--zzzzzz", "xn--a", "xn--social-"] {
            let bad = format!("{label}.example.org");
            let expected = match label.ends_with('-') {
                true => HostNameError::Hyphen(bad.clone(), text(label)),
                false => HostNameError::Punycode(bad.clone(), text(label)),
            };
            assert_eq!(error(&bad), expected);
        }
        let long = format!("{}.org", "a".repeat(64));
        assert_eq!(error(&long), HostNameError::LongLabel(long.clone(), 64));
        assert_eq!(error(&format!("{}org", "abc.".repeat(63))), HostNameError::LongName(255));
        assert_eq!(error("social.123"), HostNameError::NumericEnd(text("social.123")));
    }

    #[test]
    fn a_name_of_254_characters_is_too_long() {
        let labels = [63, 63, 63, 62].map(|length| "a".repeat(length)).join(".");
        assert_eq!(error(&labels), HostNameError::LongName(254));
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
            if let Err(E::Url(_, fix) | E::Port(_, fix) | E::TrailingDot(_, fix) | E::EmptyLabel(_, fix) | E::Address(_, fix)) = text.parse::<HostName>() {
                prop_assert!(fix.parse::<HostName>().is_ok(), "{text:?} gave the fix {fix:?}");
            }
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = text.parse::<HostName>();
        }
    }
}
