//! The syntax of Apache httpd's configuration files, as `ap_cfg_getline()` and `ap_build_config()` in `server/util.c`
//! and `server/config.c` read it: a directive a line, and sections between `<name …>` and `</name>`.
//!
//! Works on bytes, since a comment may be in any encoding.

use std::ops::Range;
use std::path::Path;

use crate::front::config_files::{ConfigError, ConfigPlace};

/// A directive, or the beginning of a section with what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// The name in lower case: Apache does not tell cases apart. A section's name begins with `<`.
    pub name: String,
    /// The arguments, without their quotes. Bytes that are not UTF-8 come as U+FFFD.
    pub arguments: Vec<String>,
    /// The line on which it begins, from 1 on.
    pub line: usize,
    /// The whole line or lines of the directive, or of the section's beginning, with the line break.
    pub span: Range<usize>,
    /// What stands in the section.
    pub section: Vec<Directive>,
}

impl Directive {
    /// An argument; nothing if there are not so many.
    pub(super) fn argument(&self, number: usize) -> &str {
        self.arguments.get(number).map_or("", String::as_str)
    }
}

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub what: &'static str,
}

/// Reads a whole file; `path` is for messages.
///
/// # Errors
/// [`ConfigError::Syntax`].
pub(super) fn parsed(path: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    parse(text).map_err(|fault| {
        let place = ConfigPlace { file: path.to_owned(), line: fault.line };
        ConfigError::Syntax { place, what: fault.what }
    })
}

/// Reads a whole file.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Directive>, Fault> {
    // Sections that are open, the outermost first.
    let mut open: Vec<Directive> = Vec::new();
    let mut top = Vec::new();
    for Line { text: line, number, span } in lines(text) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.trim_matches([' ', '\t', '\r', '\u{b}', '\u{c}']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what| Err(Fault { line: number, what });
        if let Some(name) = line.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim().to_ascii_lowercase();
            let Some(section) = open.pop() else { return fault("this closes a section that is not open") };
            if section.name[1..] != name {
                return fault("this closes another section than the one that was opened last");
            }
            open.last_mut().map_or(&mut top, |outer| &mut outer.section).push(section);
            continue;
        }
        let section = line.starts_with('<');
        let line = match (section, line.strip_suffix('>')) {
            (false, _) => line,
            (true, Some(line)) => line,
            (true, None) => return fault("this section's beginning lacks its closing >"),
        };
        let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let directive = Directive {
            name: name.to_ascii_lowercase(),
            arguments: arguments(rest),
            line: number,
            span,
            section: Vec::new(),
        };
        if section {
            open.push(directive);
        } else {
            open.last_mut().map_or(&mut top, |outer| &mut outer.section).push(directive);
        }
    }
    match open.pop() {
        Some(section) => Err(Fault { line: section.line, what: "the section that begins here is never closed" }),
        None => Ok(top),
    }
}

/// A line, with those that it goes on with after a backslash.
struct Line {
    text: Vec<u8>,
    number: usize,
    span: Range<usize>,
}

fn lines(text: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut at = 0;
    let mut continued: Option<Line> = None;
    for (index, piece) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let start = at;
        at += piece.len();
        let bare = piece.strip_suffix(b"\n").unwrap_or(piece);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let mut line = continued.take().unwrap_or(Line { text: Vec::new(), number: index + 1, span: start..at });
        line.span.end = at;
        if let Some(begun) = bare.strip_suffix(b"\\").filter(|_| piece.ends_with(b"\n")) {
            line.text.extend_from_slice(begun);
            continued = Some(line);
        } else {
            line.text.extend_from_slice(bare);
            lines.push(line);
        }
    }
    lines.extend(continued);
    lines
}

/// The words of a line (`ap_getword_conf()`): quotes of either kind hold blanks together, and within them a backslash
/// makes a quote or a backslash stand for itself.
fn arguments(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(first) = letters.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::new();
        if first == '"' || first == '\'' {
            while let Some(letter) = letters.next().filter(|letter| *letter != first) {
                match (letter, letters.peek()) {
                    ('\\', Some(&next)) if next == first || next == '\\' => {
                        word.push(next);
                        letters.next();
                    }
                    _ => word.push(letter),
                }
            }
        } else {
            word.push(first);
            while let Some(letter) = letters.next_if(|letter| !letter.is_whitespace()) {
                word.push(letter);
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directives_are_those_of_apache() {
        let text = b"# a \\\nstill a comment\n\tListen 80\r\nServerAlias a \\\n  \"b c\" 'd\\'e' \\x\n<IfModule !ssl_module>\n <Directory \"/a b\">\n </Directory >\n</IFMODULE>\n";
        let all = parse(text).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].line), ("listen", 3));
        assert_eq!(&text[all[0].span.clone()], b"\tListen 80\r\n");
        assert_eq!(
            (all[1].arguments.clone(), all[1].line),
            (vec!["a".into(), "b c".into(), "d'e".into(), "\\x".into()], 4)
        );
        assert_eq!((all[2].name.as_str(), all[2].arguments[0].as_str()), ("<ifmodule", "!ssl_module"));
        assert_eq!((all[2].section[0].arguments[0].as_str(), all[2].section[0].line), ("/a b", 7));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        for (text, line, part) in [
            ("\n</a>", 2, "not open"),
            ("<a>\n<b>\n</a>", 3, "another section"),
            ("a\n<b>", 2, "never closed"),
            ("<a b\n", 1, "closing >"),
        ] {
            let fault = parse(text.as_bytes()).unwrap_err();
            assert!(fault.line == line && fault.what.contains(part), "{text:?}: {fault:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in "[a-b<>/\\\\\"'# \r\n]{0,40}") {
            if let Ok(all) = parse(text.as_bytes()) {
                prop_assert!(all.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            }
        }
    }
}
