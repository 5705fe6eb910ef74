//! What the filters of all web servers have in common: files, their places, and why there can be none.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::written::is_plain;
use crate::filter::{Filters, ListName, Lists, Network, Rule, UrlPath};

/// A file to be put in place. The web server's workers must be able to read it: mode 0644, in folders of mode 0755.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterFile {
    /// Where it belongs.
    pub path: PathBuf,
    /// What stands in it. One of Apache's is not text.
    pub content: Vec<u8>,
}

/// Why no configuration can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterFileError {
    /// A list is not there.
    #[error(
        "line {line} of the filters names the list {name}, which is not there. Import it again (gts-bootstrap filter import FILE --name {name}) or remove the rule (gts-bootstrap filter remove {line})"
    )]
    MissingList {
        /// The line.
        line: usize,
        /// The list.
        name: ListName,
    },
    /// The folder's name cannot be written down safely.
    #[error(
        "the filters cannot be written for the web server: the folder {} is not absolute, or has a quote, a dollar sign, a backslash, a percent sign, one of * ? [ or a control character in it, or is not valid UTF-8. Choose a plain path",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// The web server has nothing for these rules.
    #[error(
        "{name} cannot limit how often a client asks; take these rules out (`gts-bootstrap filter remove LINE`), or use nginx (`gts-bootstrap switch-to-proxy nginx`):\n{}",
        rules.iter().map(|(line, rule)| format!("  line {line}: {rule}")).collect::<Vec<_>>().join("\n")
    )]
    Rates {
        /// What the web server is called.
        name: &'static str,
        /// The rules, with their lines.
        rules: Vec<(usize, Rule)>,
    },
    /// Too many networks at one place of Apache's table.
    #[error(
        "the lists hold networks that Apache's table cannot keep apart: {keys} of them have the same place in it. No real list does this; look where yours are from"
    )]
    Crowded {
        /// How many.
        keys: usize,
    },
}

/// The first line of each file.
pub(super) const HEAD: &str =
    "# Filters, written by gts-bootstrap from filters.conf. Change that, with `gts-bootstrap filter`, and not this.\n";

/// The names of the files, below the folder of filters.
pub(super) const GLOBAL: &str = "global/gts-bootstrap.conf";
/// See [`GLOBAL`].
pub(super) const SITE: &str = "site/gts-bootstrap.conf";

/// Looks whether everything that is needed is there, and gives the folder as text.
pub(super) fn ready<'a>(filters: &Filters, lists: &Lists, folder: &'a Path) -> Result<&'a str, FilterFileError> {
    if let Some((line, name)) = filters.lists().find(|(_, name)| !lists.0.contains_key(*name)) {
        return Err(FilterFileError::MissingList { line, name: name.clone() });
    }
    folder.to_str().filter(|_| is_plain(folder)).ok_or_else(|| FilterFileError::Folder { folder: folder.to_owned() })
}

/// The protected paths with who may come, the longest path first, so that the first that fits is the one that decides.
pub(super) fn protected(filters: &Filters) -> Vec<(&UrlPath, &[Network])> {
    let mut rules: Vec<_> = filters
        .rules()
        .filter_map(|(_, rule)| match rule {
            Rule::Protect { path, from } => Some((path, from.as_slice())),
            _ => None,
        })
        .collect();
    rules.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_str().len()));
    rules
}

/// A regular expression for requests whose path goes through `.` or `..`, to be matched without regard to capitals.
/// `before` is what stands before the path, and `behind` what may end it.
pub(super) fn dots(before: &str, behind: &str) -> String {
    format!(r"^{before}[^? ]*(?:/|%2f)(?:\.|%2e){{1,2}}(?:/|%2f|\?|{behind})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::Front;
    use super::*;

    #[test]
    fn a_missing_list_is_refused() {
        let filters = Filters::parse("\ndeny file drop").unwrap();
        for front in Front::ALL {
            let error = front.server.render_filters(&filters, &Lists::default(), Path::new("/f")).unwrap_err();
            assert!(
                error.to_string().starts_with("line 2 of the filters names the list drop, which is not"),
                "{error}"
            );
        }
    }

    #[test]
    fn odd_folders_are_refused() {
        for folder in ["relative", "/a\"b", "/a$b", "/a\nb", "/a\\b", "/a*"] {
            let folder = Path::new(folder);
            let expected = FilterFileError::Folder { folder: folder.to_owned() };
            for front in Front::ALL {
                let rendered = front.server.render_filters(&Filters::default(), &Lists::default(), folder);
                assert_eq!(rendered, Err(expected.clone()));
            }
        }
    }
}
