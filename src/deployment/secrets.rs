//! [`Secrets`]: the passwords of a deployment, kept apart from its answers.
//!
//! They come from a small TOML file beside the answers (mode 0600) and from the environment, in the names that
//! `GoToSocial` itself gives its variables. No message here ever shows a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml_edit::{Document, Item, Value};

use super::answer_error::{AnswerPlace, line_at};
use super::nearest::nearest;
use super::secret::Secret;
use crate::gotosocial::config_keys::{SECRET_KEYS, environment_name};

/// The head of the file that [`Secrets::to_text`] gives.
const HEAD: &str = "# The secrets of this deployment. Only root may read this file: keep its mode at 0600.\n";

/// Secret settings of `GoToSocial`, by their key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<&'static str, Secret>);

/// A mistake in the secrets file or in the environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct SecretsError {
    /// Where it was found.
    pub place: AnswerPlace,
    /// What is wrong.
    pub problem: SecretsProblem,
}

/// What is wrong with the secrets. The values themselves are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretsProblem {
    /// Not TOML.
    #[error("the secrets file is not valid TOML: {message}. Write each line like: smtp-password = \"…\"")]
    Syntax {
        /// What the TOML reader said, without the text of the file.
        message: String,
    },
    /// Not one of [`SECRET_KEYS`].
    #[error("{key:?} is not a secret setting of GoToSocial.{} Known are: {known}", hint(nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<&'static str>,
        /// All known keys.
        known: String,
    },
    /// Not a string.
    #[error("{key} is {found}, but must be a text in quotes, like: {key} = \"…\"")]
    NotText {
        /// The key.
        key: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// An empty string.
    #[error("{key} is empty. Put the secret between the quotes, or take the line out")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// An environment variable that is not UTF-8.
    #[error("the value is not valid UTF-8. Set the variable again with plain text")]
    NotUtf8,
}

/// The sentence that names the nearest known key, with a blank before it.
fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |key| format!(" Did you mean {key}?"))
}

impl Secrets {
    /// Reads the text of a secrets file; `shown_name` is what messages call the file.
    ///
    /// # Errors
    ///
    /// Every mistake in the file at once.
    pub fn parse(text: &str, shown_name: &str) -> Result<Self, Vec<SecretsError>> {
        let at = |line| AnswerPlace::at(shown_name, line);
        let document = Document::parse(text).map_err(|error| {
            let place = at(error.span().map(|span| line_at(text, span.start)));
            let message = error.message().replace('\n', ", ");
            vec![SecretsError { place, problem: SecretsProblem::Syntax { message } }]
        })?;
        let mut secrets = Self::default();
        let mut errors = Vec::new();
        for (name, item) in document.iter() {
            let span = document.key(name).and_then(|key| key.span()).or_else(|| item.span());
            match read(name, item) {
                Ok((key, secret)) => {
                    secrets.0.insert(key, secret);
                }
                Err(problem) => {
                    let place = at(span.map(|span| line_at(text, span.start)));
                    errors.push(SecretsError { place, problem });
                }
            }
        }
        if errors.is_empty() { Ok(secrets) } else { Err(errors) }
    }

    /// Picks the secrets out of the environment: `GTS_DB_PASSWORD` and so on. Variables that are empty count as not
    /// set, as they do for `GoToSocial`.
    ///
    /// # Errors
    ///
    /// Every variable in question that is not UTF-8.
    pub fn from_environment(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<SecretsError>> {
        let mut secrets = Self::default();
        let mut errors = Vec::new();
        for (name, value) in variables {
            let Some(key) = SECRET_KEYS.into_iter().find(|key| name == *environment_name(key)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    secrets.0.insert(key, Secret::new(value));
                }
                Err(_) => errors.push(SecretsError {
                    place: AnswerPlace::Environment { variable: environment_name(key) },
                    problem: SecretsProblem::NotUtf8,
                }),
            }
        }
        if errors.is_empty() { Ok(secrets) } else { Err(errors) }
    }

    /// These secrets, with those of `above` in place of their own.
    pub fn overlaid_with(mut self, above: Self) -> Self {
        self.0.extend(above.0);
        self
    }

    /// The secret with this key.
    pub fn get(&self, key: &str) -> Option<&Secret> {
        self.0.get(key)
    }

    /// All secrets, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        self.0.iter().map(|(key, secret)| (*key, secret))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of the secrets file, sorted by key. The caller must write it with mode 0600.
    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (key, secret) in &self.0 {
            text.push_str(&format!("{key} = {}\n", Value::from(secret.expose())));
        }
        text
    }
}

