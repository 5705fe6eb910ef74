//! Parses the readable form. Its grammar is in the documentation of [`readable`](super).

use super::error::{ReadableError, ReadableFault};
use super::line::{Action, PortRange, Sign, Whom};
use super::words::{is_id, is_mark, is_number};
use crate::portacl::names::Names;
use crate::portacl::{KernelId, Meaning, Protocol};

/// The content of a text in the readable form. One line can hold several rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The permissions, in order.
    pub rules: Vec<RuleStatement>,
    /// What follows from the settings of the kernel, in order. mac_portacl has only permissions, so there is nothing to
    /// do.
    pub implied: Vec<ImpliedStatement>,
}

/// One permission. The kernel can hold odd ones (port 0, an id outside 32 bits), so this can, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleStatement {
    /// The line number, counted from 1.
    pub line: usize,
    /// When it applies.
    pub sign: Sign,
    /// The subject of the rule, the protocol and the port.
    pub meaning: Meaning,
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

/// Parses rules in the readable form.
///
/// # Errors
/// Every mistake in the text, in the order of its lines.
pub fn parse_readable(text: &str, names: &dyn Names) -> Result<Ruleset, Vec<ReadableError>> {
    let mut ruleset = Ruleset::default();
    let mut errors = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let statement = text.split('#').next().unwrap_or_default().trim();
        let (sign, words) = match statement.as_bytes().first() {
            None => continue,
            Some(b'-') => (Sign::NowOnly, &statement[1..]),
            Some(b'+') => (Sign::NextBootOnly, &statement[1..]),
            Some(_) => (Sign::Both, statement),
        };
        let words = split(words);
        if let Some((action, ports, subject)) = implied(&words) {
            ruleset.implied.push(ImpliedStatement { line, sign, action, ports, subject });
            continue;
        }
        let mut reader = Reader { words: &words, names, faults: Vec::new() };
        let rules = reader.rule().unwrap_or_default();
        ruleset.rules.extend(rules.into_iter().map(|meaning| RuleStatement { line, sign, meaning }));
        let error = |fault| ReadableError { line, statement: statement.to_owned(), fault };
        errors.extend(reader.faults.into_iter().map(error));
    }
    if errors.is_empty() { Ok(ruleset) } else { Err(errors) }
}

/// Words are separated by spaces; brackets, braces and commas are separate words.
fn split(line: &str) -> Vec<&str> {
    let pieces = line.split_whitespace().flat_map(|word| word.split_inclusive(is_mark));
    let words = pieces.flat_map(|piece| {
        let (word, mark) = piece.split_at(piece.trim_end_matches(is_mark).len());
        [word, mark]
    });
    words.filter(|word| !word.is_empty()).collect()
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

/// Walks the words of one line. A syntax error ends the parsing (`None`), other errors are collected.
struct Reader<'a, 'n> {
    words: &'a [&'a str],
    names: &'n dyn Names,
    faults: Vec<ReadableFault>,
}

