//! The texts that the program writes: handlebars templates, embedded at compile time.
//!
//! The registry is strict: a value that a template names and that is missing is an error and not an empty place.
//! Nothing is escaped automatically: a template names the helper that quotes a value, such as `{{yaml host}}`.

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, no_escape};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

/// An embedded template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// The name in messages: the file in the source tree.
    pub name: &'static str,
    /// The template as it stands in the source tree.
    pub source: &'static str,
}

impl Template {
    /// `GoToSocial`'s own configuration.
    pub const CONFIG_YAML: Self =
        Self { name: "templates/config.yaml.hbs", source: include_str!("../templates/config.yaml.hbs") };

    /// Fills the template with the fields of `data`.
    ///
    /// # Errors
    ///
    /// A value that the template names is missing or cannot be quoted: a bug in this program.
    pub fn render(self, data: &impl Serialize) -> Result<String, TemplateError> {
        render_text(self.source, data).map_err(|error| TemplateError { template: self.name, cause: error.to_string() })
    }
}

/// A template and its values do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the embedded template {template} could not be filled in: {cause}. This is a mistake in gts-bootstrap itself; please report it"
)]
pub struct TemplateError {
    /// Which template.
    pub template: &'static str,
    /// The message of the template engine.
    pub cause: String,
}

/// Fills in the text of a template.
fn render_text(source: &str, data: &impl Serialize) -> Result<String, handlebars::RenderError> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(no_escape);
    registry.register_helper("yaml", Box::new(write_yaml));
    registry.render_template(source, data)
}

/// The helper `yaml`: writes its one value as YAML.
fn write_yaml(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = helper.param(0).filter(|value| !value.is_value_missing());
    let value = value.ok_or(RenderErrorReason::ParamNotFoundForIndex("yaml", 0))?;
    out.write(&yaml(value.value()))?;
    Ok(())
}

