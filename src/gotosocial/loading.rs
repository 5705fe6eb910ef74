//! GoToSocial's configuration: file, environment and flags over the defaults, and what `debug config` prints of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::config_keys::{CONFIG_KEYS, NESTED, nested, of_environment};
use super::value::{self, Kind};
use super::{Series, yaml};

/// Why the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// An error, exit status 1.
    Error(String),
    /// A panic, exit status 2.
    Panic(String),
    /// SIGKILL.
    Killed,
}

/// The values in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The release they are for.
    pub series: Series,
    values: BTreeMap<&'static str, (Kind, Value)>,
}

fn defaults(series: Series) -> impl Iterator<Item = (&'static str, Kind, Value)> {
    CONFIG_KEYS.iter().filter_map(move |key| Some((key.name, key.kind, key.default(series)?)))
}

/// Where values come from, besides the defaults.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// `--config-path`.
    pub file: Option<&'a Path>,
    /// The environment.
    pub environment: &'a [(String, String)],
    /// Flags, without their dashes.
    pub flags: &'a [(String, String)],
    /// Gives the text of a file, or what Go says of one that cannot be read.
    pub read: &'a dyn Fn(&Path) -> Result<String, String>,
}

impl Settings {
    /// Puts the values together: flag over environment over file over default. Unknown keys of a file are ignored
    /// silently; 0.20 ignores a file it cannot read or understand in the same way.
    ///
    /// # Errors
    /// A file that 0.19 cannot read, and a panic for a value that does not fit its key.
    pub fn load(version: &str, sources: Sources<'_>) -> Result<Self, Failure> {
        let series = Series::of_text(version);
        let values = defaults(series).map(|(name, kind, default)| (name, (kind, default))).collect();
        let mut settings = Self { series, values };
        let in_environment = sources.environment.iter().find(|(name, _)| name == "GTS_CONFIG_PATH");
        if let Some(path) = sources.file.or(in_environment.map(|(_, path)| Path::new(path))) {
            match (sources.read)(path).and_then(|text| parse(path, &text)) {
                Ok(file) => settings.overlay(flat(file))?,
                Err(error) if series.reports_broken_files() => {
                    return Err(Failure::Error(format!("error reloading config: {error}")));
                }
                Err(_) => {}
            }
            settings.set("config-path", path.display().to_string());
        }
        settings.set("software-version", version.to_owned());
        let environment = sources.environment.iter().filter_map(|(name, value)| {
            let key = of_environment(name)?;
            (series.is_flat() || nested(&key).is_none()).then(|| (key, Value::from(value.as_str())))
        });
        settings.overlay(environment)?;
        settings.overlay(sources.flags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))))?;
        Ok(settings)
    }

    fn set(&mut self, key: &'static str, text: String) {
        self.values.insert(key, (Kind::Text, Value::String(text)));
    }

    fn overlay(&mut self, values: impl IntoIterator<Item = (String, Value)>) -> Result<(), Failure> {
        for (key, value) in values.into_iter().filter(|(_, value)| !value.is_null()) {
            if let Some((kind, held)) = self.values.get_mut(key.as_str()) {
                *held = coerce(&key, *kind, &value).map_err(Failure::Panic)?;
            }
        }
        Ok(())
    }

    fn get(&self, key: &str) -> &Value {
        self.values.get(key).map_or(&Value::Null, |(_, value)| value)
    }

    /// A text; empty where there is no such key.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).as_str().unwrap_or_default()
    }

    /// A number; 0 where there is no such key.
    pub fn number(&self, key: &str) -> i64 {
        self.get(key).as_i64().unwrap_or_default()
    }

    /// A yes or no.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).as_bool().unwrap_or_default()
    }

    /// A list of texts.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.get(key).as_array().into_iter().flatten().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
    }

    /// What `debug config` prints, secrets included. `hide_host` is for a fault.
    pub fn debug_config(&self, hide_host: bool) -> String {
        let mut top = Map::new();
        for (name, (kind, value)) in &self.values {
            let value = match value.as_i64() {
                Some(bytes) if self.series.is_flat() && *kind == Kind::Size => json!(size_text(bytes)),
                _ if *name == "host" && hide_host => json!(""),
                _ => value.clone(),
            };
            match nested(name).filter(|_| !self.series.is_flat()) {
                Some((map, key)) => {
                    if let Value::Object(map) = top.entry(map).or_insert_with(|| json!({})) {
                        map.insert(key.to_string(), value);
                    }
                }
                None => drop(top.insert((*name).to_string(), value)),
            }
        }
        top.sort_keys();
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
        // Writing to a vector cannot fail, and every key is text.
        let _ = Value::Object(top).serialize(&mut serializer);
        text.push(b'\n');
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Whether a text is a configuration file, in YAML: maps, lists and values. What its keys mean depends on the release.
///
/// # Errors
/// In words: where it is none.
pub fn check_form(text: &str) -> Result<(), String> {
    yaml::read(text).map(drop)
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, String> {
    let parsed = match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "yaml" | "yml" => yaml::read(text),
        "json" => serde_json::from_str(text).map_err(|error| error.to_string()),
        other => return Err(format!("Unsupported Config Type \"{other}\"")),
    };
    parsed.map_err(|error| format!("While parsing config: {error}"))
}

fn flat(file: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    file.into_iter().flat_map(|(key, value)| match value {
        Value::Object(map) if NESTED.contains(&key.as_str()) => {
            map.into_iter().map(|(inner, value)| (format!("{key}-{inner}"), value)).collect()
        }
        value => vec![(key, value)],
    })
}

/// A value in the type that its key has; Go panics where it does not fit.
fn coerce(name: &str, kind: Kind, value: &Value) -> Result<Value, String> {
    let text = value.as_str().map(str::trim);
    let number = |read: fn(&str) -> Option<i64>| value.as_i64().or_else(|| read(text?)).map(Value::from);
    let fitted = match kind {
        Kind::Duration => number(value::duration),
        Kind::Size => number(|text| value::size(text)?.try_into().ok()),
        Kind::Integer => number(|text| text.parse().ok()),
        Kind::Boolean => value.as_bool().or_else(|| boolean(text?)).map(Value::from),
        Kind::List => match value {
            Value::Array(_) | Value::Null => Some(value.clone()),
            Value::String(text) => Some(text.split(',').map(|item| Value::from(item.trim())).collect()),
            _ => None,
        },
        Kind::Text => match value {
            Value::String(_) => Some(value.clone()),
            Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
            _ => None,
        },
    };
    fitted.ok_or_else(|| format!("'{name}' expected a different type, got unconvertible value '{value}'"))
}

/// `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Bytes as 0.20 prints them: three digits and a unit.
fn size_text(bytes: i64) -> String {
    let units = ["B", "kiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() as usize / 10).min(units.len() - 1);
    let (number, unit) = (bytes as f64 / 1024_f64.powi(power as i32), units[power]);
    match number {
        _ if power == 0 => format!("{bytes}B"),
        ..10.0 => format!("{number:.2}{unit}"),
        ..100.0 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::gotosocial::config_keys::config_key;

    const NOTHING: Sources<'_> =
        Sources { file: None, environment: &[], flags: &[], read: &|_| Err("there is no file".to_owned()) };

    #[test]
    fn every_default_is_printed_as_the_program_prints_it() {
        for version in ["0.19.2", "0.20.0-rc1"] {
            let settings = Settings::load(version, NOTHING).unwrap();
            let printed: Value = serde_json::from_str(&settings.debug_config(false)).unwrap();
            for (name, kind, default) in defaults(settings.series).filter(|(name, ..)| *name != "software-version") {
                let found = match nested(name).filter(|_| !settings.series.is_flat()) {
                    Some((map, key)) => &printed[map][key],
                    None => &printed[name],
                };
                match found.as_str().filter(|_| kind == Kind::Size) {
                    Some(text) => assert_eq!(value::size(text), default.as_u64(), "{name}"),
                    None => assert_eq!(found, &default, "{name}"),
                }
            }
        }
        let newer = Settings::load("0.20.0-rc1", NOTHING).unwrap().debug_config(false);
        for size in ["\"100MiB\"", "\"8.00MiB\"", "\"50.0kiB\"", "\"100kiB\"", "\"0B\"", "\"40.0MiB\""] {
            assert!(newer.contains(size), "{size}");
        }
    }

    #[test]
    fn flag_goes_over_environment_over_file_over_default() {
        let pair = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        let text = "host: a.example\nport: 1\nhttp-client:\n  timeout: 5s\nnonsense: 1\n";
        let (environment, flags) = (pair("GTS_PORT", "2"), pair("port", "3"));
        let file = Sources { file: Some(Path::new("c.yaml")), read: &|_| Ok(text.to_owned()), ..NOTHING };
        let number = |sources, key| Settings::load("0.19.2", sources).unwrap().number(key);
        assert_eq!(number(NOTHING, "port"), 8080);
        assert_eq!(number(file, "port"), 1);
        assert_eq!(number(file, "http-client-timeout"), 5_000_000_000);
        assert_eq!(number(Sources { environment: &environment, ..file }, "port"), 2);
        assert_eq!(number(Sources { environment: &environment, flags: &flags, ..file }, "port"), 3);
        let broken = Sources { read: &|_| Ok("a: [".to_owned()), ..file };
        assert!(matches!(Settings::load("0.19.2", broken), Err(Failure::Error(why)) if why.contains("While parsing")));
        assert_eq!(Settings::load("0.20.0", broken).unwrap().text("host"), "");
    }

    #[test]
    fn values_that_do_not_fit_are_a_panic() {
        let wrong = [
            ("port", json!("abc")),
            ("letsencrypt-enabled", json!("yes please")),
            ("media-cleanup-every", json!("soon")),
            ("media-local-max-size", json!("40 apples")),
            ("trusted-proxies", json!(true)),
            ("host", json!(["x"])),
        ];
        for (name, value) in wrong {
            assert!(coerce(name, config_key(name).unwrap().kind, &value).is_err(), "{name}");
        }
        assert_eq!(coerce("port", Kind::Integer, &json!("18092")), Ok(json!(18092)));
    }
}
