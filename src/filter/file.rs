//! [`Filters`]: the file as a whole, read, changed and printed without touching what people wrote in it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::line::{self, LineError};
use super::list::ListName;
use super::rate::number;
use super::rule::Rule;

/// The rules with the lines they stand on, comments and empty lines kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    rule: Option<Rule>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterError {
    /// A line is no rule.
    #[error("line {line}, {}: {why}", text.trim())]
    Line {
        /// The line, from 1 on.
        line: usize,
        /// What stands there.
        text: String,
        /// What is wrong.
        why: LineError,
    },
    /// Two lines do not go together.
    #[error("line {line}, {rule}: {why} line {other}, {there}. Take one of the two out")]
    Conflict {
        /// The line, from 1 on.
        line: usize,
        /// Its rule.
        rule: Rule,
        /// What the matter is.
        why: Clash,
        /// The earlier line.
        other: usize,
        /// Its rule.
        there: Rule,
    },
}

/// How two rules clash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Clash {
    /// They are the same.
    #[error("this is the same as")]
    Same,
    /// One denies and one allows the same network.
    #[error("this contradicts")]
    Contradiction,
    /// Both say something else of the same path.
    #[error("the path has a rule of this kind already, on")]
    Path,
}

/// Why rules cannot be added or removed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The new rule does not go together with one that is there.
    #[error(
        "{rule} cannot be added: {why} line {line}, {there}. Remove that first: gts-bootstrap filter remove {line}"
    )]
    Conflict {
        /// The new rule.
        rule: Rule,
        /// What the matter is.
        why: Clash,
        /// The line of the one that is there.
        line: usize,
        /// The one that is there.
        there: Rule,
    },
    /// Two of the new rules do not go together.
    #[error("{rule} and {other} were requested together and contradict each other. Request one of them")]
    Among {
        /// One.
        rule: Rule,
        /// The other.
        other: Rule,
    },
    /// No rule stands on the line.
    #[error("there is no rule on line {line}. `gts-bootstrap filter list` shows the rules with their lines")]
    NoLine {
        /// The line.
        line: usize,
    },
    /// There is no such rule.
    #[error("there is no rule: {rule}. `gts-bootstrap filter list` shows what there is")]
    NoRule {
        /// The rule.
        rule: Rule,
    },
}

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
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match number(text).and_then(|line| usize::try_from(line).ok()) {
            Some(line) if !text.is_empty() => Ok(Self::Line(line)),
            _ => text.parse().map(Self::Rule),
        }
    }
}

