//! GoToSocial's configuration: file, environment and flags over the defaults, and what `debug config` prints of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::super::Owner;
use super::gotosocial_keys::KEYS;
use super::machine::{Access, ENOENT, Machine};
use super::yaml;

/// Why the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error, exit status 1.
    Error(String),
    /// A panic, exit status 2.
    Panic(String),
    /// SIGKILL.
    Killed,
}

/// What the model tells apart of GoToSocial's releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Series {
    /// 0.19 and, for want of knowledge, everything before.
    V0_19,
    /// 0.20 and later, candidates included.
    V0_20,
}

impl Series {
    /// The series of a version.
    pub(super) fn of(version: &str) -> Self {
        let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if number >= (0, 20) { Self::V0_20 } else { Self::V0_19 }
    }

    /// The default of every key of the series.
    fn defaults(self) -> impl Iterator<Item = (&'static str, Value)> {
        KEYS.iter().filter_map(move |key| {
            let json = if self == Self::V0_19 { key.v0_19 } else { key.v0_20 }?;
            Some((key.name, serde_json::from_str(json).unwrap_or(Value::Null)))
        })
    }
}

/// Keys that hold durations; Go keeps them in nanoseconds.
const DURATIONS: &[&str] = &[
    "advanced-throttling-retry-after",
    "db-sqlite-busy-timeout",
    "http-client-timeout",
    "instance-subscriptions-process-every",
    "media-cleanup-every",
];

/// Keys that hold a number of bytes.
const SIZES: &[&str] = &[
    "cache-memory-target",
    "db-sqlite-cache-size",
    "media-emoji-local-max-size",
    "media-emoji-remote-max-size",
    "media-image-size-hint",
    "media-local-max-size",
    "media-remote-max-size",
    "media-video-size-hint",
];

/// Maps that a file may hold, and that 0.19 prints.
const NESTED: &[&str] = &["cache", "http-client"];

/// The values in force.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The release they are for.
    pub(super) series: Series,
    values: BTreeMap<&'static str, Value>,
}

/// Where values come from, besides the defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    /// `--config-path`.
    pub(super) file: Option<&'a Path>,
    /// The environment.
    pub(super) environment: &'a [(String, String)],
    /// Flags, without their dashes.
    pub(super) flags: &'a [(String, String)],
}

impl Settings {
    /// Puts the values together: flag over environment over file over default. Unknown keys of a file are ignored
    /// without a word; 0.20 ignores a file it cannot read or understand in the same way.
    pub(super) fn load(machine: &Machine, version: &str, who: Owner, sources: Sources<'_>) -> Result<Self, Failure> {
        let series = Series::of(version);
        let mut settings = Self { series, values: BTreeMap::new() };
        for (name, default) in series.defaults() {
            let value = coerce(name, &default, &default).map_err(Failure::Panic)?;
            settings.values.insert(name, value);
        }
        let env_file =
            sources.environment.iter().find(|(name, _)| name == "GTS_CONFIG_PATH").map(|(_, v)| Path::new(v));
        if let Some(path) = sources.file.or(env_file) {
            match read_file(machine, who, path) {
                Ok(file) => settings.overlay(flat(file).iter())?,
                Err(error) if series == Series::V0_19 => {
                    return Err(Failure::Error(format!("error reloading config: {error}")));
                }
                Err(_) => {}
            }
            settings.values.insert("config-path", Value::String(path.display().to_string()));
        }
        settings.values.insert("software-version", Value::String(version.to_string()));
        let environment: Vec<(String, Value)> = sources
            .environment
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix("GTS_")?.to_ascii_lowercase().replace('_', "-");
                let nested = NESTED.iter().any(|map| key.starts_with(&format!("{map}-")));
                (series == Series::V0_20 || !nested).then(|| (key, Value::String(value.clone())))
            })
            .collect();
        settings.overlay(environment.iter().map(|(key, value)| (key, value)))?;
        let flags: Vec<(String, Value)> =
            sources.flags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
        settings.overlay(flags.iter().map(|(key, value)| (key, value)))?;
        Ok(settings)
    }

    fn overlay<'a>(&mut self, values: impl Iterator<Item = (&'a String, &'a Value)>) -> Result<(), Failure> {
        let series = self.series;
        for (key, value) in values.filter(|(_, value)| !value.is_null()) {
            if let Some((name, default)) = series.defaults().find(|(name, _)| name == key) {
                self.values.insert(name, coerce(name, &default, value).map_err(Failure::Panic)?);
            }
        }
        Ok(())
    }

    /// A text; empty where there is no such key.
    pub(super) fn text(&self, key: &str) -> &str {
        self.values.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number; 0 where there is no such key.
    pub(super) fn number(&self, key: &str) -> i64 {
        self.values.get(key).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A yes or no.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.values.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let items = self.values.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| item.as_str().map(str::to_string)).collect()
    }

    /// What `debug config` prints, secrets included. `hide_host` is for a fault.
    pub(super) fn debug_config(&self, hide_host: bool) -> String {
        let mut top = Map::new();
        for (name, value) in &self.values {
            let value = match value.as_i64() {
                Some(bytes) if self.series == Series::V0_20 && SIZES.contains(name) => json!(size_text(bytes)),
                _ if *name == "host" && hide_host => json!(""),
                _ => value.clone(),
            };
            let nested = NESTED.iter().find_map(|map| Some((*map, name.strip_prefix(map)?.strip_prefix('-')?)));
            match nested.filter(|_| self.series == Series::V0_19) {
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

/// Whether the model knows a key of either series.
pub(super) fn is_key(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name)
}

/// Whether a key is a switch, which takes no word after it on the command line.
pub(super) fn is_switch(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && matches!(key.v0_19.or(key.v0_20), Some("true" | "false")))
}

fn read_file(machine: &Machine, who: Owner, path: &Path) -> Result<Map<String, Value>, String> {
    let shown = path.display();
    machine.may(who, path, Access::Read).map_err(|errno| {
        format!("open {shown}: {}", if errno == ENOENT { "no such file or directory" } else { "permission denied" })
    })?;
    let text = machine.text(path).map_err(|error| error.to_string())?;
    let parsed = match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => yaml::read(&text),
        Some("json") => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Some(other) => return Err(format!("Unsupported Config Type \"{other}\"")),
        None => return Err("Unsupported Config Type \"\"".into()),
    };
    parsed.map_err(|error| format!("While parsing config: {error}"))
}

