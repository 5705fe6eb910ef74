//! Parses the readable form. Its grammar is in the documentation of [`readable`](super).

use super::error::{ReadableError, ReadableFault};
use super::line::{Action, PortRange, Sign, Whom};
use super::words::{is_id, is_mark, is_number};
use crate::portacl::names::Names;
use crate::portacl::{KernelId, Protocol};

/// The content of a text in the readable form, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The statements; one line can hold several.
    pub statements: Vec<Statement>,
}

/// A rule, or a line that is recognised but is not a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A permission.
    Rule(RuleStatement),
    /// What follows from the settings of the kernel. mac_portacl has only permissions, so there is nothing to do.
    Implied(ImpliedStatement),
}

/// One permission. The kernel can hold odd ones (port 0, an id outside 32 bits), so this can, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleStatement {
    /// The line number, counted from 1.
    pub line: usize,
    /// When it applies.
    pub sign: Sign,
    /// The subject of the rule.
    pub id: KernelId,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// One implied line, for any protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpliedStatement {
    /// The line number, counted from 1.
    pub line: usize,
    /// When it applies.
    pub sign: Sign,
    /// Whether it permits or refuses.
    pub action: Action,
    /// The ports.
    pub ports: PortRange,
    /// Root as [`Whom::User`] without a name, or every user.
    pub subject: Whom,
}

impl RuleStatement {
    /// The subject of the rule, the protocol and the port.
    pub fn meaning(&self) -> (KernelId, Protocol, u16) {
        (self.id, self.protocol, self.port)
    }
}

impl Ruleset {
    /// The permissions alone, in order.
    pub fn rules(&self) -> impl Iterator<Item = &RuleStatement> {
        self.statements.iter().filter_map(|statement| match statement {
            Statement::Rule(rule) => Some(rule),
            Statement::Implied(_) => None,
        })
    }

    /// The implied lines alone, in order.
    pub fn implied(&self) -> impl Iterator<Item = &ImpliedStatement> {
        self.statements.iter().filter_map(|statement| match statement {
            Statement::Rule(_) => None,
            Statement::Implied(implied) => Some(implied),
        })
    }
}

/// Parses rules in the readable form.
///
/// # Errors
/// Every mistake in the text, in the order of its lines.
pub fn parse_readable(text: &str, names: &dyn Names) -> Result<Ruleset, Vec<ReadableError>> {
    let mut statements = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let statement = line.split_once('#').map_or(line, |(statement, _)| statement).trim();
        let (sign, words) = match statement.as_bytes().first() {
            None => continue,
            Some(b'-') => (Sign::NowOnly, &statement[1..]),
            Some(b'+') => (Sign::NextBootOnly, &statement[1..]),
            Some(_) => (Sign::Both, statement),
        };
        let words = split(words);
        if let Some((action, ports, subject)) = implied(&words) {
            statements.push(Statement::Implied(ImpliedStatement { line: number, sign, action, ports, subject }));
            continue;
        }
        let mut reader = Reader { words: &words, names, faults: Vec::new() };
        let rules = reader.rule().unwrap_or_default();
        errors.extend(reader.faults.into_iter().map(|fault| ReadableError {
            line: number,
            statement: statement.to_owned(),
            fault,
        }));
        statements.extend(
            rules
                .into_iter()
                .map(|(id, protocol, port)| Statement::Rule(RuleStatement { line: number, sign, id, protocol, port })),
        );
    }
    if errors.is_empty() { Ok(Ruleset { statements }) } else { Err(errors) }
}

/// Words are separated by spaces; brackets, braces and commas are separate words.
fn split(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let mut start = 0;
        for (index, mark) in word.match_indices(is_mark) {
            words.extend([&word[start..index], mark].into_iter().filter(|word| !word.is_empty()));
            start = index + mark.len();
        }
        words.extend(Some(&word[start..]).filter(|word| !word.is_empty()));
    }
    words
}

