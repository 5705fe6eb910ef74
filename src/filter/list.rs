//! Lists of addresses and networks, imported from elsewhere and kept beside the rules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::network::Network;

/// The name of a list: that of its file without the ending `.list`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(String);

impl ListName {
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.bytes().all(plain) {
            return Err(format!(
                "{text} is not the name of a list. Take small letters, digits and hyphens, up to 64, and no hyphen in \
                 front, like drop-v4"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Why a list of nothing is not imported.
const EMPTY: &str = "there is not one address in it. Look whether it is the right file";

/// Addresses and networks to be refused, in order, none twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(Vec<Network>);

impl List {
    /// Reads a list: an address or network a line, comments from `#` or `;` on.
    ///
    /// # Errors
    /// In words, every line that is none.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::read(text, true)
    }

    /// Reads a list that comes from elsewhere, as [`List::parse`] does, but refuses one that is empty, and what is not
    /// of the public internet unless that is meant.
    ///
    /// # Errors
    /// In words, every line that is refused.
    pub fn import(text: &str, special_too: bool) -> Result<Self, Vec<String>> {
        let list = Self::read(text, special_too)?;
        if list.0.is_empty() { Err(vec![EMPTY.to_owned()]) } else { Ok(list) }
    }

    fn read(text: &str, special_too: bool) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut networks = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let mut words = text.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match (words.next(), words.next()) {
                (None, _) => {}
                (Some(word), None) => match entry(word, special_too) {
                    Ok(network) => networks.push(network),
                    Err(why) => errors.push(format!("line {line}: {why}")),
                },
                (Some(word), Some(_)) => errors.push(format!(
                    "line {line}: something follows {word}. Write one address or network per line; a comment begins \
                     with # or ;"
                )),
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

/// One entry, which is of the public internet or meant to be special.
fn entry(word: &str, special_too: bool) -> Result<Network, String> {
    let network: Network = word.parse()?;
    match network.special().filter(|_| !special_too) {
        None => Ok(network),
        Some((special, why)) => Err(format!(
            "{network} is, or overlaps with, {special} ({why}), where no stranger comes from; such an entry shuts out \
             your own network or everybody. Take it out of the list, or import it with --force if you mean it"
        )),
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
        let said = errors.unwrap_err();
        assert_eq!(said.len(), 5);
        assert!(said[0].starts_with("line 2: host.example is neither"), "{}", said[0]);
        assert!(said[1].starts_with("line 3: 1.2.3.4/24 has bits set"), "{}", said[1]);
        assert!(said[2].starts_with("line 4: something follows 1.1.1.1"), "{}", said[2]);
        assert!(said[3].contains("overlaps with, 10.0.0.0/8 (private)"), "{}", said[3]);
        assert!(said[4].starts_with("line 6: 0.0.0.0/0"), "{}", said[4]);
        let empty = List::import("# only words\n", false).unwrap_err();
        assert!(empty.len() == 1 && empty[0].starts_with("there is not one address in it"), "{empty:?}");
        assert_eq!(List::import("10.0.0.0/8\n127.0.0.1\n", true).unwrap().networks().len(), 2);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!("drop-v4".parse::<ListName>().unwrap().file(), "drop-v4.list");
        for text in ["", "-a", "A", "a.b", "../x", "a/b", "ä", &"x".repeat(65)] {
            assert!(text.parse::<ListName>().unwrap_err().contains("is not the name of a list"), "{text}");
        }
    }
}
