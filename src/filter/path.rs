//! [`UrlPath`]: the beginning of a path, and how the path of a request is read.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::agent::literal;

/// A path and everything below it: `/admin` is `/admin` and `/admin/accounts`, and not `/administrator`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlPath(String);

impl UrlPath {
    /// The path, without a slash at its end but for `/` itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path lies at or below this one.
    pub fn covers(&self, path: &str) -> bool {
        let rest = if self.0 == "/" { Some("") } else { path.strip_prefix(&self.0) };
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path as a regular expression for a decoded path. Apache leaves `%2F` as it is, and `GoToSocial` reads a
    /// slash there.
    pub fn regex(&self) -> String {
        const SLASH: &str = "(?:/|%2[Ff])";
        let parts = self.0.split('/').filter(|part| !part.is_empty());
        let parts: String = parts.map(|part| format!("{SLASH}+{}", literal(part))).collect();
        if parts.is_empty() { "^".to_owned() } else { format!("^{parts}(?:{SLASH}|$)") }
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UrlPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "/-_.~@+".contains(letter);
        let inside = text.strip_prefix('/').filter(|inside| inside.chars().all(plain) && text.len() <= 256);
        let inside =
            inside.map(|inside| inside.strip_suffix('/').filter(|inside| !inside.is_empty()).unwrap_or(inside));
        let is_good =
            |inside: &&str| inside.is_empty() || !inside.split('/').any(|part| ["", ".", ".."].contains(&part));
        inside.filter(is_good).map(|inside| Self(format!("/{inside}"))).ok_or_else(|| {
            format!(
                "{text} is not a path that can be filtered. Write it like /settings or /api/v1/admin: from a slash on, \
                 without .., //, % or a query, in letters, digits and any of - _ . ~ @ +"
            )
        })
    }
}

/// The path of a request as a web server reads it: decoded, slashes that follow each other put into one, without a query.
/// And whether it goes through `.` or `..`: what such a path means to the web server and to `GoToSocial`, which does not
/// resolve it, is not the same.
pub(super) fn requested(text: &str) -> (String, bool) {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let decoded = percent_decode_str(&text[..end]).decode_utf8_lossy();
    let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
    (format!("/{}", parts.join("/")), parts.iter().any(|part| [".", ".."].contains(part)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_what_is_below_it() {
        let path: UrlPath = "/admin/".parse().unwrap();
        assert_eq!(path.as_str(), "/admin");
        assert!(path.covers("/admin") && path.covers("/admin/") && path.covers("/admin/a/b"));
        assert!(!path.covers("/administrator") && !path.covers("/") && !path.covers("/x/admin"));
        let root: UrlPath = "/".parse().unwrap();
        assert!(root.covers("/") && root.covers("/a"));
    }

    #[test]
    fn odd_paths_are_refused() {
        for text in ["", "admin", "/a//b", "/..", "/a/./b", "/a%20", "/a?b", "/a b", "/ä", "/a\"", "/$a", "//"] {
            let error = text.parse::<UrlPath>().unwrap_err();
            assert!(error.contains("is not a path that can be filtered"), "{text}");
        }
        assert!(format!("/{}", "x".repeat(256)).parse::<UrlPath>().is_err());
    }

    #[test]
    fn requests_are_decoded() {
        for (text, path, dots) in [
            ("/settings?x=/../y", "/settings", false),
            ("/%73ettings", "/settings", false),
            ("//settings///user", "/settings/user", false),
            ("/settings%2fuser", "/settings/user", false),
            ("/a/%2e%2e/b", "/a/../b", true),
            ("/a/.", "/a/.", true),
            ("/a/..b/.c", "/a/..b/.c", false),
            ("/100%/%zz/%+1", "/100%/%zz/%+1", false),
            ("", "/", false),
        ] {
            assert_eq!(requested(text), (path.to_owned(), dots), "{text}");
        }
    }
}
