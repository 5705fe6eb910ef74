//! What is known of `GoToSocial`'s own settings: their kinds, and which of them cannot be passed through.
//!
//! The table holds the settings of 0.19.2 and 0.20. It is a net and not a gate: what it knows, it checks,
//! because the server panics at a wrong type or swallows it; what it does not know, passes. Versions are ranges, and
//! only the installed program knows its own settings: it is asked for them with `debug config`.

use super::config_value::ConfigValue;
use super::secrets::SECRET_KEYS;

/// The kind of value that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A span of time in Go's notation, such as `30s` or `1h30m`.
    Duration,
    /// A number of bytes, or a text such as `40MiB`.
    Size,
    /// A list of texts.
    List,
}

impl Kind {
    /// The kind in words.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Text => "a text in quotes",
            Self::Duration => "a span of time in quotes",
            Self::Size => "a size in quotes or a number of bytes",
            Self::List => "a list of texts",
        }
    }

    /// A value that would be right, in TOML.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Boolean => "true",
            Self::Integer => "10",
            Self::Text => "\"…\"",
            Self::Duration => "\"30s\"",
            Self::Size => "\"40MiB\"",
            Self::List => "[\"…\"]",
        }
    }

    /// Whether a value is of this kind.
    #[must_use]
    pub fn accepts(self, value: &ConfigValue) -> bool {
        match (self, value) {
            (Self::Boolean, ConfigValue::Boolean(_))
            | (Self::Integer, ConfigValue::Integer(_))
            | (Self::Text, ConfigValue::Text(_)) => true,
            (Self::Duration, ConfigValue::Text(text)) => is_duration(text),
            (Self::Size, ConfigValue::Text(text)) => is_size(text),
            (Self::Size, ConfigValue::Integer(bytes)) => *bytes >= 0,
            (Self::List, ConfigValue::List(items)) => items.iter().all(|item| matches!(item, ConfigValue::Text(_))),
            _ => false,
        }
    }
}

/// Whether Go's `time.ParseDuration` takes the text. A negative span makes no sense for any setting.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
    let mut rest = text;
    if rest == "0" {
        return true;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        if !is_decimal(digits) || !UNITS.contains(&unit) {
            return false;
        }
        rest = behind;
    }
    !text.is_empty()
}

/// Whether `GoToSocial`'s size reader (`go-bytesize`) takes the text.
fn is_size(text: &str) -> bool {
    const UNITS: [char; 7] = ['k', 'K', 'M', 'G', 'T', 'P', 'E'];
    let number = text.strip_suffix('B').unwrap_or(text);
    match number.strip_suffix('i') {
        Some(binary) => binary.strip_suffix(UNITS).is_some_and(is_decimal),
        None => is_decimal(number.strip_suffix(UNITS).unwrap_or(number)),
    }
}

/// Digits with at most one point between or beside them.
fn is_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    text.len() > usize::from(text.contains('.')) && digits(whole) && digits(part)
}

/// What a key of `GoToSocial` is to this program.
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

/// What is known of a key; nothing of an unknown one.
#[must_use]
pub fn standing(key: &str) -> Option<Standing> {
    if SECRET_KEYS.contains(&key) {
        return Some(Standing::Secret);
    }
    if COMMAND_LINE.contains(&key) {
        return Some(Standing::CommandLine);
    }
    let managed = MANAGED.iter().find(|(known, _)| match known.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == *known,
    });
    if let Some((_, instead)) = managed {
        return Some(Standing::Managed { instead });
    }
    SETTINGS.iter().find(|(known, _)| *known == key).map(|(_, kind)| Standing::Setting(*kind))
}

/// The settings that can be passed through and whose kind is known.
pub fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(key, _)| *key)
}

/// The tables that 0.19 reads only in nested form. 0.20 reads both forms.
pub const NESTED: [&str; 2] = ["cache", "http-client"];

/// Settings that this program writes itself, and what to do instead. A star stands for any ending.
const MANAGED: &[(&str, &str)] = &[
    ("host", "Give the answer host at the top of the file"),
    ("account-domain", "Give the answer account-domain at the top of the file"),
    ("protocol", "It is always https; the answer mode under [exposure] decides who serves it"),
    ("port", "It follows from the answer mode under [exposure]"),
    ("letsencrypt-email-address", "Give the answer email under [tls]"),
    ("letsencrypt-cert-dir", "Certificates always lie in the instance's storage folder"),
    ("letsencrypt-*", "It follows from the answer mode under [exposure]"),
    (
        "tls-certificate-*",
        "For a certificate of your own, give mode = \"nginx\" or \"httpd\" under [exposure] and let the web server show it",
    ),
    ("db-type", "Give the answer type under [database]"),
    (
        "db-address",
        "Give the answer address under [database]; the SQLite file always lies in the instance's data folder",
    ),
    ("db-port", "Give the answer port under [database]"),
    ("db-user", "Give the answer user under [database]"),
    ("db-database", "Give the answer database under [database]"),
    ("db-tls-mode", "Give the answer tls-mode under [database]"),
    ("storage-local-base-path", "Media always lie in the instance's storage folder"),
    ("web-template-base-dir", "It always follows the installed release"),
    ("web-asset-base-dir", "It always follows the installed release"),
];

