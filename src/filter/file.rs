//! [`Filters`]: the file as a whole, read, changed and printed without touching what people wrote in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::line;
use super::list::ListName;
use super::network::Network;
use super::path::UrlPath;
use super::rate::{Rate, number};
use super::rule::Rule;

/// The lines with the rules on them, comments and empty lines kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<(String, Option<Rule>)>);

/// What came of adding rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The file with them.
    pub filters: Filters,
    /// The rules that are new.
    pub new: Vec<Rule>,
    /// Those that were there already, with their lines.
    pub there: Vec<(usize, Rule)>,
}

/// Which rule is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// That on this line.
    Line(usize),
    /// That which reads so.
    Rule(Rule),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        number(text).map_or_else(|| text.parse().map(Self::Rule), |line| Ok(Self::Line(line)))
    }
}

/// A rule about a path: its line, itself, the path, and what it says of it.
pub type PathRule<'a, T> = (usize, &'a Rule, &'a UrlPath, T);

impl Filters {
    /// Reads the file.
    ///
    /// # Errors
    /// In words, everything that is wrong with it, in the order of the lines; nothing is taken from a file with a mistake.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut lines = Vec::new();
        let mut places = BTreeMap::new();
        for (line, text) in (1..).zip(text.split_terminator('\n')) {
            let rule = line::parse(text).unwrap_or_else(|why| {
                errors.push(format!("line {line}, {}: {why}", text.trim()));
                None
            });
            if let Some(rule) = &rule {
                let (other, there) = places.entry(place(rule)).or_insert_with(|| (line, rule.clone()));
                if *other != line {
                    let why = clash(rule, there);
                    errors.push(format!("line {line}, {rule}: {why} line {other}, {there}. Take one of the two out"));
                }
            }
            lines.push((text.to_owned(), rule));
        }
        if errors.is_empty() { Ok(Self(lines)) } else { Err(errors) }
    }

    /// The rules, each with its line, from 1 on.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &Rule)> {
        (1..).zip(&self.0).filter_map(|(line, (_, rule))| Some((line, rule.as_ref()?)))
    }

    /// The rules that limit how often a client asks, which not every web server can, each with its line.
    pub fn rates(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules().filter(|(_, rule)| matches!(rule, Rule::Rate { .. }))
    }

    /// The lists that are named, each with its line.
    pub fn lists(&self) -> impl Iterator<Item = (usize, &ListName)> {
        self.rules().filter_map(|(line, rule)| match rule {
            Rule::DenyFile(name) => Some((line, name)),
            _ => None,
        })
    }

    /// The protected paths with who may come, see `by_path`.
    pub fn protected(&self) -> Vec<PathRule<'_, &[Network]>> {
        self.by_path(|rule| match rule {
            Rule::Protect { path, from } => Some((path, from.as_slice())),
            _ => None,
        })
    }

    /// The limited paths with their rate, and how many requests may come at once beyond it, see `by_path`.
    pub fn limited(&self) -> Vec<PathRule<'_, (Rate, u32)>> {
        self.by_path(|rule| match rule {
            Rule::Rate { path, rate, burst } => Some((path, (*rate, burst.unwrap_or(rate.count)))),
            _ => None,
        })
    }

    /// Rules about paths, the longest path first, so that the first that fits is the one that decides.
    fn by_path<'a, T>(&'a self, about: impl Fn(&'a Rule) -> Option<(&'a UrlPath, T)>) -> Vec<PathRule<'a, T>> {
        let about = |(line, rule)| about(rule).map(|(path, what)| (line, rule, path, what));
        let mut rules: Vec<_> = self.rules().filter_map(about).collect();
        rules.sort_by_key(|(_, _, path, _)| Reverse(path.as_str().len()));
        rules
    }

    /// Adds rules at the end. Those that are there already are left as they are.
    ///
    /// # Errors
    /// In words, every rule that does not go together with one that is there, or with another new one.
    pub fn add(&self, rules: &[Rule]) -> Result<Added, Vec<String>> {
        let mut added = Added { filters: self.clone(), new: Vec::new(), there: Vec::new() };
        let mut errors = Vec::new();
        for rule in rules {
            let here = |other: &&Rule| place(other) == place(rule);
            if let Some((line, there)) = self.rules().find(|(_, there)| here(there)) {
                if rule == there {
                    added.there.push((line, rule.clone()));
                    continue;
                }
                let why = clash(rule, there);
                errors.push(format!(
                    "{rule} cannot be added: {why} line {line}, {there}. Remove that first: gts-bootstrap filter remove \
                     {line}"
                ));
            } else if let Some(other) = added.new.iter().find(here) {
                if other != rule {
                    errors.push(format!(
                        "{rule} and {other} were requested together and contradict each other. Request one of them"
                    ));
                }
            } else {
                added.filters.0.push((rule.to_string(), Some(rule.clone())));
                added.new.push(rule.clone());
            }
        }
        if errors.is_empty() { Ok(added) } else { Err(errors) }
    }

    /// Takes a rule out, with its line and the comment on it, and gives it back.
    ///
    /// # Errors
    /// In words: there is no such rule.
    pub fn remove(&self, which: &Selector) -> Result<(Self, Rule), String> {
        let (line, rule) = match which {
            Selector::Line(wanted) => self.rules().find(|(line, _)| line == wanted).ok_or_else(|| {
                format!(
                    "there is no rule on line {wanted}. `gts-bootstrap filter list` shows the rules with their lines"
                )
            }),
            Selector::Rule(wanted) => self
                .rules()
                .find(|(_, rule)| *rule == wanted)
                .ok_or_else(|| format!("there is no rule: {wanted}. `gts-bootstrap filter list` shows what there is")),
        }?;
        let mut filters = self.clone();
        filters.0.remove(line - 1);
        Ok((filters, rule.clone()))
    }
}