fn flat(file: Map<String, Value>) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in file {
        match value {
            Value::Object(map) if NESTED.contains(&key.as_str()) => {
                flat.extend(map.into_iter().map(|(inner, value)| (format!("{key}-{inner}"), value)));
            }
            value => drop(flat.insert(key, value)),
        }
    }
    flat
}

/// A value in the type that its key has; Go panics where it does not fit.
fn coerce(name: &str, default: &Value, value: &Value) -> Result<Value, String> {
    let does_not_fit = || format!("'{name}' expected a different type, got unconvertible value '{value}'");
    let text = match value {
        Value::String(text) => Some(text.trim()),
        _ => None,
    };
    let fitted = if DURATIONS.contains(&name) {
        value.as_i64().or_else(|| duration(text?)).map(Value::from)
    } else if SIZES.contains(&name) {
        value.as_i64().or_else(|| size(text?)).map(Value::from)
    } else {
        match default {
            Value::Bool(_) => value.as_bool().or_else(|| boolean(text?)).map(Value::from),
            Value::Number(_) => value.as_i64().or_else(|| text?.parse().ok()).map(Value::from),
            Value::Array(_) | Value::Null => match value {
                Value::Array(_) | Value::Null => Some(value.clone()),
                Value::String(text) => Some(text.split(',').map(|item| Value::from(item.trim())).collect()),
                _ => None,
            },
            _ => match value {
                Value::String(_) => Some(value.clone()),
                Value::Number(number) => Some(Value::String(number.to_string())),
                Value::Bool(flag) => Some(Value::String(flag.to_string())),
                _ => None,
            },
        }
    };
    fitted.ok_or_else(does_not_fit)
}

/// `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `time.ParseDuration` for whole numbers, in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = match &after[..unit_end] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &after[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

/// A number of bytes with a unit; `kB` and `kiB` both as GoToSocial's library reads them.
fn size(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "kib" => 1024.0,
        "mb" => 1e6,
        "mib" => 1024.0 * 1024.0,
        "gb" => 1e9,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * unit) as i64)
}

/// Bytes as 0.20 prints them: three digits and a unit.
fn size_text(bytes: i64) -> String {
    let mut number = bytes as f64;
    let mut unit = "B";
    for next in ["kiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = next;
    }
    match () {
        () if unit == "B" => format!("{bytes}B"),
        () if number < 10.0 => format!("{number:.2}{unit}"),
        () if number < 100.0 => format!("{number:.1}{unit}"),
        () => format!("{number:.0}{unit}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_printed_as_the_program_prints_it() {
        for (series, version) in [(Series::V0_19, "0.19.2"), (Series::V0_20, "0.20.0-rc1")] {
            assert_eq!(Series::of(version), series);
            let mut settings = Settings { series, values: BTreeMap::new() };
            for (name, default) in series.defaults() {
                settings.values.insert(name, coerce(name, &default, &default).unwrap());
            }
            let printed: Value = serde_json::from_str(&settings.debug_config(false)).unwrap();
            for (name, default) in series.defaults() {
                let nested = NESTED.iter().find_map(|map| Some((map, name.strip_prefix(map)?.strip_prefix('-')?)));
                let found = match nested.filter(|_| series == Series::V0_19) {
                    Some((map, key)) => &printed[map][key],
                    None => &printed[name],
                };
                assert_eq!(found, &default, "{name}");
            }
        }
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
            let (_, default) = Series::V0_19.defaults().find(|(known, _)| *known == name).unwrap();
            assert!(coerce(name, &default, &value).is_err(), "{name}");
        }
        assert_eq!(coerce("port", &json!(8080), &json!("18092")), Ok(json!(18092)));
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(size("40MiB"), Some(41_943_040));
        assert_eq!(duration(""), None);
    }
}
