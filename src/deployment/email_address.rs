//! [`EmailAddress`]: an address to which mail can be sent over the public mail system.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text_type::text_type;
use crate::net::{HostName, HostNameError};

/// The longest local part in characters (RFC 5321, section 4.5.3.1.1).
const LONGEST_LOCAL_PART: usize = 64;

/// An e-mail address in its everyday form, `admin@example.org`.
///
/// Narrower than RFC 5321 on purpose: no quoted local parts, no address literals, no letters outside ASCII. Let's
/// Encrypt and `GoToSocial` refuse or mistreat those. The domain is held in lower case, the local part as given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

text_type!(EmailAddress, EmailAddressError);

/// Why a text is not an [`EmailAddress`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EmailAddressError {
    /// No `@` at all.
    #[error("{text:?} is not an e-mail address: it has no @. Write it like admin@example.org")]
    NoAt {
        /// What was given.
        text: String,
    },
    /// Nothing, or too much, before the `@`.
    #[error(
        "{text:?} is not an e-mail address: there must be 1 to 64 characters before the @. Write it like admin@example.org"
    )]
    LocalPartLength {
        /// What was given.
        text: String,
    },
    /// A character that needs quoting before the `@`, or a misplaced dot.
    #[error(
        "{text:?} is not an e-mail address: {character:?} cannot stand where it does before the last @. Write it like admin@example.org, without name or brackets"
    )]
    LocalPartCharacter {
        /// What was given.
        text: String,
        /// The first wrong character.
        character: char,
    },
    /// What follows the `@` is not a host name.
    #[error("{text:?} is not an e-mail address: what follows the @ is not a mail domain, because {cause}")]
    Domain {
        /// What was given.
        text: String,
        /// What is wrong with the domain.
        cause: Box<HostNameError>,
    },
}

impl FromStr for EmailAddress {
    type Err = EmailAddressError;

    fn from_str(given: &str) -> Result<Self, EmailAddressError> {
        let text = || given.to_owned();
        let (local, domain) = given.rsplit_once('@').ok_or_else(|| EmailAddressError::NoAt { text: text() })?;
        if local.is_empty() || local.len() > LONGEST_LOCAL_PART {
            return Err(EmailAddressError::LocalPartLength { text: text() });
        }
        // RFC 5322, section 3.2.3: atext, with single dots between.
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        if let Some(character) = local.chars().find(|c| !atext(*c) && *c != '.') {
            return Err(EmailAddressError::LocalPartCharacter { text: text(), character });
        }
        if local.split('.').any(str::is_empty) {
            return Err(EmailAddressError::LocalPartCharacter { text: text(), character: '.' });
        }
        let domain: HostName =
            domain.parse().map_err(|cause| EmailAddressError::Domain { text: text(), cause: Box::new(cause) })?;
        Ok(Self(format!("{local}@{domain}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> EmailAddressError {
        text.parse::<EmailAddress>().unwrap_err()
    }

    #[test]
    fn accepts_everyday_addresses() {
        for address in ["admin@example.org", "First.Last+tag@mail.example.org", "o'hara_1@example.org"] {
            assert_eq!(address.parse::<EmailAddress>().unwrap().as_str(), address);
        }
        assert_eq!("Admin@Example.ORG".parse::<EmailAddress>().unwrap().as_str(), "Admin@example.org");
        assert!(format!("{}@example.org", "a".repeat(64)).parse::<EmailAddress>().is_ok());
    }

    #[test]
    fn each_refusal_names_its_rule() {
        let text = |s: &str| s.to_owned();
        assert_eq!(error("admin"), EmailAddressError::NoAt { text: text("admin") });
        assert_eq!(error(""), EmailAddressError::NoAt { text: text("") });
        assert_eq!(error("@example.org"), EmailAddressError::LocalPartLength { text: text("@example.org") });
        let long = format!("{}@example.org", "a".repeat(65));
        assert_eq!(error(&long), EmailAddressError::LocalPartLength { text: long.clone() });
        for (bad, character) in [
            ("a b@example.org", ' '),
            ("Admin <admin@example.org", ' '),
            ("a\"b\"@example.org", '"'),
            ("a@b@example.org", '@'),
            ("jörg@example.org", 'ö'),
            (".a@example.org", '.'),
            ("a..b@example.org", '.'),
            ("a\n@example.org", '\n'),
        ] {
            assert_eq!(error(bad), EmailAddressError::LocalPartCharacter { text: text(bad), character });
        }
        let domain = |bad: &str, expected: HostNameError| {
            let cause = Box::new(expected);
            assert_eq!(error(bad), EmailAddressError::Domain { text: text(bad), cause });
        };
        domain("root@localhost", HostNameError::Localhost(text("localhost")));
        let character = HostNameError::Character(text("example.org>"), '>');
        domain("a@example.org>", character);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_canonical_and_tame(text in "[a-zA-Z0-9.@<> \"\n]{0,16}") {
            if let Ok(address) = text.parse::<EmailAddress>() {
                prop_assert_eq!(address.as_str().parse::<EmailAddress>().unwrap(), address.clone());
                prop_assert!(address.as_str().bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