/// What only one rule can be about.
fn place(rule: &Rule) -> String {
    match rule {
        Rule::Deny(network) | Rule::Allow(network) => network.to_string(),
        Rule::Protect { path, .. } => format!("protect {path}"),
        Rule::Rate { path, .. } => format!("rate {path}"),
        Rule::DenyAgent(_) | Rule::DenyFile(_) => rule.to_string(),
    }
}

/// How two rules about the same clash.
fn clash(rule: &Rule, there: &Rule) -> &'static str {
    match rule {
        _ if rule == there => "this is the same as",
        Rule::Deny(_) | Rule::Allow(_) => "this contradicts",
        _ => "the path has a rule of this kind already, on",
    }
}

impl fmt::Display for Filters {
    /// The file's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(text, _)| writeln!(f, "{text}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::tests::any_rule;
    use super::*;

    const TEXT: &str = "# ours\nallow 192.0.2.0/24  # friends\n\ndeny 192.0.2.7\ndeny agent GPTBot\nprotect /settings from 10.0.0.0/8\nrate /api 10/s\ndeny file drop\n";

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_is_read_with_its_lines() {
        let filters = Filters::parse(TEXT).unwrap();
        assert_eq!(filters.to_string(), TEXT);
        let lines: Vec<usize> = filters.rules().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7, 8]);
        assert_eq!(
            filters.lists().map(|(line, name)| (line, name.to_string())).collect::<Vec<_>>(),
            [(8, "drop".to_owned())]
        );
        assert_eq!(Filters::parse("").unwrap(), Filters::default());
        assert_eq!(Filters::parse("deny 1.1.1.1").unwrap().to_string(), "deny 1.1.1.1\n");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "deny 10.1.1.1/8\ndeny 192.0.2.0/24\nallow 192.0.2.0/24\nwhat\ndeny 192.0.2.0/24\nrate /a 1/s\nrate /a/ 2/s\nprotect /a from ::/0\nprotect /a from ::1\ndeny agent x\ndeny agent x\n";
        let said = Filters::parse(text).unwrap_err();
        let expected = [
            "line 1, deny 10.1.1.1/8: 10.1.1.1/8 has bits set",
            "line 3, allow 192.0.2.0/24: this contradicts line 2, deny 192.0.2.0/24. Take one",
            "line 4, what: a rule begins with",
            "line 5, deny 192.0.2.0/24: this is the same as line 2, deny",
            "line 7, rate /a 2/s: the path has a rule of this kind already, on line 6, rate /a 1/s",
            "line 9, protect /a from ::1: the path has",
            "line 11, deny agent x: this is the same as line 10",
        ];
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn rules_are_added_at_the_end_and_once() {
        let filters = Filters::parse(TEXT).unwrap();
        let added = filters.add(&[rule("deny 192.0.2.7"), rule("deny 203.0.113.1"), rule("deny 203.0.113.1")]).unwrap();
        assert_eq!(added.filters.to_string(), format!("{TEXT}deny 203.0.113.1\n"));
        assert_eq!(added.new, [rule("deny 203.0.113.1")]);
        assert_eq!(added.there, [(4, rule("deny 192.0.2.7"))]);
    }

    #[test]
    fn rules_that_do_not_go_together_are_refused() {
        let filters = Filters::parse(TEXT).unwrap();
        let errors = filters.add(&[
            rule("allow 192.0.2.7"),
            rule("rate /api 5/s"),
            rule("deny 203.0.113.1"),
            rule("allow 203.0.113.1"),
        ]);
        let said = errors.unwrap_err();
        assert_eq!(said.len(), 3);
        assert!(said[0].contains("this contradicts line 4, deny 192.0.2.7. Remove that first"), "{}", said[0]);
        assert!(said[1].contains("already, on line 7, rate /api 10/s"), "{}", said[1]);
        assert!(said[2].contains("were requested together"), "{}", said[2]);
    }

    #[test]
    fn rules_are_removed_by_line_or_text() {
        let filters = Filters::parse(TEXT).unwrap();
        let (left, gone) = filters.remove(&"2".parse().unwrap()).unwrap();
        assert_eq!(gone, rule("allow 192.0.2.0/24"));
        assert_eq!(left.to_string(), TEXT.replace("allow 192.0.2.0/24  # friends\n", ""));
        let (left, _) = filters.remove(&"rate /api 10/s".parse().unwrap()).unwrap();
        assert!(!left.to_string().contains("rate"));
        for (text, said) in [
            ("1", "no rule on line 1."),
            ("99", "no rule on line 99."),
            ("deny 1.1.1.1", "there is no rule: deny 1.1.1.1"),
        ] {
            let error = filters.remove(&text.parse().unwrap()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!("".parse::<Selector>().is_err());
        assert!("first".parse::<Selector>().is_err());
    }

    proptest! {
        #[test]
        fn what_was_added_is_printed_and_read_back(rules in prop::collection::vec(any_rule(), 0..12)) {
            if let Ok(added) = Filters::parse("# head\n").unwrap().add(&rules) {
                prop_assert_eq!(Filters::parse(&added.filters.to_string()).unwrap(), added.filters.clone());
                let mut left = added.filters;
                for rule in &added.new {
                    left = left.remove(&Selector::Rule(rule.clone())).unwrap().0;
                }
                prop_assert_eq!(left.to_string(), "# head\n");
            }
        }

        #[test]
        fn a_file_is_printed_as_it_was(lines in prop::collection::vec("# .{0,9}|deny 192\\.0\\.2\\.[1-9]|\t *", 0..9)) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            if let Ok(filters) = Filters::parse(&text) {
                prop_assert_eq!(filters.to_string(), text);
            }
        }
    }
}
