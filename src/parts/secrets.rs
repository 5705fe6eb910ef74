//! Keeping secrets off the screen.

use crate::deployment::SECRET_KEYS;

/// A line of config.yaml or of a secrets file, without the value of a secret key.
pub fn hide_in_line(line: &str) -> String {
    let key = line.split([':', '=']).next().unwrap_or_default();
    if SECRET_KEYS.contains(&key.trim().trim_matches(['"', '\''])) {
        format!("{}: (hidden)", key.trim_end())
    } else {
        line.to_owned()
    }
}

/// The same for the lines of a whole text that an administrator may have edited. Everything that looks like a secret is hidden, also
/// under keys that this program does not know, with the continuation lines of its value: those that are indented deeper.
pub fn hide_in_text(text: &str) -> Vec<String> {
    let mut secret_above = None;
    let hide = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let hidden = || format!("{}(hidden)", " ".repeat(indent));
        match secret_above {
            Some(_) if line.trim().is_empty() => return line.to_owned(),
            Some(above) if indent > above => return hidden(),
            _ => {}
        }
        secret_above = names_secret(line).then_some(indent);
        let key = line.split([':', '=']).next().unwrap_or_default();
        if secret_above.is_none() {
            line.to_owned()
        } else if key.contains(['{', '[']) || key.len() == line.len() {
            // A flow mapping, or no mapping at all: nobody knows where in it the secret is.
            hidden()
        } else {
            format!("{}: (hidden)", key.trim_end())
        }
    };
    text.lines().map(hide).collect()
}

/// Whether a line that is no comment mentions a secret.
fn names_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let words = ["password", "passwd", "secret", "connection-string", "token"];
    !line.trim_start().starts_with('#') && SECRET_KEYS.iter().chain(&words).any(|word| lower.contains(word))
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
