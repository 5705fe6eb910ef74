//! [`Passthrough`]: the settings under `[config]`, which go into `GoToSocial`'s configuration as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;
use toml_edit::{Item, TableLike, Value};

use super::Mode;
use super::answer_error::described;
use super::nearest::nearest;
use crate::gotosocial::ConfigValue;
use crate::gotosocial::config_keys::{NESTED, Standing, environment_name, settings, standing};

/// The settings under `[config]`.
///
/// A key may be written flat (`http-client-timeout`) or nested (`[config.http-client] timeout`). Known keys are held
/// flat, so each has one form; unknown tables are held as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Passthrough {
    bind_address: Option<IpAddr>,
    values: BTreeMap<String, ConfigValue>,
}

/// A mistake: the path of the key below `[config]`, and what is wrong.
pub(super) type Refusal = (Vec<String>, String);

/// A setting that is a list, which entries are right, and what is wrong with another one.
type ListOf = (&'static str, fn(&str) -> bool, &'static str);

/// Lists with entries with which `GoToSocial` would not start (its `internal/config/validate.go`).
const LISTS: [ListOf; 2] = [
    (
        "trusted-proxies",
        is_address_or_range,
        "is neither an IP address nor an address range, so the server would not start. Write it like: trusted-proxies = [\"127.0.0.1/32\", \"::1\"]",
    ),
    (
        "instance-languages",
        is_language_tag,
        "is not the code of a language (BCP 47), so the server would not start. Write codes like en or pt-BR",
    ),
];

