//! The syntax of Apache httpd's configuration files, as `ap_cfg_getline()` and `ap_build_config()` in `server/util.c`
//! and `server/config.c` read it: a directive a line, and sections between `<name …>` and `</name>`.
//!
//! Works on bytes, since a comment may be in any encoding.

use std::ops::Range;
use std::path::Path;
use std::vec::IntoIter;

use crate::front::config_files::{ConfigError, ConfigPlace, Directive};

/// Reads the text of a file. Names come in lower case, as Apache does not tell cases apart; a section's begins with `<`.
///
/// # Errors
/// [`ConfigError::Syntax`].
pub(super) fn parse(file: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    section(file, &mut lines(text).into_iter(), None)
}

/// Reads up to the end of a section, or of the file.
fn section(file: &Path, lines: &mut IntoIter<Line>, opened: Option<&Directive>) -> Result<Vec<Directive>, ConfigError> {
    let mut directives = Vec::new();
    while let Some(Line { text, number, span }) = lines.next() {
        let text = String::from_utf8_lossy(&text);
        let line = text.trim_matches([' ', '\t', '\r', '\u{b}', '\u{c}']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = ConfigPlace { file: file.to_owned(), line: number };
        if let Some(name) = line.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim();
            let what = match opened {
                None => "this closes a section that is not open",
                Some(opened) if opened.name()[1..].eq_ignore_ascii_case(name) => return Ok(directives),
                Some(_) => "this closes another section than the one that was opened last",
            };
            return Err(ConfigError::Syntax { place, what });
        }
        let begins = line.starts_with('<');
        let Some(line) = (if begins { line.strip_suffix('>') } else { Some(line) }) else {
            return Err(ConfigError::Syntax { place, what: "this section's beginning lacks its closing >" });
        };
        let mut directive = Directive { place, words: words(line), span, block: None };
        directive.words.first_mut().into_iter().for_each(|name| name.make_ascii_lowercase());
        if begins {
            directive.block = Some(section(file, lines, Some(&directive))?);
        }
        directives.push(directive);
    }
    match opened {
        Some(Directive { place, .. }) => {
            Err(ConfigError::Syntax { place: place.clone(), what: "the section that begins here is never closed" })
        }
        None => Ok(directives),
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
    for (number, piece) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let mut line = continued.take().unwrap_or(Line { text: Vec::new(), number, span: at..at });
        at += piece.len();
        line.span.end = at;
        let bare = piece.strip_suffix(b"\n").unwrap_or(piece);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let begun = bare.strip_suffix(b"\\").filter(|_| piece.ends_with(b"\n"));
        line.text.extend_from_slice(begun.unwrap_or(bare));
        if begun.is_some() {
            continued = Some(line);
        } else {
            lines.push(line);
        }
    }
    lines.extend(continued);
    lines
}

/// The words of a line (`ap_getword_conf()`): quotes of either kind hold blanks together, and within them a backslash
/// makes a quote or a backslash stand for itself.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(first) = letters.next() {
        if first.is_whitespace() {
            continue;
        }
        let quoted = first == '"' || first == '\'';
        let mut word = if quoted { String::new() } else { first.to_string() };
        let goes_on = |letter: &char| if quoted { *letter != first } else { !letter.is_whitespace() };
        while let Some(letter) = letters.next().filter(goes_on) {
            let escaped = letters.next_if(|next| quoted && letter == '\\' && [first, '\\'].contains(next));
            word.push(escaped.unwrap_or(letter));
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

    fn parsed(text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
        parse(Path::new("/f"), text)
    }

    #[test]
    fn directives_are_those_of_apache() {
        let text = b"# a \\\nstill a comment\n\tListen 80\r\nServerAlias a \\\n  \"b c\" 'd\\'e' \\x\n<IfModule !ssl_module>\n <Directory \"/a b\">\n </Directory >\n</IFMODULE>\n";
        let all = parsed(text).unwrap();
        assert_eq!((all[0].name(), all[0].place.line), ("listen", 3));
        assert_eq!(&text[all[0].span.clone()], b"\tListen 80\r\n");
        assert_eq!((all[1].arguments().join("|").as_str(), all[1].place.line), ("a|b c|d'e|\\x", 4));
        assert_eq!((all[2].name(), all[2].word(1)), ("<ifmodule", "!ssl_module"));
        let inner = &all[2].block.as_ref().unwrap()[0];
        assert_eq!((inner.word(1), inner.place.line), ("/a b", 7));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        for (text, line, part) in [
            ("\n</a>", 2, "not open"),
            ("<a>\n<b>\n</a>", 3, "another section"),
            ("a\n<b>", 2, "never closed"),
            ("<a b\n", 1, "closing >"),
        ] {
            let Err(ConfigError::Syntax { place, what }) = parsed(text.as_bytes()) else {
                panic!("{text:?} was taken")
            };
            assert!(place.line == line && what.contains(part), "{text:?}: {place} {what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in "[a-b<>/\\\\\"'# \r\n]{0,40}") {
            if let Ok(all) = parsed(text.as_bytes()) {
                prop_assert!(all.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            }
        }
    }
}
