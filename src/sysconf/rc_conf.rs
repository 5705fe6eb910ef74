//! What rc(8) makes of the variables of rc.conf(5), and what sysrc(8), which alone writes them, cannot be trusted with.

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

/// What stands behind `NAME=` in a line that sysrc(8) takes for an assignment; whatever else is in the line is not looked at.
pub fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix(name)?.strip_prefix('=')
}

/// Why a variable cannot be written or taken out, whatever the files are: sysrc(8) takes the end of a name for an operator (`+=`),
/// and sh(1) reads the value.
pub fn refusal(name: &str, value: &str) -> Option<&'static str> {
    let in_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() || !name.chars().all(in_name) {
        return Some("this is not the name of a shell variable");
    }
    let is_special = |character: char| "\"\\`$".contains(character) || character.is_control();
    value.chars().any(is_special).then_some(
        "the value has a quote, backslash, backquote, dollar sign or control character in it, which rc.conf(5) would not \
         give back as it is",
    )
}

/// The number of a line (from 1) and why it is not for sysrc(8), which knows only lines. Of a value that goes on in the next one
/// it changes the first half; and with an assignment it takes out the whole line.
pub fn entangled(text: &str, name: &str, is_taken_out: bool) -> Option<(usize, &'static str)> {
    let lines = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, assigned(line, name)?)));
    let judge = |(number, value): (usize, &str)| match end_of_word(value) {
        None => Some((number, "its value goes on in the next line")),
        Some(rest) => {
            let rest = rest.trim_start_matches([' ', '\t', ';']);
            let others = is_taken_out && !rest.is_empty() && !rest.starts_with('#');
            others.then_some((number, "there is more than this variable in the line"))
        }
    };
    match is_taken_out {
        true => lines.filter_map(judge).next(),
        // Only the last one is changed.
        false => lines.last().and_then(judge),
    }
}

/// What follows the first word of a line; `None` if it does not end in the line.
fn end_of_word(line: &str) -> Option<&str> {
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, ' ' | '\t' | ';') => return Some(&line[at..]),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => drop(characters.next()?),
            _ => {}
        }
    }
    quote.is_none().then_some("")
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
    fn a_line_that_sysrc_would_spoil_is_known() {
        for (text, set, taken_out) in [
            ("", None, None),
            ("a=1\n  a=\"b c\" # why\na='1';\nb=\"x\nexport a=\"x\n: ${a:=1}\n", None, None),
            ("x=1\na=\"1\"; b=2\n", None, Some(2)),
            ("a=1 b=2", None, Some(1)),
            ("a=\"1\" && b=2", None, Some(1)),
            ("a=\"b \\\n  c\"\n", Some(1), Some(1)),
            ("a=b\\\nc\n", Some(1), Some(1)),
            ("a='b\nc'\n", Some(1), Some(1)),
            // Only the last one is changed, and all are taken out.
            ("a=\"b\nc\"\na=1\n", None, Some(1)),
            ("a=\"it's\" # isn't it\n", None, None),
            ("a=\"b\\\"c\"\n", None, None),
        ] {
            let line = |is_taken_out| entangled(text, "a", is_taken_out).map(|(number, _)| number);
            assert_eq!((line(false), line(true)), (set, taken_out), "{text}");
        }
    }
}
