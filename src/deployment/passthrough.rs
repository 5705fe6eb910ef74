//! [`Passthrough`]: the settings under `[config]`, which go into `GoToSocial`'s configuration as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;
use thiserror::Error;
use toml_edit::{Item, TableLike};

use super::Mode;
use super::answer_error::described;
use super::config_value::from_toml;
use super::nearest::nearest;
use crate::gotosocial::ConfigValue;
use crate::gotosocial::config_keys::{NESTED, Standing, environment_name, settings, standing};
use crate::gotosocial::value::Kind;

/// The settings under `[config]`.
///
/// A key may be written flat (`http-client-timeout`) or nested (`[config.http-client] timeout`). Known keys are held
/// flat, so each has one form; unknown tables are held as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Passthrough {
    bind_address: Option<IpAddr>,
    values: BTreeMap<String, ConfigValue>,
}

/// Why something under `[config]` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not in the form of a key.
    #[error(
        "{key:?} cannot be a setting of GoToSocial: their names have only lower-case letters, digits and single hyphens, like log-level"
    )]
    MalformedKey {
        /// The part of the key that is wrong.
        key: String,
    },
    /// A setting that this program writes itself.
    #[error("gts-bootstrap writes this setting itself. {instead}")]
    Managed {
        /// What to do instead.
        instead: &'static str,
    },
    /// A secret.
    #[error(
        "this is a secret and does not belong in the answers. Put it into the secrets file next to them, as {key} = \"…\", or into the environment as {variable}"
    )]
    Secret {
        /// The key.
        key: String,
        /// The environment variable.
        variable: String,
    },
    /// An argument of single commands.
    #[error("this is not a setting of the server, but an argument of single gotosocial commands. Take it out")]
    CommandLine,
    /// A TOML date or time.
    #[error("{text} is a date or time to TOML, which GoToSocial does not know. Put it in quotes: \"{text}\"")]
    Datetime {
        /// The date or time as written.
        text: String,
    },
    /// Infinity or not-a-number.
    #[error("this is not a finite number, which GoToSocial does not know. Write an ordinary number")]
    NotFinite,
    /// The wrong kind of value for a known setting.
    #[error("this is {found}, but GoToSocial takes {} here. Write it like: {key} = {}", wanted.described().0, wanted.described().1)]
    WrongKind {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// What the setting takes.
        wanted: Kind,
    },
    /// A value in place of a table.
    #[error("this is {found}, but {key} is a group of settings. Write them under [config.{key}]")]
    NotATable {
        /// The key.
        key: String,
        /// What was found.
        found: &'static str,
    },
    /// The same setting flat and nested.
    #[error("the setting {key} is given twice, flat and in a section of its own. Take one of the two out")]
    Twice {
        /// The key.
        key: String,
    },
    /// An entry of `trusted-proxies` that `GoToSocial` would choke on.
    #[error(
        "{entry:?} is neither an IP address nor an address range, so the server would not start. Write it like: trusted-proxies = [\"127.0.0.1/32\", \"::1\"]"
    )]
    TrustedProxy {
        /// The entry.
        entry: String,
    },
    /// An entry of `instance-languages` with which `GoToSocial` would not start (its `internal/config/validate.go`).
    #[error(
        "{tag:?} is not the code of a language (BCP 47), so the server would not start. Write codes like en or pt-BR"
    )]
    Language {
        /// The entry.
        tag: String,
    },
    /// A `bind-address` that is not an address.
    #[error("{text:?} is not an IP address. Write one like 192.0.2.1 or 2001:db8::1")]
    BindAddress {
        /// What was given.
        text: String,
    },
    /// A loopback `bind-address` in direct mode.
    #[error(
        "{address} is reached only from the machine itself, but in direct mode the Internet must reach GoToSocial. Write a public address of this machine, or leave it out to listen on all of them"
    )]
    LoopbackInDirectMode {
        /// The address.
        address: IpAddr,
    },
}

impl ConfigError {
    /// Says where a secret belongs.
    pub(super) fn secret(key: &str) -> Self {
        Self::Secret { key: key.to_owned(), variable: environment_name(key) }
    }
}

