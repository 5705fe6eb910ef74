//! The web server's configuration files as they are on the host, and what can be found wrong with them.

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use crate::deployment::{HostName, PortNumber};

/// The deepest nesting of includes that is followed. Both web servers give up, too: nginx at the limit of open files,
/// Apache at 128.
pub(super) const INCLUDE_DEPTH: usize = 32;

/// Where the web server's files are read. What cannot be read is treated as not being there.
pub trait ConfigFiles {
    /// The bytes of a file, links followed; `None` if there is no such file.
    fn read(&self, file: &Path) -> Option<Vec<u8>>;

    /// The names in a folder, in any order; none if there is no such folder.
    fn names(&self, folder: &Path) -> Vec<String>;
}

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What we want to serve, and others may be serving already.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The host, and the account domain if it is served here.
    pub names: &'a [&'a HostName],
    /// The ports for http and https.
    pub ports: [PortNumber; 2],
}

impl Wanted<'_> {
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|wanted| wanted.get() == port)
    }

    /// The wanted name that another site has, letters of either case being equal.
    pub(super) fn name(&self, other: &str) -> Option<&HostName> {
        self.names.iter().copied().find(|name| name.as_str().eq_ignore_ascii_case(other))
    }
}

/// A configuration that cannot be understood, or is not of the form that can be edited.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The syntax is broken.
    #[error("{place}: {what}. The web server would not take this either; correct it and run this again")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        what: &'static str,
    },
    /// A program within the configuration.
    #[error(
        "{place}: {directive} holds a program, which cannot be read here. Move it into a file of its own (with {}_file) and run this again",
        directive.trim_end_matches("_block")
    )]
    Program {
        /// Where.
        place: Place,
        /// The directive.
        directive: String,
    },
    /// A file that is included, or the main file itself, is not there.
    #[error("{place}: {} cannot be read. Put it there, or take the line out, and run this again", file.display())]
    Missing {
        /// The file that is missing.
        file: PathBuf,
        /// Who includes it; the file itself for the main file.
        place: Place,
    },
    /// Includes that go round in circles.
    #[error(
        "{place}: this include is nested too deeply; files seem to include each other. Break the circle and run this again"
    )]
    Depth {
        /// The include at which the search was given up.
        place: Place,
    },
    /// nginx.conf has no http block.
    #[error(
        "{} has no http block of its own, so there is no place for the line that includes gts-bootstrap's site. Write one (the package's file, nginx.conf-dist, has it) and run this again",
        file.display()
    )]
    NoHttp {
        /// The file.
        file: PathBuf,
    },
}

/// Another site that is in the way of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Conflict {
    /// It has our name.
    #[error(
        "{place}: this {block} answers for {name} on port {port} already. Take the name out there, or the whole block, and run this again"
    )]
    Name {
        /// Where its name stands.
        place: Place,
        /// What it is called in the web server's language.
        block: &'static str,
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// It listens at one address of this host, where the web server will not look at ours for any name. No trouble if
    /// the instance's name leads to another address.
    #[error(
        "{place}: this {block} listens on {address} alone, so whoever comes in there for the instance is answered by it. If the name of the instance leads to this address, let the {block} listen on every address (port {port} without an address) and run this again"
    )]
    Address {
        /// Where the address stands.
        place: Place,
        /// What it is called in the web server's language.
        block: &'static str,
        /// The address, without the port.
        address: String,
        /// The port.
        port: u16,
    },
    /// nginx: an IPv6 socket takes IPv4 as well, so that none for IPv4 can be opened beside it.
    #[error(
        "{place}: this listens for IPv4 and IPv6 in one (ipv6only=off), so nothing else can listen on port {port}. Write two lines, listen {port} and listen [::]:{port} without ipv6only, and run this again"
    )]
    BothFamilies {
        /// Where.
        place: Place,
        /// The port.
        port: u16,
    },
}

/// Whether an include is a pattern (glob(3)) and not the name of one file.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(['*', '?', '[']))
}