/// Reads one line of the secrets file.
fn read(name: &str, item: &Item) -> Result<(&'static str, Secret), SecretsProblem> {
    let Some(key) = SECRET_KEYS.into_iter().find(|key| *key == name) else {
        return Err(SecretsProblem::UnknownKey {
            key: name.to_owned(),
            nearest: nearest(name, SECRET_KEYS),
            known: SECRET_KEYS.join(", "),
        });
    };
    match item.as_str() {
        None => Err(SecretsProblem::NotText { key, found: super::answer_error::described(item) }),
        Some("") => Err(SecretsProblem::Empty { key }),
        Some(text) => Ok((key, Secret::new(text))),
    }
}

/// The secrets file beside an answers file: `deployment.toml` gives `deployment.secrets.toml`.
pub fn secrets_file(answers: &Path) -> PathBuf {
    let stem = if answers.extension().is_some_and(|ending| ending == "toml") {
        answers.file_stem()
    } else {
        answers.file_name()
    };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(".secrets.toml");
    answers.with_file_name(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Secrets, Vec<SecretsError>> {
        Secrets::parse(text, "s.toml")
    }

    #[test]
    fn reads_a_file() {
        let secrets = parse("# mine\nsmtp-password = \"a\\\"b\"\ndb-password = 'x'\n").unwrap();
        assert_eq!(secrets.get("smtp-password").unwrap().expose(), "a\"b");
        assert_eq!(secrets.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["db-password", "smtp-password"]);
        assert!(secrets.get("oidc-client-secret").is_none() && !secrets.is_empty());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn names_every_mistake_and_no_value() {
        let errors = parse("db-passwort = \"hunter2\"\n\nsmtp-password = 5\noidc-client-secret = \"\"\n").unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].starts_with("s.toml:1: \"db-passwort\" is not a secret setting"), "{}", shown[0]);
        assert!(shown[0].contains("Did you mean db-password?"));
        assert_eq!(
            shown[1],
            "s.toml:3: smtp-password is a whole number, but must be a text in quotes, like: smtp-password = \"…\""
        );
        assert!(shown[2].starts_with("s.toml:4: oidc-client-secret is empty"), "{}", shown[2]);
        assert!(!shown.concat().contains("hunter2"));
    }

    #[test]
    fn a_syntax_error_does_not_show_the_secret() {
        for text in ["a = 1\nsmtp-password = hunter2\n", "a = 1\nsmtp-password = \"hunter2\n", "x=1\nhunter2 hunter2"] {
            let errors = parse(text).unwrap_err();
            assert_eq!(errors[0].place, AnswerPlace::Line { file: "s.toml".into(), line: 2 });
            assert!(matches!(errors[0].problem, SecretsProblem::Syntax { .. }));
            assert!(!errors[0].to_string().contains("hunter2"), "{}", errors[0]);
        }
    }

    #[test]
    fn the_environment_wins() {
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let above = Secrets::from_environment([
            variable("GTS_DB_PASSWORD", "env"),
            variable("GTS_SMTP_PASSWORD", ""),
            variable("GTS_HOST", "elsewhere.example"),
            variable("DB_PASSWORD", "no"),
        ])
        .unwrap();
        let all = parse("db-password = \"file\"\nsmtp-password = \"file\"").unwrap().overlaid_with(above);
        assert_eq!(all.get("db-password").unwrap().expose(), "env");
        assert_eq!(all.get("smtp-password").unwrap().expose(), "file");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_must_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let broken = OsString::from_vec(vec![b'a', 0xff]);
        let errors = Secrets::from_environment([("GTS_SMTP_PASSWORD".into(), broken)]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "GTS_SMTP_PASSWORD in the environment: the value is not valid UTF-8. Set the variable again with plain text"
        );
    }

    #[test]
    fn names_the_file_beside_the_answers() {
        for (answers, secrets) in [
            ("deployment.toml", "deployment.secrets.toml"),
            ("/etc/x/deployment.toml", "/etc/x/deployment.secrets.toml"),
            ("my.host.toml", "my.host.secrets.toml"),
            ("my.host", "my.host.secrets.toml"),
            ("answers", "answers.secrets.toml"),
        ] {
            assert_eq!(secrets_file(Path::new(answers)), PathBuf::from(secrets));
        }
    }

    proptest! {
        #[test]
        fn text_and_back(values in prop::collection::btree_map(0..SECRET_KEYS.len(), "(?s).+", 0..6)) {
            let secrets = Secrets(values.into_iter().map(|(key, value)| (SECRET_KEYS[key], Secret::new(value))).collect());
            prop_assert_eq!(parse(&secrets.to_text()).unwrap(), secrets);
        }
    }
}
