//! [`Secrets`]: the passwords of a deployment, kept apart from its answers.
//!
//! They come from a small TOML file beside the answers (mode 0600) and from the environment, in the names that
//! `GoToSocial` itself gives its variables. No message here ever shows a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Value};

use super::answer_error::{AnswerError, AnswerPlace, described, did_you_mean, line_at};
use super::nearest::nearest;
use super::secret::Secret;
use crate::gotosocial::config_keys::{SECRET_KEYS, environment_name};

/// The head of the file that [`Secrets::to_text`] gives.
const HEAD: &str = "# The secrets of this deployment. Only root may read this file: keep its mode at 0600.\n";

/// Secret settings of `GoToSocial`, by their key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<&'static str, Secret>);

impl Secrets {
    /// Reads the text of a secrets file; `shown_name` is what messages call the file.
    ///
    /// # Errors
    ///
    /// Every mistake in the file at once.
    pub fn parse(text: &str, shown_name: &str) -> Result<Self, Vec<AnswerError>> {
        const HINT: &str = "Write each line like: smtp-password = \"…\"";
        let document = Document::parse(text)
            .map_err(|error| vec![AnswerError::syntax(text, shown_name, "the secrets file is", &error, HINT)])?;
        Self::gathered(document.iter().map(|(name, item)| {
            read(name, item).map_err(|problem| {
                let span = document.key(name).and_then(|key| key.span()).or_else(|| item.span());
                let line = span.map(|span| line_at(text, span.start));
                AnswerError::at(AnswerPlace::File { file: shown_name.to_owned(), line }, problem)
            })
        }))
    }

    /// Picks the secrets out of the environment: `GTS_DB_PASSWORD` and so on. Variables that are empty count as not
    /// set, as they do for `GoToSocial`.
    ///
    /// # Errors
    ///
    /// Every variable in question that is not UTF-8.
    pub fn from_environment(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<AnswerError>> {
        let named = variables.into_iter().filter_map(|(name, value)| {
            Some((SECRET_KEYS.into_iter().find(|key| name == *environment_name(key))?, value))
        });
        Self::gathered(named.filter(|(_, value)| !value.is_empty()).map(|(key, value)| match value.into_string() {
            Ok(value) => Ok((key, Secret::new(value))),
            Err(_) => Err(AnswerError::at(
                AnswerPlace::Environment { variable: environment_name(key) },
                "the value is not valid UTF-8. Set the variable again with plain text",
            )),
        }))
    }

    /// All of them, or every mistake.
    fn gathered(
        read: impl Iterator<Item = Result<(&'static str, Secret), AnswerError>>,
    ) -> Result<Self, Vec<AnswerError>> {
        let (secrets, errors): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        if errors.is_empty() {
            return Ok(Self(secrets.into_iter().flatten().collect()));
        }
        Err(errors.into_iter().filter_map(Result::err).collect())
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
        let lines = self.iter().map(|(key, secret)| format!("{key} = {}\n", Value::from(secret.expose())));
        HEAD.to_owned() + &lines.collect::<String>()
    }
}

/// Reads one line of the secrets file.
fn read(name: &str, item: &Item) -> Result<(&'static str, Secret), String> {
    let Some(key) = SECRET_KEYS.into_iter().find(|key| *key == name) else {
        return Err(format!(
            "{name:?} is not a secret setting of GoToSocial.{} Known are: {}",
            did_you_mean(nearest(name, SECRET_KEYS)),
            SECRET_KEYS.join(", ")
        ));
    };
    match item.as_str() {
        None => Err(format!("{key} is {}, but must be a text in quotes, like: {key} = \"…\"", described(item))),
        Some("") => Err(format!("{key} is empty. Put the secret between the quotes, or take the line out")),
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

    fn parse(text: &str) -> Result<Secrets, Vec<AnswerError>> {
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
            assert_eq!(errors[0].place, AnswerPlace::File { file: "s.toml".into(), line: Some(2) });
            assert!(
                errors[0].to_string().starts_with("s.toml:2: the secrets file is not valid TOML: "),
                "{}",
                errors[0]
            );
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
