//! Keeping secrets off the screen.

use crate::deployment::SECRET_KEYS;

/// A line of config.yaml or of a secrets file, with the value left out if its key is that of a secret.
pub fn hide_in_line(line: &str) -> String {
    let key = line.split([':', '=']).next().unwrap_or_default();
    if SECRET_KEYS.contains(&key.trim().trim_matches(['"', '\''])) {
        format!("{}: (hidden)", key.trim_end())
    } else {
        line.to_owned()
    }
}

/// The lines of a whole text that an administrator may have edited, likewise. Here everything is hidden that looks like a secret,
/// also under keys that this program does not know, with the lines that its value goes on in: those that are indented deeper.
pub fn hide_in_text(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut deeper_than = None;
    text.lines()
        .map(|line| {
            if let Some(depth) = deeper_than {
                if line.trim().is_empty() {
                    return line.to_owned();
                }
                if indent(line) > depth {
                    return format!("{}(hidden)", " ".repeat(indent(line)));
                }
                deeper_than = None;
            }
            if !names_secret(line) {
                return line.to_owned();
            }
            deeper_than = Some(indent(line));
            let key = line.split([':', '=']).next().unwrap_or_default();
            // A flow mapping, or no mapping at all: nobody knows where in it the secret stands.
            if key.contains(['{', '[']) || key.len() == line.len() {
                return format!("{}(hidden)", " ".repeat(indent(line)));
            }
            format!("{}: (hidden)", key.trim_end())
        })
        .collect()
}

/// Whether a line that is no comment speaks of a secret.
fn names_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let said = |word: &str| lower.contains(word);
    !line.trim_start().starts_with('#')
        && (SECRET_KEYS.iter().any(|key| said(key))
            || ["password", "passwd", "secret", "connection-string", "token"].into_iter().any(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_to_their_end() {
        let text = "host: a\nsmtp-password: |\n  one\n\n  two\nport: 1\ns: {password: three}\n  password: \"fo\n    ur\"\n# password\n{password: five}\n";
        assert_eq!(
            hide_in_text(text),
            [
                "host: a",
                "smtp-password: (hidden)",
                "  (hidden)",
                "",
                "  (hidden)",
                "port: 1",
                "s: (hidden)",
                "  (hidden)",
                "    (hidden)",
                "# password",
                "(hidden)"
            ]
        );
    }

    #[test]
    fn values_of_secret_keys_are_hidden_and_nothing_else() {
        for (line, shown) in [
            ("smtp-password: \"hunter2\"", "smtp-password: (hidden)"),
            ("smtp-password = \"hunter2\"", "smtp-password: (hidden)"),
            ("\"smtp-password\": x", "\"smtp-password\": (hidden)"),
            ("  db-password:hunter2", "  db-password: (hidden)"),
            ("smtp-host: \"a.example\"", "smtp-host: \"a.example\""),
            ("# smtp-password is elsewhere", "# smtp-password is elsewhere"),
        ] {
            assert_eq!(hide_in_line(line), shown);
        }
    }
}
