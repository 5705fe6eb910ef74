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
use super::port_number::PortNumber;
use super::release_wish::{ReleaseWish, Variant, VersionWish};
use super::secrets::Secrets;
use super::{Admin, Deployment, Exposure, HostName, Mode, Tls, TlsFiles};

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
mod tests {
    use super::super::answer_error::Place;
    use super::super::{ConfigError, ConfigValue, DatabaseAddressError, HostNameError};
    use super::*;
    use AnswerProblem as P;

    const GOOD: &str = "host = \"social.example.org\"\ntls.email = \"admin@example.org\"\n";

    fn read(text: &str) -> Result<Deployment, Vec<AnswerError>> {
        Answers::parse(text, "deployment.toml").unwrap().deployment(&Secrets::default())
    }

    /// The one mistake in good answers with `more` behind them: line (from the third on), key and problem.
    fn mistake(more: &str) -> (usize, String, AnswerProblem) {
        let mut errors = read(&format!("{GOOD}{more}")).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let error = errors.remove(0);
        let Place::Line { line, .. } = error.place else { panic!("{error}") };
        (line, error.key, error.problem)
    }

    fn problem(more: &str) -> AnswerProblem {
        mistake(more).2
    }

    #[test]
    fn the_least_answers_give_the_defaults() {
        let deployment = read(GOOD).unwrap();
        assert_eq!(deployment.host.as_str(), "social.example.org");
        assert_eq!(deployment.exposure.mode, Mode::Direct);
        assert_eq!(deployment.database, Database::Sqlite);
        assert_eq!((deployment.admin, deployment.account_domain), (None, None));
        assert_eq!(deployment.release, ReleaseWish::default());
        assert_eq!(deployment.config, Passthrough::default());
        let proxied = read("host = \"a.example\"\n[exposure]\nmode = \"httpd\"\n").unwrap();
        assert_eq!((proxied.exposure.mode, proxied.tls.email), (Mode::Httpd, None));
    }

    #[test]
    fn all_answers_are_taken() {
        let digest = "ab".repeat(32);
        let text = format!(
            "host = \"social.example.org\"\naccount-domain = \"Example.org\"\nexposure = {{ mode = \"nginx\" }}\n\
             [tls]\nemail = \"admin@example.org\"\n\
             [database]\ntype = \"postgres\"\naddress = \"db\"\nport = 5433\nuser = \"gts\"\ndatabase = \"social\"\ntls-mode = \"enable\"\n\
             [admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n\
             [release]\nversion = \"v0.20.0-rc1\"\nsha256 = \"{digest}\"\nvariant = \"auto\"\nprereleases = true\n\
             [config]\nlog-level = \"warn\"\n[config.http-client]\ntimeout = \"5s\"\n"
        );
        let secrets = Secrets::parse("db-password = \"x\"", "s").unwrap();
        let deployment = Answers::parse(&text, "t").unwrap().deployment(&secrets).unwrap();
        assert_eq!(deployment.account_domain.unwrap().as_str(), "example.org");
        assert_eq!(deployment.exposure.mode, Mode::Nginx);
        assert_eq!(deployment.tls.email.unwrap().as_str(), "admin@example.org");
        assert_eq!(
            deployment.database,
            Database::Postgres {
                address: "db".parse().unwrap(),
                port: "5433".parse().unwrap(),
                user: "gts".into(),
                database: "social".into(),
                password: secrets.get("db-password").cloned(),
                tls_mode: TlsMode::Enable,
            }
        );
        let admin = deployment.admin.unwrap();
        assert_eq!((admin.username.as_str(), admin.email.as_str()), ("alice", "alice@example.org"));
        assert_eq!(
            deployment.release,
            ReleaseWish {
                version: "0.20.0-rc1".parse().unwrap(),
                sha256: Some(digest.parse().unwrap()),
                variant: Variant::Auto,
                prereleases: true
            }
        );
        assert_eq!(deployment.config.get("http-client-timeout"), Some(&ConfigValue::Text("5s".into())));
    }

    #[test]
    fn postgres_has_defaults() {
        let deployment = read(&format!("{GOOD}database.type = \"postgres\"")).unwrap();
        let Database::Postgres { address, port, user, database, password, tls_mode } = deployment.database else {
            panic!()
        };
        assert_eq!((address.as_str(), port.get(), tls_mode, password), ("127.0.0.1", 5432, TlsMode::Disable, None));
        assert_eq!((user.as_str(), database.as_str()), ("gotosocial", "gotosocial"));
    }

