//! [`UserName`]: the name of an account on the instance.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text_type::text_type;

/// The longest user name in characters, in every version of `GoToSocial` so far.
const LONGEST: usize = 64;

/// A local user name: `GoToSocial` takes `^[a-z0-9_]{1,64}$` and nothing else, so `Alice` is refused and not
/// lowered; the name is public and can never be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

text_type!(UserName, String);

impl FromStr for UserName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let length = text.chars().count();
        if length == 0 || length > LONGEST {
            return Err(format!(
                "the user name has {length} characters, but GoToSocial takes 1 to 64. Write it like alice"
            ));
        }
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let Some(character) = text.chars().find(|c| !right(*c)) else { return Ok(Self(text.to_owned())) };
        let bare = text.trim().trim_start_matches('@').split('@').next().unwrap_or_default();
        let tame: String = bare.to_ascii_lowercase().replace(['-', '.', ' '], "_");
        let fix = if !tame.is_empty() && tame.chars().all(right) { &tame } else { "alice" };
        Err(format!(
            "the user name {text:?} has {character:?} in it, but GoToSocial takes only lower-case letters a-z, digits and underscores. Write it like {fix}"
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_the_server_accepts() {
        for name in ["a", "alice_2", "_", "0", &"x".repeat(64)] {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_the_rest_with_a_fix() {
        for (text, length) in [("", 0), (&"x".repeat(65), 65)] {
            let error = text.parse::<UserName>().unwrap_err();
            assert!(error.starts_with(&format!("the user name has {length} characters")), "{error}");
        }
        for (text, character, fix) in [
            ("Alice", 'A', "alice"),
            ("al-ice", '-', "al_ice"),
            ("@alice", '@', "alice"),
            ("alice@example.org", '@', "alice"),
            ("älice", 'ä', "alice"),
            ("a\n", '\n', "a"),
        ] {
            let error = text.parse::<UserName>().unwrap_err();
            assert!(error.starts_with(&format!("the user name {text:?} has {character:?} in it")), "{error}");
            assert!(error.ends_with(&format!("Write it like {fix}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_fix_is_itself_right(text in any::<String>()) {
            if let Err(error) = text.parse::<UserName>() {
                let fix = error.rsplit(' ').next().unwrap();
                prop_assert!(fix.parse::<UserName>().is_ok());
            }
        }
    }
}