/// An implied line, if [`print`](super::print()) may have written it.
fn implied(words: &[&str]) -> Option<(Action, PortRange, Whom)> {
    let [action, "proto", "any", "port", ports, subject @ ..] = words else { return None };
    let ports = range(ports)?;
    match (*action, subject) {
        ("pass", ["user", "root" | "0"] | ["user", "root" | "0", "(", "0", ")"]) => {
            Some((Action::Pass, ports, Whom::User { id: 0, name: None }))
        }
        ("pass", ["all"]) => Some((Action::Pass, ports, Whom::All)),
        ("block", ["all"]) => Some((Action::Block, ports, Whom::All)),
        _ => None,
    }
}

fn range(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let ports = PortRange { first: first.parse().ok()?, last: last.parse().ok()? };
    (ports.first <= ports.last).then_some(ports)
}

/// Two numbers with a hyphen, or with a colon as in pf.
fn looks_like_a_range(text: &str) -> bool {
    text.split_once(['-', ':']).is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// A port as it was written: a word, and the content of the brackets after it.
struct PortWords<'a> {
    word: &'a str,
    bracket: Option<&'a str>,
}

/// Walks the words of one line. A syntax error ends the parsing (`None`), other errors are collected.
struct Reader<'a, 'n> {
    words: &'a [&'a str],
    names: &'n dyn Names,
    faults: Vec<ReadableFault>,
}