    #[test]
    fn missing_answers_say_how_to_add_them() {
        let shown = |text: &str| read(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown("[admin]\n"),
            [
                "deployment.toml: host: this answer is missing. Add this line at the top: host = \"social.example.org\"",
                "deployment.toml: tls.email: this answer is missing, and Let's Encrypt asks for it in direct mode. Add this line under [tls]: email = \"admin@example.org\"",
                "deployment.toml:1: admin.username: this answer is missing, and there is a section [admin]. Add this line under [admin]: username = \"alice\"",
                "deployment.toml:1: admin.email: this answer is missing, and there is a section [admin]. Add this line under [admin]: email = \"alice@example.org\"",
            ]
        );
        let nothing = Answers::empty().deployment(&Secrets::default()).unwrap_err();
        assert_eq!(nothing.len(), 2);
        assert!(nothing[0].to_string().starts_with("the answers: host: this answer is missing"));
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        assert_eq!(
            mistake("acount-domain = \"x\"\n"),
            (
                3,
                "acount-domain".into(),
                P::UnknownKey {
                    nearest: Some("account-domain"),
                    known: "host, account-domain, exposure, tls, database, admin, release, config".into()
                }
            )
        );
        let (line, key, _) = mistake("\n[release]\nvarient = \"auto\"\n");
        assert_eq!((line, key.as_str()), (5, "release.varient"));
        assert!(matches!(mistake("[colours]\nsky = \"blue\"").2, P::UnknownKey { nearest: None, .. }));
    }

    #[test]
    fn wrong_types() {
        for (more, key, found) in [
            ("account-domain = 5", "account-domain", "a whole number"),
            ("exposure.mode = true", "exposure.mode", "true or false"),
            ("release.version = 0.19", "release.version", "a number with a decimal point"),
            ("release.prereleases = \"yes\"", "release.prereleases", "a text"),
            ("database = {type = \"postgres\", port = \"5432\"}", "database.port", "a text"),
            ("database = {type = \"postgres\", user = [1]}", "database.user", "a list"),
            ("release = \"latest\"", "release", "a text"),
            ("[[release]]\nversion = \"latest\"", "release", "a list of sections"),
            ("config = 2026-01-01", "config", "a date or time"),
            ("release.version = {}", "release.version", "a section"),
        ] {
            let (line, path, problem) = mistake(more);
            assert_eq!((line, path.as_str()), (3, key));
            assert!(matches!(problem, P::WrongType { found: f, .. } if f == found), "{more}: {problem}");
        }
        assert_eq!(
            problem("release.version = 0.19").to_string(),
            "this is a number with a decimal point, but must be a text in quotes. Write it like: version = \"0.19.2\""
        );
    }

    #[test]
    fn words_that_are_not_known() {
        assert_eq!(
            problem("exposure.mode = \"ngnix\""),
            P::NotOneOf { found: "ngnix".into(), nearest: Some("nginx"), allowed: "direct, nginx, httpd".into() }
        );
        assert_eq!(
            problem("database.type = \"mysql\"").to_string(),
            "\"mysql\" is not known here. Allowed are: sqlite, postgres"
        );
        // Its details are no mistakes on top.
        let detailed = "database = {type = \"mysql\", port = 3306}";
        assert!(matches!(problem(detailed), P::NotOneOf { .. }));
        for more in ["database = {type = \"postgres\", tls-mode = \"on\"}", "release.variant = \"x\""] {
            assert!(matches!(problem(more), P::NotOneOf { .. }));
        }
    }

    #[test]
    fn values_wrong_in_themselves() {
        assert!(matches!(problem("account-domain = \"https://example.org\""), P::HostName(HostNameError::Url { .. })));
        assert!(matches!(problem("[admin]\nusername = \"a\"\nemail = \"x\""), P::EmailAddress(_)));
        assert!(matches!(problem("[admin]\nusername = \"A\"\nemail = \"x@y.example\""), P::UserName(_)));
        assert!(matches!(problem("release.version = \"0.19\""), P::Version(_)));
        assert!(matches!(problem("release = {version = \"0.19.2\", sha256 = \"ab\"}"), P::Digest(_)));
        let postgres = |more: &str| problem(&format!("[database]\ntype = \"postgres\"\n{more}"));
        assert!(matches!(postgres("port = 65536"), P::PortNumber(_)));
        assert_eq!(postgres("address = \"a:1\""), P::DatabaseAddress(DatabaseAddressError { text: "a:1".into() }));
        for name in ["", " ", "a\\nb"] {
            assert!(matches!(postgres(&format!("user = \"{name}\"")), P::NotPlain { .. }));
        }
    }

