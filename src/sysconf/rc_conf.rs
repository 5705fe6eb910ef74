//! Reads rc.conf(5) as rc(8) does, and edits it as sysrc(8) does.
//!
//! The file is a shell script. An assignment is read where it stands at the start of a line, quoted or not; `${name}` and
//! everything else that only a shell can work out is taken as text.

use std::ops::Range;

/// `rc_conf_files`, in the order in which rc(8) reads them after its own defaults.
pub const FILES: [&str; 2] = ["/etc/rc.conf", "/etc/rc.conf.local"];

/// Whether `checkyesno` of rc.subr(8) takes the value for a yes.
pub fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether `checkyesno` takes the value for a no. What is neither has the effect of a no, and a warning on the console.
pub fn is_no(value: &str) -> bool {
    ["no", "false", "off", "0"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether two values are the same to rc(8): two words for yes, two words for no, or one word in any case.
pub fn means_the_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || is_yes(one) && is_yes(other) || is_no(one) && is_no(other)
}

/// The assignment to a variable in a line, if it is one: where its value (with quotes) stands, and what it is.
fn assignment(line: &str, name: &str) -> Option<(Range<usize>, String)> {
    let rest = line.trim_start_matches([' ', '\t']).strip_prefix(name)?.strip_prefix('=')?;
    let from = line.len() - rest.len();
    let mut value = String::new();
    let mut quote = None;
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, ' ' | '\t' | ';' | '\n' | '#') => return Some((from..from + at, value)),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    Some((from..line.len(), value))
}

/// The value that the last assignment in the text gives a variable.
pub fn get(text: &str, name: &str) -> Option<String> {
    text.lines().rev().find_map(|line| assignment(line, name)).map(|(_, value)| value)
}

/// The text with the last assignment to the variable changed in place; `None` if the text does not assign it.
pub fn change(text: &str, name: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let ((span, old), line) = lines.iter_mut().rev().find_map(|line| Some((assignment(line, name)?, line)))?;
    if old != value {
        line.replace_range(span, &quoted(value));
    }
    Some(lines.concat())
}

/// The text with an assignment at its end.
pub fn append(text: &str, name: &str, value: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{name}={}\n", quoted(value))
}

/// The text without any line that assigns the variable.
pub fn remove(text: &str, name: &str) -> String {
    text.split_inclusive('\n').filter(|line| assignment(line, name).is_none()).collect()
}

fn quoted(value: &str) -> String {
    let escape = |character| matches!(character, '"' | '\\' | '$' | '`').then_some('\\');
    let escaped: String =
        value.chars().flat_map(|character| escape(character).into_iter().chain([character])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_have_four_words_each_in_any_case() {
        for yes in ["yes", "YES", "Yes", "true", "TRUE", "on", "On", "1"] {
            assert!(is_yes(yes) && !is_no(yes) && means_the_same(yes, "YES"), "{yes}");
        }
        for no in ["no", "NO", "false", "False", "off", "0"] {
            assert!(is_no(no) && !is_yes(no) && means_the_same(no, "NO"), "{no}");
        }
        for neither in ["", "y", "n", "11", "00", "yes ", " no", "NONE"] {
            assert!(!is_yes(neither) && !is_no(neither), "{neither}");
        }
        assert!(means_the_same("nginx", "NGINX") && !means_the_same("yes", "no") && !means_the_same("", "no"));
    }

    #[test]
    fn the_last_assignment_counts_and_quotes_go() {
        for (text, value) in [
            ("a=\"1\"\na=2\n", Some("2")),
            ("  a='b c' # why\n", Some("b c")),
            ("a=\"b \\\"c\\\"\"; b=2", Some("b \"c\"")),
            ("a=b#c", Some("b")),
            ("a=", Some("")),
            ("#a=1\naa=1\nexport a=1\n: ${a:=1}", None),
        ] {
            assert_eq!(get(text, "a").as_deref(), value, "{text}");
        }
    }

    #[test]
    fn the_last_assignment_is_changed_in_place_and_all_others_stay() {
        assert_eq!(change("a=1\nb=1\na=2 # why\n", "a", "3").as_deref(), Some("a=1\nb=1\na=\"3\" # why\n"));
        assert_eq!(change("a='3'", "a", "3").as_deref(), Some("a='3'"));
        assert_eq!(change("b=1\n", "a", "3"), None);
        assert_eq!(append("b=1", "a", "3"), "b=1\na=\"3\"\n");
        assert_eq!(append("", "a", "$3"), "a=\"\\$3\"\n");
        assert_eq!(remove("a=1\nb=1\n  a=2\n", "a"), "b=1\n");
    }
}
