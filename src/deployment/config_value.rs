//! The values under `[config]`, as TOML has them.

use toml_edit::Value;

use super::passthrough::{ConfigError, check_key};
use crate::gotosocial::ConfigValue;

/// Takes over a TOML value.
pub(super) fn from_toml(value: &Value) -> Result<ConfigValue, ConfigError> {
    Ok(match value {
        Value::String(text) => ConfigValue::Text(text.value().clone()),
        Value::Integer(number) => ConfigValue::Integer(*number.value()),
        Value::Float(number) if number.value().is_finite() => ConfigValue::Float(*number.value()),
        Value::Float(_) => return Err(ConfigError::NotFinite),
        Value::Boolean(answer) => ConfigValue::Boolean(*answer.value()),
        Value::Datetime(moment) => {
            return Err(ConfigError::Datetime { text: moment.value().to_string() });
        }
        Value::Array(items) => ConfigValue::List(items.iter().map(from_toml).collect::<Result<_, _>>()?),
        Value::InlineTable(table) => {
            let entry = |(key, value): (&str, &Value)| {
                check_key(key)?;
                Ok((key.to_owned(), from_toml(value)?))
            };
            ConfigValue::Table(table.iter().map(entry).collect::<Result<_, ConfigError>>()?)
        }
    })
}
