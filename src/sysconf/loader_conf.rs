//! Reads and changes one variable in the text of `/boot/loader.conf`, see loader.conf(5).
//!
//! Reads as loader(8) does by `stand/lua/config.lua` (the default since FreeBSD 12.0): line by line, the last
//! assignment wins, a line that does not parse is skipped. A value is a bare word or stands in double quotes, which
//! reach to the *last* quote of the line; only blanks and a `#` comment may follow.
//!
//! Works on bytes: an old comment in Latin-1 is no reason to refuse a file, and every line that is not ours must
//! survive byte for byte. A carriage return is a blank to the loader, so CRLF files work too; a line that we append
//! ends in a plain newline.
//!
//! Other files are read before and after this one, see [`loader_files`](super::loader_files).

use std::ops::Range;

use super::{with_line, without_line};

/// Why a variable cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoaderConfError {
    /// Not a name that the loader would read as a variable.
    #[error(
        "“{name}” cannot be set in loader.conf: a name begins with a letter or digit and goes on with letters, digits, “-”, “_” and “.”, and “exec” is a command."
    )]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// A value that would mean something else to the loader, or nothing.
    #[error(
        "The value “{value}” of {name} cannot be written to loader.conf: it may hold printable ASCII characters except double quotes, backslashes and dollar signs."
    )]
    Value {
        /// The variable.
        name: String,
        /// The value as it was given.
        value: String,
    },
}

/// The value that the loader would give the variable after reading this text; `None` if it would not set it.
///
/// Backslashes are taken away where the loader does so. References like `${other}` stand unexpanded. Bytes that are
/// not UTF-8 come back as U+FFFD. For `NAME_load` the loader does not mind the case of `yes`.
pub fn get(text: &[u8], name: &str) -> Option<String> {
    let assignment = effective(text, name)?;
    Some(String::from_utf8_lossy(&assignment.value).into_owned())
}

/// The line, counted from 1, of the assignment that [`get`] reads.
pub fn line_of(text: &[u8], name: &str) -> Option<usize> {
    effective(text, name).map(|found| found.number)
}

/// The text with the variable set: the effective line gets the new value in place, with its comment kept, or
/// `name="VALUE"` is appended. Every other line stays as it is. If the value is so already, the very same text comes
/// back.
///
/// # Errors
/// [`LoaderConfError`] for a name or a value that the loader would not read back as it was meant.
pub fn set(text: &[u8], name: &str, value: &str) -> Result<Vec<u8>, LoaderConfError> {
    if !is_name(name) {
        return Err(LoaderConfError::Name { name: name.to_owned() });
    }
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !value.bytes().all(|byte| plain(byte) && !matches!(byte, b'"' | b'\\' | b'$')) {
        return Err(LoaderConfError::Value { name: name.to_owned(), value: value.to_owned() });
    }
    let is_set = |text: &[u8]| get(text, name).as_deref() == Some(value);
    if is_set(text) {
        return Ok(text.to_vec());
    }
    if let Some(assignment) = effective(text, name) {
        let mut edited = text.to_vec();
        edited.splice(assignment.span, format!("\"{value}\"").into_bytes());
        // A quote in the comment would be taken for the closing one. Such a line is left alone and overridden.
        if !assignment.swallows_comment && is_set(&edited) {
            return Ok(edited);
        }
    }
    Ok(with_line(text, &written(name, value)))
}

/// The text without the line that [`set`] appends for this name and value: the last one that reads exactly so. A line that
/// somebody has changed since, or that was there and was only given another value, stays.
pub fn unset(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    without_line(text, &written(name, value))
}

