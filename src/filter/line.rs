//! Reads one line of the file.

use std::str::FromStr;

use super::network::Network;
use super::rate::{Rate, number};
use super::rule::Rule;

const DENY: &str = "deny NETWORK, deny agent PATTERN or deny file NAME; write a pattern with spaces in double quotes";
const ALLOW: &str = "allow NETWORK";
const PROTECT: &str = "protect PATH from NETWORK, optionally followed by further networks";
const RATE: &str = "rate PATH NUMBER/s or rate PATH NUMBER/m, optionally followed by burst NUMBER";

/// The rule of a line; `None` if there is nothing on it, or a comment alone.
///
/// # Errors
/// In words, what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Option<Rule>, String> {
    let words = words(line)?;
    let Some((kind, rest)) = words.split_first() else { return Ok(None) };
    let form = |form: &str| Err(format!("this is not of the form: {form}"));
    Ok(Some(match (*kind, rest) {
        ("deny", ["agent", pattern]) => Rule::DenyAgent(pattern.parse()?),
        ("deny", ["file", name]) => Rule::DenyFile(name.parse()?),
        ("deny", ["agent" | "file"]) => return form(DENY),
        ("deny", [network]) => Rule::Deny(network.parse()?),
        ("allow", [network]) => Rule::Allow(network.parse()?),
        ("protect", [path, "from", from @ ..]) if !from.is_empty() => {
            let mut networks: Vec<Network> = Vec::new();
            for text in from {
                let network = text.parse()?;
                if networks.contains(&network) {
                    return Err(format!("{network} is in it twice; remove one"));
                }
                networks.push(network);
            }
            Rule::Protect { path: path.parse()?, from: networks }
        }
        ("rate", [path, rate]) => Rule::Rate { path: path.parse()?, rate: rate.parse()?, burst: None },
        ("rate", [path, rate, "burst", burst]) => {
            let most = Rate::MOST_BURST;
            let burst = number(burst).filter(|burst| *burst <= most);
            let burst = burst.ok_or_else(|| format!("the burst must be a plain number from 0 to {most}"))?;
            Rule::Rate { path: path.parse()?, rate: rate.parse()?, burst: Some(burst) }
        }
        ("deny", _) => return form(DENY),
        ("allow", _) => return form(ALLOW),
        ("protect", _) => return form(PROTECT),
        ("rate", _) => return form(RATE),
        (word, _) => {
            return Err(format!("a rule begins with deny, allow, protect or rate, and not with {word}"));
        }
    }))
}

/// The words of a line, quotes taken off, without the comment.
fn words(line: &str) -> Result<Vec<&str>, String> {
    const ENDS: [char; 3] = [' ', '\t', '#'];
    let quote = || "a double quote is missing, or no space follows it".to_owned();
    let mut words = Vec::new();
    let mut rest = line.trim_matches([' ', '\t', '\r']);
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(inside) => inside.split_once('"').ok_or_else(quote)?,
            None => rest.split_at(rest.find(ENDS).unwrap_or(rest.len())),
        };
        if word.contains('"') || !(behind.is_empty() || behind.starts_with(ENDS)) {
            return Err(quote());
        }
        words.push(word);
        rest = behind.trim_start_matches([' ', '\t']);
    }
    Ok(words)
}

impl FromStr for Rule {
    type Err = String;