impl<'a> Reader<'a, '_> {
    /// The rules that the line stands for; invalid if there are faults.
    fn rule(&mut self) -> Option<Vec<Meaning>> {
        if !self.take("pass") {
            return match self.words.first() {
                Some(&"block") => self.fault(ReadableFault::Block),
                Some(&found) => self.fault(ReadableFault::Action { found: found.to_owned() }),
                None => self.expected("“pass”"),
            };
        }
        let protocols = if self.take("proto") { self.protocols()? } else { vec![Protocol::Tcp] };
        if !self.take("port") {
            return self.expected("“port”");
        }
        let port = |reader: &mut Self| Some((reader.word("a port")?, reader.bracket("a service or a number")?));
        let ports = self.list("a port or “}”", port)?;
        let id = self.subject()?;
        if !self.words.is_empty() {
            return self.expected("the end of the line");
        }
        let mut rules = Vec::new();
        for &protocol in &protocols {
            for &(word, bracket) in &ports {
                let port = self.port(word, bracket, protocol);
                rules.extend(id.zip(port).map(|(id, port)| (id, protocol, port)));
            }
        }
        Some(rules)
    }

    /// Unknown protocols are left out, with a fault. If none is left, TCP replaces them, to find further faults.
    fn protocols(&mut self) -> Option<Vec<Protocol>> {
        let words = if self.words.first() == Some(&"{") {
            self.list("a protocol or “}”", |reader| reader.word("a protocol"))?
        } else {
            vec![self.word("a protocol")?]
        };
        let mut protocols = Vec::new();
        for word in words {
            match Protocol::named(word) {
                Some(protocol) => protocols.push(protocol),
                None if word == "any" => drop(self.fault::<()>(ReadableFault::AnyProtocol)),
                None => drop(self.fault::<()>(ReadableFault::Protocol { found: word.to_owned() })),
            }
        }
        Some(if protocols.is_empty() { vec![Protocol::Tcp] } else { protocols })
    }

    /// One item, several separated by commas, or several in braces with or without commas. `expected` is what may
    /// follow an item in braces.
    fn list<T>(&mut self, expected: &'static str, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let braces = self.take("{");
        let mut items = vec![item(self)?];
        loop {
            let ends = if braces { self.take("}") } else { self.words.first() != Some(&",") };
            if ends {
                return Some(items);
            }
            if !self.take(",") && self.words.first().is_none_or(|word| word.starts_with(is_mark)) {
                return self.expected(expected);
            }
            items.push(item(self)?);
        }
    }

    fn port(&mut self, word: &str, bracket: Option<&str>, protocol: Protocol) -> Option<u16> {
        let names = self.names;
        let meant = |word: &str| if is_number(word) { word.parse().ok() } else { names.port(word, protocol) };
        let known = bracket.and_then(meant);
        let found = word.to_owned();
        let Some(port) = meant(word).or(known.filter(|_| !is_number(word))) else {
            return self.fault(if is_number(word) {
                ReadableFault::PortTooLarge { found }
            } else if looks_like_a_range(word) {
                ReadableFault::Range { found }
            } else {
                ReadableFault::ServiceUnknown { name: found, protocol }
            });
        };
        match (bracket, known) {
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
        let is_user = self.take("user");
        if !is_user && !self.take("group") {
            let all = self.words.first() == Some(&"all");
            return if all { self.fault(ReadableFault::All) } else { self.expected("“user” or “group”") };
        }
        let word = self.word(if is_user { "the name or id of a user" } else { "the name or id of a group" })?;
        let bracket = self.bracket("an id")?;
        if let Some(bracket) = bracket.filter(|bracket| !is_id(bracket)) {
            let found = format!("“{bracket}”");
            return self.fault(ReadableFault::Expected { expected: "an id in the brackets", found });
        }
        Some(self.kernel_id(is_user, word, bracket))
    }

    fn kernel_id(&mut self, is_user: bool, word: &str, bracket: Option<&str>) -> Option<KernelId> {
        let number = |word: &str| word.parse::<i64>().ok();
        let mut ids = bracket.into_iter().chain(Some(word).filter(|word| is_id(word)));
        if let Some(found) = ids.find(|id| number(id).is_none()) {
            return self.fault(ReadableFault::IdTooLarge { found: found.to_owned() });
        }
        let id_of = |name| if is_user { self.names.uid(name) } else { self.names.gid(name) };
        let known = if is_id(word) { number(word) } else { id_of(word).map(i64::from) };
        let bracket = bracket.and_then(number);
        let kernel_id = if is_user { KernelId::Uid } else { KernelId::Gid };
        let name = word.to_owned();
        match (known, bracket) {
            (Some(known), Some(bracket)) if known != bracket => {
                self.fault(ReadableFault::IdContradiction { word: name, known: kernel_id(known), bracket })
            }
            (Some(id), _) | (None, Some(id)) => Some(kernel_id(id)),
            (None, None) if is_user => self.fault(ReadableFault::UserUnknown { name }),
            (None, None) => self.fault(ReadableFault::GroupUnknown { name }),
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

    /// A mistake that two ports or protocols have in common is one.
    fn fault<T>(&mut self, fault: ReadableFault) -> Option<T> {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
