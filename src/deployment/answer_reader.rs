//! From [`Answers`] to a [`Deployment`], gathering every mistake on the way.

use std::path::{Component, PathBuf};
use std::str::FromStr;

use toml_edit::Item;

use super::answer_error::{AnswerError, AnswerProblem, described};
use super::answer_keys::*;
use super::answers::Answers;
use super::database::{Database, TlsMode};
use super::nearest::nearest;
use super::passthrough::Passthrough;
use super::release_wish::{ReleaseWish, Variant, VersionWish};
use super::secrets::Secrets;
use super::{Admin, Deployment, Exposure, HostName, Mode, Tls, TlsFiles};
use crate::net::PortNumber;

/// Where `PostgreSQL` listens, and its role and database, where the answers don't say.
const POSTGRES_ADDRESS: &str = "127.0.0.1";
const POSTGRES_NAME: &str = "gotosocial";

/// Which database was chosen, before its details are read.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// Reads answers and gathers mistakes.
pub(super) struct Reader<'a> {
    answers: &'a Answers,
    errors: Vec<AnswerError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(answers: &'a Answers) -> Self {
        Self { answers, errors: Vec::new() }
    }

    /// Reads everything; mistakes are told in the order of the file, what is missing first.
    pub(super) fn deployment(mut self, secrets: &Secrets) -> Result<Deployment, Vec<AnswerError>> {
        self.check_keys();
        let mode = self.choice(MODE, &Mode::ALL).unwrap_or(Mode::Direct);
        let host = self.parsed::<HostName>(HOST);
        self.require(HOST, None, "");
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
        let account_domain: HostName = self.parsed(ACCOUNT_DOMAIN)?;
        if let Some(host) = host
            && !account_domain.is_same_or_parent_of(host)
        {
            let problem = AnswerProblem::AccountDomain { account_domain: account_domain.clone(), host: host.clone() };
            self.refuse(ACCOUNT_DOMAIN.0, problem);
        }
        Some(account_domain)
    }

    fn tls(&mut self, mode: Mode) -> Tls {
        let email = self.parsed(TLS_EMAIL);
        let certificate = self.file(TLS_CERTIFICATE);
        let key = self.file(TLS_KEY);
        let hsts = self.boolean(TLS_HSTS).unwrap_or(false);
        let acme_directory = self.parsed(TLS_DIRECTORY);
        if mode == Mode::Direct {
            self.require(TLS_EMAIL, Some("tls"), ", and Let's Encrypt asks for it in direct mode");
            for (path, _) in [TLS_CERTIFICATE, TLS_KEY, TLS_HSTS, TLS_DIRECTORY] {
                if self.answers.item(path).is_some() {
                    self.refuse(path, AnswerProblem::OnlyBehindProxy);
                }
            }
        } else if self.answers.item(TLS_CERTIFICATE.0).is_some() != self.answers.item(TLS_KEY.0).is_some() {
            self.require(TLS_CERTIFICATE, Some("tls"), ", and there is a key");
            self.require(TLS_KEY, Some("tls"), ", and there is a certificate");
        }
        let files = certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key });
        Tls { email, files, hsts, acme_directory }
    }

    fn database(&mut self, secrets: &Secrets) -> Option<Database> {
        let engines = [("sqlite", Engine::Sqlite), ("postgres", Engine::Postgres)];
        let given = self.answers.item(DATABASE_TYPE.0).is_some();
        let engine = self.choice(DATABASE_TYPE, &engines);
        let address = self.parsed(DATABASE_ADDRESS);
        let port = self.port(DATABASE_PORT);
        let user = self.plain(DATABASE_USER);
        let database = self.plain(DATABASE_NAME);
        let tls_mode = self.choice(DATABASE_TLS, &TlsMode::ALL);
        match engine {
            Some(Engine::Postgres) => Some(Database::Postgres {
                address: address.or_else(|| POSTGRES_ADDRESS.parse().ok())?,
                port: port.unwrap_or(PortNumber::POSTGRES),
                user: user.unwrap_or_else(|| POSTGRES_NAME.to_owned()),
                database: database.unwrap_or_else(|| POSTGRES_NAME.to_owned()),
                password: secrets.get("db-password").cloned(),
                tls_mode: tls_mode.unwrap_or(TlsMode::Disable),
            }),
            // A type that is wrong has its message already.
            None if given => None,
            _ => {
                for (path, _) in [DATABASE_ADDRESS, DATABASE_PORT, DATABASE_USER, DATABASE_NAME, DATABASE_TLS] {
                    if self.answers.item(path).is_some() {
                        self.refuse(path, AnswerProblem::OnlyForPostgres);
                    }
                }
                Some(Database::Sqlite)
            }
        }
    }

    fn admin(&mut self) -> Option<Admin> {
        self.answers.table(&["admin"])?;
        let username = self.parsed(ADMIN_NAME);
        let email = self.parsed(ADMIN_EMAIL);
        self.require(ADMIN_NAME, Some("admin"), ", and there is a section [admin]");
        self.require(ADMIN_EMAIL, Some("admin"), ", and there is a section [admin]");
        Some(Admin { username: username?, email: email? })
    }

    fn release(&mut self) -> Option<ReleaseWish> {
        let default = ReleaseWish::default();
        let version = self.parsed(VERSION);
        let sha256 = self.parsed(SHA256);
        let latest = version == Some(VersionWish::Latest) || self.answers.item(VERSION.0).is_none();
        if latest && self.answers.item(SHA256.0).is_some() {
            self.refuse(SHA256.0, AnswerProblem::DigestOfLatest);
        }
        Some(ReleaseWish {
            version: version.unwrap_or(default.version),
            sha256,
            variant: self.choice(VARIANT, &Variant::ALL).unwrap_or(default.variant),
            prereleases: self.boolean(PRERELEASES).unwrap_or(default.prereleases),
        })
    }

    fn config(&mut self, mode: Mode) -> Passthrough {
        let Some(table) = self.answers.table(&["config"]) else {
            return Passthrough::default();
        };
        let (config, refusals) = Passthrough::read(table, mode);
        for (path, error) in refusals {
            let path: Vec<&str> = std::iter::once("config").chain(path.iter().map(String::as_str)).collect();
            self.refuse(&path, error.into());
        }
        config
    }

    /// Refuses keys that no answer has, and sections that are none.
    fn check_keys(&mut self) {
        let answers = self.answers;
        let sections = SECTIONS.map(|(section, _)| section);
        let top: Vec<&'static str> = TOP.into_iter().chain(sections).collect();
        for (key, item) in answers.table(&[]).into_iter().flat_map(|table| table.iter()) {
            match SECTIONS.iter().find(|(section, _)| *section == key) {
                Some((section, keys)) => self.check_section(section, keys, item),
                None if TOP.contains(&key) => {}
                None => self.refuse(&[key], unknown(key, &top)),
            }
        }
    }

    fn check_section(&mut self, section: &str, keys: &[&'static str], item: &Item) {
        let Some(table) = item.as_table_like() else {
            let example = format!("[{section}], with its answers in the lines below");
            let problem = AnswerProblem::WrongType { found: described(item), wanted: "a section", example };
            return self.refuse(&[section], problem);
        };
        if section == "config" {
            return;
        }
        for (key, _) in table.iter().filter(|(key, _)| !keys.contains(key)) {
            self.refuse(&[section, key], unknown(key, keys));
        }
    }

    fn refuse(&mut self, path: &[&str], problem: AnswerProblem) {
        self.errors.push(AnswerError { place: self.answers.place(path), key: path.join("."), problem });
    }

    /// Refuses an answer that is not there.
    fn require(&mut self, (path, line): (&[&str], &'static str), section: Option<&'static str>, why: &'static str) {
        if self.answers.item(path).is_none() {
            self.refuse(path, AnswerProblem::Missing { why, section, line });
        }
    }

    /// Refuses an answer of the wrong type.
    fn wrong_type(&mut self, (path, example): Question, item: &Item, wanted: &'static str) {
        let problem = AnswerProblem::WrongType { found: described(item), wanted, example: example.to_owned() };
        self.refuse(path, problem);
    }

    fn text(&mut self, question: Question) -> Option<&'a str> {
        let item = self.answers.item(question.0)?;
        if item.as_str().is_none() {
            self.wrong_type(question, item, "a text in quotes");
        }
        item.as_str()
    }

    fn boolean(&mut self, question: Question) -> Option<bool> {
        let item = self.answers.item(question.0)?;
        if item.as_bool().is_none() {
            self.wrong_type(question, item, "true or false, without quotes");
        }
        item.as_bool()
    }

    fn port(&mut self, question: Question) -> Option<PortNumber> {
        let item = self.answers.item(question.0)?;
        let Some(number) = item.as_integer() else {
            self.wrong_type(question, item, "a whole number, without quotes");
            return None;
        };
        PortNumber::try_from(number).map_err(|error| self.refuse(question.0, error.into())).ok()
    }

    fn parsed<T>(&mut self, question: Question) -> Option<T>
    where
        T: FromStr,
        AnswerProblem: From<T::Err>,
    {
        let text = self.text(question)?;
        text.parse().map_err(|error: T::Err| self.refuse(question.0, error.into())).ok()
    }

    fn plain(&mut self, question: Question) -> Option<String> {
        let text = self.text(question)?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            let problem = AnswerProblem::NotPlain { found: text.to_owned(), example: question.1.to_owned() };
            self.refuse(question.0, problem);
            return None;
        }
        Some(text.to_owned())
    }

    fn file(&mut self, question: Question) -> Option<PathBuf> {
        let path = PathBuf::from(self.plain(question)?);
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // A quote would end the path in the web server's configuration, and nginx expands a dollar sign.
        if !path.is_absolute() || !plain || path.to_string_lossy().contains(['"', '\\', '$']) {
            let problem = AnswerProblem::NotAPath { found: path, example: question.1.to_owned() };
            self.refuse(question.0, problem);
            return None;
        }
        Some(path)
    }

    fn choice<T: Copy>(&mut self, question: Question, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(question)?;
        let words = || choices.iter().map(|(word, _)| *word);
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let problem = AnswerProblem::NotOneOf {
                found: text.to_owned(),
                nearest: nearest(text, words()),
                allowed: words().collect::<Vec<_>>().join(", "),
            };
            self.refuse(question.0, problem);
        }
        chosen
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