    /// Reads a rule as it stands on a line, a comment behind it left out.
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text)?.ok_or_else(|| "a rule begins with deny, allow, protect or rate, and not with nothing".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::network::tests::any_network;
    use super::*;

    pub fn any_rule() -> impl Strategy<Value = Rule> {
        let path = || "(/[a-zA-Z0-9_~@+-][a-zA-Z0-9._~@+-]{0,3}){1,3}|/".prop_map(|text| text.parse().unwrap());
        prop_oneof![
            any_network().prop_map(Rule::Deny),
            any_network().prop_map(Rule::Allow),
            "[!#-~][ !#-~]{0,12}".prop_map(|text| Rule::DenyAgent(text.parse().unwrap())),
            "[a-z0-9][a-z0-9-]{0,8}".prop_map(|text| Rule::DenyFile(text.parse().unwrap())),
            (path(), prop::collection::btree_set(any_network(), 1..4))
                .prop_map(|(path, from)| Rule::Protect { path, from: from.into_iter().collect() }),
            (path(), 1..=100_000_u32, any::<bool>(), prop::option::of(0..=1_000_000_u32)).prop_map(
                |(path, count, minute, burst)| Rule::Rate {
                    path,
                    rate: format!("{count}/{}", if minute { "m" } else { "s" }).parse().unwrap(),
                    burst
                }
            ),
        ]
    }

    #[test]
    fn lines_are_read() {
        for (line, printed) in [
            ("deny 192.0.2.0/24", "deny 192.0.2.0/24"),
            ("  allow\t2001:db8::1 # a friend", "allow 2001:db8::1"),
            ("deny agent GPTBot#comment", "deny agent GPTBot"),
            ("deny agent \"a # b\"#c", "deny agent \"a # b\""),
            ("deny agent \"agent\"", "deny agent agent"),
            ("deny file drop-v4\r", "deny file drop-v4"),
            ("protect /settings/ from 10.0.0.0/8 fd00::/8", "protect /settings from 10.0.0.0/8 fd00::/8"),
            ("rate /api 10/s", "rate /api 10/s"),
            ("rate /auth 5/m burst 0", "rate /auth 5/m burst 0"),
        ] {
            assert_eq!(parse(line).unwrap().unwrap().to_string(), printed);
        }
        for line in ["", "   ", "# deny 192.0.2.0/24", "\t#"] {
            assert_eq!(parse(line).unwrap(), None);
        }
    }

    #[test]
    fn wrong_lines_are_refused_with_the_right_form() {
        for (line, said) in [
            ("block 192.0.2.0/24", "begins with deny, allow, protect or rate, and not with block"),
            ("Deny 192.0.2.1", "and not with Deny"),
            ("deny", "deny NETWORK, deny agent"),
            ("deny agent", "deny NETWORK, deny agent"),
            ("deny agent a b", "in double quotes"),
            ("deny 192.0.2.1 192.0.2.2", "deny NETWORK"),
            ("deny 192.0.2.1/24", "The network is 192.0.2.0/24"),
            ("deny agent \"\"", "the pattern is empty"),
            ("deny agent \"a", "a double quote is missing"),
            ("deny agent \"a\"b", "a double quote is missing"),
            ("deny agent a\"b", "a double quote is missing"),
            ("deny file ../etc/passwd", "is not the name of a list"),
            ("allow", "allow NETWORK"),
            ("protect /a", "protect PATH from NETWORK"),
            ("protect /a from", "protect PATH from NETWORK"),
            ("protect a from 10.0.0.0/8", "is not a path"),
            ("protect /a from 10.0.0.0/8 10.0.0.0/8", "10.0.0.0/8 is in it twice"),
            ("rate /a", "rate PATH NUMBER/s"),
            ("rate /a 0/s", "would block every client"),
            ("rate /a 5/h", "is not a rate"),
            ("rate /a 5/s burst", "rate PATH NUMBER/s"),
            ("rate /a 5/s burst -1", "the burst must be"),
            ("rate /a 5/s burst 1000001", "the burst must be"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
        assert!("# nothing".parse::<Rule>().is_err());
    }

    proptest! {
        #[test]
        fn a_rule_that_is_printed_is_read_back(rule in any_rule()) {
            prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }

        #[test]
        fn no_line_upsets_the_reader(line in "(deny|allow|protect|rate|agent|file|from|burst|[ \"#/.:0-9a-f]){0,12}|.*") {
            if let Ok(Some(rule)) = parse(&line) {
                prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
            }
        }
    }
}
