//! The part of YAML that GoToSocial's configuration files are written in: a top-level map of scalars, lists and maps
//! one level deep. What is beyond that is refused, as a parser refuses what it cannot read.

use serde_json::{Map, Value};

/// A line that says something: its number, its indent and its text without comment.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a document.
///
/// # Errors
/// The message, in the words of the real parser where it is one of the errors that it has.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, String> {
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let body = raw.trim_start_matches(' ');
        if body.starts_with('\t') && !body.trim().is_empty() {
            return Err(format!("yaml: line {number}: found character that cannot start any token"));
        }
        let text = without_comment(body).trim_end();
        if !text.is_empty() && text != "---" {
            lines.push(Line { number, indent: raw.len() - body.len(), text });
        }
    }
    let mut rest = lines.as_slice();
    let map = read_map(&mut rest, 0, true)?;
    match rest.first() {
        Some(line) => Err(format!("yaml: line {}: did not find expected key", line.number)),
        None => Ok(map),
    }
}

/// Cuts off a `#` at the start or after a blank, outside quotes.
fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '#' && before.is_whitespace() => return &text[..at],
            None if matches!(character, '"' | '\'') && matches!(before, ' ' | '[' | ',' | '{') => {
                quote = Some(character)
            }
            None => {}
        }
        before = character;
    }
    text
}

fn read_map(lines: &mut &[Line<'_>], indent: usize, nested: bool) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    while let Some(line) = lines.first().filter(|line| line.indent == indent) {
        let number = line.number;
        let Some((key, value)) = key_and_rest(line.text) else {
            return Err(format!("yaml: line {number}: could not find expected ':'"));
        };
        *lines = &lines[1..];
        let value = if value.is_empty() { read_block(lines, indent, nested)? } else { read_value(value, number)? };
        if map.insert(key.clone(), value).is_some() {
            return Err(format!("yaml: unmarshal errors: line {number}: mapping key \"{key}\" already defined"));
        }
    }
    match lines.first() {
        Some(line) if line.indent > indent => {
            Err(format!("yaml: line {}: mapping values are not allowed in this context", line.number))
        }
        _ => Ok(map),
    }
}

fn key_and_rest(text: &str) -> Option<(String, &str)> {
    let (key, rest) = text.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '))?;
    let key = key.trim_matches(['"', '\'']);
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (plain && !key.is_empty()).then(|| (key.to_string(), rest.trim()))
}

/// What stands in the lines below a key: a list, a map, or nothing.
fn read_block(lines: &mut &[Line<'_>], parent: usize, nested: bool) -> Result<Value, String> {
    let Some(first) = lines.first() else { return Ok(Value::Null) };
    let indent = first.indent;
    let is_list = first.text == "-" || first.text.starts_with("- ");
    if indent < parent || (indent == parent && !is_list) {
        return Ok(Value::Null);
    }
    if !is_list {
        if !nested {
            return Err(format!("yaml: line {}: this depth of nesting is not modelled", first.number));
        }
        return Ok(Value::Object(read_map(lines, indent, false)?));
    }
    let mut items = Vec::new();
    while let Some(line) = lines.first().filter(|line| line.indent == indent) {
        let Some(item) = line.text.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' ')) else {
            break;
        };
        items.push(read_value(item.trim(), line.number)?);
        *lines = &lines[1..];
    }
    Ok(Value::Array(items))
}

fn read_value(text: &str, number: usize) -> Result<Value, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let Some(inner) = inner.strip_suffix(']') else {
            return Err(format!("yaml: line {number}: did not find expected ',' or ']'"));
        };
        let items = split_flow(inner);
        let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
        return items.map(|item| scalar(item, number)).collect::<Result<_, _>>().map(Value::Array);
    }
    if text.starts_with('{') {
        let map: Result<Map<String, Value>, _> = serde_json::from_str(text);
        return map.map(Value::Object).map_err(|_| format!("yaml: line {number}: did not find expected ',' or '}}'"));
    }
    scalar(text, number)
}

/// Splits at commas outside quotes.
fn split_flow(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut from = 0;
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, ',') => {
                items.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&text[from..]);
    items
}

fn scalar(text: &str, number: usize) -> Result<Value, String> {
    if text.starts_with('"') {
        let string: Result<String, _> = serde_json::from_str(text);
        return string.map(Value::String).map_err(|_| format!("yaml: line {number}: found unexpected end of stream"));
    }
    if let Some(inner) = text.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'').filter(|inner| !inner.replace("''", "").contains('\''));
        return inner
            .map(|inner| Value::String(inner.replace("''", "'")))
            .ok_or_else(|| format!("yaml: line {number}: found unexpected end of stream"));
    }
    if text.starts_with(['@', '`', '%', '&', '*', '!', '|', '>', ']', '}', ',']) {
        return Err(format!("yaml: line {number}: found character that cannot start any token"));
    }
    if text.contains(": ") || text.ends_with(':') {
        return Err(format!("yaml: line {number}: mapping values are not allowed in this context"));
    }
    Ok(match text {
        "" | "~" | "null" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_string()), Value::from),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_forms_of_a_configuration_are_read() {
        let text = "# comment\nhost: \"gts.example.org\" # here\nport: 443\nname: it's # plain\nurl: http://a#b\n\
                    proxies: [\"127.0.0.1/32\", '::1']\nlist:\n- a\n- \"b # c\"\nhttp-client:\n  timeout: 30s\n  \
                    block-ips:\n    - 10.0.0.0/8\nnothing:\non: true\n";
        assert_eq!(
            Value::Object(read(text).unwrap()),
            json!({"host": "gts.example.org", "port": 443, "name": "it's", "url": "http://a#b",
                   "proxies": ["127.0.0.1/32", "::1"], "list": ["a", "b # c"],
                   "http-client": {"timeout": "30s", "block-ips": ["10.0.0.0/8"]}, "nothing": null, "on": true})
        );
    }

    #[test]
    fn what_the_real_parser_refuses_is_refused() {
        for (text, why) in [
            ("a: [1, 2", "did not find expected ',' or ']'"),
            ("a: {", "expected ',' or '}'"),
            ("a: 1\n\tb: 2", "cannot start any token"),
            ("a: 1\na: 2", "already defined"),
            ("a: \"x", "unexpected end of stream"),
            ("a: 'x'y'", "unexpected end of stream"),
            ("a: @x", "cannot start any token"),
            ("a: b: c", "mapping values are not allowed"),
            ("a: 1\n  b: 2", "mapping values are not allowed"),
            ("just text", "could not find expected ':'"),
            ("  a: 1\nb: 2", "mapping values are not allowed"),
            ("a:\n  b:\n    c: 1", "not modelled"),
            ("a:\n  b: 1\n c: 2", "mapping values are not allowed"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t]{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn json_scalars_come_back(value in "[ -~]{0,30}") {
            let json = serde_json::to_string(&value).unwrap();
            let map = read(&format!("key: {json} # \"'")).unwrap();
            prop_assert_eq!(&map["key"], &Value::String(value));
        }
    }
}
