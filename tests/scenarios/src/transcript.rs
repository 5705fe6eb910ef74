//! What a story has the program do and what that says, for whoever has to look into a failure. Secrets are left out.

use std::collections::BTreeSet;
use std::mem;

use super::outcome::Outcome;

/// What stands where a secret was.
const LEFT_OUT: &str = "(left out)";

/// The transcript of a story.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    secrets: BTreeSet<String>,
}

impl Transcript {
    /// Leaves this text out wherever it occurs. Whether it is a new one.
    pub fn keep_secret(&mut self, text: &str) -> bool {
        !text.is_empty() && self.secrets.insert(text.to_owned())
    }

    /// Adds a run of the program.
    pub fn add(&mut self, outcome: &Outcome) {
        let ended = outcome.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        self.text += &format!("$ {}\n{}{}[{ended}]\n\n", outcome.command, outcome.stdout, outcome.stderr);
    }

    /// Adds something else that helps to understand it.
    pub fn add_text(&mut self, text: &str) {
        self.text += text;
    }

    /// Ends it: what has come together since the last time, without secrets.
    pub fn take(&mut self) -> String {
        let text = mem::take(&mut self.text);
        self.clean(&text)
    }

    /// A text without secrets: those that are known, what is called a password, and keys.
    pub fn clean(&self, text: &str) -> String {
        let known = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, LEFT_OUT));
        let mut clean = String::with_capacity(known.len());
        let mut in_key = false;
        for line in known.split_inclusive('\n') {
            let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            if begins || in_key {
                if begins {
                    clean += LEFT_OUT;
                    clean.push('\n');
                }
                in_key = !(line.contains("-----END") && line.contains("PRIVATE KEY"));
                continue;
            }
            clean += &without_password(line);
        }
        clean
    }
}

/// The line without the word after `password`, unless that belongs to a sentence.
fn without_password(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let Some(end) = lower.find("password").map(|start| start + "password".len()) else { return line.to_owned() };
    let (told, rest) = line.split_at(end);
    let secret = rest.trim_start_matches([' ', '\t', ':', '=', '"', '\'']);
    let length = secret.find(|c: char| c.is_whitespace() || c == '"' || c == '\'').unwrap_or(secret.len());
    let is_word = secret[..length].chars().all(|c| c.is_ascii_lowercase() || ".,;()".contains(c));
    if length == 0 || (is_word && length < 12) {
        return line.to_owned();
    }
    let between = &rest[..rest.len() - secret.len()];
    format!("{told}{between}{LEFT_OUT}{}", &secret[length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        let mut transcript = Transcript::default();
        assert!(transcript.keep_secret("hunter2-correct") && !transcript.keep_secret("hunter2-correct"));
        assert!(!transcript.keep_secret(""));
        let outcome = |stdout: &str| Outcome {
            command: "gts-bootstrap install --yes".into(),
            code: Some(0),
            stdout: stdout.into(),
            stderr: "said so\n".into(),
        };
        transcript.add(&outcome(
            "  user name  alice\n  password   K7Q2-xxxx-0001\nsmtp-password: \"s3cr3t\"\nthe password is not kept\nx hunter2-correct y\n",
        ));
        transcript.add(&Outcome {
            code: None,
            ..outcome("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\nend\n")
        });
        assert_eq!(
            transcript.take(),
            "$ gts-bootstrap install --yes\n  user name  alice\n  password   (left out)\nsmtp-password: \"(left out)\"\nthe password \
             is not kept\nx (left out) y\nsaid so\n[0]\n\n$ gts-bootstrap install --yes\n(left out)\nend\nsaid so\n[a signal]\n\n"
        );
        assert_eq!(transcript.take(), "");
    }
}