/// A mistake, with the path of the key below `[config]`.
pub(super) type Refusal = (Vec<String>, ConfigError);

impl Passthrough {
    /// Reads the table `[config]`. Everything that is right is taken, everything wrong is told.
    pub(super) fn read(table: &dyn TableLike, mode: Mode) -> (Self, Vec<Refusal>) {
        let mut reading = Reading::default();
        for (key, item) in table.iter() {
            reading.read(&mut vec![key.to_owned()], item);
        }
        let Reading { mut passthrough, mut refusals, .. } = reading;
        let mut check = |key: &str, error| refusals.push((vec![key.to_owned()], error));
        if let Some(ConfigValue::Text(text)) = passthrough.values.remove("bind-address") {
            match bind_address(&text) {
                Ok(address) if mode == Mode::Direct && address.to_canonical().is_loopback() => {
                    check("bind-address", ConfigError::LoopbackInDirectMode { address });
                }
                Ok(address) => passthrough.bind_address = Some(address),
                Err(error) => check("bind-address", error),
            }
        }
        if let Some(ConfigValue::List(entries)) = passthrough.values.get("trusted-proxies") {
            for entry in entries {
                if let ConfigValue::Text(entry) = entry
                    && !is_address_or_range(entry)
                {
                    check("trusted-proxies", ConfigError::TrustedProxy { entry: entry.clone() });
                }
            }
        }
        if let Some(ConfigValue::List(entries)) = passthrough.values.get("instance-languages") {
            for entry in entries {
                if let ConfigValue::Text(tag) = entry
                    && !is_language_tag(tag)
                {
                    check("instance-languages", ConfigError::Language { tag: tag.clone() });
                }
            }
        }
        (passthrough, refusals)
    }

    /// The address that `GoToSocial` should listen on, where one is wished. How it is written depends on the version.
    pub fn bind_address(&self) -> Option<IpAddr> {
        self.bind_address
    }

    /// The value of a setting other than `bind-address`.
    pub fn get(&self, key: &str) -> Option<&ConfigValue> {
        self.values.get(key)
    }

    /// All settings but `bind-address`, sorted by key; known ones flat.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ConfigValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Settings that are not known here but nearly have the name of one that is, with that name. They are passed
    /// through all the same: a newer server may know them.
    pub fn doubtful(&self) -> Vec<(&str, &'static str)> {
        let unknown = self.values.keys().map(String::as_str).filter(|key| standing(key).is_none());
        unknown.filter_map(|key| Some((key, nearest(key, settings())?))).collect()
    }
}

/// `[config]` while it is read.
#[derive(Default)]
struct Reading {
    passthrough: Passthrough,
    refusals: Vec<Refusal>,
    /// The flat form of every key so far.
    seen: BTreeSet<String>,
}

impl Reading {
    /// Reads one key, or a table and all that is in it.
    fn read(&mut self, path: &mut Vec<String>, item: &Item) {
        let key = path.join("-");
        match self.take(path, &key, item) {
            Ok(()) => {}
            Err(error) => self.refusals.push((path.clone(), error)),
        }
    }

    fn take(&mut self, path: &mut Vec<String>, key: &str, item: &Item) -> Result<(), ConfigError> {
        check_key(path.last().map_or("", String::as_str))?;
        let known = standing(key);
        match known {
            Some(Standing::Managed { instead }) => return Err(ConfigError::Managed { instead }),
            Some(Standing::Secret) => {
                return Err(ConfigError::secret(key));
            }
            Some(Standing::CommandLine) => return Err(ConfigError::CommandLine),
            Some(Standing::Setting(_)) | None => {}
        }
        if let (Some(table), None) = (item.as_table_like(), known) {
            for (inner, item) in table.iter() {
                path.push(inner.to_owned());
                self.read(path, item);
                path.pop();
            }
            return Ok(());
        }
        if NESTED.contains(&key) {
            return Err(ConfigError::NotATable { key: key.to_owned(), found: described(item) });
        }
        // Only an empty place in the document has no value, and there nothing is to be taken.
        let Ok(value) = item.clone().into_value() else {
            return Ok(());
        };
        let value = from_toml(&value)?;
        if let Some(Standing::Setting(wanted)) = known
            && !wanted.accepts(&value)
        {
            return Err(ConfigError::WrongKind { key: key.to_owned(), found: found(&value), wanted });
        }
        if !self.seen.insert(key.to_owned()) {
            return Err(ConfigError::Twice { key: key.to_owned() });
        }
        self.insert(path, key, value, known.is_some());
        Ok(())
    }

