//! The text of GoToSocial's own configuration, `config.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::Serialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::deployment::{Database, Deployment, HostName, Layout, Mode, PortNumber, Secrets};
use crate::gotosocial::Series;
use crate::gotosocial::config_keys::nested;
use crate::gotosocial::debug_config::flatten;
use crate::shown::Shown;
use crate::templates::{Template, TemplateError};

/// The addresses whose `X-Forwarded-For` counts behind a web server on the same machine: upstream's default, written down to be
/// seen.
const LOOPBACK_PROXIES: [&str; 2] = ["127.0.0.1/32", "::1"];

/// Why no `config.yaml` can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// A path that YAML cannot hold.
    #[error("config.yaml cannot be written: the path {} is not valid UTF-8. Choose a folder with a plain name", .0.shown())]
    Path(PathBuf),
    /// The template and its values don't fit each other.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// The values of the template.
#[derive(Serialize)]
struct Fields<'a> {
    host: &'a HostName,
    account_domain: Option<&'a HostName>,
    direct: bool,
    bind_address: String,
    port: u16,
    trusted_proxies: Option<Vec<String>>,
    letsencrypt_port: Option<u16>,
    letsencrypt_email: Option<&'a str>,
    cert_dir: String,
    database: Vec<Setting>,
    storage_backend: Option<&'static str>,
    storage: String,
    web_templates: String,
    web_assets: String,
    secrets: Vec<Setting>,
    config: Vec<Setting>,
}

/// A key and its value.
#[derive(Serialize)]
struct Setting {
    key: String,
    value: Value,
}

/// A setting of a known key.
fn setting(key: &str, value: impl Into<Value>) -> Setting {
    Setting { key: key.to_owned(), value: value.into() }
}

/// The text of `config.yaml` for a version of `GoToSocial`. Only keys that are set are written, in a fixed order.
///
/// In direct mode `trusted-proxies` stays at the server's default: it trusts only loopback, from where no outside client comes.
/// Behind a web server the same default is written down, with the bind address if that is another. `[config]` overrides either.
///
/// # Errors
///
/// [`RenderError::Path`] for a layout with paths that are not UTF-8, [`RenderError::Template`] for a mistake in this program.
pub fn render(
    deployment: &Deployment,
    secrets: &Secrets,
    layout: &Layout,
    version: &Version,
) -> Result<String, RenderError> {
    let direct = deployment.exposure.mode == Mode::Direct;
    let own = secrets.iter().filter(|(key, _)| !key.starts_with("db-"));
    let fields = Fields {
        host: &deployment.host,
        account_domain: deployment.account_domain.as_ref(),
        direct,
        bind_address: written_address(deployment.bind_address(), version),
        port: deployment.port().get(),
        trusted_proxies: trusted_proxies(deployment),
        letsencrypt_port: deployment.letsencrypt_port().map(PortNumber::get),
        letsencrypt_email: deployment.tls.email.as_ref().map(AsRef::as_ref),
        cert_dir: text(&layout.certs())?,
        database: database(deployment, secrets, layout)?,
        storage_backend: deployment.config.get("storage-backend").is_none().then_some("local"),
        storage: text(&layout.storage())?,
        web_templates: folder(&layout.web_templates())?,
        web_assets: folder(&layout.web_assets())?,
        secrets: own.map(|(key, secret)| setting(key, secret.expose())).collect(),
        config: passed_through(deployment),
    };
    Ok(Template::CONFIG_YAML.render(&fields)?)
}

/// The addresses that may speak for others behind a web server: those of the machine itself. Where `GoToSocial` listens on an
/// address other than loopback, as in a jail, the web server's connections come from that same address.
fn trusted_proxies(deployment: &Deployment) -> Option<Vec<String>> {
    if !deployment.exposure.mode.is_proxy() || deployment.config.get("trusted-proxies").is_some() {
        return None;
    }
    let mut trusted = LOOPBACK_PROXIES.map(str::to_owned).to_vec();
    let address = deployment.local_address().ip();
    if !address.to_canonical().is_loopback() {
        trusted.push(address.to_string());
    }
    Some(trusted)
}

