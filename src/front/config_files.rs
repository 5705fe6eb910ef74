//! The web server's configuration files as they are on the host, and what can be found wrong with them.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use crate::shown::Shown;
use glob::Pattern;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPlace {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
}

impl ConfigPlace {
    /// The beginning of a file.
    pub(super) fn start(file: &Path) -> Self {
        Self { file: file.to_owned(), line: 1 }
    }
}

impl std::fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.shown(), self.line)
    }
}

/// A configuration that cannot be understood, or is not of the form that can be edited.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The syntax is broken.
    #[error("{place}: {what}. The web server would not take this either; correct it and run this again")]
    Syntax {
        /// Where.
        place: ConfigPlace,
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
        place: ConfigPlace,
        /// The directive.
        directive: String,
    },
    /// A file that is included, or the main file itself, is not there.
    #[error("{place}: {} cannot be read. Put it there, or take the line out, and run this again", file.shown())]
    Missing {
        /// The file that is missing.
        file: PathBuf,
        /// Who includes it; the file itself for the main file.
        place: ConfigPlace,
    },
    /// Includes that go round in circles.
    #[error(
        "{place}: this include is nested too deeply; files seem to include each other. Break the circle and run this again"
    )]
    Depth {
        /// The include at which the search was given up.
        place: ConfigPlace,
    },
    /// nginx.conf has no http block.
    #[error(
        "{} has no http block, so there is no place for the line that includes gts-bootstrap's site. Write one (the package's file, nginx.conf-dist, has it) and run this again",
        file.shown()
    )]
    NoHttp {
        /// The file.
        file: PathBuf,
    },
}

/// A directive of either web server, or a block of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// Where it begins.
    pub place: ConfigPlace,
    /// Its name and its arguments, without their quotes. Bytes that are not UTF-8 come as U+FFFD.
    pub words: Vec<String>,
    /// Where it stands in its file.
    pub span: Range<usize>,
    /// What stands in its block, if it has one.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.word(0)
    }

    /// The name, or an argument from 1 on; nothing if there are not so many.
    pub(super) fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", String::as_str)
    }

    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// Whether an include is a pattern (glob(3)) and not the name of one file.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(['*', '?', '[']))
}

/// The files that an include names, a pattern or one file, in the order of their names, with what is in them. `depth` is
/// how many includes led there; none to the main file.
///
/// # Errors
/// The one file is not there, or the includes go round in circles.
pub(super) fn included(
    files: &dyn ConfigFiles,
    pattern: &Path,
    place: &ConfigPlace,
    depth: usize,
) -> Result<Vec<(PathBuf, Vec<u8>)>, ConfigError> {
    if depth > INCLUDE_DEPTH {
        return Err(ConfigError::Depth { place: place.clone() });
    }
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_str().unwrap_or_default();
        if !matches!(part, Component::Normal(_)) || !is_pattern(Path::new(text)) {
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
    let found: Vec<_> = found.into_iter().filter_map(|file| Some((file.clone(), files.read(&file)?))).collect();
    if found.is_empty() && !is_pattern(pattern) {
        return Err(ConfigError::Missing { file: pattern.to_owned(), place: place.clone() });
    }
    Ok(found)
}

/// Whether a pattern would include a file, be that there or not.
pub(super) fn covers(pattern: &Path, file: &Path) -> bool {
    let parts = |path: &Path| -> Vec<String> {
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (pattern, file) = (parts(pattern), parts(file));
    pattern.len() == file.len() && pattern.iter().zip(&file).all(|(pattern, name)| matches(pattern, name))
}

/// Whether a name fits a pattern of `*`, `?` and `[…]`. A pattern that is none means itself.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).map_or(pattern == name, |pattern| pattern.matches(name))
}

/// A text with something else in the place of a part of it.
pub(super) fn spliced(text: &[u8], span: Range<usize>, new: &str) -> Vec<u8> {
    [&text[..span.start], new.as_bytes(), &text[span.end..]].concat()
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
            ("ä*", "äö", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_may_be_patterns_too() {
        let texts =
            Texts::of(&[("/e/b/s/x.conf", "2"), ("/e/a/s/x.conf", "1"), ("/e/a/s/.h.conf", "-"), ("/e/c/x.conf", "-")]);
        let found = |pattern: &str| included(&texts, Path::new(pattern), &ConfigPlace::default(), 1);
        let contents = |pattern: &str| found(pattern).unwrap().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(contents("/e/*/s/*.conf"), [b"1", b"2"]);
        assert_eq!(contents("/e/c/x.conf").len(), 1);
        assert!(contents("/e/d/*.conf").is_empty());
        assert!(matches!(found("/e/d/x.conf"), Err(ConfigError::Missing { .. })));
        let covered = |pattern: &str| covers(Path::new(pattern), Path::new("/e/z/new.conf"));
        assert!(covered("/e/*/*.conf") && covered("/e/z/new.conf") && !covered("/e/*.conf") && !covered("/e/z/*.cnf"));
    }
}
