//! From [`Answers`] to a [`Deployment`], gathering every mistake on the way.

use std::fmt::Display;
use std::path::{Component, PathBuf};
use std::str::FromStr;

use toml_edit::Item;

use super::answer_error::{AnswerError, AnswerProblem, described, did_you_mean};
use super::answers::Answers;
use super::database::{Database, TlsMode};
use super::nearest::nearest;
use super::passthrough::Passthrough;
use super::release_wish::{ReleaseWish, Variant, VersionWish};
use super::schema::*;
use super::secrets::Secrets;
use super::{Admin, Deployment, Exposure, HostName, Mode, Tls, TlsFiles};
use crate::net::PortNumber;
use crate::shown::Shown;

/// Which database was chosen, before its details are read.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// Reads answers and gathers mistakes. What is not given and has a default counts as given.
pub(super) struct Reader<'a> {
    answers: &'a Answers,
    errors: Vec<AnswerError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(answers: &'a Answers) -> Self {
        Self { answers, errors: Vec::new() }
    }

    /// Reads everything. Mistakes come in the order of the file, what is missing first.
    pub(super) fn deployment(mut self, secrets: &Secrets) -> Result<Deployment, Vec<AnswerError>> {
        self.check_keys();
        let mode = self.choice(&MODE, Mode::all()).unwrap_or(Mode::Direct);
        let host = self.parsed::<HostName>(&HOST);
        self.require(&HOST, "");
        let account_domain = self.account_domain(host.as_ref());
        let tls = self.tls(mode);
        let database = self.database(secrets);
        let admin = self.admin();
        let release = self.release();
        let config = self.config(mode);
        match (host, database, release) {
            (Some(host), Some(database), Some(release)) if self.errors.is_empty() => Ok(Deployment {
                host,
                account_domain,
                exposure: Exposure { mode },
                tls,
                database,
                admin,
                release,
                config,
            }),
            _ => {
                self.errors.sort_by(|a, b| a.place.cmp(&b.place));
                Err(self.errors)
            }
        }
    }

    fn account_domain(&mut self, host: Option<&HostName>) -> Option<HostName> {
        let account_domain: HostName = self.parsed(&ACCOUNT_DOMAIN)?;
        if let Some(host) = host
            && !account_domain.is_same_or_parent_of(host)
        {
            self.refuse(
                &ACCOUNT_DOMAIN,
                format!(
                    "{account_domain} is neither the host {host} itself nor a parent of it, so GoToSocial would refuse it. Write {host}, or a parent of it, or leave it out"
                ),
            );
        }
        Some(account_domain)
    }

    fn tls(&mut self, mode: Mode) -> Tls {
        let email = self.parsed(&TLS_EMAIL);
        let certificate = self.file(&TLS_CERTIFICATE);
        let key = self.file(&TLS_KEY);
        let hsts = self.boolean(&TLS_HSTS);
        let acme_directory = self.parsed(&TLS_DIRECTORY);
        if mode == Mode::Direct {
            self.require(&TLS_EMAIL, ", and Let's Encrypt asks for it in direct mode");
            self.refuse_all(Condition::BehindProxy);
        } else if self.given(&TLS_CERTIFICATE).is_some() != self.given(&TLS_KEY).is_some() {
            self.require(&TLS_CERTIFICATE, ", and there is a key");
            self.require(&TLS_KEY, ", and there is a certificate");
        }
        let files = certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key });
        Tls { email, files, hsts, acme_directory }
    }

    fn database(&mut self, secrets: &Secrets) -> Option<Database> {
        let engine = self.choice(&DATABASE_TYPE, [("sqlite", Engine::Sqlite), ("postgres", Engine::Postgres)]);
        let address = self.parsed(&DATABASE_ADDRESS);
        let port = self.port(&DATABASE_PORT);
        let user = self.plain(&DATABASE_USER);
        let database = self.plain(&DATABASE_NAME);
        let tls_mode = self.choice(&DATABASE_TLS, TlsMode::ALL);
        if engine? == Engine::Sqlite {
            self.refuse_all(Condition::Postgres);
            return Some(Database::Sqlite);
        }
        Some(Database::Postgres {
            address: address?,
            port: port?,
            user: user?,
            database: database?,
            password: secrets.get("db-password").cloned(),
            tls_mode: tls_mode?,
        })
    }

    fn admin(&mut self) -> Option<Admin> {
        self.answers.table(&["admin"])?;
        let username = self.parsed(&ADMIN_NAME);
        let email = self.parsed(&ADMIN_EMAIL);
        self.require(&ADMIN_NAME, ", and there is a section [admin]");
        self.require(&ADMIN_EMAIL, ", and there is a section [admin]");
        Some(Admin { username: username?, email: email? })
    }

    fn release(&mut self) -> Option<ReleaseWish> {
        let version = self.parsed(&VERSION);
        let sha256 = self.parsed(&SHA256);
        if version == Some(VersionWish::Latest) {
            self.refuse_all(Condition::ExactVersion);
        }
        let variant = self.choice(&VARIANT, Variant::ALL);
        let prereleases = self.boolean(&PRERELEASES);
        Some(ReleaseWish { version: version?, sha256, variant: variant?, prereleases })
    }

    fn config(&mut self, mode: Mode) -> Passthrough {
        let Some(table) = self.answers.table(&["config"]) else {
            return Passthrough::default();
        };
        let (config, refusals) = Passthrough::read(table, mode);
        for (path, error) in refusals {
            let path: Vec<&str> = std::iter::once("config").chain(path.iter().map(String::as_str)).collect();
            self.refuse_at(&path, error);
        }
        config
    }

    /// Refuses keys that no answer has, and sections that are none.
    fn check_keys(&mut self) {
        let answers = self.answers;
        let top: Vec<&'static str> = names(None).chain(SECTIONS).collect();
        for (key, item) in answers.table(&[]).into_iter().flat_map(|table| table.iter()) {
            match SECTIONS.iter().find(|section| **section == key) {
                Some(section) => self.check_section(section, item),
                None if top.contains(&key) => {}
                None => self.refuse_at(&[key], unknown(key, &top)),
            }
        }
    }

    fn check_section(&mut self, section: &str, item: &Item) {
        let Some(table) = item.as_table_like() else {
            let example = format!("[{section}], with its answers in the lines below");
            return self.refuse_at(&[section], wrong_type(item, "a section", &example));
        };
        if section == "config" {
            return;
        }
        let known: Vec<&'static str> = names(Some(section)).collect();
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(key)) {
            self.refuse_at(&[section, key], unknown(key, &known));
        }
    }

    fn refuse_at(&mut self, path: &[&str], problem: impl Into<AnswerProblem>) {
        let problem = problem.into();
        self.errors.push(AnswerError { place: self.answers.place(path), key: path.join("."), problem });
    }

    fn refuse(&mut self, field: &AnswerField, problem: impl Into<AnswerProblem>) {
        self.refuse_at(&field.key.split('.').collect::<Vec<_>>(), problem);
    }

    /// Refuses the answers that have a meaning only under a condition.
    fn refuse_all(&mut self, condition: Condition) {
        for field in FIELDS.iter().filter(|field| field.applies == condition) {
            if self.given(field).is_some() {
                self.refuse(field, condition.required());
            }
        }
    }

    /// Refuses that an answer is not there.
    fn require(&mut self, field: &AnswerField, why: &'static str) {
        if self.given(field).is_none() {
            self.refuse(field, AnswerProblem::Missing { why, section: field.section(), line: field.line() });
        }
    }

    fn given(&self, field: &AnswerField) -> Option<&'a Item> {
        self.answers.item(&field.key.split('.').collect::<Vec<_>>())
    }

    /// A given value of the right type.
    fn typed<T>(
        &mut self,
        field: &AnswerField,
        wanted: &'static str,
        value: impl FnOnce(&'a Item) -> Option<T>,
    ) -> Option<T> {
        let item = self.given(field)?;
        let value = value(item);
        if value.is_none() {
            self.refuse(field, wrong_type(item, wanted, &field.line()));
        }
        value
    }

    fn text(&mut self, field: &AnswerField) -> Option<&'a str> {
        match self.given(field) {
            Some(_) => self.typed(field, "a text in quotes", Item::as_str),
            None => field.default_value(),
        }
    }

    fn boolean(&mut self, field: &AnswerField) -> bool {
        self.typed(field, "true or false, without quotes", Item::as_bool).unwrap_or_default()
    }

    fn port(&mut self, field: &AnswerField) -> Option<PortNumber> {
        let port = match self.given(field) {
            Some(_) => self.typed(field, "a whole number, without quotes", Item::as_integer)?.try_into(),
            None => field.default_value()?.parse(),
        };
        self.accepted(field, port)
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, field: &AnswerField) -> Option<T> {
        let value = self.text(field)?.parse();
        self.accepted(field, value)
    }

    fn accepted<T>(&mut self, field: &AnswerField, value: Result<T, impl Display>) -> Option<T> {
        value.map_err(|error| self.refuse(field, error.to_string())).ok()
    }

    fn plain(&mut self, field: &AnswerField) -> Option<String> {
        let text = self.text(field)?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            let example = field.example.trim_matches('"');
            let problem =
                format!("{text:?} is empty or has control characters in it. Write a plain name, like {example}");
            self.refuse(field, problem);
            return None;
        }
        Some(text.to_owned())
    }

    fn file(&mut self, field: &AnswerField) -> Option<PathBuf> {
        let path = PathBuf::from(self.plain(field)?);
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // A quote would end the path in the web server's configuration, and nginx expands a dollar sign.
        if !path.is_absolute() || !plain || path.to_string_lossy().contains(['"', '\\', '$']) {
            let (found, example) = (path.shown(), field.example.trim_matches('"'));
            let problem = format!(
                "{found} is not an absolute path, or has `..`, quotes, backslashes or dollar signs in it. Write the file's whole path, like {example}"
            );
            self.refuse(field, problem);
            return None;
        }
        Some(path)
    }

    fn choice<T>(&mut self, field: &AnswerField, choices: impl IntoIterator<Item = (&'static str, T)>) -> Option<T> {
        let text = self.text(field)?;
        let mut words = Vec::new();
        for (word, choice) in choices {
            if word == text {
                return Some(choice);
            }
            words.push(word);
        }
        let near = did_you_mean(nearest(text, words.iter().copied()));
        self.refuse(field, format!("{text:?} is not known here.{near} Allowed are: {}", words.join(", ")));
        None
    }
}

fn wrong_type(found: &Item, wanted: &str, example: &str) -> String {
    format!("this is {}, but must be {wanted}. Write it like: {example}", described(found))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