impl Passthrough {
    /// Reads the table `[config]`: what is right, and everything that is wrong.
    pub(super) fn read(table: &dyn TableLike, mode: Mode) -> (Self, Vec<Refusal>) {
        let mut reading = Reading::default();
        for (key, item) in table.iter() {
            reading.read(&mut vec![key.to_owned()], item);
        }
        let Reading { mut passthrough, mut refusals, .. } = reading;
        if let Some(ConfigValue::Text(text)) = passthrough.values.remove("bind-address") {
            match bind_address(&text, mode) {
                Ok(address) => passthrough.bind_address = Some(address),
                Err(why) => refusals.push((vec!["bind-address".to_owned()], why)),
            }
        }
        for (key, is_right, why) in LISTS {
            let Some(ConfigValue::List(entries)) = passthrough.values.get(key) else { continue };
            let texts = entries.iter().filter_map(|entry| match entry {
                ConfigValue::Text(text) => Some(text),
                _ => None,
            });
            let wrong = texts.filter(|text| !is_right(text));
            refusals.extend(wrong.map(|text| (vec![key.to_owned()], format!("{text:?} {why}"))));
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

/// Why a key of `GoToSocial` is not the administrator's to set; `None` for a setting, and for what is not known.
pub(super) fn refused(key: &str) -> Option<String> {
    match standing(key)? {
        Standing::Managed { instead } => Some(format!("gts-bootstrap writes this setting itself. {instead}")),
        Standing::Secret => Some(format!(
            "this is a secret and does not belong in the answers. Put it into the secrets file next to them, as {key} = \"…\", or into the environment as {}",
            environment_name(key)
        )),
        Standing::CommandLine => Some(
            "this is not a setting of the server, but an argument of single gotosocial commands. Take it out"
                .to_owned(),
        ),
        Standing::Setting(_) => None,
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
        if let Err(why) = self.take(path, &path.join("-"), item) {
            self.refusals.push((path.clone(), why));
        }
    }

    fn take(&mut self, path: &mut Vec<String>, key: &str, item: &Item) -> Result<(), String> {
        check_key(path.last().map_or("", String::as_str))?;
        if let Some(why) = refused(key) {
            return Err(why);
        }
        let known = standing(key);
        if let (Some(table), None) = (item.as_table_like(), known) {
            for (inner, item) in table.iter() {
                path.push(inner.to_owned());
                self.read(path, item);
                path.pop();
            }
            return Ok(());
        }
        if NESTED.contains(&key) {
            let found = described(item);
            return Err(format!("this is {found}, but {key} is a group of settings. Write them under [config.{key}]"));
        }
        // Only an empty place in the document has no value.
        let Ok(value) = item.clone().into_value() else { return Ok(()) };
        let value = from_toml(&value)?;
        if let Some(Standing::Setting(wanted)) = known
            && !wanted.accepts(&value)
        {
            let (takes, example) = wanted.described();
            return Err(format!(
                "this is {}, but GoToSocial takes {takes} here. Write it like: {key} = {example}",
                found(&value)
            ));
        }
        if !self.seen.insert(key.to_owned()) {
            return Err(format!(
                "the setting {key} is given twice, flat and in a section of its own. Take one of the two out"
            ));
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
            let ConfigValue::Table(inner) = entry else { return };
            table = inner;
        }
        table.insert(last.to_owned(), value);
    }
}

/// Takes over a TOML value.
fn from_toml(value: &Value) -> Result<ConfigValue, String> {
    Ok(match value {
        Value::String(text) => ConfigValue::Text(text.value().clone()),
        Value::Integer(number) => ConfigValue::Integer(*number.value()),
        Value::Float(number) if number.value().is_finite() => ConfigValue::Float(*number.value()),
        Value::Float(_) => {
            return Err(
                "this is not a finite number, which GoToSocial does not know. Write an ordinary number".to_owned()
            );
        }
        Value::Boolean(answer) => ConfigValue::Boolean(*answer.value()),
        Value::Datetime(moment) => {
            let text = moment.value();
            return Err(format!(
                "{text} is a date or time to TOML, which GoToSocial does not know. Put it in quotes: \"{text}\""
            ));
        }
        Value::Array(items) => ConfigValue::List(items.iter().map(from_toml).collect::<Result<_, _>>()?),
        Value::InlineTable(table) => {
            let entry = |(key, value): (&str, &Value)| {
                check_key(key)?;
                Ok((key.to_owned(), from_toml(value)?))
            };
            ConfigValue::Table(table.iter().map(entry).collect::<Result<_, String>>()?)
        }
    })
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
fn check_key(key: &str) -> Result<(), String> {
    const YAML_WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let begins = key.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && key.split('-').all(part) && !YAML_WORDS.contains(&key) {
        return Ok(());
    }
    Err(format!(
        "{key:?} cannot be a setting of GoToSocial: their names have only lower-case letters, digits and single hyphens, like log-level"
    ))
}

/// Reads a `bind-address`. Brackets around an IPv6 address are taken off: whether they are right depends on the
/// server's version, and the renderer puts them on where they are.
fn bind_address(text: &str, mode: Mode) -> Result<IpAddr, String> {
    let address = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().map(IpAddr::V6),
        None => text.parse(),
    };
    let address =
        address.map_err(|_| format!("{text:?} is not an IP address. Write one like 192.0.2.1 or 2001:db8::1"))?;
    if mode == Mode::Direct && address.to_canonical().is_loopback() {
        return Err(format!(
            "{address} is reached only from the machine itself, but in direct mode the Internet must reach GoToSocial. Write a public address of this machine, or leave it out to listen on all of them"
        ));
    }
    Ok(address)
}

/// Whether a text has the form of a language tag, with the underscores that Go's `language.Parse` takes for hyphens.
/// Only the server knows which subtags are registered.
fn is_language_tag(text: &str) -> bool {
    let subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.split(['-', '_']).all(subtag)
}

/// Whether a text is an IP address, or one with a prefix length behind a slash, as Go's `net.ParseCIDR` takes it.
fn is_address_or_range(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.is_none_or(|text| text.parse().is_ok_and(|length: u8| length <= longest && length.to_string() == text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use toml_edit::DocumentMut;

    fn read(text: &str, mode: Mode) -> (Passthrough, Vec<Refusal>) {
        Passthrough::read(text.parse::<DocumentMut>().unwrap().as_table(), mode)
    }

    fn accepted(text: &str) -> Passthrough {
        let (passthrough, refusals) = read(text, Mode::Behind(crate::front::Front::NGINX));
        assert_eq!(refusals, [], "{text}");
        passthrough
    }

    fn wrong(text: &str) -> String {
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
        let twice = wrong("http-client-timeout = \"5s\"\n[http-client]\ntimeout = \"5s\"");
        assert!(twice.starts_with("the setting http-client-timeout is given twice"), "{twice}");
        assert!(wrong("http-client = 5").starts_with("this is a whole number, but http-client is a group of settings"));
        assert_eq!(accepted("cache = {}"), Passthrough::default());
    }

    #[test]
    fn refuses_what_is_not_for_the_file() {
        for key in ["host", "letsencrypt-enabled", "db-type", "tls-certificate-chain", "db.address"] {
            assert!(wrong(&format!("{key} = \"x\"")).starts_with("gts-bootstrap writes this setting itself"), "{key}");
        }
        let secret = wrong("smtp.password = \"hunter2\"");
        assert!(secret.ends_with("as smtp-password = \"…\", or into the environment as GTS_SMTP_PASSWORD"), "{secret}");
        assert!(wrong("dry-run = true").contains("argument of single gotosocial commands"));
        assert_eq!(wrong("host = {a = 1}"), wrong("host = 1"));
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
            assert!(wrong(&format!("{key} = 1")).contains("cannot be a setting of GoToSocial"), "{key}");
        }
        for text in ["new = [{ \"a b\" = 1 }]", "[new]\n\"a b\" = 1"] {
            assert!(wrong(text).starts_with("\"a b\" cannot be a setting of GoToSocial"), "{text}");
        }
    }

    #[test]
    fn refuses_values_that_the_server_does_not_know() {
        assert!(wrong("media-cleanup-from = 23:00:00").ends_with("Put it in quotes: \"23:00:00\""));
        assert!(wrong("new = [2026-01-01]").starts_with("2026-01-01 is a date or time to TOML"));
        for number in ["inf", "-inf", "nan"] {
            assert!(wrong(&format!("new = {number}")).starts_with("this is not a finite number"));
        }
    }

    #[test]
    fn refuses_wrong_kinds_of_known_settings() {
        for (text, expected) in [
            (
                "accounts-registration-open = \"yes please\"",
                "this is \"yes please\", but GoToSocial takes true or false here. Write it like: accounts-registration-open = true",
            ),
            (
                "smtp-port = \"587\"",
                "this is \"587\", but GoToSocial takes a whole number here. Write it like: smtp-port = 10",
            ),
            ("log-level = true", "this is true or false, but GoToSocial takes a text in quotes here"),
            ("http-client.timeout = 30", "this is the number 30, but GoToSocial takes a span of time in quotes here"),
            (
                "media-local-max-size = \"big\"",
                "this is \"big\", but GoToSocial takes a size in quotes or a number of bytes here",
            ),
            ("trusted-proxies = \"127.0.0.1\"", "this is \"127.0.0.1\", but GoToSocial takes a list"),
            ("trusted-proxies = [1]", "this is a list with a whole number in it, but GoToSocial takes a list"),
            ("log-level = {a = 1}", "this is a section, but GoToSocial takes a text in quotes here"),
            ("[[log-level]]\na = 1", "this is a list with a section in it, but GoToSocial takes a text in quotes here"),
        ] {
            let error = wrong(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn trusted_proxies_are_addresses_or_ranges() {
        accepted("trusted-proxies = [\"127.0.0.1/32\", \"::1\", \"10.0.0.0/8\", \"2001:db8::/32\", \"10.1.2.3/0\"]");
        accepted("trusted-proxies = []");
        for entry in
            ["localhost", "10.0.0.0/99", "10.0.0.0/", "::1/129", "10.0.0.0/+8", "10.0.0.0/08", "[::1]", "", "/8"]
        {
            let error = wrong(&format!("trusted-proxies = [\"::1\", \"{entry}\"]"));
            assert!(error.starts_with(&format!("{entry:?} is neither an IP address nor an address range")), "{error}");
        }
    }

    #[test]
    fn languages() {
        accepted("instance-languages = [\"en\", \"pt-BR\", \"zh-Hant\", \"de_AT\", \"de-CH-1901\", \"i-klingon\"]");
        accepted("instance-languages = []");
        for tag in ["en de", "", "en-", "1", "en-abcdefghi", "d\u{e9}", "en,de", "en--US"] {
            let line = format!("instance-languages = [\"en\", \"{tag}\"]");
            assert!(wrong(&line).starts_with(&format!("{tag:?} is not the code of a language")), "{tag}");
        }
    }

    #[test]
    fn bind_addresses() {
        let address = |text: &str| accepted(&format!("bind-address = \"{text}\"")).bind_address().unwrap().to_string();
        assert_eq!(address("127.0.0.1"), "127.0.0.1");
        assert_eq!(address("::1"), "::1");
        assert_eq!(address("[2001:db8::1]"), "2001:db8::1");
        for text in ["", "localhost", "[127.0.0.1]", "::1]", "[::1", "127.0.0.1:80", "fe80::1%em0"] {
            assert!(
                wrong(&format!("bind-address = \"{text}\"")).starts_with(&format!("{text:?} is not an IP address"))
            );
        }
        for text in ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"] {
            let (_, refusals) = read(&format!("bind-address = \"{text}\""), Mode::Direct);
            assert!(refusals[0].1.contains("is reached only from the machine itself"), "{text}");
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
