//! Reads and changes one variable in the text of `/etc/sysctl.conf`, see sysctl.conf(5).
//!
//! Reads as sysctl(8) does with `-f` (`parsefile()` and `parse()` in `sbin/sysctl/sysctl.c`, and measured on FreeBSD
//! 13.2): `name=value`, `name = value` and `name: value`, blanks around both sides, a pair of single or double quotes
//! around the value, a `#` comment after it. The last assignment wins. A line is read in pieces of
//! [`LINE_LIMIT`] bytes, each of them taken for a line of its own: [`overlong_lines`] finds such lines.
//!
//! Works on bytes: an old comment in Latin-1 is no reason to refuse a file, and every line that is not ours must
//! survive byte for byte. A carriage return is a blank to sysctl(8), so CRLF files work too; a line that we append
//! ends in a plain newline.
//!
//! `/etc/sysctl.conf.local` is read later and can override what stands here.

use std::ops::Range;

use super::{with_line, without_line};

/// The longest line that sysctl(8) reads whole, in bytes, without the newline: its buffer has 1024 (`BUFSIZ`), one of
/// them for the closing NUL.
pub const LINE_LIMIT: usize = 1023;

/// Why a variable cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SysctlConfError {
    /// Not a name of a sysctl variable.
    #[error("“{name}” cannot be set in sysctl.conf: a name consists of letters, digits, “.”, “_”, “-” and “%”.")]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// A value that sysctl(8) would not read back as it was meant.
    #[error(
        "The value “{value}” of {name} cannot be written to sysctl.conf: it may hold printable ASCII characters except “#” and quotes, and no blank at either end."
    )]
    Value {
        /// The variable.
        name: String,
        /// The value as it was given.
        value: String,
    },
    /// The line to be written would be cut.
    #[error(
        "The line for {name} in sysctl.conf would be {length} bytes long, and sysctl(8) reads {LINE_LIMIT}: the rest would be silently truncated. Shorten the value, or the comment after it."
    )]
    LineTooLong {
        /// The variable.
        name: String,
        /// The length that the line would have, in bytes.
        length: usize,
    },
    /// The line that is there is cut already.
    #[error(
        "Line {line} of sysctl.conf sets {name} and is {length} bytes long, but sysctl(8) reads {LINE_LIMIT} and takes the rest for another line. Correct it by hand, then try again."
    )]
    ExistingLineTooLong {
        /// The variable.
        name: String,
        /// Which line of the file, counted from 1.
        line: usize,
        /// Its length, in bytes.
        length: usize,
    },
}

/// A line that sysctl(8) reads in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverlongLine {
    /// Which line of the file, counted from 1.
    pub line: usize,
    /// Its length in bytes, without the newline.
    pub length: usize,
}

/// The lines of more than [`LINE_LIMIT`] bytes: what stands beyond is cut off and taken for another line.
pub fn overlong_lines(text: &[u8]) -> Vec<OverlongLine> {
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| line.len() > LINE_LIMIT)
        .map(|(index, line)| OverlongLine { line: index + 1, length: line.len() })
        .collect()
}

/// One assignment of a text, in the order in which sysctl(8) acts on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which line of the file, counted from 1.
    pub line: usize,
    /// The length of that line in bytes, without the newline.
    pub length: usize,
    /// The name of the sysctl.
    pub name: String,
    /// The value, as [`get`] gives it.
    pub value: String,
}

/// Every assignment of the text, whatever its name.
pub fn settings(text: &[u8]) -> Vec<Setting> {
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assignments(text)
        .map(|found| Setting {
            line: found.number,
            length: found.line.len(),
            name: read(found.name),
            value: read(&text[found.value]),
        })
        .collect()
}

/// The value that the variable would be set to last; `None` if this text does not set it.
///
/// Of a line that is too long, it is the value that is left after the cut. Bytes that are not UTF-8 come back as
/// U+FFFD.
pub fn get(text: &[u8], name: &str) -> Option<String> {
    let assignment = effective(text, name)?;
    Some(String::from_utf8_lossy(&text[assignment.value]).into_owned())
}

