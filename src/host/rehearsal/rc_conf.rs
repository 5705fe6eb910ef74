//! The variables of rc(8) on the modelled machine: what sh(1) makes of the files. [`sysrc`](super::sysrc) changes them.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use super::super::HostError;
use super::machine::{Machine, command_failed};
use crate::sysconf::rc_conf::{self, FILES};

const DEFAULTS: &str = "/etc/defaults/rc.conf";

/// What these files together give a variable.
fn value_in(machine: &Machine, files: &[&str], name: &str) -> Result<Option<String>, HostError> {
    let mut variables = BTreeMap::new();
    for file in files {
        let text = machine.text(file)?;
        run(&text, &mut variables)
            .map_err(|why| command_failed("sh -c …", 2, format!("{file}: Syntax error: {why}")))?;
    }
    Ok(variables.remove(name))
}

/// The value that rc(8) sees for a variable; the last file wins.
pub(super) fn get(machine: &Machine, name: &str) -> Result<Option<String>, HostError> {
    value_in(machine, &[DEFAULTS, FILES[0], FILES[1]], name)
}

/// The value that a service's script sees after `load_rc_config SERVICE`, which also reads the files with its name.
pub(super) fn get_for(machine: &Machine, service: &str, name: &str) -> Result<Option<String>, HostError> {
    let own = [format!("/etc/rc.conf.d/{service}"), format!("/usr/local/etc/rc.conf.d/{service}")];
    value_in(machine, &[DEFAULTS, FILES[0], FILES[1], &own[0], &own[1]], name)
}

/// A service's variable, or its default if it is unset or empty.
pub(super) fn get_or(machine: &Machine, service: &str, name: &str, default: &str) -> Result<String, HostError> {
    let value = get_for(machine, service, name)?.unwrap_or_default();
    Ok(if value.is_empty() { default.to_string() } else { value })
}

/// `checkyesno` of rc.subr(8) on a service's variable.
pub(super) fn is_yes(machine: &Machine, service: &str, name: &str) -> Result<bool, HostError> {
    Ok(get_for(machine, service, name)?.is_some_and(|value| rc_conf::is_yes(&value)))
}

/// `sh -n`: why a text is no script.
pub(super) fn syntax_error(text: &str) -> Option<&'static str> {
    run(text, &mut BTreeMap::new()).err()
}

/// Runs a script, as far as it assigns: `NAME=VALUE`, also after `export`, several in a line, values over several lines, `:
/// ${NAME:=VALUE}`, and `if` with `true` and `false`. What depends on another command does not happen; what only a shell can
/// work out (`${NAME}`) is taken as text.
fn run(text: &str, variables: &mut BTreeMap<String, String>) -> Result<(), &'static str> {
    let mut rest = text.chars().peekable();
    // Whether the branch of each open `if` is the one that is taken.
    let mut branches: Vec<bool> = Vec::new();
    let mut is_conditional = false;
    loop {
        let (mut words, end) = command(&mut rest)?;
        let mut keywords = words.iter().take_while(|word| ["then", "do", "{"].contains(&word.as_str())).count();
        match words.get(keywords).map(String::as_str) {
            Some("if") => branches.push(words.get(keywords + 1).is_some_and(|word| word == "true" || word == ":")),
            Some("elif") if branches.pop().is_some() => branches.push(false),
            Some("else") => {
                let branch = branches.last_mut().ok_or("\"else\" unexpected")?;
                *branch = !*branch;
                keywords += 1;
            }
            Some("fi") => drop(branches.pop().ok_or("\"fi\" unexpected")?),
            _ => {}
        }
        words.drain(..keywords);
        if !is_conditional && branches.iter().all(|taken| *taken) {
            assign(&words, variables);
        }
        match end {
            None if branches.is_empty() => return Ok(()),
            None => return Err("end of file unexpected (expecting \"fi\")"),
            Some(end) => is_conditional = end,
        }
    }
}

