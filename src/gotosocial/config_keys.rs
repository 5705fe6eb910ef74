//! The keys of GoToSocial's configuration: the one table of what is known of them.
//!
//! The table is a net and not a gate. What it knows is checked, because the server panics at a wrong type or ignores it
//! silently. What it does not know passes: only the installed program knows its own settings, and it is asked for them with
//! `debug config`. The keys and defaults are those that `debug config` of 0.19.2 and 0.20.0-rc1 prints, without the
//! `cache-*-mem-ratio` keys.

use serde_json::Value;

use self::Standing::{CommandLine, Secret};
use super::series::Series::{self, V0_19, V0_20};
use super::value::Kind::{self, Boolean, Duration, Integer, List, Size, Text};

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// Its name, as a flag and in a flat file.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// The first series that has it.
    since: Series,
    /// The first series that no longer has it, and what there is instead, in words.
    until: Option<(Series, &'static str)>,
    /// Its default as JSON. A duration is in nanoseconds, a size in bytes.
    default: &'static str,
    /// Another default, and the series that it came with.
    new_default: Option<(Series, &'static str)>,
    /// What it is to this program.
    standing: Standing,
}

/// What a key of GoToSocial is to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A setting that can be passed through.
    Setting(Kind),
    /// A setting that this program writes itself.
    Managed {
        /// What the administrator can do instead.
        instead: &'static str,
    },
    /// A password or key.
    Secret,
    /// Not a setting, but an argument of single commands.
    CommandLine,
}

/// A key that has been there since 0.19 and can be passed through.
const fn key(name: &'static str, kind: Kind, default: &'static str) -> ConfigKey {
    let standing = Standing::Setting(kind);
    ConfigKey { name, kind, since: V0_19, until: None, default, new_default: None, standing }
}

impl ConfigKey {
    const fn since(mut self, series: Series) -> Self {
        self.since = series;
        self
    }

    const fn until(mut self, series: Series, instead: &'static str) -> Self {
        self.until = Some((series, instead));
        self
    }

    const fn default_since(mut self, series: Series, default: &'static str) -> Self {
        self.new_default = Some((series, default));
        self
    }

    const fn managed(self, instead: &'static str) -> Self {
        self.standing(Standing::Managed { instead })
    }

    const fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// Its default in a series, sizes in bytes; `None` where the series does not have the key.
    pub fn default(&self, series: Series) -> Option<Value> {
        if series < self.since || self.until.is_some_and(|(gone, _)| series >= gone) {
            return None;
        }
        let default = self.new_default.filter(|(from, _)| series >= *from).map_or(self.default, |(_, default)| default);
        Some(serde_json::from_str(default).unwrap_or(Value::Null))
    }
}

/// What is known of a key; `None` for an unknown one.
pub fn config_key(name: &str) -> Option<&'static ConfigKey> {
    CONFIG_KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &CONFIG_KEYS[at])
}

/// What a key is to this program; `None` for an unknown one.
pub fn standing(name: &str) -> Option<Standing> {
    let family = || FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix));
    match config_key(name) {
        Some(key) => Some(key.standing),
        None => family().map(|(_, instead)| Standing::Managed { instead }),
    }
}

/// The settings that can be passed through and whose kind is known.
pub fn settings() -> impl Iterator<Item = &'static str> {
    CONFIG_KEYS.iter().filter(|key| matches!(key.standing, Standing::Setting(_))).map(|key| key.name)
}

/// What there is in the place of a key that a newer GoToSocial no longer knows, in words.
pub fn successor(name: &str) -> Option<&'static str> {
    config_key(name)?.until.map(|(_, instead)| instead)
}

/// The name of the environment variable that holds a key: `db-password` is read from `GTS_DB_PASSWORD`.
pub fn environment_name(key: &str) -> String {
    format!("GTS_{}", key.replace('-', "_").to_uppercase())
}

/// The key that an environment variable holds.
pub fn of_environment(name: &str) -> Option<String> {
    Some(name.strip_prefix("GTS_")?.to_ascii_lowercase().replace('_', "-"))
}

/// The settings that are secret, sorted.
pub const SECRET_KEYS: [&str; 6] = [
    "db-password",
    "db-postgres-connection-string",
    "metrics-auth-password",
    "oidc-client-secret",
    "smtp-password",
    "storage-s3-secret-key",
];

/// The tables that 0.19 reads only in nested form. 0.20 reads both forms.
pub const NESTED: [&str; 2] = ["cache", "http-client"];

