//! [`UserName`]: the name of an account on the instance.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text_type::text_type;

/// The longest user name in characters, in every version of `GoToSocial` so far.
const LONGEST: usize = 64;

/// A local user name: `GoToSocial` takes `^[a-z0-9_]{1,64}$` and nothing else, so `Alice` is refused and not
/// lowered; the name is public and can never be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

text_type!(UserName, UserNameError);

/// Why a text is not a [`UserName`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserNameError {
    /// No character, or more than 64.
    #[error("the user name has {length} characters, but GoToSocial takes 1 to 64. Write it like alice")]
    Length {
        /// How many characters were given.
        length: usize,
    },
    /// A character outside `a-z`, `0-9` and `_`.
    #[error(
        "the user name {text:?} has {character:?} in it, but GoToSocial takes only lower-case letters a-z, digits and underscores. Write it like {fix}"
    )]
    Character {
        /// What was given.
        text: String,
        /// The first wrong character.
        character: char,
        /// A name that would be taken.
        fix: String,
    },
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let length = text.chars().count();
        if length == 0 || length > LONGEST {
            return Err(UserNameError::Length { length });
        }
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if let Some(character) = text.chars().find(|c| !right(*c)) {
            let bare = text.trim().trim_start_matches('@').split('@').next().unwrap_or_default();
            let tame: String = bare.to_ascii_lowercase().replace(['-', '.', ' '], "_");
            let fix = if !tame.is_empty() && tame.chars().all(right) { tame } else { "alice".to_owned() };
            return Err(UserNameError::Character { text: text.to_owned(), character, fix });
        }
        Ok(Self(text.to_owned()))
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
        assert_eq!("".parse::<UserName>().unwrap_err(), UserNameError::Length { length: 0 });
        assert_eq!("x".repeat(65).parse::<UserName>().unwrap_err(), UserNameError::Length { length: 65 });
        for (text, character, fix) in [
            ("Alice", 'A', "alice"),
            ("al-ice", '-', "al_ice"),
            ("@alice", '@', "alice"),
            ("alice@example.org", '@', "alice"),
            ("älice", 'ä', "alice"),
            ("a\n", '\n', "a"),
        ] {
            assert_eq!(
                text.parse::<UserName>().unwrap_err(),
                UserNameError::Character { text: text.to_owned(), character, fix: fix.to_owned() }
            );
        }
    }

    proptest! {
        #[test]
        fn every_fix_is_itself_right(text in any::<String>()) {
            if let Err(UserNameError::Character { fix, .. }) = text.parse::<UserName>() {
                prop_assert!(fix.parse::<UserName>().is_ok());
            }
        }
    }
}