    #[test]
    fn answers_that_do_not_fit_each_other() {
        assert_eq!(
            problem("account-domain = \"other.test\""),
            P::AccountDomain {
                account_domain: "other.test".parse().unwrap(),
                host: "social.example.org".parse().unwrap()
            }
        );
        let digest = "ab".repeat(32);
        assert_eq!(problem(&format!("release.sha256 = \"{digest}\"")), P::DigestOfLatest);
        assert_eq!(problem(&format!("release = {{version = \"latest\", sha256 = \"{digest}\"}}")), P::DigestOfLatest);
        assert_eq!(problem("database.address = \"127.0.0.1\""), P::OnlyForPostgres);
        assert_eq!(problem("database = {type = \"sqlite\", port = 5432}"), P::OnlyForPostgres);
    }

    #[test]
    fn certificates_of_the_administrators_belong_behind_a_proxy() {
        let proxied = |more: &str| read(&format!("host = \"a.example\"\nexposure.mode = \"nginx\"\n[tls]\n{more}"));
        let tls = proxied(
            "certificate = \"/etc/a.pem\"\nkey = \"/etc/a.key\"\nhsts = true\nacme-directory = \"https://ca.example/dir\"",
        )
        .unwrap()
        .tls;
        let files = TlsFiles { certificate: "/etc/a.pem".into(), key: "/etc/a.key".into() };
        assert_eq!((tls.files, tls.hsts), (Some(files), true));
        assert_eq!(tls.acme_directory.unwrap().as_str(), "https://ca.example/dir");
        assert_eq!(proxied("").unwrap().tls, Tls::default());

        let refusal = |more: &str| {
            let mut errors = proxied(more).unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            errors.remove(0)
        };
        for (alone, missing) in [("certificate", "tls.key"), ("key", "tls.certificate")] {
            let error = refusal(&format!("{alone} = \"/etc/a\""));
            assert_eq!(error.key, missing);
            assert!(matches!(error.problem, P::Missing { section: Some("tls"), .. }), "{error}");
        }
        for path in ["a.pem", "/etc/../a.pem", "/etc/a\\\".pem", "/etc/$host.pem"] {
            let error = refusal(&format!("certificate = \"{path}\"\nkey = \"/etc/a.key\""));
            assert!(matches!(error.problem, P::NotAPath { .. }), "{path}: {error}");
        }
        assert!(matches!(refusal("acme-directory = \"http://ca.example\"").problem, P::AcmeDirectory(_)));
        assert!(matches!(refusal("hsts = \"yes\"").problem, P::WrongType { .. }));
        for answer in
            ["certificate = \"/a\"", "key = \"/a\"", "hsts = false", "acme-directory = \"https://ca.example\""]
        {
            assert_eq!(problem(&format!("tls.{answer}")), P::OnlyBehindProxy);
        }
    }

    #[test]
    fn config_has_lines() {
        let (line, key, problem) = mistake("[config]\n\n[config.http-client]\ntimeout = 30\n");
        assert_eq!((line, key.as_str()), (6, "config.http-client.timeout"));
        assert!(matches!(problem, P::Config(ConfigError::WrongKind { .. })));
        assert!(matches!(
            mistake("config.bind-address = \"127.0.0.1\"").2,
            P::Config(ConfigError::LoopbackInDirectMode { .. })
        ));
    }

    #[test]
    fn mistakes_come_in_the_order_of_the_file() {
        let mut answers = Answers::parse(
            "hots = \"x\"\n[tls]\nemail = \"x\"\n[database]\ntype = \"oracle\"\n[config]\nport = 1\n[exposure]\nmode = \"x\"\n",
            "deployment.toml",
        )
        .unwrap();
        answers.set("release.version=newest").unwrap();
        let errors = answers.deployment(&Secrets::default()).unwrap_err();
        let shown: Vec<String> = errors.iter().map(|error| format!("{} {}", error.place, error.key)).collect();
        assert_eq!(
            shown,
            [
                "deployment.toml host",
                "deployment.toml:1 hots",
                "deployment.toml:3 tls.email",
                "deployment.toml:5 database.type",
                "deployment.toml:7 config.port",
                "deployment.toml:9 exposure.mode",
                "--set release.version",
            ]
        );
    }
}
