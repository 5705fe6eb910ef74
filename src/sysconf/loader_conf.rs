//! Reads and changes one variable in the text of `/boot/loader.conf`, see loader.conf(5).
//!
//! Reads as loader(8) does by `stand/lua/config.lua` (the default since FreeBSD 12.0): line by line, the last
//! assignment wins, a line that does not parse is skipped. A value is a bare word or stands in double quotes, which
//! reach to the *last* quote of the line; only blanks and a `#` comment may follow. Backslashes are taken away where the
//! loader does so; references like `${other}` stand unexpanded.
//!
//! Other files are read before and after this one, see [`loader_files`](super::loader_files).

use super::conf_file::{ConfFile, Found, trim_start};

/// The file.
pub const FILE: ConfFile = ConfFile {
    name: "loader.conf",
    limit: usize::MAX,
    read,
    quoted: |value| format!("\"{value}\""),
    names: (
        is_name,
        "begins with a letter or digit and goes on with letters, digits, “-”, “_” and “.”, and “exec” is a command",
    ),
    forbidden: (|value| value.contains(['"', '\\', '$']), "double quotes, backslashes and dollar signs"),
};

/// Whether the loader takes this value of `MODULE_load` for a yes. It is stricter than rc.subr(8).
pub fn loads(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes")
}

fn is_name(name: &str) -> bool {
    name != "exec" && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_in_word)
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// What the loader makes of one line.
fn read(line: &[u8]) -> Option<Found<'_>> {
    let word_length = |text: &[u8]| text.iter().take_while(|&&byte| is_in_word(byte)).count();
    let text = trim_start(line);
    let (name, rest) = text.split_at(word_length(text));
    let is_module = is_module_key(std::str::from_utf8(name).ok().filter(|name| is_name(name))?);
    let rest = trim_start(trim_start(rest).strip_prefix(b"=")?);
    let start = line.len() - rest.len();
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
    if !matches!(trim_start(&rest[length..]), [] | [b'#', ..]) {
        return None;
    }
    let value = if is_module { raw.to_vec() } else { unescape(raw)? };
    // A quoted value that reaches over another quote may well have eaten a comment.
    Some((name, value, (!raw.contains(&b'"')).then_some(start..start + length)))
}

/// What the loader does with the value of an ordinary variable: a backslash goes and its follower stays. A quote, also one
/// behind a backslash (seen on 15.1), or a backslash at the end makes it skip the line. Module keys are taken as they stand.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => value.push(*bytes.next().filter(|&&escaped| escaped != b'"')?),
            b'"' => return None,
            _ => value.push(byte),
        }
    }
    Some(value)
}

/// `MODULE_load` and its kin, which config.lua takes for itself.
fn is_module_key(name: &str) -> bool {
    let Some((module, kind)) = name.rsplit_once('_') else { return false };
    let is_kind = matches!(kind, "load" | "name" | "type" | "flags" | "before" | "after" | "error");
    is_kind && !module.is_empty() && !module.contains('.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::conf_file::ConfFileError;
    use super::*;
    use proptest::prelude::*;

    const LOAD: &str = "mac_portacl_load";

    fn read(text: &str) -> Option<String> {
        FILE.get(text.as_bytes(), LOAD)
    }

    fn changed(text: &str, value: &str) -> String {
        String::from_utf8(FILE.set(text.as_bytes(), LOAD, value).unwrap()).unwrap()
    }

    #[test]
    fn only_the_line_as_we_write_it_is_taken_out() {
        let before = b"zfs_load=\"YES\"\n# mine\n";
        let with = FILE.set(before, "a_load", "YES").unwrap();
        assert_eq!(FILE.unset(&with, "a_load", "YES"), before);
        for theirs in ["a_load=YES\n", "a_load=\"YES\" # mine\n", "a_load=\"NO\"\n", "#a_load=\"YES\"\n", ""] {
            assert_eq!(FILE.unset(theirs.as_bytes(), "a_load", "YES"), theirs.as_bytes());
        }
        assert_eq!(
            FILE.unset(b"a_load=\"YES\"\nx=\"1\"\na_load=\"YES\"", "a_load", "YES"),
            b"a_load=\"YES\"\nx=\"1\"\n"
        );
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
        assert_eq!(FILE.find(text.as_bytes(), LOAD).map(|found| found.line), Some(2));
        assert_eq!(FILE.find(text.as_bytes(), "zfs_load"), None);
    }

    #[test]
    fn a_quote_in_a_comment_is_taken_for_the_closing_one() {
        let line = "mac_portacl_load=\"YES\" # not \"NO\"";
        assert_eq!(read(line).as_deref(), Some("YES\" # not \"NO"));
        // An ordinary variable would not be set at all by such a line.
        assert_eq!(FILE.get(b"console=\"vidconsole\" # not \"efi\"", "console"), None);
    }

    #[test]
    fn ordinary_variables_lose_their_backslashes() {
        assert_eq!(FILE.get(br#"a.b="x\'y\\z""#, "a.b").as_deref(), Some("x'y\\z"));
        // By the source a quote stays, too; seen on 15.1 the line is left out.
        assert_eq!(FILE.get(br#"a.b="x\"y""#, "a.b"), None);
        assert_eq!(FILE.get(br#"a.b="x\"#, "a.b"), None);
        assert_eq!(FILE.get(br#"a_load="x\\y""#, "a_load").as_deref(), Some(r"x\\y"));
        assert_eq!(FILE.get(br#"a.b_load="x\\y""#, "a.b_load").as_deref(), Some(r"x\y"));
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
        assert_eq!(FILE.set(text, LOAD, "YES").unwrap(), b"# gr\xfc\xdfe\nmac_portacl_load=\"YES\" # \xe4\n");
        assert_eq!(FILE.get(b"a=\"\xfc\"", "a").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn refuses_names_and_values_that_would_not_come_back() {
        for name in ["", "exec", "a b", "a=b", "_load", "a\n", "\u{e4}_load", "#a"] {
            assert!(matches!(FILE.set(b"", name, "YES"), Err(ConfFileError::Name { .. })), "{name}");
            assert_eq!(FILE.get(format!("{name}=YES").as_bytes(), name), None);
        }
        for value in ["a\"b", "a\nb", "a\\b", "$a", "\r", "\u{e4}", "\0"] {
            assert!(matches!(FILE.set(b"", LOAD, value), Err(ConfFileError::Value { .. })), "{value}");
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
            let after = FILE.set(&text, LOAD, &value).unwrap();
            prop_assert_eq!(FILE.get(&after, LOAD), Some(value.clone()));
            prop_assert_eq!(FILE.set(&after, LOAD, &value).unwrap(), after.clone());

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