impl<'a> Reader<'a, '_> {
    /// The rules that the line stands for; invalid if there are faults.
    fn rule(&mut self) -> Option<Vec<(KernelId, Protocol, u16)>> {
        match self.words.first().copied() {
            Some("pass") => self.words = &self.words[1..],
            Some("block") => {
                self.faults.push(ReadableFault::Block);
                return None;
            }
            Some(found) => {
                self.faults.push(ReadableFault::Action { found: found.to_owned() });
                return None;
            }
            None => return self.expected("“pass”"),
        }
        let protocols = if self.take("proto") { self.protocols()? } else { vec![Protocol::Tcp] };
        if !self.take("port") {
            return self.expected("“port”");
        }
        let ports = self.list("a port", |reader| {
            let word = reader.word("a port")?;
            Some(PortWords { word, bracket: reader.bracket("a service or a number")? })
        })?;
        let id = self.subject()?;
        if !self.words.is_empty() {
            return self.expected("the end of the line");
        }
        let mut rules = Vec::new();
        for &protocol in &protocols {
            for port in &ports {
                let port = self.port(port, protocol);
                rules.extend(id.zip(port).map(|(id, port)| (id, protocol, port)));
            }
        }
        // A port that is wrong for both protocols is one mistake.
        let mut seen = Vec::new();
        self.faults.retain(|fault| {
            let new = !seen.contains(fault);
            seen.push(fault.clone());
            new
        });
        Some(rules)
    }

    /// Unknown protocols are left out, with a fault. If none is left, TCP replaces them, to find further faults.
    fn protocols(&mut self) -> Option<Vec<Protocol>> {
        let words = if self.words.first() == Some(&"{") {
            self.list("a protocol", |reader| reader.word("a protocol"))?
        } else {
            vec![self.word("a protocol")?]
        };
        let mut protocols = Vec::new();
        for word in words {
            match word {
                "tcp" => protocols.push(Protocol::Tcp),
                "udp" => protocols.push(Protocol::Udp),
                "any" => self.faults.push(ReadableFault::AnyProtocol),
                found => self.faults.push(ReadableFault::Protocol { found: found.to_owned() }),
            }
        }
        if protocols.is_empty() {
            protocols.push(Protocol::Tcp);
        }
        Some(protocols)
    }

    /// One item, several separated by commas, or several in braces with or without commas.
    fn list<T>(&mut self, what: &'static str, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let braces = self.take("{");
        let mut items = vec![item(self)?];
        loop {
            if braces && self.take("}") {
                return Some(items);
            }
            if !self.take(",") {
                if !braces {
                    return Some(items);
                }
                if self.words.first().is_none_or(|word| word.starts_with(is_mark)) {
                    return self.expected(if what == "a port" { "a port or “}”" } else { "a protocol or “}”" });
                }
            }
            items.push(item(self)?);
        }
    }

    fn port(&mut self, words: &PortWords<'_>, protocol: Protocol) -> Option<u16> {
        let PortWords { word, bracket } = *words;
        let bracketed = bracket.and_then(|bracket| {
            if is_number(bracket) { bracket.parse().ok() } else { self.names.port(bracket, protocol) }
        });
        let port = if is_number(word) {
            match word.parse() {
                Ok(port) => port,
                Err(_) => return self.fault(ReadableFault::PortTooLarge { found: word.to_owned() }),
            }
        } else if let Some(port) = self.names.port(word, protocol).or(bracketed) {
            port
        } else if looks_like_a_range(word) {
            return self.fault(ReadableFault::Range { found: word.to_owned() });
        } else {
            return self.fault(ReadableFault::ServiceUnknown { name: word.to_owned(), protocol });
        };
        match (bracket, bracketed) {
            (Some(bracket), Some(known)) if known != port => {
                let bracket = bracket.to_owned();
                self.fault(ReadableFault::PortContradiction { bracket, protocol, known, port })
            }
            (Some(bracket), None) if is_number(bracket) => {
                self.fault(ReadableFault::PortTooLarge { found: bracket.to_owned() })
            }
            _ => Some(port),
        }
    }

    /// The outer `None` is a syntax error, the inner one any other error.
    fn subject(&mut self) -> Option<Option<KernelId>> {
        let user = match self.words.first().copied() {
            Some("user") => true,
            Some("group") => false,
            Some("all") => return self.fault(ReadableFault::All),
            _ => return self.expected("“user” or “group”"),
        };
        self.words = &self.words[1..];
        let word = self.word(if user { "the name or id of a user" } else { "the name or id of a group" })?;
        let bracket = self.bracket("an id")?;
        if bracket.is_some_and(|bracket| !is_id(bracket)) {
            return self.fault(ReadableFault::Expected {
                expected: "an id in the brackets",
                found: format!("“{}”", bracket.unwrap_or_default()),
            });
        }
        let bracket = match bracket {
            Some(bracket) => match self.id(bracket) {
                Some(id) => Some(id),
                None => return Some(None),
            },
            None => None,
        };
        let known = if is_id(word) {
            match self.id(word) {
                Some(id) => Some(id),
                None => return Some(None),
            }
        } else {
            (if user { self.names.uid(word) } else { self.names.gid(word) }).map(i64::from)
        };
        let kernel_id = if user { KernelId::Uid } else { KernelId::Gid };
        let name = word.to_owned();
        Some(match (known, bracket) {
            (Some(known), Some(bracket)) if known != bracket => {
                self.fault(ReadableFault::IdContradiction { word: name, known: kernel_id(known), bracket })
            }
            (Some(id), _) | (None, Some(id)) => Some(kernel_id(id)),
            (None, None) if user => self.fault(ReadableFault::UserUnknown { name }),
            (None, None) => self.fault(ReadableFault::GroupUnknown { name }),
        })
    }

    fn id(&mut self, word: &str) -> Option<i64> {
        match word.parse() {
            Ok(id) => Some(id),
            Err(_) => self.fault(ReadableFault::IdTooLarge { found: word.to_owned() }),
        }
    }

    /// The next word, if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let taken = self.words.first() == Some(&word);
        if taken {
            self.words = &self.words[1..];
        }
        taken
    }

    /// The next word, which must not be a mark.
    fn word(&mut self, expected: &'static str) -> Option<&'a str> {
        match self.words.split_first() {
            Some((word, rest)) if !word.starts_with(is_mark) => {
                self.words = rest;
                Some(word)
            }
            _ => self.expected(expected),
        }
    }

    /// The content of the brackets, if a bracket follows.
    fn bracket(&mut self, expected: &'static str) -> Option<Option<&'a str>> {
        if !self.take("(") {
            return Some(None);
        }
        let word = self.word(expected)?;
        if self.take(")") { Some(Some(word)) } else { self.expected("“)”") }
    }

    fn expected<T>(&mut self, expected: &'static str) -> Option<T> {
        let found = self.words.first().map_or("the end of the line".to_owned(), |word| format!("“{word}”"));
        self.fault(ReadableFault::Expected { expected, found })
    }

    fn fault<T>(&mut self, fault: ReadableFault) -> Option<T> {
        self.faults.push(fault);
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