/// The text with the variable set: the effective line gets the new value in place, with its quotes and its comment
/// kept, or `name=value` is appended. Every other line stays as it is. If the value is so already, the very same text
/// comes back.
///
/// # Errors
/// [`SysctlConfError`] for a name or value that sysctl(8) would not read back as it was meant, and where the line
/// would be too long or the effective one is so already.
pub fn set(text: &[u8], name: &str, value: &str) -> Result<Vec<u8>, SysctlConfError> {
    check(name, value)?;
    let existing = effective(text, name);
    if let Some(assignment) = &existing
        && assignment.line.len() > LINE_LIMIT
    {
        return Err(SysctlConfError::ExistingLineTooLong {
            name: name.to_owned(),
            line: assignment.number,
            length: assignment.line.len(),
        });
    }
    let is_set = |text: &[u8]| get(text, name).as_deref() == Some(value);
    if is_set(text) {
        return Ok(text.to_vec());
    }
    let fits = |length: usize| {
        if length > LINE_LIMIT {
            return Err(SysctlConfError::LineTooLong { name: name.to_owned(), length });
        }
        Ok(())
    };
    if let Some(assignment) = existing {
        let mut edited = text.to_vec();
        let length = assignment.line.len() - assignment.value.len() + value.len();
        edited.splice(assignment.value, value.bytes());
        // A quote mark in the comment can change what is read. Such a line is left alone and overridden.
        if is_set(&edited) || length > LINE_LIMIT {
            fits(length)?;
            return Ok(edited);
        }
    }
    let line = written(name, value);
    fits(line.len())?;
    Ok(with_line(text, &line))
}

/// The text without the line that [`set`] appends for this name and value: the last one that reads exactly so. A line
/// that somebody has changed since, or that was there and was only given another value, stays.
pub fn unset(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    without_line(text, &written(name, value))
}

/// The line as we write it, without the newline.
fn written(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

fn check(name: &str, value: &str) -> Result<(), SysctlConfError> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_name) {
        return Err(SysctlConfError::Name { name: name.to_owned() });
    }
    let in_value = |byte: u8| (byte == b' ' || byte.is_ascii_graphic()) && !matches!(byte, b'#' | b'"' | b'\'');
    if !value.bytes().all(in_value) || value.trim() != value {
        return Err(SysctlConfError::Value { name: name.to_owned(), value: value.to_owned() });
    }
    Ok(())
}

/// One assignment, as parts of the whole text.
struct Assignment<'a> {
    /// Which line of the file, counted from 1.
    number: usize,
    /// The line of the file, without its newline.
    line: Range<usize>,
    /// The name of the sysctl.
    name: &'a [u8],
    /// The value, without quotes.
    value: Range<usize>,
}

fn assignments(text: &[u8]) -> impl Iterator<Item = Assignment<'_>> {
    let mut end = 0;
    text.split(|&byte| byte == b'\n').enumerate().flat_map(move |(index, line)| {
        let start = end;
        end += line.len() + 1;
        line.chunks(LINE_LIMIT).enumerate().filter_map(move |(piece_index, piece)| {
            let (name, value) = parse_piece(piece)?;
            let offset = start + piece_index * LINE_LIMIT;
            Some(Assignment {
                number: index + 1,
                line: start..start + line.len(),
                name,
                value: offset + value.start..offset + value.end,
            })
        })
    })
}

fn effective<'a>(text: &'a [u8], name: &str) -> Option<Assignment<'a>> {
    assignments(text).filter(|found| found.name == name.as_bytes()).last()
}

/// What sysctl(8) makes of one line: the name, and where the value stands.
fn parse_piece(piece: &[u8]) -> Option<(&[u8], Range<usize>)> {
    // To C the line ends at a NUL.
    let end = piece.iter().position(|&byte| byte == 0).unwrap_or(piece.len());
    let line = &piece[..comment_start(&piece[..end])];
    let line = &line[..trimmed_length(line)];
    let separator = line.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    let name = &line[skip_blanks(line, 0).min(separator)..separator];
    let name = &name[..trimmed_length(name)];
    let mut value = skip_blanks(line, separator + 1)..line.len();
    if let Some(quote @ (b'"' | b'\'')) = line.get(value.start) {
        value.start += 1;
        // A lone quote makes sysctl(8) read past its buffer: no value to speak of.
        if value.is_empty() {
            return None;
        }
        if line.last() == Some(quote) {
            value.end -= 1;
        }
    }
    Some((name, value))
}