/// Arguments of single commands that `debug config` prints among the settings.
const COMMAND_LINE: &[&str] = &[
    "config-path",
    "dry-run",
    "email",
    "local-only",
    "password",
    "path",
    "remote-only",
    "skip-db-setup",
    "skip-db-teardown",
    "software-version",
    "username",
];

/// The settings of 0.19.2 and 0.20, sorted.
const SETTINGS: &[(&str, Kind)] = &[
    ("accounts-allow-custom-css", Kind::Boolean),
    ("accounts-custom-css-length", Kind::Integer),
    ("accounts-max-profile-fields", Kind::Integer),
    ("accounts-reason-required", Kind::Boolean),
    ("accounts-registration-backlog-limit", Kind::Integer),
    ("accounts-registration-daily-limit", Kind::Integer),
    ("accounts-registration-open", Kind::Boolean),
    ("advanced-cookies-samesite", Kind::Text),
    ("advanced-csp-extra-uris", Kind::List),
    ("advanced-header-filter-mode", Kind::Text),
    ("advanced-rate-limit-exceptions", Kind::List),
    ("advanced-rate-limit-requests", Kind::Integer),
    ("advanced-sender-multiplier", Kind::Integer),
    ("advanced-throttling-multiplier", Kind::Integer),
    ("advanced-throttling-retry-after", Kind::Duration),
    ("application-name", Kind::Text),
    ("bind-address", Kind::Text),
    ("cache-memory-target", Kind::Size),
    ("db-max-open-conns-multiplier", Kind::Integer),
    ("db-sqlite-busy-timeout", Kind::Duration),
    ("db-sqlite-cache-size", Kind::Size),
    ("db-sqlite-journal-mode", Kind::Text),
    ("db-sqlite-synchronous", Kind::Text),
    ("db-tls-ca-cert", Kind::Text),
    ("http-client-allow-ips", Kind::List),
    ("http-client-block-ips", Kind::List),
    ("http-client-insecure-outgoing", Kind::Boolean),
    ("http-client-timeout", Kind::Duration),
    ("http-client-tls-insecure-skip-verify", Kind::Boolean),
    ("instance-allow-backdating-statuses", Kind::Boolean),
    ("instance-deliver-to-shared-inboxes", Kind::Boolean),
    ("instance-expose-allowlist", Kind::Boolean),
    ("instance-expose-allowlist-web", Kind::Boolean),
    ("instance-expose-blocklist", Kind::Boolean),
    ("instance-expose-blocklist-web", Kind::Boolean),
    ("instance-expose-custom-emojis", Kind::Boolean),
    ("instance-expose-peers", Kind::Boolean),
    ("instance-expose-public-timeline", Kind::Boolean),
    ("instance-expose-suspended", Kind::Boolean),
    ("instance-expose-suspended-web", Kind::Boolean),
    ("instance-federation-mode", Kind::Text),
    ("instance-federation-spam-filter", Kind::Boolean),
    ("instance-inject-mastodon-version", Kind::Boolean),
    ("instance-languages", Kind::List),
    ("instance-stats-mode", Kind::Text),
    ("instance-subscriptions-process-every", Kind::Duration),
    ("instance-subscriptions-process-from", Kind::Text),
    ("landing-page-user", Kind::Text),
    ("log-client-ip", Kind::Boolean),
    ("log-db-queries", Kind::Boolean),
    ("log-format", Kind::Text),
    ("log-level", Kind::Text),
    ("log-timestamp-format", Kind::Text),
    ("media-cleanup-every", Kind::Duration),
    ("media-cleanup-from", Kind::Text),
    ("media-description-max-chars", Kind::Integer),
    ("media-description-min-chars", Kind::Integer),
    ("media-emoji-local-max-size", Kind::Size),
    ("media-emoji-remote-max-size", Kind::Size),
    ("media-ffmpeg-pool-size", Kind::Integer),
    ("media-image-size-hint", Kind::Size),
    ("media-local-max-size", Kind::Size),
    ("media-remote-cache-days", Kind::Integer),
    ("media-remote-max-size", Kind::Size),
    ("media-thumb-max-pixels", Kind::Integer),
    ("media-video-size-hint", Kind::Size),
    ("metrics-auth-enabled", Kind::Boolean),
    ("metrics-auth-username", Kind::Text),
    ("metrics-enabled", Kind::Boolean),
    ("oidc-admin-groups", Kind::List),
    ("oidc-allowed-groups", Kind::List),
    ("oidc-client-id", Kind::Text),
    ("oidc-enabled", Kind::Boolean),
    ("oidc-idp-name", Kind::Text),
    ("oidc-issuer", Kind::Text),
    ("oidc-link-existing", Kind::Boolean),
    ("oidc-scopes", Kind::List),
    ("oidc-skip-verification", Kind::Boolean),
    ("request-id-header", Kind::Text),
    ("scheduled-statuses-max-daily", Kind::Integer),
    ("scheduled-statuses-max-total", Kind::Integer),
    ("smtp-disclose-recipients", Kind::Boolean),
    ("smtp-from", Kind::Text),
    ("smtp-host", Kind::Text),
    ("smtp-port", Kind::Integer),
    ("smtp-username", Kind::Text),
    ("statuses-max-chars", Kind::Integer),
    ("statuses-media-max-files", Kind::Integer),
    ("statuses-poll-max-options", Kind::Integer),
    ("statuses-poll-option-max-chars", Kind::Integer),
    ("storage-backend", Kind::Text),
    ("storage-s3-access-key", Kind::Text),
    ("storage-s3-bucket", Kind::Text),
    ("storage-s3-bucket-lookup", Kind::Text),
    ("storage-s3-endpoint", Kind::Text),
    ("storage-s3-key-prefix", Kind::Text),
    ("storage-s3-proxy", Kind::Boolean),
    ("storage-s3-redirect-url", Kind::Text),
    ("storage-s3-use-ssl", Kind::Boolean),
    ("syslog-address", Kind::Text),
    ("syslog-enabled", Kind::Boolean),
    ("syslog-protocol", Kind::Text),
    ("tracing-enabled", Kind::Boolean),
    ("tracing-endpoint", Kind::Text),
    ("tracing-insecure-transport", Kind::Boolean),
    ("tracing-transport", Kind::Text),
    ("trusted-proxies", Kind::List),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_standing() {
        let keys: Vec<&str> = settings().collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        for (key, kind) in SETTINGS {
            assert_eq!(standing(key), Some(Standing::Setting(*kind)), "{key}");
        }
        for key in COMMAND_LINE {
            assert_eq!(standing(key), Some(Standing::CommandLine));
        }
        for key in SECRET_KEYS {
            assert_eq!(standing(key), Some(Standing::Secret));
        }
        for key in ["host", "port", "letsencrypt-port", "tls-certificate-key", "web-asset-base-dir", "db-type"] {
            assert!(matches!(standing(key), Some(Standing::Managed { .. })), "{key}");
        }
        assert_eq!(standing("of-the-future"), None);
    }

    #[test]
    fn the_exact_key_goes_before_the_star() {
        let Some(Standing::Managed { instead }) = standing("letsencrypt-email-address") else { panic!() };
        assert!(instead.contains("[tls]"));
    }

    #[test]
    fn durations() {
        for text in ["30s", "0", "0s", "1h30m", "1.5h", ".5s", "5.s", "100ms", "2µs", "24h0m0s"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "30", "s", "30 s", "1d", "-5s", "1.2.3s", ".s", "1h30", "sm"] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for text in ["40MiB", "50.0kiB", "0B", "0", "100", "1GB", "8.00MiB", "5k", "2Ei"] {
            assert!(is_size(text), "{text}");
        }
        for text in ["", "B", "iB", "MiB", "40 MiB", "40MB iB", "-1", "40mib", "40iB", "1.2.3", "."] {
            assert!(!is_size(text), "{text}");
        }
    }

    #[test]
    fn kinds_accept_their_own_and_refuse_the_others() {
        use ConfigValue as V;
        let text = |text: &str| V::Text(text.to_owned());
        let values = [
            (V::Boolean(true), vec![Kind::Boolean]),
            (V::Integer(7), vec![Kind::Integer, Kind::Size]),
            (V::Integer(-7), vec![Kind::Integer]),
            (V::Float(0.5), vec![]),
            (text("info"), vec![Kind::Text]),
            (text("30s"), vec![Kind::Text, Kind::Duration]),
            (text("40MiB"), vec![Kind::Text, Kind::Size]),
            (V::List(vec![text("a")]), vec![Kind::List]),
            (V::List(vec![]), vec![Kind::List]),
            (V::List(vec![V::Integer(1)]), vec![]),
            (V::Table([].into()), vec![]),
        ];
        let kinds = [Kind::Boolean, Kind::Integer, Kind::Text, Kind::Duration, Kind::Size, Kind::List];
        for (value, accepting) in values {
            let found: Vec<Kind> = kinds.into_iter().filter(|kind| kind.accepts(&value)).collect();
            assert_eq!(found, accepting, "{value:?}");
        }
    }
}
