//! Reads and changes one variable in the text of `/etc/sysctl.conf`, see sysctl.conf(5).
//!
//! Reads as sysctl(8) does with `-f` (`parsefile()` and `parse()` in `sbin/sysctl/sysctl.c`, and measured on FreeBSD
//! 13.2): `name=value`, `name = value` and `name: value`, blanks around both sides, a pair of single or double quotes
//! around the value, a `#` comment after it. The last assignment wins. A line is read in pieces of [`LINE_LIMIT`] bytes,
//! each of them taken for a line of its own.
//!
//! `/etc/sysctl.conf.local` is read later and can override what stands here.

use super::conf_file::{ConfFile, Found, trim_end, trim_start};

/// The longest line that sysctl(8) reads whole, in bytes, without the newline: its buffer has 1024 (`BUFSIZ`), one of
/// them for the closing NUL.
pub const LINE_LIMIT: usize = 1023;

/// The file.
pub const FILE: ConfFile = ConfFile {
    name: "sysctl.conf",
    limit: LINE_LIMIT,
    read,
    quoted: str::to_owned,
    names: (is_name, "consists of letters, digits, “.”, “_”, “-” and “%”"),
    forbidden: (is_forbidden, "“#” and quotes, and no blank at either end"),
};

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte))
}

fn is_forbidden(value: &str) -> bool {
    value.contains(['#', '"', '\'']) || value.trim() != value
}

/// What sysctl(8) makes of one line.
fn read(piece: &[u8]) -> Option<Found<'_>> {
    // To C the line ends at a NUL.
    let line = piece.split(|&byte| byte == 0).next()?;
    let line = trim_end(&line[..comment_start(line)]);
    let separator = line.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    let mut value = trim_start(&line[separator + 1..]);
    let start = line.len() - value.len();
    let mut span = start..line.len();
    if let [quote @ (b'"' | b'\''), inside @ ..] = value {
        span.start += 1;
        // A lone quote makes sysctl(8) read past its buffer: no value to speak of.
        span.end -= usize::from(inside.last()? == quote);
        value = &line[span.clone()];
    }
    Some((trim_start(trim_end(&line[..separator])), value.to_vec(), Some(span)))
}