/// The line as we write it, without the newline.
fn written(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

/// Whether the loader takes this value of `MODULE_load` for a yes. It is stricter than rc.subr(8).
pub fn loads(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes")
}

/// Every assignment of the text in its order, as name and value, see [`get`].
pub fn settings(text: &[u8]) -> Vec<(String, String)> {
    let read = |found: Assignment<'_>| (found.name.to_owned(), String::from_utf8_lossy(&found.value).into_owned());
    assignments(text).map(read).collect()
}

/// One assignment that the loader acts on.
struct Assignment<'a> {
    /// Which line of the file, counted from 1.
    number: usize,
    /// The name of the variable.
    name: &'a str,
    /// The value with its quotes, as a part of the whole text.
    span: Range<usize>,
    /// The value as the loader takes it.
    value: Vec<u8>,
    /// Whether the quoted value reaches over a quote inside it, so that it may well have eaten a comment.
    swallows_comment: bool,
}

fn assignments(text: &[u8]) -> impl Iterator<Item = Assignment<'_>> {
    let mut end = 0;
    text.split(|&byte| byte == b'\n').enumerate().filter_map(move |(index, line)| {
        let start = end;
        end += line.len() + 1;
        let found = parse_line(line)?;
        Some(Assignment { number: index + 1, span: start + found.span.start..start + found.span.end, ..found })
    })
}

fn effective<'a>(text: &'a [u8], name: &str) -> Option<Assignment<'a>> {
    assignments(text).filter(|found| found.name == name).last()
}

/// The line's assignment, its span counted from the start of the line.
fn parse_line(line: &[u8]) -> Option<Assignment<'_>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let word_length = |text: &[u8]| text.iter().take_while(|byte| is_word(byte)).count();
    let at = skip_blanks(line, 0);
    let end = at + word_length(line.get(at..)?);
    let name = std::str::from_utf8(&line[at..end]).ok().filter(|name| is_name(name))?;
    let equals = skip_blanks(line, end);
    if line.get(equals) != Some(&b'=') {
        return None;
    }
    let start = skip_blanks(line, equals + 1);
    let rest = line.get(start..)?;
    let (length, raw) = match rest.first()? {
        b'"' => {
            let closing = rest.iter().rposition(|&byte| byte == b'"').filter(|&at| at > 0)?;
            (closing + 1, &rest[1..closing])
        }
        first if first.is_ascii_alphanumeric() || *first == b'-' => {
            let length = word_length(rest);
            (length, &rest[..length])
        }
        _ => return None,
    };
    let tail = &rest[length..];
    if !matches!(tail.get(skip_blanks(tail, 0)), None | Some(b'#')) {
        return None;
    }
    Some(Assignment {
        number: 1,
        name,
        span: start..start + length,
        value: if is_module_key(name) { raw.to_vec() } else { unescape(raw)? },
        swallows_comment: raw.contains(&b'"'),
    })
}

/// What the loader does with the value of an ordinary variable: a backslash goes and its follower stays. A stray
/// quote or a backslash at the end makes it skip the line. Module keys are taken as they stand.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => value.push(*bytes.next()?),
            b'"' => return None,
            _ => value.push(byte),
        }
    }
    Some(value)
}

/// `MODULE_load` and its kin, which config.lua takes for itself.
fn is_module_key(name: &str) -> bool {
    const SUFFIXES: [&str; 7] = ["_load", "_name", "_type", "_flags", "_before", "_after", "_error"];
    SUFFIXES
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|module| !module.is_empty() && !module.contains('.')))
}

