//! Lists of addresses and networks, imported from elsewhere and kept beside the rules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::network::{Network, NetworkError};

/// The name of a list: that of its file without the ending `.list`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(String);

/// Why a text is not the name of a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text} is not the name of a list. Take small letters, digits and hyphens, up to 64, and no hyphen in front, like drop-v4"
)]
pub struct ListNameError {
    /// What was given.
    pub text: String,
}

impl ListName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the file in the folder of the lists.
    pub fn file(&self) -> String {
        format!("{}.list", self.0)
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ListName {
    type Err = ListNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.bytes().all(plain) {
            return Err(ListNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// Addresses and networks to be refused, in order, none twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(Vec<Network>);

/// What is wrong with a line of a list, or with the whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListError {
    /// No network.
    #[error("line {line}: {why}")]
    Network {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong.
        why: NetworkError,
    },
    /// More than a network.
    #[error(
        "line {line}: something follows {network}. Write one address or network per line; a comment begins with # or ;"
    )]
    More {
        /// The line, from 1 on.
        line: usize,
        /// The first word.
        network: String,
    },
    /// Not of the public internet.
    #[error(
        "line {line}: {network} is, or overlaps with, {special} ({why}), where no stranger comes from; such an entry shuts out your own network or everybody. Take it out of the list, or import it with --force if you mean it"
    )]
    Special {
        /// The line, from 1 on.
        line: usize,
        /// The entry.
        network: Network,
        /// The network that it overlaps with.
        special: Network,
        /// What that is.
        why: &'static str,
    },
    /// Nothing.
    #[error("there is not one address in it. Look whether it is the right file")]
    Empty,
}

impl List {
    /// Reads a list: an address or network a line, comments from `#` or `;` on.
    ///
    /// # Errors
    /// Every line that is none.
    pub fn parse(text: &str) -> Result<Self, Vec<ListError>> {
        Self::read(text, true)
    }

    /// Reads a list that comes from elsewhere, as [`List::parse`] does, but refuses one that is empty, and what is not
    /// of the public internet unless that is meant.
    ///
    /// # Errors
    /// Every line that is refused.
    pub fn import(text: &str, special_too: bool) -> Result<Self, Vec<ListError>> {
        let list = Self::read(text, special_too)?;
        if list.0.is_empty() { Err(vec![ListError::Empty]) } else { Ok(list) }
    }

    fn read(text: &str, special_too: bool) -> Result<Self, Vec<ListError>> {
        let mut errors = Vec::new();
        let mut networks = Vec::new();
        for (number, text) in text.lines().enumerate() {
            let line = number + 1;
            let text = text.get(..text.find(['#', ';']).unwrap_or(text.len())).unwrap_or_default();
            let mut words = text.split_whitespace();
            let Some(word) = words.next() else { continue };
            if words.next().is_some() {
                errors.push(ListError::More { line, network: word.to_owned() });
                continue;
            }
            match word.parse::<Network>() {
                Err(why) => errors.push(ListError::Network { line, why }),
                Ok(network) => match network.special().filter(|_| !special_too) {
                    Some((special, why)) => errors.push(ListError::Special { line, network, special, why }),
                    None => networks.push(network),
                },
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        networks.sort_unstable();
        networks.dedup();
        Ok(Self(networks))
    }

    /// Its entries, in order.
    pub fn networks(&self) -> &[Network] {
        &self.0
    }
}

impl fmt::Display for List {
    /// An entry a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|network| writeln!(f, "{network}"))
    }
}

/// The lists that there are, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists(pub BTreeMap<ListName, List>);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_put_in_order() {
        let text = "# a list\n203.0.113.0/24 ; SBL1\n\n2001:db8::1\r\n1.1.1.1#x\n1.1.1.1\n";
        let list = List::import(text, false).unwrap();
        assert_eq!(list.to_string(), "1.1.1.1\n203.0.113.0/24\n2001:db8::1\n");
        assert_eq!(List::parse(&list.to_string()).unwrap(), list);
        assert_eq!(List::parse("").unwrap(), List::default());
    }

    #[test]
    fn every_bad_line_is_told() {
        let errors = List::import("1.1.1.1\nhost.example\n1.2.3.4/24\n1.1.1.1 2.2.2.2\n10.0.0.0/8\n0.0.0.0/0\n", false);
        let said: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 5);
        assert!(said[0].starts_with("line 2: host.example is neither"), "{}", said[0]);
        assert!(said[1].starts_with("line 3: 1.2.3.4/24 has bits set"), "{}", said[1]);
        assert!(said[2].starts_with("line 4: something follows 1.1.1.1"), "{}", said[2]);
        assert!(said[3].contains("overlaps with, 10.0.0.0/8 (private)"), "{}", said[3]);
        assert!(said[4].starts_with("line 6: 0.0.0.0/0"), "{}", said[4]);
        assert_eq!(List::import("# only words\n", false), Err(vec![ListError::Empty]));
        assert_eq!(List::import("10.0.0.0/8\n127.0.0.1\n", true).unwrap().networks().len(), 2);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!("drop-v4".parse::<ListName>().unwrap().file(), "drop-v4.list");
        for text in ["", "-a", "A", "a.b", "../x", "a/b", "ä", &"x".repeat(65)] {
            assert!(text.parse::<ListName>().unwrap_err().to_string().contains("is not the name of a list"), "{text}");
        }
    }
}