/// Where the line is cut because of a `#`: at the first one that no backslash precedes. If a quote stands before it,
/// the cut is behind the closing quote, and without a closing one there is none. Single quotes are looked for first.
fn comment_start(line: &[u8]) -> usize {
    let find = |wanted: u8, from: usize| (from..line.len()).find(|&at| line[at] == wanted);
    let quotes = [b'\'', b'"'].map(|quote| find(quote, 0));
    for hash in (0..line.len()).filter(|&at| line[at] == b'#') {
        if let Some(quote) = quotes.into_iter().flatten().find(|&quote| quote < hash) {
            return find(line[quote], quote + 1).map_or(line.len(), |closing| closing + 1);
        }
        if hash == 0 || line[hash - 1] != b'\\' {
            return hash;
        }
    }
    line.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::conf_file::ConfFileError;
    use super::*;
    use proptest::prelude::*;

    const RULES: &str = "security.mac.portacl.rules";
    /// What [`LINE_LIMIT`] leaves for the rules behind their name.
    const RULES_LIMIT: usize = 996;
    const HIGH: &str = "net.inet.ip.portrange.reservedhigh";

    fn read(text: &str) -> Option<String> {
        FILE.get(text.as_bytes(), RULES)
    }

    fn changed(text: &str, name: &str, value: &str) -> String {
        String::from_utf8(FILE.set(text.as_bytes(), name, value).unwrap()).unwrap()
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
        assert_eq!(FILE.get(two.as_bytes(), "security.mac.portacl.port_high").as_deref(), Some("1000"));
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
            assert_eq!(FILE.get(line.as_bytes(), "a").as_deref(), value, "{line}");
        }
    }

    #[test]
    fn every_assignment_is_listed_with_its_line() {
        let listed = |text: &str| -> Vec<(usize, String, String)> {
            FILE.settings(text.as_bytes()).into_iter().map(|found| (found.line, found.name, found.value)).collect()
        };
        let one = |line, name: &str, value: &str| (line, name.to_owned(), value.to_owned());
        assert_eq!(listed("# a=0\n a = '1' # x\n\nb\na: 2\n"), [one(2, "a", "1"), one(5, "a", "2")]);
        // The rest of a long line is a line of its own to sysctl(8), and the same one to the administrator.
        let found = FILE.settings(format!("x=1\na={}b=2\n", ",".repeat(LINE_LIMIT - 2)).as_bytes());
        assert_eq!(found.iter().map(|one| (one.line, one.length)).collect::<Vec<_>>(), [(1, 3), (2, 1026), (2, 1026)]);
        assert_eq!((found[2].name.as_str(), found[2].value.as_str()), ("b", "2"));
    }

    #[test]
    fn the_last_assignment_wins() {
        let text = "net.inet.ip.portrange.reservedhigh=0\nx=1\nnet.inet.ip.portrange.reservedhigh: 79\n";
        assert_eq!(FILE.get(text.as_bytes(), HIGH).as_deref(), Some("79"));
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
        }
        for length in [997, 998, 3000] {
            assert_eq!(read(&line(length)).unwrap().len(), RULES_LIMIT);
            let text = format!("# first\n{}\n", line(length));
            let found = FILE.find(text.as_bytes(), RULES).unwrap();
            assert_eq!((found.line, found.length), (2, length + 27));
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
            FILE.set(text.as_bytes(), RULES, "uid:209:tcp:80"),
            Err(ConfFileError::ExistingLineTooLong { name: RULES.to_owned(), line: 2, length: 1027 })
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
        let too_long = |length| Err(ConfFileError::LineTooLong { name: RULES.to_owned(), length });
        assert!(FILE.set(b"", RULES, &value(RULES_LIMIT)).is_ok());
        assert_eq!(FILE.set(b"", RULES, &value(RULES_LIMIT + 1)), too_long(1024));
        // A comment that would be pushed over the limit counts as well.
        let commented = format!("{RULES}=x # why");
        assert!(FILE.set(commented.as_bytes(), RULES, &value(RULES_LIMIT - 6)).is_ok());
        assert_eq!(FILE.set(commented.as_bytes(), RULES, &value(RULES_LIMIT - 5)), too_long(1024));
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
        assert_eq!(FILE.get(line.as_bytes(), "a").as_deref(), Some("1'2 # x'"));
        assert_eq!(changed(line, "a", "3"), "a=1'2 # x'y\na=3\n");
    }

    #[test]
    fn unset_takes_out_only_the_line_that_set_writes() {
        let ours = |text: &str| String::from_utf8(FILE.unset(text.as_bytes(), "a", "3")).unwrap();
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
        assert_eq!(FILE.set(text, "a", "3").unwrap(), b"# gr\xfc\xdfe\na=3 # \xe4\n");
        assert_eq!(FILE.get(b"a=\xfc", "a").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn refuses_names_and_values_that_would_not_come_back() {
        for name in ["", "a b", "a=b", "a:b", "#a", "a\n", "\u{e4}"] {
            assert!(matches!(FILE.set(b"", name, "1"), Err(ConfFileError::Name { .. })), "{name}");
        }
        for value in [" 1", "1 ", "1#2", "\"1\"", "'1'", "1\n2", "\0", "\u{e4}", "\t"] {
            assert!(matches!(FILE.set(b"", "a", value), Err(ConfFileError::Value { .. })), "{value}");
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
            let after = FILE.set(&text, "a", &value).unwrap();
            prop_assert_eq!(FILE.get(&after, "a"), Some(value.clone()));
            prop_assert_eq!(FILE.set(&after, "a", &value).unwrap(), after.clone());

            let mut ended = text.clone();
            if !ended.is_empty() && !ended.ends_with(b"\n") {
                ended.push(b'\n');
            }
            if after == [ended.as_slice(), format!("a={value}\n").as_bytes()].concat() {
                prop_assert_eq!(FILE.unset(&after, "a", &value), ended);
            } else {
                let split = |text: &[u8]| text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
                let (old, new) = (split(&text), split(&after));
                prop_assert_eq!(old.len(), new.len());
                prop_assert!(old.iter().zip(&new).filter(|(old, new)| old != new).count() <= 1);
            }
        }
    }
}