fn is_name(name: &str) -> bool {
    name != "exec"
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Where the first byte that is not a blank stands, at `from` or later. Blanks are Lua's `%s`.
fn skip_blanks(text: &[u8], from: usize) -> usize {
    let blanks = text.iter().skip(from).take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    from + blanks
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOAD: &str = "mac_portacl_load";

    fn read(text: &str) -> Option<String> {
        get(text.as_bytes(), LOAD)
    }

    fn changed(text: &str, value: &str) -> String {
        String::from_utf8(set(text.as_bytes(), LOAD, value).unwrap()).unwrap()
    }

    #[test]
    fn only_the_line_as_we_write_it_is_taken_out() {
        let before = b"zfs_load=\"YES\"\n# mine\n";
        let with = set(before, "a_load", "YES").unwrap();
        assert_eq!(unset(&with, "a_load", "YES"), before);
        for theirs in ["a_load=YES\n", "a_load=\"YES\" # mine\n", "a_load=\"NO\"\n", "#a_load=\"YES\"\n", ""] {
            assert_eq!(unset(theirs.as_bytes(), "a_load", "YES"), theirs.as_bytes());
        }
        assert_eq!(unset(b"a_load=\"YES\"\nx=\"1\"\na_load=\"YES\"", "a_load", "YES"), b"a_load=\"YES\"\nx=\"1\"\n");
    }

    #[test]
    fn reads_what_the_loader_takes() {
        for line in [
            "mac_portacl_load=\"YES\"",
            "  mac_portacl_load = \"YES\"  # always",
            "mac_portacl_load=YES",
            "mac_portacl_load=YES#always",
            "mac_portacl_load=\"YES\"#always",
            "mac_portacl_load=YES # said \"yes\"",
            "mac_portacl_load=\"YES\"\r\n",
            "\tmac_portacl_load\t=\tYES\t",
        ] {
            assert_eq!(read(line).as_deref(), Some("YES"), "{line}");
        }
        assert_eq!(read("mac_portacl_load=\"\"").as_deref(), Some(""));
        assert_eq!(read("mac_portacl_load=yes").as_deref(), Some("yes"));
    }

    #[test]
    fn does_not_read_what_the_loader_skips() {
        for line in [
            "",
            "#mac_portacl_load=\"YES\"",
            "mac_portacl_load",
            "mac_portacl_load=",
            "mac_portacl_load=\"YES",
            "mac_portacl_load=\"",
            "mac_portacl_load=\"YES\" NO",
            "mac_portacl_load=YES NO",
            "mac_portacl_load=YES/NO",
            "mac_portacl_load='YES'",
            "mac_portacl_load: YES",
            "if_mac_portacl_load=\"YES\"",
            "mac_portacl_load2=\"YES\"",
            "MAC_PORTACL_LOAD=\"YES\"",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn the_last_assignment_wins_and_a_broken_one_does_not_count() {
        let text = "mac_portacl_load=NO\nmac_portacl_load=YES\nmac_portacl_load=\"NO\n";
        assert_eq!(read(text).as_deref(), Some("YES"));
        assert_eq!(line_of(text.as_bytes(), LOAD), Some(2));
        assert_eq!(line_of(text.as_bytes(), "zfs_load"), None);
    }

    #[test]
    fn a_quote_in_a_comment_is_taken_for_the_closing_one() {
        let line = "mac_portacl_load=\"YES\" # not \"NO\"";
        assert_eq!(read(line).as_deref(), Some("YES\" # not \"NO"));
        // An ordinary variable would not be set at all by such a line.
        assert_eq!(get(b"console=\"vidconsole\" # not \"efi\"", "console"), None);
    }

    #[test]
    fn ordinary_variables_lose_their_backslashes() {
        assert_eq!(get(br#"a.b="x\"y\\z""#, "a.b").as_deref(), Some("x\"y\\z"));
        assert_eq!(get(br#"a.b="x\"#, "a.b"), None);
        assert_eq!(get(br#"a_load="x\\y""#, "a_load").as_deref(), Some(r"x\\y"));
        assert_eq!(get(br#"a.b_load="x\\y""#, "a.b_load").as_deref(), Some(r"x\y"));
    }

    #[test]
    fn appends_what_is_missing_and_ends_the_line_before() {
        assert_eq!(changed("", "YES"), "mac_portacl_load=\"YES\"\n");
        assert_eq!(changed("zfs_load=\"YES\"", "YES"), "zfs_load=\"YES\"\nmac_portacl_load=\"YES\"\n");
        assert_eq!(
            changed("#mac_portacl_load=\"YES\"\r\n", "YES"),
            "#mac_portacl_load=\"YES\"\r\nmac_portacl_load=\"YES\"\n"
        );
    }

    #[test]
    fn changes_the_effective_line_in_place_and_keeps_the_rest_of_it() {
        assert_eq!(
            changed("mac_portacl_load=\"NO\"\n  mac_portacl_load = NO\t# later\r\nzfs_load=\"YES\"", "YES"),
            "mac_portacl_load=\"NO\"\n  mac_portacl_load = \"YES\"\t# later\r\nzfs_load=\"YES\""
        );
    }

    #[test]
    fn returns_the_very_same_text_if_it_is_so_already() {
        for text in ["mac_portacl_load=YES", "\n\nmac_portacl_load=\"YES\" # x\r\n\n"] {
            assert_eq!(changed(text, "YES"), text);
        }
    }

    #[test]
    fn a_line_with_a_quote_in_its_comment_is_left_alone_and_overridden() {
        for line in ["mac_portacl_load=NO # \"never\"", "mac_portacl_load=\"NO\" # \"never\""] {
            let text = changed(line, "YES");
            assert_eq!(text, format!("{line}\nmac_portacl_load=\"YES\"\n"));
            assert_eq!(read(&text).as_deref(), Some("YES"));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_survive() {
        let text = b"# gr\xfc\xdfe\nmac_portacl_load=\"NO\" # \xe4\n";
        assert_eq!(set(text, LOAD, "YES").unwrap(), b"# gr\xfc\xdfe\nmac_portacl_load=\"YES\" # \xe4\n");
        assert_eq!(get(b"a=\"\xfc\"", "a").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn refuses_names_and_values_that_would_not_come_back() {
        for name in ["", "exec", "a b", "a=b", "_load", "a\n", "\u{e4}_load", "#a"] {
            assert_eq!(set(b"", name, "YES"), Err(LoaderConfError::Name { name: name.to_owned() }));
            assert_eq!(get(format!("{name}=YES").as_bytes(), name), None);
        }
        for value in ["a\"b", "a\nb", "a\\b", "$a", "\r", "\u{e4}", "\0"] {
            assert_eq!(
                set(b"", LOAD, value),
                Err(LoaderConfError::Value { name: LOAD.to_owned(), value: value.to_owned() })
            );
        }
    }

    /// Lines that are near the language, many of them about the variable in question.
    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let line = prop_oneof![
            4 => "[ \t]{0,2}mac_portacl_load ?= ?(\"[YN#\" ]{0,4}\"|[YN]{0,2})[ \t]{0,1}(#[ \"a]{0,3})?\r?"
                .prop_map(String::into_bytes),
            1 => "[a-z_#]{0,8}=?\"?[ -~]{0,8}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>().prop_filter("a line", |&byte| byte != b'\n'), 0..8),
        ];
        prop::collection::vec(line, 0..6)
    }

    proptest! {
        #[test]
        fn set_is_read_back_and_changes_one_line_at_most(lines in lines(), end in any::<bool>(), value in "[ -!#%-\\[\\]-~]{0,6}") {
            let mut text = lines.join(&b'\n');
            if end {
                text.push(b'\n');
            }
            let after = set(&text, LOAD, &value).unwrap();
            prop_assert_eq!(get(&after, LOAD), Some(value.clone()));
            prop_assert_eq!(set(&after, LOAD, &value).unwrap(), after.clone());

            let mut appended = text.clone();
            if !appended.is_empty() && !appended.ends_with(b"\n") {
                appended.push(b'\n');
            }
            appended.extend_from_slice(format!("{LOAD}=\"{value}\"\n").as_bytes());
            if after != appended {
                let split = |text: &[u8]| text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
                let (old, new) = (split(&text), split(&after));
                prop_assert_eq!(old.len(), new.len());
                prop_assert!(old.iter().zip(&new).filter(|(old, new)| old != new).count() <= 1);
            }
        }
    }
}