/// Where the line is cut because of a `#`: at the first one that no backslash precedes. If a quote stands before it,
/// the cut is behind the closing quote, and without a closing one there is none. Single quotes are looked for first.
fn comment_start(line: &[u8]) -> usize {
    let find =
        |byte: u8, from: usize| line.iter().skip(from).position(|&other| other == byte).map(|position| from + position);
    let quotes = [find(b'\'', 0), find(b'"', 0)];
    let mut from = 0;
    while let Some(hash) = find(b'#', from) {
        for quote in quotes.into_iter().flatten() {
            if hash > quote {
                return find(line[quote], quote + 1).map_or(line.len(), |closing| closing + 1);
            }
        }
        if hash == 0 || line[hash - 1] != b'\\' {
            return hash;
        }
        from = hash + 1;
    }
    line.len()
}

/// isspace(3) in the C locale.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_blanks(text: &[u8], from: usize) -> usize {
    from + text.iter().skip(from).take_while(|byte| is_blank(byte)).count()
}

fn trimmed_length(text: &[u8]) -> usize {
    text.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: &str = "security.mac.portacl.rules";
    /// What [`LINE_LIMIT`] leaves for the rules behind their name.
    const RULES_LIMIT: usize = 996;
    const HIGH: &str = "net.inet.ip.portrange.reservedhigh";

    fn read(text: &str) -> Option<String> {
        get(text.as_bytes(), RULES)
    }

    fn changed(text: &str, name: &str, value: &str) -> String {
        String::from_utf8(set(text.as_bytes(), name, value).unwrap()).unwrap()
    }

    /// Every line that was tried on FreeBSD 13.2, with the value that it set.
    #[test]
    fn reads_lines_as_seen() {
        for (line, value) in [
            ("security.mac.portacl.rules=uid:209:tcp:443", "uid:209:tcp:443"),
            ("security.mac.portacl.rules=\"uid:209:tcp:444\"", "uid:209:tcp:444"),
            ("security.mac.portacl.rules='uid:209:tcp:445'", "uid:209:tcp:445"),
            ("security.mac.portacl.rules = uid:209:tcp:446", "uid:209:tcp:446"),
            ("security.mac.portacl.rules=uid:209:tcp:447 # comment", "uid:209:tcp:447"),
            ("security.mac.portacl.rules=uid:209:tcp:448,uid:209:tcp:80   ", "uid:209:tcp:448,uid:209:tcp:80"),
            ("  security.mac.portacl.rules=uid:209:tcp:449", "uid:209:tcp:449"),
            ("security.mac.portacl.rules: uid:209:tcp:450", "uid:209:tcp:450"),
            ("security.mac.portacl.rules=bogus", "bogus"),
            ("security.mac.portacl.rules=", ""),
            ("security.mac.portacl.rules=\"\"", ""),
        ] {
            assert_eq!(read(line).as_deref(), Some(value), "{line}");
        }
        assert_eq!(read("security.mac.portacl.nosuch=1"), None);
        let two = "security.mac.portacl.rules=bogus\nsecurity.mac.portacl.port_high=1000\n";
        assert_eq!(get(two.as_bytes(), "security.mac.portacl.port_high").as_deref(), Some("1000"));
    }

    #[test]
    fn reads_quotes_and_comments_as_sysctl_does() {
        for (line, value) in [
            ("a=\"x # y\" # z", Some("x # y")),
            ("a='x # y' z", Some("x # y")),
            ("a='x' z", Some("x' z")),
            ("a='x # y' # z", Some("x # y")),
            // The single quote is looked for first, and it has no twin: nothing is cut.
            ("a=\"x'y\" # z", Some("x'y\" # z")),
            ("a=x # don't # do", Some("x")),
            ("a=x#y", Some("x")),
            (r"a=x\#y # z", Some(r"x\#y")),
            ("a=\"x", Some("x")),
            ("a=\"x'", Some("x'")),
            ("a=x\"", Some("x\"")),
            ("a=\"x # y", Some("x # y")),
            ("a=b=c:d", Some("b=c:d")),
            ("a=\"x\"\r", Some("x")),
            ("a \t:\t x\x0b", Some("x")),
            ("a=x\0y", Some("x")),
            ("#a=x", None),
            ("a", None),
            ("a x", None),
            ("=x", None),
            (" = x", None),
            ("a=\"", None),
            ("", None),
        ] {
            assert_eq!(get(line.as_bytes(), "a").as_deref(), value, "{line}");
        }
    }

    #[test]
    fn every_assignment_is_listed_with_its_line() {
        let listed = |text: &str| -> Vec<(usize, String, String)> {
            settings(text.as_bytes()).into_iter().map(|found| (found.line, found.name, found.value)).collect()
        };
        let one = |line, name: &str, value: &str| (line, name.to_owned(), value.to_owned());
        assert_eq!(listed("# a=0\n a = '1' # x\n\nb\na: 2\n"), [one(2, "a", "1"), one(5, "a", "2")]);
        // The rest of a long line is a line of its own to sysctl(8), and the same one to the administrator.
        let found = settings(format!("x=1\na={}b=2\n", ",".repeat(LINE_LIMIT - 2)).as_bytes());
        assert_eq!(found.iter().map(|one| (one.line, one.length)).collect::<Vec<_>>(), [(1, 3), (2, 1026), (2, 1026)]);
        assert_eq!((found[2].name.as_str(), found[2].value.as_str()), ("b", "2"));
    }

    #[test]
    fn the_last_assignment_wins() {
        let text = "net.inet.ip.portrange.reservedhigh=0\nx=1\nnet.inet.ip.portrange.reservedhigh: 79\n";
        assert_eq!(get(text.as_bytes(), HIGH).as_deref(), Some("79"));
        assert_eq!(
            changed(text, HIGH, "442"),
            "net.inet.ip.portrange.reservedhigh=0\nx=1\nnet.inet.ip.portrange.reservedhigh: 442\n"
        );
    }

    /// Seen: the value is cut to 996 bytes, and the rest is an “unknown oid at line 2”.
    #[test]
    fn a_line_over_1023_bytes_is_read_in_pieces_as_seen() {
        let line = |length: usize| format!("{RULES}={:,<length$}", "uid:209:tcp:80");
        for length in [994, 995, 996] {
            assert_eq!(read(&line(length)).unwrap().len(), length);
            assert_eq!(overlong_lines(line(length).as_bytes()), []);
        }
        for length in [997, 998, 3000] {
            assert_eq!(read(&line(length)).unwrap().len(), RULES_LIMIT);
            let text = format!("# first\n{}\n", line(length));
            assert_eq!(overlong_lines(text.as_bytes()), [OverlongLine { line: 2, length: length + 27 }]);
        }
        assert_eq!(RULES.len() + 1 + RULES_LIMIT, LINE_LIMIT);
    }

    /// Seen: `…,uid:65534:tcp:2222` was cut to a rule for port 222.
    #[test]
    fn a_rule_can_be_cut_into_another_port() {
        let value = format!("{:,>length$}", "uid:65534:tcp:2222", length = RULES_LIMIT + 1);
        let left = read(&format!("{RULES}={value}")).unwrap();
        assert!(left.ends_with(",uid:65534:tcp:222"), "{left}");
    }

    #[test]
    fn a_line_that_is_cut_already_is_not_touched() {
        let text = format!("x=1\n{RULES}={}\n", ",".repeat(1000));
        assert_eq!(
            set(text.as_bytes(), RULES, "uid:209:tcp:80"),
            Err(SysctlConfError::ExistingLineTooLong { name: RULES.to_owned(), line: 2, length: 1027 })
        );
        // Somebody else's is not in the way.
        assert_eq!(changed(&text, HIGH, "79"), format!("{text}{HIGH}=79\n"));
        // Nor is one that a later line overrides.
        let overridden = format!("{text}{RULES}=x\n");
        assert_eq!(changed(&overridden, RULES, "y"), format!("{text}{RULES}=y\n"));
    }

    #[test]
    fn a_line_that_would_be_cut_is_not_written() {
        let value = |length: usize| ",".repeat(length);
        let too_long = |length| Err(SysctlConfError::LineTooLong { name: RULES.to_owned(), length });
        assert!(set(b"", RULES, &value(RULES_LIMIT)).is_ok());
        assert_eq!(set(b"", RULES, &value(RULES_LIMIT + 1)), too_long(1024));
        // A comment that would be pushed over the limit counts as well.
        let commented = format!("{RULES}=x # why");
        assert!(set(commented.as_bytes(), RULES, &value(RULES_LIMIT - 6)).is_ok());
        assert_eq!(set(commented.as_bytes(), RULES, &value(RULES_LIMIT - 5)), too_long(1024));
    }

    #[test]
    fn appends_what_is_missing_and_ends_the_line_before() {
        assert_eq!(changed("", HIGH, "79"), format!("{HIGH}=79\n"));
        assert_eq!(changed("x=1", HIGH, "79"), format!("x=1\n{HIGH}=79\n"));
        assert_eq!(changed("x=1\r\n", HIGH, "79"), format!("x=1\r\n{HIGH}=79\n"));
    }

    #[test]
    fn changes_in_place_and_keeps_quotes_blanks_and_comments() {
        for (before, after) in [
            ("  a = \"1\"  # why\r\nb=2", "  a = \"3\"  # why\r\nb=2"),
            ("a: '1'\n", "a: '3'\n"),
            ("a=\n", "a=3\n"),
            ("a=1 # don't\n", "a=3 # don't\n"),
        ] {
            assert_eq!(changed(before, "a", "3"), after);
        }
    }

    #[test]
    fn returns_the_very_same_text_if_it_is_so_already() {
        for text in ["a=3", "a: \"3\" # x\r\n\n", "a=1\na = 3"] {
            assert_eq!(changed(text, "a", "3"), text);
        }
    }

    #[test]
    fn a_line_that_would_be_misread_is_left_alone_and_overridden() {
        // A quote before the # makes sysctl(8) look for its twin, here in what looks like a comment.
        let line = "a=1'2 # x'y";
        assert_eq!(get(line.as_bytes(), "a").as_deref(), Some("1'2 # x'"));
        assert_eq!(changed(line, "a", "3"), "a=1'2 # x'y\na=3\n");
    }

    #[test]
    fn unset_takes_out_only_the_line_that_set_writes() {
        let ours = |text: &str| String::from_utf8(unset(text.as_bytes(), "a", "3")).unwrap();
        assert_eq!(ours("x=1\na=3\ny=2\n"), "x=1\ny=2\n");
        assert_eq!(ours("x=1\na=3"), "x=1\n");
        assert_eq!(ours("a=3\nx=1\na=3\n"), "a=3\nx=1\n");
        for foreign in ["a = 3\n", "a=3 # mine\n", "a=4\n", "a=3\r\n", "#a=3\n", "aa=3\n", ""] {
            assert_eq!(ours(foreign), foreign);
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_survive() {
        let text = b"# gr\xfc\xdfe\na=1 # \xe4\n";
        assert_eq!(set(text, "a", "3").unwrap(), b"# gr\xfc\xdfe\na=3 # \xe4\n");
        assert_eq!(get(b"a=\xfc", "a").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn refuses_names_and_values_that_would_not_come_back() {
        for name in ["", "a b", "a=b", "a:b", "#a", "a\n", "\u{e4}"] {
            assert_eq!(set(b"", name, "1"), Err(SysctlConfError::Name { name: name.to_owned() }));
        }
        for value in [" 1", "1 ", "1#2", "\"1\"", "'1'", "1\n2", "\0", "\u{e4}", "\t"] {
            assert_eq!(
                set(b"", "a", value),
                Err(SysctlConfError::Value { name: "a".to_owned(), value: value.to_owned() })
            );
        }
    }

    /// Lines that are near the language, many of them about the variable in question.
    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let line = prop_oneof![
            4 => "[ \t]{0,2}a ?[=:] ?[\"']?[0-9#' \"\\\\]{0,4}[\"']?[ \t]{0,1}(#['\" a]{0,3})?\r?"
                .prop_map(String::into_bytes),
            1 => "[ab#]{0,2}[=:]?[ -~]{0,8}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>().prop_filter("a line", |&byte| byte != b'\n'), 0..8),
        ];
        prop::collection::vec(line, 0..6)
    }

    proptest! {
        #[test]
        fn set_is_read_back_and_changes_one_line_at_most(
            lines in lines(), end in any::<bool>(), value in "([!$-&(-~]([ !$-&(-~]{0,5}[!$-&(-~])?)?"
        ) {
            let mut text = lines.join(&b'\n');
            if end {
                text.push(b'\n');
            }
            let after = set(&text, "a", &value).unwrap();
            prop_assert_eq!(get(&after, "a"), Some(value.clone()));
            prop_assert_eq!(set(&after, "a", &value).unwrap(), after.clone());

            let mut ended = text.clone();
            if !ended.is_empty() && !ended.ends_with(b"\n") {
                ended.push(b'\n');
            }
            if after == [ended.as_slice(), format!("a={value}\n").as_bytes()].concat() {
                prop_assert_eq!(unset(&after, "a", &value), ended);
            } else {
                let split = |text: &[u8]| text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
                let (old, new) = (split(&text), split(&after));
                prop_assert_eq!(old.len(), new.len());
                prop_assert!(old.iter().zip(&new).filter(|(old, new)| old != new).count() <= 1);
            }
        }
    }
}