/// A value as YAML in flow style, on one line and in plain ASCII.
///
/// Strings are always double-quoted, so `yes`, `null`, `1e3` or `a: b` stay strings for every reader of YAML 1.1 and
/// 1.2, and nothing in them can end the quotes or the line. This is JSON, which YAML 1.2 contains, with one exception:
/// characters beyond U+FFFF are written as `\U0001F600`, because YAML readers refuse JSON's pairs of surrogates.
pub fn yaml(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", quoted(key), yaml(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A string as a double-quoted YAML scalar (YAML 1.2.2, section 5.7, for the escapes).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(character),
            '\u{0}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Reads a double-quoted scalar at the start, by the rules of YAML 1.2.2 as Go's reader applies them (no
    /// surrogates, no raw line break), and returns the rest.
    fn read_quoted(yaml: &str) -> Option<(String, &str)> {
        let mut rest = yaml.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let character = rest.chars().next()?;
            rest = &rest[character.len_utf8()..];
            match character {
                '"' => return Some((text, rest)),
                '\\' => {
                    let escape = rest.chars().next()?;
                    rest = rest.get(escape.len_utf8()..)?;
                    let digits = match escape {
                        'u' => 4,
                        'U' => 8,
                        'n' | 'r' | 't' | '"' | '\\' => {
                            text.push(match escape {
                                'n' => '\n',
                                'r' => '\r',
                                't' => '\t',
                                other => other,
                            });
                            continue;
                        }
                        _ => return None,
                    };
                    text.push(char::from_u32(u32::from_str_radix(rest.get(..digits)?, 16).ok()?)?);
                    rest = &rest[digits..];
                }
                ' '..='~' => text.push(character),
                _ => return None,
            }
        }
    }

    /// Reads the subset of YAML that [`yaml`] writes, strictly.
    fn read(yaml: &str) -> Option<(Value, &str)> {
        for (word, value) in [("null", Value::Null), ("true", json!(true)), ("false", json!(false))] {
            if let Some(rest) = yaml.strip_prefix(word) {
                return Some((value, rest));
            }
        }
        if yaml.starts_with('"') {
            return read_quoted(yaml).map(|(text, rest)| (Value::String(text), rest));
        }
        if let Some(mut rest) = yaml.strip_prefix('[') {
            let mut items = Vec::new();
            while !rest.starts_with(']') {
                rest = if items.is_empty() { rest } else { rest.strip_prefix(", ")? };
                let (item, behind) = read(rest)?;
                items.push(item);
                rest = behind;
            }
            return Some((Value::Array(items), &rest[1..]));
        }
        if let Some(mut rest) = yaml.strip_prefix('{') {
            let mut entries = serde_json::Map::new();
            while !rest.starts_with('}') {
                rest = if entries.is_empty() { rest } else { rest.strip_prefix(", ")? };
                let (key, behind) = read_quoted(rest)?;
                let (value, behind) = read(behind.strip_prefix(": ")?)?;
                entries.insert(key, value);
                rest = behind;
            }
            return Some((Value::Object(entries), &rest[1..]));
        }
        let end = yaml.find([',', ']', '}']).unwrap_or(yaml.len());
        let whole = yaml[..end].parse::<i64>().map(serde_json::Number::from).ok();
        // Not serde_json's own parser, which is sometimes off by one bit.
        let number = whole.or_else(|| serde_json::Number::from_f64(yaml[..end].parse().ok()?))?;
        Some((Value::Number(number), &yaml[end..]))
    }

    #[test]
    fn texts_stay_texts() {
        for text in [
            "yes",
            "no",
            "null",
            "~",
            "1",
            "0x1F",
            "1e3",
            "12:30:45",
            "2026-01-01",
            "",
            " a ",
            "a: b",
            "#",
            "- a",
            "&a",
            "*a",
            "!t",
            "%",
            "@",
            "`",
            "{a}",
            "[a]",
            "|",
            ">",
            "'",
        ] {
            assert_eq!(quoted(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(quoted("a\"\nhost: \"evil"), r#""a\"\nhost: \"evil""#);
        assert_eq!(quoted("\\\t\r\0\u{1b}\u{7f}"), r#""\\\t\r\u0000\u001B\u007F""#);
        assert_eq!(quoted("\u{85}\u{2028}\u{2029}\u{feff}ü"), r#""\u0085\u2028\u2029\uFEFF\u00FC""#);
        assert_eq!(quoted("😀"), r#""\U0001F600""#);
        assert_eq!(
            yaml(&json!([1, -2, 0.5, true, null, {"a b": ["x"]}, [], {}])),
            r#"[1, -2, 0.5, true, null, {"a b": ["x"]}, [], {}]"#
        );
    }

    #[test]
    fn templates_are_strict_and_escape_nothing_but_by_helper() {
        let render = |source: &str| render_text(source, &json!({"html": "<&>", "text": "a\"b", "nothing": null}));
        assert_eq!(
            render("{{html}} {{yaml html}} {{yaml text}} {{yaml nothing}}").unwrap(),
            "<&> \"<&>\" \"a\\\"b\" null"
        );
        assert!(render("{{absent}}").is_err());
        assert!(render("{{yaml absent}}").is_err());
        assert!(render("{{yaml}}").is_err());
    }

    #[test]
    fn a_template_without_its_values_is_refused() {
        let error = Template::CONFIG_YAML.render(&json!({})).unwrap_err();
        assert_eq!(error.template, "templates/config.yaml.hbs");
        assert!(error.to_string().contains("please report it"));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[\"\\\\\n\r\t:#,\\[\\]{}'\u{85}\u{2028}😀 a-]{0,8}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_strict_reader_gets_the_same_value_back(value in any_value()) {
            let written = yaml(&value);
            prop_assert!(written.bytes().all(|b| (b' '..=b'~').contains(&b)), "{written}");
            prop_assert_eq!(read(&written), Some((value, "")));
        }

        #[test]
        fn without_letters_beyond_the_basic_plane_it_is_json(text in "[\u{0}-\u{ffff}]{0,12}") {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