/// The settings of the database.
fn database(deployment: &Deployment, secrets: &Secrets, layout: &Layout) -> Result<Vec<Setting>, RenderError> {
    let Database::Postgres { address, port, user, database, password, tls_mode } = &deployment.database else {
        return Ok(vec![setting("db-type", "sqlite"), setting("db-address", text(&layout.database())?)]);
    };
    let mut settings = vec![
        setting("db-type", "postgres"),
        setting("db-address", address.as_str()),
        setting("db-port", port.get()),
        setting("db-user", user.as_str()),
    ];
    settings.extend(password.as_ref().map(|password| setting("db-password", password.expose())));
    settings.push(setting("db-database", database.as_str()));
    settings.push(setting("db-tls-mode", tls_mode.as_str()));
    let whole = "db-postgres-connection-string";
    settings.extend(secrets.get(whole).map(|secret| setting(whole, secret.expose())));
    Ok(settings)
}

/// The settings under `[config]`, sorted. Those of `http-client` and `cache` go into tables of that name, which 0.19
/// needs and 0.20 takes.
fn passed_through(deployment: &Deployment) -> Vec<Setting> {
    let mut settings: BTreeMap<&str, Value> = BTreeMap::new();
    for (key, value) in deployment.config.iter() {
        let Some((table, inner)) = nested(key) else {
            settings.insert(key, json!(value));
            continue;
        };
        if let Value::Object(entries) = settings.entry(table).or_insert_with(|| Value::Object(Map::new())) {
            entries.insert(inner.to_owned(), json!(value));
        }
    }
    settings.into_iter().map(|(key, value)| setting(key, value)).collect()
}

/// A `bind-address` in the form that a version takes.
fn written_address(address: IpAddr, version: &Version) -> String {
    match address {
        IpAddr::V6(address) if !Series::of(version).adds_brackets() => format!("[{address}]"),
        address => address.to_string(),
    }
}

/// A path as text.
fn text(path: &Path) -> Result<String, RenderError> {
    path.to_str().map(str::to_owned).ok_or_else(|| RenderError::Path(path.to_owned()))
}

/// A path as text with a slash at its end, as upstream writes its web folders.
fn folder(path: &Path) -> Result<String, RenderError> {
    text(path).map(|path| format!("{path}/"))
}

/// The keys in a text that [`render`] gave, with those of nested tables joined by hyphens: `http-client-timeout`.
pub fn rendered_keys(config_yaml: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    // Lines that an administrator has indented belong to the key above them.
    for line in config_yaml.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic())) {
        let Some((key, value)) = line.split_once(": ") else { continue };
        let table = if value.starts_with('{') { serde_json::from_str(&as_json(value)).ok() } else { None };
        flatten(key, &table.unwrap_or(Value::Null), &mut keys);
    }
    keys
}