/// The table and the key within it, where a key belongs to one of [`NESTED`].
pub fn nested(name: &str) -> Option<(&'static str, &str)> {
    NESTED.into_iter().find_map(|table| Some((table, name.strip_prefix(table)?.strip_prefix('-')?)))
}

/// Keys of later releases that this program would write itself as well.
const FAMILIES: [(&str, &str); 2] = [("letsencrypt-", BY_MODE), ("tls-certificate-", BY_FRONT)];

const BY_MODE: &str = "It follows from the answer mode under [exposure]";
const BY_FRONT: &str =
    "For a certificate of your own, give mode = \"nginx\" or \"httpd\" under [exposure] and let the web server show it";
const BY_RELEASE: &str = "It always follows the installed release";
const DB_ADDRESS: &str =
    "Give the answer address under [database]; the SQLite file is always in the instance's data folder";
const OTEL_TRACES: &str = "tracing is set up with the environment variables OTEL_EXPORTER_OTLP_… now";
const OTEL_METRICS: &str =
    "metrics are set up with the environment variables OTEL_METRICS_… now, without a password of their own";

/// All keys, sorted by name.
#[rustfmt::skip]
pub const CONFIG_KEYS: &[ConfigKey] = &[
    key("account-domain", Text, r#""""#).managed("Give the answer account-domain at the top of the file"),
    key("accounts-allow-custom-css", Boolean, "false"),
    key("accounts-custom-css-length", Integer, "10000"),
    key("accounts-max-profile-fields", Integer, "6").since(V0_20),
    key("accounts-reason-required", Boolean, "true"),
    key("accounts-registration-backlog-limit", Integer, "20"),
    key("accounts-registration-daily-limit", Integer, "10"),
    key("accounts-registration-open", Boolean, "false"),
    key("advanced-cookies-samesite", Text, r#""lax""#),
    key("advanced-csp-extra-uris", List, "[]"),
    key("advanced-header-filter-mode", Text, r#""""#),
    key("advanced-rate-limit-exceptions", List, "[]").default_since(V0_20, "null"),
    key("advanced-rate-limit-requests", Integer, "300"),
    key("advanced-sender-multiplier", Integer, "2"),
    key("advanced-throttling-multiplier", Integer, "8"),
    key("advanced-throttling-retry-after", Duration, "30000000000"),
    key("application-name", Text, r#""gotosocial""#),
    key("bind-address", Text, r#""0.0.0.0""#),
    key("cache-memory-target", Size, "104857600"),
    key("config-path", Text, r#""""#).standing(CommandLine),
    key("db-address", Text, r#""""#).managed(DB_ADDRESS),
    key("db-database", Text, r#""gotosocial""#).managed("Give the answer database under [database]"),
    key("db-max-open-conns-multiplier", Integer, "8"),
    key("db-password", Text, r#""""#).standing(Secret),
    key("db-port", Integer, "5432").managed("Give the answer port under [database]"),
    key("db-postgres-connection-string", Text, r#""""#).standing(Secret),
    key("db-sqlite-busy-timeout", Duration, "1800000000000"),
    key("db-sqlite-cache-size", Size, "8388608"),
    key("db-sqlite-journal-mode", Text, r#""WAL""#),
    key("db-sqlite-synchronous", Text, r#""NORMAL""#),
    key("db-tls-ca-cert", Text, r#""""#),
    key("db-tls-mode", Text, r#""disable""#).managed("Give the answer tls-mode under [database]"),
    key("db-type", Text, r#""postgres""#).default_since(V0_20, r#""""#).managed("Give the answer type under [database]"),
    key("db-user", Text, r#""""#).managed("Give the answer user under [database]"),
    key("dry-run", Boolean, "true").standing(CommandLine),
    key("email", Text, r#""""#).standing(CommandLine),
    key("host", Text, r#""""#).managed("Give the answer host at the top of the file"),
    key("http-client-allow-ips", List, "[]"),
    key("http-client-block-ips", List, "[]"),
    key("http-client-insecure-outgoing", Boolean, "false").since(V0_20),
    key("http-client-timeout", Duration, "30000000000"),
    key("http-client-tls-insecure-skip-verify", Boolean, "false"),
    key("instance-allow-backdating-statuses", Boolean, "true"),
    key("instance-deliver-to-shared-inboxes", Boolean, "true"),
    key("instance-expose-allowlist", Boolean, "false").since(V0_20),
    key("instance-expose-allowlist-web", Boolean, "false").since(V0_20),
    key("instance-expose-blocklist", Boolean, "false").since(V0_20),
    key("instance-expose-blocklist-web", Boolean, "false").since(V0_20),
    key("instance-expose-custom-emojis", Boolean, "false").since(V0_20),
    key("instance-expose-peers", Boolean, "false"),
    key("instance-expose-public-timeline", Boolean, "false"),
    key("instance-expose-suspended", Boolean, "false").until(V0_20, "it is called `instance-expose-blocklist` now"),
    key("instance-expose-suspended-web", Boolean, "false").until(V0_20, "it is called `instance-expose-blocklist-web` now"),
    key("instance-federation-mode", Text, r#""blocklist""#),
    key("instance-federation-spam-filter", Boolean, "false"),
    key("instance-inject-mastodon-version", Boolean, "false"),
    key("instance-languages", List, "[]").default_since(V0_20, "null"),
    key("instance-stats-mode", Text, r#""""#),
    key("instance-subscriptions-process-every", Duration, "86400000000000"),
    key("instance-subscriptions-process-from", Text, r#""23:00""#),
    key("landing-page-user", Text, r#""""#),
    key("letsencrypt-cert-dir", Text, r#""/gotosocial/storage/certs""#).managed("Certificates always lie in the instance's storage folder"),
    key("letsencrypt-email-address", Text, r#""""#).managed("Give the answer email under [tls]"),
    key("letsencrypt-enabled", Boolean, "false").managed(BY_MODE),
    key("letsencrypt-port", Integer, "80").managed(BY_MODE),
    key("local-only", Boolean, "false").standing(CommandLine),
    key("log-client-ip", Boolean, "true"),
    key("log-db-queries", Boolean, "false"),
    key("log-format", Text, r#""logfmt""#).since(V0_20),
    key("log-level", Text, r#""info""#),
    key("log-timestamp-format", Text, r#""02/01/2006 15:04:05.000""#),
    key("media-cleanup-every", Duration, "86400000000000"),
    key("media-cleanup-from", Text, r#""00:00""#),
    key("media-description-max-chars", Integer, "1500"),
    key("media-description-min-chars", Integer, "0"),
    key("media-emoji-local-max-size", Size, "51200"),
    key("media-emoji-remote-max-size", Size, "102400"),
    key("media-ffmpeg-pool-size", Integer, "1"),
    key("media-image-size-hint", Size, "0"),
    key("media-local-max-size", Size, "41943040"),
    key("media-remote-cache-days", Integer, "7"),
    key("media-remote-max-size", Size, "41943040"),
    key("media-thumb-max-pixels", Integer, "512").since(V0_20),
    key("media-video-size-hint", Size, "0"),
    key("metrics-auth-enabled", Boolean, "false").until(V0_20, OTEL_METRICS),
    key("metrics-auth-password", Text, r#""""#).until(V0_20, OTEL_METRICS).standing(Secret),
    key("metrics-auth-username", Text, r#""""#).until(V0_20, OTEL_METRICS),
    key("metrics-enabled", Boolean, "false"),
    key("oidc-admin-groups", List, "null"),
    key("oidc-allowed-groups", List, "null"),
    key("oidc-client-id", Text, r#""""#),
    key("oidc-client-secret", Text, r#""""#).standing(Secret),
    key("oidc-enabled", Boolean, "false"),
    key("oidc-idp-name", Text, r#""""#),
    key("oidc-issuer", Text, r#""""#),
    key("oidc-link-existing", Boolean, "false"),
    key("oidc-scopes", List, r#"["openid", "profile", "email", "groups"]"#),
    key("oidc-skip-verification", Boolean, "false"),
    key("password", Text, r#""""#).standing(CommandLine),
    key("path", Text, r#""""#).standing(CommandLine),
    key("port", Integer, "8080").managed(BY_MODE),
    key("protocol", Text, r#""https""#).managed("It is always https; the answer mode under [exposure] decides who serves it"),
    key("remote-only", Boolean, "false").standing(CommandLine),
    key("request-id-header", Text, r#""X-Request-Id""#),
    key("scheduled-statuses-max-daily", Integer, "25").since(V0_20),
    key("scheduled-statuses-max-total", Integer, "300").since(V0_20),
    key("skip-db-setup", Boolean, "false").since(V0_20).standing(CommandLine),
    key("skip-db-teardown", Boolean, "false").since(V0_20).standing(CommandLine),
    key("smtp-disclose-recipients", Boolean, "false"),
    key("smtp-from", Text, r#""""#),
    key("smtp-host", Text, r#""""#),
    key("smtp-password", Text, r#""""#).standing(Secret),
    key("smtp-port", Integer, "0"),
    key("smtp-username", Text, r#""""#),
    key("software-version", Text, r#""""#).standing(CommandLine),
    key("statuses-max-chars", Integer, "5000"),
    key("statuses-media-max-files", Integer, "6"),
    key("statuses-poll-max-options", Integer, "6"),
    key("statuses-poll-option-max-chars", Integer, "50"),
    key("storage-backend", Text, r#""local""#),
    key("storage-local-base-path", Text, r#""/gotosocial/storage""#).managed("Media always lie in the instance's storage folder"),
    key("storage-s3-access-key", Text, r#""""#),
    key("storage-s3-bucket", Text, r#""""#),
    key("storage-s3-bucket-lookup", Text, r#""auto""#),
    key("storage-s3-endpoint", Text, r#""""#),
    key("storage-s3-key-prefix", Text, r#""""#).since(V0_20),
    key("storage-s3-proxy", Boolean, "false"),
    key("storage-s3-redirect-url", Text, r#""""#),
    key("storage-s3-secret-key", Text, r#""""#).standing(Secret),
    key("storage-s3-use-ssl", Boolean, "true"),
    key("syslog-address", Text, r#""localhost:514""#),
    key("syslog-enabled", Boolean, "false"),
    key("syslog-protocol", Text, r#""udp""#),
    key("tls-certificate-chain", Text, r#""""#).managed(BY_FRONT),
    key("tls-certificate-key", Text, r#""""#).managed(BY_FRONT),
    key("tracing-enabled", Boolean, "false"),
    key("tracing-endpoint", Text, r#""""#).until(V0_20, OTEL_TRACES),
    key("tracing-insecure-transport", Boolean, "false").until(V0_20, OTEL_TRACES),
    key("tracing-transport", Text, r#""grpc""#).until(V0_20, OTEL_TRACES),
    key("trusted-proxies", List, r#"["127.0.0.1/32", "::1"]"#),
    key("username", Text, r#""""#).standing(CommandLine),
    key("web-asset-base-dir", Text, r#""./web/assets/""#).managed(BY_RELEASE),
    key("web-template-base-dir", Text, r#""./web/template/""#).managed(BY_RELEASE),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_default_is_of_its_kind() {
        assert!(CONFIG_KEYS.is_sorted_by(|a, b| a.name < b.name));
        for key in CONFIG_KEYS {
            assert!(key.since < V0_20 || key.until.is_none());
            for default in [Some(key.default), key.new_default.map(|(_, default)| default)].into_iter().flatten() {
                let default: Value = serde_json::from_str(default).unwrap();
                let fits = match key.kind {
                    Boolean => default.is_boolean(),
                    Integer | Duration | Size => default.is_u64(),
                    Text => default.is_string(),
                    List => default.is_array() || default.is_null(),
                };
                assert!(fits, "{}: {default}", key.name);
            }
        }
        let secret = CONFIG_KEYS.iter().filter(|key| key.standing == Standing::Secret).map(|key| key.name);
        assert!(secret.eq(SECRET_KEYS));
    }

    #[test]
    fn each_key_has_one_standing() {
        assert_eq!(standing("log-level"), Some(Standing::Setting(Text)));
        assert_eq!(standing("dry-run"), Some(Standing::CommandLine));
        assert_eq!(standing("smtp-password"), Some(Standing::Secret));
        for key in ["host", "port", "letsencrypt-port", "tls-certificate-key", "web-asset-base-dir", "db-type"] {
            assert!(matches!(standing(key), Some(Standing::Managed { .. })), "{key}");
        }
        assert!(matches!(standing("letsencrypt-of-the-future"), Some(Standing::Managed { .. })));
        let Some(Standing::Managed { instead }) = standing("letsencrypt-email-address") else { panic!() };
        assert!(instead.contains("[tls]"));
        assert_eq!(standing("of-the-future"), None);
    }

    #[test]
    fn a_key_is_there_from_one_series_to_another() {
        let there = |name: &str| [V0_19, V0_20].map(|series| config_key(name).unwrap().default(series).is_some());
        assert_eq!(there("log-format"), [false, true]);
        assert_eq!(there("metrics-auth-enabled"), [true, false]);
        assert_eq!(there("host"), [true, true]);
        assert!(successor("instance-expose-suspended").unwrap().contains("instance-expose-blocklist"));
        assert_eq!(successor("host"), None);
        assert_eq!(of_environment(&environment_name("db-password")).as_deref(), Some("db-password"));
    }
}