/// What a command assigns: its words if all of them are assignments, or what follows `export`, or a default after `:`.
fn assign(words: &[String], variables: &mut BTreeMap<String, String>) {
    let is_name = |name: &str| rc_conf::refusal(name, "").is_none();
    let assignment = |word: &String| {
        let (name, value) = word.split_once('=')?;
        is_name(name).then(|| (name.to_owned(), value.to_owned()))
    };
    match words {
        [first, rest @ ..] if ["export", "readonly"].contains(&first.as_str()) => {
            variables.extend(rest.iter().filter_map(assignment));
        }
        [first, rest @ ..] if first == ":" => {
            for word in rest {
                let inner = word.strip_prefix("${").and_then(|word| word.strip_suffix('}'));
                let Some((name, value)) = inner.and_then(|inner| inner.split_once('=')) else { continue };
                let (name, also_empty) = name.strip_suffix(':').map_or((name, false), |name| (name, true));
                let has = variables.get(name).is_some_and(|value| !also_empty || !value.is_empty());
                if is_name(name) && !has {
                    variables.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        words => variables.extend(words.iter().map(assignment).collect::<Option<Vec<_>>>().unwrap_or_default()),
    }
}

/// The words of the next command, without quotes; and `None` at the end of the text, or whether what follows depends on the
/// command (`&&`, `||`).
fn command(rest: &mut Peekable<Chars<'_>>) -> Result<(Vec<String>, Option<bool>), &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    loop {
        let next = rest.next();
        let ends_word = matches!(next, None | Some(' ' | '\t' | '\r' | '\n' | ';' | '&' | '|'));
        if ends_word && let Some(word) = word.take() {
            words.push(word);
        }
        match next {
            None => return Ok((words, None)),
            Some('\n' | ';') => return Ok((words, Some(false))),
            Some(sign @ ('&' | '|')) => {
                let is_double = rest.next_if_eq(&sign).is_some();
                while is_double && rest.next_if(|next| next.is_whitespace()).is_some() {}
                return Ok((words, Some(is_double)));
            }
            Some(' ' | '\t' | '\r') => {}
            Some('#') if word.is_none() => while rest.next_if(|next| *next != '\n').is_some() {},
            Some('\\') => match rest.next() {
                Some('\n') | None => {}
                Some(other) => word.get_or_insert_default().push(other),
            },
            Some('\'') => quoted(rest, word.get_or_insert_default(), '\'')?,
            Some('"') => quoted(rest, word.get_or_insert_default(), '"')?,
            Some('$') if rest.next_if_eq(&'{').is_some() => {
                let word = word.get_or_insert_default();
                word.push_str("${");
                loop {
                    match rest.next().ok_or("Missing '}'")? {
                        '}' => break word.push('}'),
                        quote @ ('"' | '\'') => quoted(rest, word, quote)?,
                        other => word.push(other),
                    }
                }
            }
            Some(other) => word.get_or_insert_default().push(other),
        }
    }
}

fn quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String, end: char) -> Result<(), &'static str> {
    loop {
        match rest.next().ok_or("Unterminated quoted string")? {
            next if next == end => return Ok(()),
            '\\' if end == '"' => match rest.next().ok_or("Unterminated quoted string")? {
                '\n' => {}
                next @ ('"' | '\\' | '$' | '`') => word.push(next),
                next => word.extend(['\\', next]),
            },
            next => word.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_assigns_what_sh_would_assign() {
        for (text, value) in [
            ("a=\"1\"\na=2\n", Some("2")),
            ("  a='b c' # why\n", Some("b c")),
            ("a=\"b \\\"c\\\"\"; b=2", Some("b \"c\"")),
            ("b=1; a=2", Some("2")),
            ("a=b#c", Some("b#c")),
            ("a=", Some("")),
            ("a=\"b \\\n c\"", Some("b  c")),
            ("a='b\nc'", Some("b\nc")),
            ("export a=1", Some("1")),
            (": ${a:=1}", Some("1")),
            ("a=; : ${a:=1}", Some("1")),
            ("a=; : ${a=1}", Some("")),
            ("a=2\n: ${a:=1}", Some("2")),
            ("if true; then\n  a=1\nelse\n  a=2\nfi", Some("1")),
            ("if false; then a=1; else a=2; fi", Some("2")),
            ("[ -e /nosuch ] && a=1", None),
            ("#a=1\naa=1\n", None),
            // For the command alone.
            ("a=1 true", None),
            ("a=1\r\n", Some("1")),
        ] {
            let mut variables = BTreeMap::new();
            assert_eq!(run(text, &mut variables), Ok(()), "{text}");
            assert_eq!(variables.get("a").map(String::as_str), value, "{text}");
        }
        for text in ["a=\"1\n", "a='", "if true; then a=1", "fi", "a=${b"] {
            assert!(syntax_error(text).is_some(), "{text}");
        }
    }
}
