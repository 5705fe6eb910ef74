//! Answers good and bad, and what is said of them.

use super::super::ConfigValue;
use super::super::answer_error::AnswerPlace;
use super::*;
use crate::front::Front;

const GOOD: &str = "host = \"social.example.org\"\ntls.email = \"admin@example.org\"\n";

fn read(text: &str) -> Result<Deployment, Vec<AnswerError>> {
    Answers::parse(text, "deployment.toml").unwrap().deployment(&Secrets::default())
}

/// The one mistake in good answers with `more` behind them: line (from the third on), key and problem.
fn mistake(more: &str) -> (usize, String, String) {
    let mut errors = read(&format!("{GOOD}{more}")).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors.remove(0);
    let AnswerPlace::File { line: Some(line), .. } = error.place else { panic!("{error}") };
    (line, error.key, error.problem.to_string())
}

fn problem(more: &str) -> String {
    mistake(more).2
}

fn assert_begins(text: &str, words: &str) {
    assert!(text.starts_with(words), "{text}");
}

#[test]
fn the_least_answers_give_the_defaults() {
    let deployment = read(GOOD).unwrap();
    assert_eq!(deployment.host.as_str(), "social.example.org");
    assert_eq!(deployment.exposure.mode, Mode::Direct);
    assert_eq!(deployment.database, Database::Sqlite);
    assert_eq!((deployment.admin, deployment.account_domain), (None, None));
    let version = VersionWish::Latest;
    assert_eq!(deployment.release, ReleaseWish { version, sha256: None, variant: Variant::Auto, prereleases: false });
    assert_eq!(deployment.config, Passthrough::default());
    let proxied = read("host = \"a.example\"\n[exposure]\nmode = \"httpd\"\n").unwrap();
    assert_eq!((proxied.exposure.mode, proxied.tls.email), (Mode::Behind(Front::HTTPD), None));
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
    assert_eq!(deployment.exposure.mode, Mode::Behind(Front::NGINX));
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
            "there is no such answer. Did you mean account-domain? Known answers: host, account-domain, exposure, tls, database, admin, release, config".into()
        )
    );
    let (line, key, _) = mistake("\n[release]\nvarient = \"auto\"\n");
    assert_eq!((line, key.as_str()), (5, "release.varient"));
    assert_begins(&problem("[colours]\nsky = \"blue\""), "there is no such answer. Known answers: ");
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
        assert_begins(&problem, &format!("this is {found}, but must be "));
    }
    assert_eq!(
        problem("release.version = 0.19"),
        "this is a number with a decimal point, but must be a text in quotes. Write it like: version = \"0.19.2\""
    );
}

#[test]
fn words_that_are_not_known() {
    assert_eq!(
        problem("exposure.mode = \"ngnix\""),
        "\"ngnix\" is not known here. Did you mean nginx? Allowed are: direct, nginx, httpd"
    );
    assert_eq!(problem("database.type = \"mysql\""), "\"mysql\" is not known here. Allowed are: sqlite, postgres");
    // Its details are no mistakes on top.
    let detailed = "database = {type = \"mysql\", port = 3306}";
    assert_begins(&problem(detailed), "\"mysql\" is not known here.");
    for more in ["database = {type = \"postgres\", tls-mode = \"on\"}", "release.variant = \"x\""] {
        assert!(problem(more).contains("is not known here."));
    }
}

#[test]
fn values_wrong_in_themselves() {
    assert_begins(&problem("account-domain = \"https://example.org\""), "\"https://example.org\" is a URL");
    assert_begins(&problem("[admin]\nusername = \"a\"\nemail = \"x\""), "\"x\" is not an e-mail address");
    assert_begins(&problem("[admin]\nusername = \"A\"\nemail = \"x@y.example\""), "the user name \"A\"");
    assert_begins(&problem("release.version = \"0.19\""), "\"0.19\" is not a version");
    assert_begins(&problem("release = {version = \"0.19.2\", sha256 = \"ab\"}"), "the SHA-256 digest");
    let postgres = |more: &str| problem(&format!("[database]\ntype = \"postgres\"\n{more}"));
    assert_begins(&postgres("port = 65536"), "\"65536\" is not a port");
    assert_begins(&postgres("address = \"a:1\""), "\"a:1\" is not the address of a database server");
    for name in ["", " ", "a\\nb"] {
        assert!(postgres(&format!("user = \"{name}\"")).contains("is empty or has control characters in it"));
    }
}

#[test]
fn answers_that_do_not_fit_each_other() {
    assert_begins(
        &problem("account-domain = \"other.test\""),
        "other.test is neither the host social.example.org itself nor a parent of it",
    );
    let digest = "ab".repeat(32);
    assert_begins(&problem(&format!("release.sha256 = \"{digest}\"")), "a digest belongs to one archive");
    let latest = format!("release = {{version = \"latest\", sha256 = \"{digest}\"}}");
    assert_begins(&problem(&latest), "a digest belongs to one archive");
    assert_begins(&problem("database.address = \"127.0.0.1\""), "this has a meaning only for PostgreSQL");
    assert_begins(&problem("database = {type = \"sqlite\", port = 5432}"), "this has a meaning only for PostgreSQL");
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
        assert!(matches!(error.problem, AnswerProblem::Missing { section: Some("tls"), .. }), "{error}");
    }
    for path in ["a.pem", "/etc/../a.pem", "/etc/a\\\".pem", "/etc/$host.pem"] {
        let error = refusal(&format!("certificate = \"{path}\"\nkey = \"/etc/a.key\""));
        assert!(error.to_string().contains("is not an absolute path"), "{path}: {error}");
    }
    let directory = refusal("acme-directory = \"http://ca.example\"").to_string();
    assert!(directory.contains("is not the https URL of an ACME directory"), "{directory}");
    assert!(refusal("hsts = \"yes\"").to_string().contains("this is a text, but must be true or false"));
    for answer in ["certificate = \"/a\"", "key = \"/a\"", "hsts = false", "acme-directory = \"https://ca.example\""] {
        assert_begins(&problem(&format!("tls.{answer}")), "this applies only behind a web server");
    }
}

#[test]
fn config_has_lines() {
    let (line, key, problem) = mistake("[config]\n\n[config.http-client]\ntimeout = 30\n");
    assert_eq!((line, key.as_str()), (6, "config.http-client.timeout"));
    assert_begins(&problem, "this is the number 30, but GoToSocial takes");
    let loopback = mistake("config.bind-address = \"127.0.0.1\"").2;
    assert_begins(&loopback, "127.0.0.1 is reached only from the machine itself");
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