impl Filters {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines; nothing is taken from a file with a mistake.
    pub fn parse(text: &str) -> Result<Self, Vec<FilterError>> {
        let mut errors = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        for (index, text) in text.split_terminator('\n').enumerate() {
            let rule = line::parse(text).unwrap_or_else(|why| {
                errors.push(FilterError::Line { line: index + 1, text: text.to_owned(), why });
                None
            });
            lines.push(Line { text: text.to_owned(), rule });
        }
        let filters = Self { lines };
        let mut before = std::collections::BTreeMap::new();
        for (line, rule) in filters.rules() {
            match before.entry(Place::of(rule)) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert((line, rule));
                }
                std::collections::btree_map::Entry::Occupied(taken) => {
                    let (other, there) = *taken.get();
                    let why = Clash::between(rule, there);
                    errors.push(FilterError::Conflict { line, rule: rule.clone(), why, other, there: there.clone() });
                }
            }
        }
        errors.sort_by_key(|error| match error {
            FilterError::Line { line, .. } | FilterError::Conflict { line, .. } => *line,
        });
        if errors.is_empty() { Ok(filters) } else { Err(errors) }
    }

    /// The rules that limit how often a client asks, which not every web server can, each with its line.
    pub fn rates(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules().filter(|(_, rule)| matches!(rule, Rule::Rate { .. }))
    }

    /// The rules, each with its line, from 1 on.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.lines.iter().enumerate().filter_map(|(index, line)| line.rule.as_ref().map(|rule| (index + 1, rule)))
    }

    /// The lists that are named, each with its line.
    pub fn lists(&self) -> impl Iterator<Item = (usize, &ListName)> {
        self.rules().filter_map(|(line, rule)| match rule {
            Rule::DenyFile(name) => Some((line, name)),
            _ => None,
        })
    }

    /// Adds rules at the end. Those that are there already are left as they are.
    ///
    /// # Errors
    /// Every rule that does not go together with one that is there, or with another new one.
    pub fn add(&self, rules: &[Rule]) -> Result<Added, Vec<EditError>> {
        let mut added = Added { filters: self.clone(), new: Vec::new(), there: Vec::new() };
        let mut errors = Vec::new();
        for rule in rules {
            let here = |other: &&Rule| Place::of(other) == Place::of(rule);
            if let Some((line, there)) = self.rules().find(|(_, there)| here(there)) {
                match Clash::between(rule, there) {
                    Clash::Same => added.there.push((line, rule.clone())),
                    why => errors.push(EditError::Conflict { rule: rule.clone(), why, line, there: there.clone() }),
                }
            } else if let Some(other) = added.new.iter().find(here) {
                if other != rule {
                    errors.push(EditError::Among { rule: rule.clone(), other: other.clone() });
                }
            } else {
                added.filters.lines.push(Line { text: rule.to_string(), rule: Some(rule.clone()) });
                added.new.push(rule.clone());
            }
        }
        if errors.is_empty() { Ok(added) } else { Err(errors) }
    }

    /// Takes a rule out, with its line and the comment on it, and gives it back.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn remove(&self, which: &Selector) -> Result<(Self, Rule), EditError> {
        let (line, rule) = match which {
            Selector::Line(wanted) => self.rules().find(|(line, _)| line == wanted),
            Selector::Rule(wanted) => self.rules().find(|(_, rule)| *rule == wanted),
        }
        .ok_or_else(|| match which {
            Selector::Line(line) => EditError::NoLine { line: *line },
            Selector::Rule(rule) => EditError::NoRule { rule: rule.clone() },
        })?;
        let rule = rule.clone();
        let mut filters = self.clone();
        filters.lines.remove(line - 1);
        Ok((filters, rule))
    }
}

/// What only one rule can be about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Network(&'a super::network::Network),
    Protect(&'a super::path::UrlPath),
    Rate(&'a super::path::UrlPath),
    Other(&'a Rule),
}

impl<'a> Place<'a> {
    fn of(rule: &'a Rule) -> Self {
        match rule {
            Rule::Deny(network) | Rule::Allow(network) => Self::Network(network),
            Rule::Protect { path, .. } => Self::Protect(path),
            Rule::Rate { path, .. } => Self::Rate(path),
            Rule::DenyAgent(_) | Rule::DenyFile(_) => Self::Other(rule),
        }
    }
}

impl Clash {
    /// How two rules about the same clash.
    fn between(rule: &Rule, there: &Rule) -> Self {
        match rule {
            _ if rule == there => Self::Same,
            Rule::Deny(_) | Rule::Allow(_) => Self::Contradiction,
            _ => Self::Path,
        }
    }
}

impl fmt::Display for Filters {
    /// The file's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{}", line.text))
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
        assert_eq!(filters.lists().map(|(line, name)| (line, name.as_str())).collect::<Vec<_>>(), [(8, "drop")]);
        assert_eq!(Filters::parse("").unwrap(), Filters::default());
        assert_eq!(Filters::parse("deny 1.1.1.1").unwrap().to_string(), "deny 1.1.1.1\n");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "deny 10.1.1.1/8\ndeny 192.0.2.0/24\nallow 192.0.2.0/24\nwhat\ndeny 192.0.2.0/24\nrate /a 1/s\nrate /a/ 2/s\nprotect /a from ::/0\nprotect /a from ::1\ndeny agent x\ndeny agent x\n";
        let errors = Filters::parse(text).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
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
        let said: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
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
            assert!(error.to_string().contains(said), "{error}");
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
