//! [`EmailAddress`]: an address to which mail can be sent over the public mail system.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

text_type!(EmailAddress, String);

impl FromStr for EmailAddress {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        const RIGHT: &str = "Write it like admin@example.org";
        let wrong = |why: String| format!("{given:?} is not an e-mail address: {why}");
        let (local, domain) = given.rsplit_once('@').ok_or_else(|| wrong(format!("it has no @. {RIGHT}")))?;
        if local.is_empty() || local.len() > LONGEST_LOCAL_PART {
            return Err(wrong(format!("there must be 1 to 64 characters before the @. {RIGHT}")));
        }
        // RFC 5322, section 3.2.3: atext, with single dots between.
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let odd = local.chars().find(|c| !atext(*c) && *c != '.');
        if let Some(odd) = odd.or(local.split('.').any(str::is_empty).then_some('.')) {
            return Err(wrong(format!(
                "{odd:?} cannot stand where it does before the last @. {RIGHT}, without name or brackets"
            )));
        }
        let no_domain =
            |cause: HostNameError| wrong(format!("what follows the @ is not a mail domain, because {cause}"));
        Ok(Self(format!("{local}@{}", domain.parse::<HostName>().map_err(no_domain)?)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
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
        let said = |bad: &str, rule: &str| {
            let error = error(bad);
            assert!(error.starts_with(&format!("{bad:?} is not an e-mail address: {rule}")), "{error}");
        };
        said("admin", "it has no @. Write it like admin@example.org");
        said("", "it has no @.");
        said("@example.org", "there must be 1 to 64 characters");
        said(&format!("{}@example.org", "a".repeat(65)), "there must be 1 to 64 characters");
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
            said(bad, &format!("{character:?} cannot stand where it does before the last @."));
        }
        let domain = |bad: &str, expected: HostNameError| {
            said(bad, &format!("what follows the @ is not a mail domain, because {expected}"));
        };
        domain("root@localhost", HostNameError::Localhost("localhost".to_owned()));
        domain("a@example.org>", HostNameError::Character("example.org>".to_owned(), '>'));
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