    /// Stores a value: known settings and those of the nested tables flat, others as they were written.
    fn insert(&mut self, path: &[String], key: &str, value: ConfigValue, known: bool) {
        let mut table = &mut self.passthrough.values;
        let nested = path.first().is_some_and(|first| NESTED.contains(&first.as_str()));
        let (last, sections) = match path.split_last() {
            Some((last, sections)) if !known && !nested => (last.as_str(), sections),
            _ => (key, &[][..]),
        };
        for section in sections {
            let entry = table.entry(section.clone()).or_insert_with(|| ConfigValue::Table(BTreeMap::new()));
            // TOML itself refuses a key that is both a value and a section.
            let ConfigValue::Table(inner) = entry else {
                return;
            };
            table = inner;
        }
        table.insert(last.to_owned(), value);
    }
}

/// A value of the wrong kind in words: texts are shown, since it is their form that is wrong.
fn found(value: &ConfigValue) -> String {
    match value {
        ConfigValue::Text(text) => format!("{text:?}"),
        ConfigValue::Integer(number) => format!("the number {number}"),
        ConfigValue::List(items) => match items.iter().find(|item| !matches!(item, ConfigValue::Text(_))) {
            Some(item) => format!("a list with {} in it", item.described()),
            None => "a list".to_owned(),
        },
        other => other.described().to_owned(),
    }
}

/// Checks that a text has the form of a key, and that YAML would not take it for something else than a text.
pub(super) fn check_key(key: &str) -> Result<(), ConfigError> {
    const YAML_WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let begins = key.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && key.split('-').all(part) && !YAML_WORDS.contains(&key) {
        Ok(())
    } else {
        Err(ConfigError::MalformedKey { key: key.to_owned() })
    }
}

/// Reads a `bind-address`. Brackets around an IPv6 address are taken off: whether they are right depends on the
/// server's version, and the renderer puts them on where they are.
fn bind_address(text: &str) -> Result<IpAddr, ConfigError> {
    let wrong = || ConfigError::BindAddress { text: text.to_owned() };
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().map(IpAddr::V6).map_err(|_| wrong()),
        None => text.parse().map_err(|_| wrong()),
    }
}

/// Whether a text has the form of a language tag, with the underscores that Go's `language.Parse` takes for hyphens. Which subtags are
/// registered only the server knows.
fn is_language_tag(text: &str) -> bool {
    let subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.split(['-', '_']).all(subtag)
}

