//! The values of settings: their kinds, and how GoToSocial reads them.

use std::collections::BTreeMap;

use serde::Serialize;

/// A value that both TOML and YAML can hold: TOML without dates and times, infinities and not-a-number.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<ConfigValue>),
    /// A table, whose keys are well-formed key names.
    Table(BTreeMap<String, ConfigValue>),
}

impl ConfigValue {
    /// The type in words.
    pub fn described(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a decimal point",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
        }
    }
}

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
    /// The kind in words, and a value that would be right, in TOML.
    pub fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Boolean => ("true or false", "true"),
            Self::Integer => ("a whole number", "10"),
            Self::Text => ("a text in quotes", "\"…\""),
            Self::Duration => ("a span of time in quotes", "\"30s\""),
            Self::Size => ("a size in quotes or a number of bytes", "\"40MiB\""),
            Self::List => ("a list of texts", "[\"…\"]"),
        }
    }

    /// Whether a value is of this kind.
    pub fn accepts(self, value: &ConfigValue) -> bool {
        match (self, value) {
            (Self::Boolean, ConfigValue::Boolean(_))
            | (Self::Integer, ConfigValue::Integer(_))
            | (Self::Text, ConfigValue::Text(_)) => true,
            (Self::Duration, ConfigValue::Text(text)) => duration(text).is_some(),
            (Self::Size, ConfigValue::Text(text)) => size(text).is_some(),
            (Self::Size, ConfigValue::Integer(bytes)) => *bytes >= 0,
            (Self::List, ConfigValue::List(items)) => items.iter().all(|item| matches!(item, ConfigValue::Text(_))),
            _ => false,
        }
    }
}

/// The nanoseconds of a span of time, as Go's `time.ParseDuration` reads it. A negative span makes no sense for any setting.
pub fn duration(text: &str) -> Option<i64> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = if text == "0" { "0s" } else { text };
    let mut total = 0.0;
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, behind) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        let nanoseconds = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += decimal(digits)? * nanoseconds;
        rest = behind;
    }
    // Go refuses what does not fit into 64 bits.
    #[allow(clippy::cast_possible_truncation)]
    (!text.is_empty() && total < 9.2e18).then_some(total as i64)
}

/// A size in bytes, as go-bytesize reads it (`ParseSize()` in `bytesize.go`): `k`, `M`, … are powers of 1000, `ki`, `Mi`, … of
/// 1024, and a `B` behind them says nothing.
pub fn size(text: &str) -> Option<u64> {
    let text = text.strip_suffix('B').unwrap_or(text);
    let (number, base) = text.strip_suffix('i').map_or((text, 1000_f64), |number| (number, 1024_f64));
    let power = number.chars().next_back().and_then(|unit| "kMGTPE".find(if unit == 'K' { 'k' } else { unit }));
    let bytes = match power {
        Some(at) => decimal(&number[..number.len() - 1])? * base.powi(i32::try_from(at).ok()? + 1),
        None if base < 1024.0 => decimal(number)?,
        None => return None,
    };
    // Within what u64 holds the conversion only cuts the fraction off, as Go's does.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (bytes < 1.8e19).then_some(bytes as u64)
}

/// Digits with at most one point between or beside them.
fn decimal(text: &str) -> Option<f64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for text in ["30s", "0", "0s", "1h30m", "1.5h", ".5s", "5.s", "100ms", "2µs", "24h0m0s"] {
            assert!(duration(text).is_some(), "{text}");
        }
        for text in ["", "30", "s", "30 s", "1d", "-5s", "1.2.3s", ".s", "1h30", "sm"] {
            assert!(duration(text).is_none(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for text in ["40MiB", "50.0kiB", "0B", "0", "100", "1GB", "8.00MiB", "5k", "2Ei"] {
            assert!(size(text).is_some(), "{text}");
        }
        for text in ["", "B", "iB", "MiB", "40 MiB", "40MB iB", "-1", "40mib", "40iB", "1.2.3", "."] {
            assert!(size(text).is_none(), "{text}");
        }
    }

    #[test]
    fn spans_and_sizes_have_the_value_that_go_gives_them() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("1.5s2us"), Some(1_500_002_000));
        for (text, bytes) in [("60000000B", 60_000_000), ("1.5GiB", 1_610_612_736), ("2MB", 2_000_000), ("2Ki", 2048)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        assert_eq!(size("99E"), None);
        assert_eq!(duration("9999999h"), None);
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
