//! Keeping secrets off the screen.

use crate::deployment::SECRET_KEYS;

/// A line of config.yaml or of a secrets file, with the value left out if its key is that of a secret.
#[must_use]
pub fn hide_in_line(line: &str) -> String {
    let key = line.split([':', '=']).next().unwrap_or_default();
    if SECRET_KEYS.contains(&key.trim().trim_matches(['"', '\''])) {
        format!("{}: (hidden)", key.trim_end())
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