/// Our YAML as JSON, without the one escape that JSON does not have, `\U0001F600`: only keys are wanted, and those are ASCII. An
/// escaped backslash is no escape of what follows it.
fn as_json(yaml: &str) -> String {
    let without = |text: &str| text.replace(r"\U", "?");
    yaml.split(r"\\").map(without).collect::<Vec<_>>().join(r"\\")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::deployment::Answers;

    const OLD: Version = Version::new(0, 19, 2);
    const NEW: Version = Version::new(0, 20, 0);

    fn deployment(answers: &str, secrets: &Secrets) -> Deployment {
        Answers::parse(answers, "t").unwrap().deployment(secrets).unwrap()
    }

    fn rendered(answers: &str, secrets: &str, version: &Version) -> String {
        let secrets = Secrets::parse(secrets, "s").unwrap();
        render(&deployment(answers, &secrets), &secrets, &Layout::default(), version).unwrap()
    }

    const DIRECT: &str = "host = \"social.example.org\"\ntls.email = \"admin@example.org\"\n";
    const PROXY: &str = "host = \"social.example.org\"\nexposure.mode = \"nginx\"\n";

    const HEAD: &str = "\
# GoToSocial's configuration, written by gts-bootstrap from the deployment's answers.
# Change the answers and apply them again rather than this file. It may hold passwords: keep it from other users.

# The name of the instance. Never change it once the instance has run.
host: \"social.example.org\"
";

    const END: &str =
        "\n# Settings of your own stay. Put them below this line or, better, under [config] in the answers.\n";
    const TAIL: &str = "
# Media.
storage-backend: \"local\"
storage-local-base-path: \"/var/db/gotosocial/storage\"

# Pages, which change together with the program.
web-template-base-dir: \"/usr/local/libexec/gotosocial/current/web/template/\"
web-asset-base-dir: \"/usr/local/libexec/gotosocial/current/web/assets/\"
";

    const DIRECT_FRONT: &str = "protocol: \"https\"

# GoToSocial itself stands at the public ports and gets its own certificate.
bind-address: \"0.0.0.0\"
port: 443
letsencrypt-enabled: true
letsencrypt-port: 80
letsencrypt-cert-dir: \"/var/db/gotosocial/storage/certs\"
letsencrypt-email-address: \"admin@example.org\"
";

    const PROXY_FRONT: &str = "protocol: \"https\"

# A web server on this machine stands at the public ports and holds the certificate.
bind-address: \"127.0.0.1\"
port: 8080
trusted-proxies: [\"127.0.0.1/32\", \"::1\"]
letsencrypt-enabled: false
";

    const SQLITE: &str = "
# Posts and accounts.
db-type: \"sqlite\"
db-address: \"/var/db/gotosocial/sqlite.db\"
";

    #[test]
    fn direct_mode_with_sqlite() {
        assert_eq!(rendered(DIRECT, "", &OLD), [HEAD, DIRECT_FRONT, SQLITE, TAIL, END].concat());
        assert_eq!(rendered(DIRECT, "db-password = 'unused'", &NEW), rendered(DIRECT, "", &OLD));
    }

    #[test]
    fn direct_mode_with_postgres_and_everything() {
        let answers = "account-domain = \"example.org\"\n".to_owned()
            + DIRECT
            + "[database]\ntype = \"postgres\"\naddress = \"/tmp\"\nport = 5433\nuser = \"gts\"\ndatabase = \"social\"\ntls-mode = \"require\"\n"
            + "[config]\nlog-level = \"warn\"\naccounts-registration-open = false\nhttp-client-timeout = \"5s\"\nhttp-client.block-ips = []\n";
        let secrets = "db-password = \"a\\\"b\"\nsmtp-password = \"s: #\"\n";
        let database = "
# Posts and accounts.
db-type: \"postgres\"
db-address: \"/tmp\"
db-port: 5433
db-user: \"gts\"
db-password: \"a\\\"b\"
db-database: \"social\"
db-tls-mode: \"require\"
";
        let rest = "
# From the secrets of the deployment.
smtp-password: \"s: #\"

# From [config] in the answers.
accounts-registration-open: false
http-client: {\"block-ips\": [], \"timeout\": \"5s\"}
log-level: \"warn\"
";
        assert_eq!(
            rendered(&answers, secrets, &OLD),
            [HEAD, "account-domain: \"example.org\"\n", DIRECT_FRONT, database, TAIL, rest, END].concat()
        );
        let url = rendered(&answers, "db-postgres-connection-string = \"postgres://x\"", &OLD);
        assert!(url.contains("\ndb-tls-mode: \"require\"\ndb-postgres-connection-string: \"postgres://x\"\n"));
        assert!(!url.contains("db-password"));
    }

    #[test]
    fn proxy_mode() {
        let expected = [HEAD, PROXY_FRONT, SQLITE, TAIL, END].concat();
        assert_eq!(rendered(PROXY, "", &OLD), expected);
        assert_eq!(rendered(&PROXY.replace("nginx", "httpd"), "", &NEW), expected);
    }

    #[test]
    fn config_takes_the_place_of_what_the_mode_sets() {
        let config =
            "[config]\ntrusted-proxies = [\"10.0.0.0/8\"]\nstorage-backend = \"s3\"\nbind-address = \"10.0.0.1\"\n";
        let text = rendered(&format!("{PROXY}{config}"), "", &OLD);
        for key in ["trusted-proxies", "storage-backend", "bind-address"] {
            assert_eq!(text.matches(&format!("\n{key}: ")).count(), 1, "{key} in {text}");
        }
        assert!(
            text.contains("\ntrusted-proxies: [\"10.0.0.0/8\"]\n") && text.contains("\nbind-address: \"10.0.0.1\"\n")
        );
        assert!(!rendered(DIRECT, "", &OLD).contains("trusted-proxies"));
        assert!(
            rendered(&format!("{DIRECT}{}", config.replace("10.0.0.1", "::")), "", &OLD)
                .contains("\ntrusted-proxies: ")
        );
    }

    #[test]
    fn a_web_server_on_the_bind_address_is_trusted() {
        let line = |address: &str| {
            let text = rendered(&format!("{PROXY}config.bind-address = \"{address}\""), "", &NEW);
            text.lines().find(|line| line.starts_with("trusted-proxies")).unwrap().to_owned()
        };
        let loopback = "trusted-proxies: [\"127.0.0.1/32\", \"::1\"";
        assert_eq!(line("10.0.0.1"), format!("{loopback}, \"10.0.0.1\"]"));
        assert_eq!(line("2001:db8::1"), format!("{loopback}, \"2001:db8::1\"]"));
        for address in ["0.0.0.0", "::", "::1", "127.0.0.1"] {
            assert_eq!(line(address), format!("{loopback}]"));
        }
    }

    #[test]
    fn brackets_follow_the_version() {
        let line = |version: &str| {
            let answers = format!("{DIRECT}config.bind-address = \"2001:db8::1\"");
            let text = rendered(&answers, "", &Version::parse(version).unwrap());
            text.lines().find(|line| line.starts_with("bind-address")).unwrap().to_owned()
        };
        for version in ["0.19.2", "0.19.99", "0.18.0"] {
            assert_eq!(line(version), "bind-address: \"[2001:db8::1]\"");
        }
        for version in ["0.20.0-rc1", "0.20.0", "0.22.1", "1.0.0"] {
            assert_eq!(line(version), "bind-address: \"2001:db8::1\"");
        }
    }

    #[test]
    fn no_value_breaks_out_of_its_line() {
        let evil = "\"x\\\"\\nhost: evil.example\\n#\"";
        let answers = format!("{DIRECT}config.landing-page-user = {evil}\nconfig.new = {{ a = [{evil}] }}\n");
        let text = rendered(&answers, &format!("smtp-password = {evil}"), &OLD);
        assert_eq!(text.lines().filter(|line| line.starts_with("host:")).count(), 1);
        assert!(text.is_ascii());
    }

    #[cfg(unix)]
    #[test]
    fn paths_must_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let data = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
        let layout = Layout { data: data.clone(), ..Layout::default() };
        let secrets = Secrets::default();
        let refused = render(&deployment(PROXY, &secrets), &secrets, &layout, &OLD);
        assert_eq!(refused, Err(RenderError::Path(data.join("storage/certs"))));
    }

    #[test]
    fn keys_are_flat() {
        let text = rendered(
            &format!(
                "{PROXY}config.http-client = {{ timeout = \"5s\" }}\nconfig.new = {{ a.b = \"\\\\U😀\", c = {{}} }}\n"
            ),
            "",
            &OLD,
        );
        let keys = rendered_keys(&text);
        for key in ["host", "db-type", "trusted-proxies", "http-client-timeout", "new-a-b"] {
            assert!(keys.contains(key), "{key} in {keys:?}");
        }
        assert_eq!(keys.len(), 14, "{keys:?}");
    }
}
