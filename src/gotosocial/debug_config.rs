//! What `debug config` prints: the configuration as the program has understood it.
//!
//! The server ignores keys that it does not know, and from 0.20 on even a file that it cannot read, both silently. So the
//! program is asked what it has read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Every key that the program printed, in flat form. 0.19 prints `http-client` and `cache` as nested objects and 0.20
/// prints them flat; both are understood.
///
/// # Errors
/// In words: the answer is not a JSON object.
pub fn printed_keys(json: &str) -> Result<BTreeSet<String>, String> {
    let entries: Map<String, Value> = serde_json::from_str(json).map_err(|error| {
        format!(
            "the answer of \"gotosocial debug config\" could not be understood: {error}. Run it by hand with the same \
             --config-path and look at what it prints; it may show passwords"
        )
    })?;
    let mut keys = BTreeSet::new();
    entries.iter().for_each(|(key, value)| flatten(key, value, &mut keys));
    Ok(keys)
}

/// Gathers the flat form of a key, or of all keys in a table.
pub fn flatten(key: &str, value: &Value, keys: &mut BTreeSet<String>) {
    match value.as_object().filter(|entries| !entries.is_empty()) {
        Some(entries) => entries.iter().for_each(|(inner, value)| flatten(&format!("{key}-{inner}"), value, keys)),
        None => drop(keys.insert(key.to_owned())),
    }
}

/// Whether `debug config` shows our host: the only proof that the program has read our file, since 0.20 runs on
/// defaults where it could not.
pub fn echoes_host(json: &str, host: &str) -> bool {
    serde_json::from_str::<Value>(json).is_ok_and(|settings| settings.get("host").and_then(Value::as_str) == Some(host))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_answer_give_the_same_keys() {
        let old = r#"{"host":"a.example","http-client":{"timeout":30000000000},"log-level":"info","cache":{}}"#;
        let new = r#"{"host":"a.example","http-client-timeout":"30s","log-level":"info","cache":{}}"#;
        let keys = ["cache", "host", "http-client-timeout", "log-level"].map(str::to_owned);
        assert_eq!(printed_keys(old).unwrap(), keys.clone().into());
        assert_eq!(printed_keys(new).unwrap(), keys.into());
        for broken in ["", "[]", "panic: x"] {
            assert!(printed_keys(broken).unwrap_err().contains("debug config"));
        }
    }

    #[test]
    fn the_host_must_come_back() {
        assert!(echoes_host(r#"{"host":"a.example"}"#, "a.example"));
        for other in [r#"{"host":""}"#, r#"{"host":"b.example"}"#, "{}", "", "[]", r#"{"host":5}"#] {
            assert!(!echoes_host(other, "a.example"), "{other}");
        }
    }
}
