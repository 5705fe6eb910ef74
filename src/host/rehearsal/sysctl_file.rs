//! `sysctl -f FILE` as `sbin/sysctl/sysctl.c` does it: lines of at most 1023 characters, one quirk after another.

/// What fgets(3) takes at once: `BUFSIZ` (1024) less the closing zero.
const LINE_LIMIT: usize = 1023;

/// One line of such a file that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Number of the line as sysctl(8) counts it: a line cut in two counts as two.
    pub(super) line: usize,
    /// The sysctl's name.
    pub(super) name: String,
    /// The value; `None` where the line only names a sysctl, which is then printed and not set.
    pub(super) value: Option<String>,
}

/// Reads the text of a file as sysctl(8) would.
pub(super) fn read(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (index, line) in cut_lines(text.as_bytes()).into_iter().enumerate() {
        let line = String::from_utf8_lossy(line).into_owned();
        let asked = without_comment(&line).trim_matches(is_space);
        if !asked.is_empty() {
            settings.push(setting(index + 1, asked));
        }
    }
    settings
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// The pieces that fgets(3) hands out.
fn cut_lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LINE_LIMIT)).collect()
}

/// Cuts a comment off. A `#` after the first quote does not start one; then everything after the closing quote goes.
fn without_comment(line: &str) -> &str {
    let quotes = [line.find('"').map(|at| (at, '"')), line.find('\'').map(|at| (at, '\''))];
    let mut from = 0;
    while let Some(at) = line[from..].find('#').map(|at| at + from) {
        if let Some((open, quote)) = quotes.into_iter().flatten().find(|(open, _)| at > *open) {
            return match line[open + 1..].find(quote) {
                Some(close) => &line[..open + close + 2],
                None => line,
            };
        }
        if !line[..at].ends_with('\\') {
            return &line[..at];
        }
        from = at + 1;
    }
    line
}

fn setting(line: usize, asked: &str) -> Setting {
    let Some(at) = asked.find(['=', ':']) else {
        return Setting { line, name: asked.to_string(), value: None };
    };
    let mut value = asked[at + 1..].trim_start_matches(is_space);
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        // The closing quote goes only where it is the last character.
        let open = &value[1..];
        value = open.strip_suffix(quote).unwrap_or(open);
    }
    Setting { line, name: asked[..at].trim_end_matches(is_space).to_string(), value: Some(value.to_string()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NAME: &str = "security.mac.portacl.rules";

    fn only_value(line: &str) -> String {
        let settings = read(line);
        assert_eq!(settings.len(), 1, "{settings:?}");
        assert_eq!(settings[0].name, NAME);
        settings[0].value.clone().unwrap()
    }

    #[test]
    fn spellings_seen_on_freebsd_are_read_as_there() {
        for (line, value) in [
            ("security.mac.portacl.rules=uid:209:tcp:443", "uid:209:tcp:443"),
            ("security.mac.portacl.rules=\"uid:209:tcp:444\"", "uid:209:tcp:444"),
            ("security.mac.portacl.rules='uid:209:tcp:445'", "uid:209:tcp:445"),
            ("security.mac.portacl.rules = uid:209:tcp:446", "uid:209:tcp:446"),
            ("security.mac.portacl.rules=uid:209:tcp:447 # comment", "uid:209:tcp:447"),
            ("security.mac.portacl.rules=uid:209:tcp:448,uid:209:tcp:80   ", "uid:209:tcp:448,uid:209:tcp:80"),
            ("  security.mac.portacl.rules=uid:209:tcp:449", "uid:209:tcp:449"),
            ("security.mac.portacl.rules: uid:209:tcp:450", "uid:209:tcp:450"),
            ("security.mac.portacl.rules=", ""),
            ("security.mac.portacl.rules=\"\"", ""),
        ] {
            assert_eq!(only_value(line), value, "{line}");
        }
    }

    #[test]
    fn a_comment_in_quotes_is_none_and_what_follows_the_quotes_is() {
        assert_eq!(only_value("security.mac.portacl.rules=\"a#b\" # c"), "a#b");
        assert_eq!(read("# whole line\n\n \t\n"), []);
    }

    #[test]
    fn a_long_line_is_cut_and_its_rest_is_another_line() {
        let value = format!("uid:209:tcp:80{}", ",".repeat(997 - 14));
        let settings = read(&format!("{NAME}={value}\n"));
        assert_eq!(settings[0].value.as_ref().unwrap().len(), 996);
        assert_eq!(settings[1], Setting { line: 2, name: ",".into(), value: None });
        let fits = format!("{NAME}={}", &value[..996]);
        assert_eq!(only_value(&fits).len(), 996);
    }
}
