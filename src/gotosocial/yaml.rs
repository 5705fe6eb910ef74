//! The part of YAML that GoToSocial's configuration files are written in: maps of scalars, lists and maps. What is beyond
//! that is refused, as a parser refuses what it cannot read.

use serde_json::{Map, Value};

/// A line that says something: its number, its indent and its text without comment.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

impl Line<'_> {
    fn fault(&self, what: &str) -> String {
        format!("yaml: line {}: {what}", self.number)
    }
}

/// No line of a configuration is indented further. It bounds how deep maps can be in one another.
const DEEPEST: usize = 128;

const NO_TOKEN: &str = "found character that cannot start any token";
const NO_END: &str = "found unexpected end of stream";
const NO_MAP_HERE: &str = "mapping values are not allowed in this context";

/// Reads a document.
///
/// # Errors
/// The message, in the words of the real parser where it is one of the errors that it has.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, String> {
    let mut lines = Vec::new();
    for (number, raw) in (1..).zip(text.lines()) {
        let body = raw.trim_start_matches(' ');
        let line = Line { number, indent: raw.len() - body.len(), text: without_comment(body).trim_end() };
        if body.starts_with('\t') && !body.trim().is_empty() {
            return Err(line.fault(NO_TOKEN));
        }
        if line.indent > DEEPEST && !line.text.is_empty() {
            return Err(line.fault("exceeded max depth"));
        }
        if !line.text.is_empty() && line.text != "---" {
            lines.push(line);
        }
    }
    let mut rest = lines.as_slice();
    let map = read_map(&mut rest, 0)?;
    rest.first().map_or(Ok(map), |line| Err(line.fault("did not find expected key")))
}

/// The characters outside quotes, each with its offset.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped, mut last) = (None, false, ' ');
    text.char_indices().filter(move |(_, character)| {
        let before = std::mem::replace(&mut last, *character);
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if *character == '\\' => escaped = true,
            Some(open) if open == *character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') && matches!(before, ' ' | '[' | ',' | '{') => {
                quote = Some(*character);
            }
            None => return true,
        }
        false
    })
}

/// Cuts off a `#` at the start or after a blank, outside quotes.
fn without_comment(text: &str) -> &str {
    let begins = |at: &usize| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = unquoted(text).filter(|(_, character)| *character == '#').map(|(at, _)| at).find(begins);
    comment.map_or(text, |at| &text[..at])
}

fn read_map(lines: &mut &[Line<'_>], indent: usize) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    while let Some((line, rest)) = lines.split_first().filter(|(line, _)| line.indent == indent) {
        let (key, value) = key_and_rest(line.text).ok_or_else(|| line.fault("could not find expected ':'"))?;
        *lines = rest;
        let value = if value.is_empty() { read_block(lines, indent)? } else { read_value(value, line)? };
        if map.insert(key.to_owned(), value).is_some() {
            let number = line.number;
            return Err(format!("yaml: unmarshal errors: line {number}: mapping key \"{key}\" already defined"));
        }
    }
    match lines.first() {
        Some(line) if line.indent > indent => Err(line.fault(NO_MAP_HERE)),
        _ => Ok(map),
    }
}

fn key_and_rest(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = text.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '))?;
    let key = key.trim_matches(['"', '\'']);
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (plain && !key.is_empty()).then(|| (key, rest.trim()))
}

/// What stands in the lines below a key: a list, a map, or nothing.
fn read_block(lines: &mut &[Line<'_>], parent: usize) -> Result<Value, String> {
    let item = |line: &Line<'_>| line.text == "-" || line.text.starts_with("- ");
    let indent = lines.first().map_or(0, |line| line.indent);
    let is_list = lines.first().is_some_and(item);
    if lines.is_empty() || indent < parent || (indent == parent && !is_list) {
        return Ok(Value::Null);
    }
    if !is_list {
        return read_map(lines, indent).map(Value::Object);
    }
    let mut items = Vec::new();
    while let Some((line, rest)) = lines.split_first().filter(|(line, _)| line.indent == indent && item(line)) {
        items.push(read_value(line.text[1..].trim(), line)?);
        *lines = rest;
    }
    Ok(Value::Array(items))
}

fn read_value(text: &str, line: &Line<'_>) -> Result<Value, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(|| line.fault("did not find expected ',' or ']'"))?;
        let commas = unquoted(inner).filter(|(_, character)| *character == ',').map(|(at, _)| at);
        let mut from = 0;
        let items = commas.chain([inner.len()]).map(|to| inner[std::mem::replace(&mut from, to + 1)..to].trim());
        return items.filter(|item| !item.is_empty()).map(|item| scalar(item, line)).collect();
    }
    if text.starts_with('{') {
        let map: Result<Map<String, Value>, _> = serde_json::from_str(text);
        return map.map(Value::Object).map_err(|_| line.fault("did not find expected ',' or '}'"));
    }
    scalar(text, line)
}

fn scalar(text: &str, line: &Line<'_>) -> Result<Value, String> {
    if text.starts_with('"') {
        return serde_json::from_str(text).map(Value::String).map_err(|_| line.fault(NO_END));
    }
    if let Some(inner) = text.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'').filter(|inner| !inner.replace("''", "").contains('\''));
        return inner.map(|inner| Value::from(inner.replace("''", "'"))).ok_or_else(|| line.fault(NO_END));
    }
    if text.starts_with(['@', '`', '%', '&', '*', '!', '|', '>', ']', '}', ',']) {
        return Err(line.fault(NO_TOKEN));
    }
    if text.contains(": ") || text.ends_with(':') {
        return Err(line.fault(NO_MAP_HERE));
    }
    Ok(match text {
        "" | "~" | "null" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
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
                    block-ips:\n    - 10.0.0.0/8\n  deep:\n    er: 1\nnothing:\non: true\n";
        assert_eq!(
            Value::Object(read(text).unwrap()),
            json!({"host": "gts.example.org", "port": 443, "name": "it's", "url": "http://a#b",
                   "proxies": ["127.0.0.1/32", "::1"], "list": ["a", "b # c"],
                   "http-client": {"timeout": "30s", "block-ips": ["10.0.0.0/8"], "deep": {"er": 1}}, "nothing": null, "on": true})
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
            ("a:\n  b: 1\n c: 2", "mapping values are not allowed"),
            (&format!("a:\n{}b: 1", " ".repeat(129)), "exceeded max depth"),
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