/// Whether a text is an IP address, or one with a prefix length behind a slash, as Go's `net.ParseCIDR` takes it.
fn is_address_or_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return text.parse::<IpAddr>().is_ok();
    };
    let longest = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let digits = length.bytes().all(|b| b.is_ascii_digit()) && (length.len() == 1 || !length.starts_with('0'));
    digits && length.parse::<u8>().is_ok_and(|length| length <= longest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use ConfigError as E;
    use toml_edit::DocumentMut;

    fn read(text: &str, mode: Mode) -> (Passthrough, Vec<Refusal>) {
        Passthrough::read(text.parse::<DocumentMut>().unwrap().as_table(), mode)
    }

    fn accepted(text: &str) -> Passthrough {
        let (passthrough, refusals) = read(text, Mode::Behind(crate::front::Front::NGINX));
        assert_eq!(refusals, [], "{text}");
        passthrough
    }

    fn refused(text: &str) -> E {
        let (_, mut refusals) = read(text, Mode::Behind(crate::front::Front::NGINX));
        assert_eq!(refusals.len(), 1, "{text}: {refusals:?}");
        refusals.remove(0).1
    }

    #[test]
    fn takes_known_and_unknown_settings() {
        let config = accepted(
            "log-level = \"warn\"\nof-the-future = [1, 2.5, {a = true}]\nmedia-local-max-size = \"40MiB\"\n\
             [new-group]\nsub = { deep = 1 }",
        );
        assert_eq!(config.get("log-level"), Some(&ConfigValue::Text("warn".into())));
        let json = serde_json::to_string(&config.iter().collect::<BTreeMap<_, _>>()).unwrap();
        assert_eq!(
            json,
            r#"{"log-level":"warn","media-local-max-size":"40MiB","new-group":{"sub":{"deep":1}},"of-the-future":[1,2.5,{"a":true}]}"#
        );
    }

    #[test]
    fn nested_and_flat_are_the_same() {
        let nested = accepted("[http-client]\ntimeout = \"5s\"\n[cache]\nmemory-target = 5\naccount-mem-ratio = 0.5");
        let flat = accepted("http-client-timeout = \"5s\"\ncache-memory-target = 5\ncache-account-mem-ratio = 0.5");
        assert_eq!(nested, flat);
        assert_eq!(accepted("[advanced]\nrate-limit.requests = 5"), accepted("advanced-rate-limit-requests = 5"),);
        assert_eq!(
            refused("http-client-timeout = \"5s\"\n[http-client]\ntimeout = \"5s\""),
            E::Twice { key: "http-client-timeout".into() }
        );
        assert_eq!(refused("http-client = 5"), E::NotATable { key: "http-client".into(), found: "a whole number" });
        assert_eq!(accepted("cache = {}"), Passthrough::default());
    }

    #[test]
    fn refuses_what_is_not_for_the_file() {
        for key in ["host", "letsencrypt-enabled", "db-type", "tls-certificate-chain", "db.address"] {
            assert!(matches!(refused(&format!("{key} = \"x\"")), E::Managed { .. }), "{key}");
        }
        assert_eq!(
            refused("smtp.password = \"hunter2\""),
            E::Secret { key: "smtp-password".into(), variable: "GTS_SMTP_PASSWORD".into() }
        );
        assert_eq!(refused("dry-run = true"), E::CommandLine);
        assert_eq!(refused("host = {a = 1}").to_string(), refused("host = 1").to_string());
    }

    #[test]
    fn refuses_malformed_keys() {
        for key in [
            "Log-Level",
            "\"log level\"",
            "log_level",
            "-a",
            "a-",
            "a--b",
            "\"\"",
            "\"a: b\"",
            "yes",
            "null",
            "1a",
            "\"ä\"",
        ] {
            assert!(matches!(refused(&format!("{key} = 1")), E::MalformedKey { .. }), "{key}");
        }
        assert_eq!(refused("new = [{ \"a b\" = 1 }]"), E::MalformedKey { key: "a b".into() });
        assert_eq!(refused("[new]\n\"a b\" = 1"), E::MalformedKey { key: "a b".into() });
    }

    #[test]
    fn refuses_values_that_the_server_does_not_know() {
        assert_eq!(refused("media-cleanup-from = 23:00:00"), E::Datetime { text: "23:00:00".into() });
        assert_eq!(refused("new = [2026-01-01]"), E::Datetime { text: "2026-01-01".into() });
        for number in ["inf", "-inf", "nan"] {
            assert_eq!(refused(&format!("new = {number}")), E::NotFinite);
        }
    }

    #[test]
    fn refuses_wrong_kinds_of_known_settings() {
        let wrong = |key: &str, found: &str, wanted| E::WrongKind { key: key.into(), found: found.into(), wanted };
        assert_eq!(
            refused("accounts-registration-open = \"yes please\""),
            wrong("accounts-registration-open", "\"yes please\"", Kind::Boolean)
        );
        assert_eq!(refused("smtp-port = \"587\""), wrong("smtp-port", "\"587\"", Kind::Integer));
        assert_eq!(refused("log-level = true"), wrong("log-level", "true or false", Kind::Text));
        assert_eq!(refused("http-client.timeout = 30"), wrong("http-client-timeout", "the number 30", Kind::Duration));
        assert_eq!(refused("media-local-max-size = \"big\""), wrong("media-local-max-size", "\"big\"", Kind::Size));
        assert_eq!(refused("trusted-proxies = \"127.0.0.1\""), wrong("trusted-proxies", "\"127.0.0.1\"", Kind::List));
        assert_eq!(
            refused("trusted-proxies = [1]"),
            wrong("trusted-proxies", "a list with a whole number in it", Kind::List)
        );
        assert_eq!(refused("log-level = {a = 1}"), wrong("log-level", "a section", Kind::Text));
        assert_eq!(refused("[[log-level]]\na = 1"), wrong("log-level", "a list with a section in it", Kind::Text));
        assert_eq!(
            refused("smtp-port = \"587\"").to_string(),
            "this is \"587\", but GoToSocial takes a whole number here. Write it like: smtp-port = 10"
        );
    }

    #[test]
    fn trusted_proxies_are_addresses_or_ranges() {
        accepted("trusted-proxies = [\"127.0.0.1/32\", \"::1\", \"10.0.0.0/8\", \"2001:db8::/32\", \"10.1.2.3/0\"]");
        accepted("trusted-proxies = []");
        for entry in
            ["localhost", "10.0.0.0/99", "10.0.0.0/", "::1/129", "10.0.0.0/+8", "10.0.0.0/08", "[::1]", "", "/8"]
        {
            assert_eq!(
                refused(&format!("trusted-proxies = [\"::1\", \"{entry}\"]")),
                E::TrustedProxy { entry: entry.into() }
            );
        }
    }

    #[test]
    fn languages() {
        accepted("instance-languages = [\"en\", \"pt-BR\", \"zh-Hant\", \"de_AT\", \"de-CH-1901\", \"i-klingon\"]");
        accepted("instance-languages = []");
        for tag in ["en de", "", "en-", "1", "en-abcdefghi", "d\u{e9}", "en,de", "en--US"] {
            let line = format!("instance-languages = [\"en\", \"{tag}\"]");
            assert_eq!(refused(&line), E::Language { tag: tag.into() }, "{tag}");
        }
    }

    #[test]
    fn bind_addresses() {
        let address = |text: &str| accepted(&format!("bind-address = \"{text}\"")).bind_address().unwrap().to_string();
        assert_eq!(address("127.0.0.1"), "127.0.0.1");
        assert_eq!(address("::1"), "::1");
        assert_eq!(address("[2001:db8::1]"), "2001:db8::1");
        for text in ["", "localhost", "[127.0.0.1]", "::1]", "[::1", "127.0.0.1:80", "fe80::1%em0"] {
            assert_eq!(refused(&format!("bind-address = \"{text}\"")), E::BindAddress { text: text.into() });
        }
        for text in ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"] {
            let (_, refusals) = read(&format!("bind-address = \"{text}\""), Mode::Direct);
            assert!(matches!(refusals[0].1, E::LoopbackInDirectMode { .. }), "{text}");
        }
        assert_eq!(read("bind-address = \"192.0.2.1\"", Mode::Direct).1, []);
    }

    #[test]
    fn doubtful_settings_pass_with_the_name_that_was_meant() {
        let config = accepted("log-levle = \"warn\"\nlog-level = \"warn\"\nquite-new = 1");
        assert_eq!(config.doubtful(), [("log-levle", "log-level")]);
        assert!(config.get("log-levle").is_some());
    }

    #[test]
    fn tells_everything_at_once_with_its_path() {
        let (_, refusals) = read("host = 1\nA = 1\n[http-client]\ntimeout = 5\n[new]\nx = inf", Mode::Direct);
        let paths: Vec<String> = refusals.iter().map(|(path, _)| path.join(".")).collect();
        assert_eq!(paths, ["host", "A", "http-client.timeout", "new.x"]);
    }
}