/// The files of a pattern, or the one file, in the order of their names, with what is in them.
pub(super) fn included(files: &dyn ConfigFiles, pattern: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_str().unwrap_or_default();
        if !matches!(part, Component::Normal(_)) || !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let inside = |folder: &PathBuf| {
            let mut names = files.names(folder);
            // glob(3): a leading dot is matched by a dot alone.
            names.retain(|name| matches(text, name) && (!name.starts_with('.') || text.starts_with('.')));
            names.sort_unstable();
            names.into_iter().map(|name| folder.join(name)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(inside).collect();
    }
    found.into_iter().filter_map(|file| files.read(&file).map(|text| (file, text))).collect()
}

/// Whether a pattern would include a file, be that there or not.
pub(super) fn covers(pattern: &Path, file: &Path) -> bool {
    let parts = |path: &Path| -> Vec<String> {
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (pattern, file) = (parts(pattern), parts(file));
    pattern.len() == file.len() && pattern.iter().zip(&file).all(|(pattern, name)| matches(pattern, name))
}

/// Whether a name fits a pattern of `*`, `?` and `[…]`, see glob(3) and fnmatch(3).
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let mut letters = name.chars();
    match first {
        '*' => name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..])),
        '?' => letters.next().is_some() && matches(rest, letters.as_str()),
        '[' => match class(rest) {
            Some((set, behind)) => {
                letters.next().is_some_and(|c| in_class(set, c)) && matches(behind, letters.as_str())
            }
            None => letters.next() == Some('[') && matches(rest, letters.as_str()),
        },
        '\\' if !rest.is_empty() => {
            let mut escaped = rest.chars();
            letters.next() == escaped.next() && matches(escaped.as_str(), letters.as_str())
        }
        letter => letters.next() == Some(letter) && matches(rest, letters.as_str()),
    }
}

/// The inside of a class, and what stands behind it. A bracket that stands first belongs to the class.
fn class(pattern: &str) -> Option<(&str, &str)> {
    let start = usize::from(pattern.starts_with(['!', '^']));
    let end = pattern.get(start + 1..)?.find(']')? + start + 1;
    Some((&pattern[..end], &pattern[end + 1..]))
}

fn in_class(set: &str, letter: char) -> bool {
    let (negated, set) = set.strip_prefix(['!', '^']).map_or((false, set), |set| (true, set));
    let set: Vec<char> = set.chars().collect();
    let mut at = 0;
    let mut within = false;
    while let Some(&from) = set.get(at) {
        match (set.get(at + 1), set.get(at + 2)) {
            (Some('-'), Some(&to)) => {
                within |= (from..=to).contains(&letter);
                at += 3;
            }
            _ => {
                within |= from == letter;
                at += 1;
            }
        }
    }
    within != negated
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Files that are nowhere but here.
    #[derive(Default)]
    pub struct Texts(pub BTreeMap<PathBuf, Vec<u8>>);

    impl Texts {
        pub fn of(files: &[(&str, &str)]) -> Self {
            Self(files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect())
        }
    }

    impl ConfigFiles for Texts {
        fn read(&self, file: &Path) -> Option<Vec<u8>> {
            self.0.get(file).cloned()
        }

        fn names(&self, folder: &Path) -> Vec<String> {
            let below = self.0.keys().filter_map(|path| path.strip_prefix(folder).ok());
            let mut names: Vec<String> = below
                .filter_map(|path| path.components().next())
                .map(|name| name.as_os_str().to_str().unwrap().to_owned())
                .collect();
            names.dedup();
            names
        }
    }

    #[test]
    fn patterns_are_those_of_the_shell() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[0-9][0-9][0-9]_*.conf", "100_a.conf", true),
            ("[0-9][0-9][0-9]_*.conf", "1a0_a.conf", false),
            ("[!a]", "b", true),
            ("[!a]", "a", false),
            ("[]x]", "]", true),
            ("[x", "[x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("ä*", "äö", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_may_be_patterns_too() {
        let texts =
            Texts::of(&[("/e/b/s/x.conf", "2"), ("/e/a/s/x.conf", "1"), ("/e/a/s/.h.conf", "-"), ("/e/c/x.conf", "-")]);
        let found = included(&texts, Path::new("/e/*/s/*.conf"));
        assert_eq!(found.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(included(&texts, Path::new("/e/c/x.conf")).len(), 1);
        assert!(included(&texts, Path::new("/e/d/x.conf")).is_empty());
        let covered = |pattern: &str| covers(Path::new(pattern), Path::new("/e/z/new.conf"));
        assert!(covered("/e/*/*.conf") && covered("/e/z/new.conf") && !covered("/e/*.conf") && !covered("/e/z/*.cnf"));
    }
}
