//! [`ConfigValue`]: a value on its way from the answers into `config.yaml`.

use std::collections::BTreeMap;

use serde::Serialize;
use toml_edit::Value;

use super::passthrough::{ConfigError, check_key};

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
    /// Takes over a TOML value.
    pub(super) fn from_toml(value: &Value) -> Result<Self, ConfigError> {
        Ok(match value {
            Value::String(text) => Self::Text(text.value().clone()),
            Value::Integer(number) => Self::Integer(*number.value()),
            Value::Float(number) if number.value().is_finite() => Self::Float(*number.value()),
            Value::Float(_) => return Err(ConfigError::NotFinite),
            Value::Boolean(answer) => Self::Boolean(*answer.value()),
            Value::Datetime(moment) => {
                return Err(ConfigError::Datetime { text: moment.value().to_string() });
            }
            Value::Array(items) => Self::List(items.iter().map(Self::from_toml).collect::<Result<_, _>>()?),
            Value::InlineTable(table) => {
                let entry = |(key, value): (&str, &Value)| {
                    check_key(key)?;
                    Ok((key.to_owned(), Self::from_toml(value)?))
                };
                Self::Table(table.iter().map(entry).collect::<Result<_, ConfigError>>()?)
            }
        })
    }

    /// The type in words.
    #[must_use]
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
