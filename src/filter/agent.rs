//! [`AgentPattern`]: what is looked for in the `User-Agent` header.

use std::fmt;
use std::str::FromStr;

/// The longest pattern, in letters.
const LONGEST: usize = 256;

/// Letters that stand anywhere in the `User-Agent` header, in capitals or not; `*` stands for any letters between.
///
/// It is no regular expression on purpose: every letter but `*` means itself, so that nobody has to know which need a
/// backslash, and nothing can break out of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentPattern(String);

impl AgentPattern {
    /// What has to follow each other: the pieces between the stars.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.split('*').filter(|piece| !piece.is_empty())
    }

    /// Whether the pattern is found in a header.
    pub fn fits(&self, agent: &str) -> bool {
        let agent = agent.to_ascii_lowercase();
        let mut rest = agent.as_str();
        for piece in self.pieces() {
            let piece = piece.to_ascii_lowercase();
            let Some(at) = rest.find(&piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        true
    }

    /// The pattern as a regular expression for PCRE, to be matched without regard to capitals. Everything but letters
    /// and digits is written as a number, so there is nothing in it that a configuration file could read otherwise. The
    /// pieces are found once and never again (`(?>…)`), which keeps the time linear in the header's length.
    pub fn regex(&self) -> String {
        let piece = |piece: &str| format!("(?>.*?{})", literal(piece));
        format!("^{}", self.pieces().map(piece).collect::<String>())
    }
}

/// A text as a regular expression that means just it.
pub(super) fn literal(text: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' => letter.to_string(),
        other => format!("\\x{:02x}", u32::from(other)),
    };
    text.chars().map(letter).collect()
}

impl fmt::Display for AgentPattern {
    /// As it stands in the file: in quotes where it needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains([' ', '#']) { write!(f, "\"{}\"", self.0) } else { f.write_str(&self.0) }
    }
}

impl FromStr for AgentPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = text.chars().find(|letter| !(' '..='~').contains(letter) || *letter == '"');
        match odd {
            _ if text.trim().is_empty() => {
                Err("the pattern is empty, and would fit every User-Agent. Write a part of the name, like GPTBot"
                    .to_owned())
            }
            Some(letter) => Err(format!(
                "the pattern has {letter:?} in it. It may have letters, digits, blanks and signs of ASCII but for the \
                 double quote; write * in its place"
            )),
            None if text.len() > LONGEST => {
                Err(format!("the pattern is longer than {LONGEST} letters. Take the part that is special about it"))
            }
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_anywhere_and_in_any_case() {
        for (pattern, agent, fits) in [
            ("GPTBot", "Mozilla/5.0 (compatible; gptbot/1.2; +https://openai.com/gptbot)", true),
            ("GPTBot", "Mozilla/5.0", false),
            ("moz*bot", "Mozilla/5.0 GPTBot", true),
            ("bot*moz", "Mozilla/5.0 GPTBot", false),
            ("aa*aa", "aaa", false),
            ("a.c", "abc", false),
            ("*", "", true),
            ("**x**", "X", true),
        ] {
            assert_eq!(pattern.parse::<AgentPattern>().unwrap().fits(agent), fits, "{pattern} {agent}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for text in ["", "  "] {
            assert!(text.parse::<AgentPattern>().unwrap_err().starts_with("the pattern is empty"));
        }
        for (text, letter) in [("a\"b", '"'), ("a\nb", '\n'), ("bött", 'ö'), ("\u{7f}", '\u{7f}')] {
            let error = text.parse::<AgentPattern>().unwrap_err();
            assert!(error.starts_with(&format!("the pattern has {letter:?} in it")), "{error}");
        }
        assert!("x".repeat(257).parse::<AgentPattern>().unwrap_err().contains("longer than 256 letters"));
    }

    #[test]
    fn nothing_but_letters_and_digits_is_written_as_itself() {
        let all: String = (' '..='~').filter(|letter| *letter != '"' && *letter != '*').collect();
        let regex = all.parse::<AgentPattern>().unwrap().regex();
        let inside = regex.strip_prefix("^(?>.*?").unwrap().strip_suffix(')').unwrap();
        assert!(inside.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '\\'), "{inside}");
        assert_eq!("a*b.".parse::<AgentPattern>().unwrap().regex(), r"^(?>.*?a)(?>.*?b\x2e)");
    }
}
