//! What the filters of all web servers have in common: their files, and why there can be none.

use std::path::{Path, PathBuf};

use super::render::plain;
use crate::filter::{Filters, Lists};

/// Files to be put in place, or in words why there can be none. The web server's workers must be able to read them: mode
/// 0644, in folders of mode 0755. One of Apache's is not text.
pub type RenderedFilters = Result<Vec<(PathBuf, Vec<u8>)>, String>;

/// The first line of each file.
pub(super) const HEAD: &str =
    "# Filters, written by gts-bootstrap from filters.conf. Change that, with `gts-bootstrap filter`, and not this.\n";

/// The names of the files, below the folder of filters.
pub(super) const GLOBAL: &str = "global/gts-bootstrap.conf";
/// See [`GLOBAL`].
pub(super) const SITE: &str = "site/gts-bootstrap.conf";

/// Looks whether everything that is needed is there, and gives the folder as text.
pub(super) fn ready<'a>(filters: &Filters, lists: &Lists, folder: &'a Path) -> Result<&'a str, String> {
    if let Some((line, name)) = filters.lists().find(|(_, name)| !lists.0.contains_key(*name)) {
        return Err(format!(
            "line {line} of the filters names the list {name}, which is not there. Import it again (gts-bootstrap filter \
             import FILE --name {name}) or remove the rule (gts-bootstrap filter remove {line})"
        ));
    }
    plain("the filters cannot be written for the web server: the folder", folder)
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
            let error = (front.filters)(&filters, &Lists::default(), Path::new("/f")).unwrap_err();
            assert!(error.starts_with("line 2 of the filters names the list drop, which is not"), "{error}");
        }
    }

    #[test]
    fn odd_folders_are_refused() {
        for folder in ["relative", "/a\"b", "/a$b", "/a\nb", "/a\\b", "/a*"] {
            for front in Front::ALL {
                let rendered = (front.filters)(&Filters::default(), &Lists::default(), Path::new(folder));
                let error = rendered.unwrap_err();
                let folder = crate::shown::Shown::shown(folder);
                assert!(error.contains(&format!("the folder {folder} is not absolute, or has a quote")), "{error}");
            }
        }
    }
}
