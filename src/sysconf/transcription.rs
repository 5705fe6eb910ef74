//! The steps of FreeBSD's own readers in their own order, for the tests alone: what the readers here are held to.
//!
//! Follows `parsefile()` and `parse()` in `sbin/sysctl/sysctl.c`, the pattern table, `checkPattern()` and
//! `processEnvVar()` in `stand/lua/config.lua`, and `checkyesno` in `libexec/rc/rc.subr`. It is written to be compared with
//! those line by line, and shares nothing with what it checks.

use super::{ConfFile, loader_conf, rc_conf, sysctl_conf};
use proptest::prelude::*;

const BUFSIZ: usize = 1024;

/// `strchr(line + from, wanted)`: the offset, or `None` at the NUL.
fn strchr(line: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let end = strlen(line);
    (from..end).find(|&index| line[index] == wanted)
}

fn strlen(line: &[u8]) -> usize {
    line.iter().position(|&byte| byte == 0).unwrap_or(line.len())
}

fn isspace(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// `parsefile()`: what is set, in order. `fgets(3)` takes a newline along with the line, and at most `BUFSIZ - 1` bytes.
fn sysctl_f(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut set = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let newline = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (taken, left) = rest.split_at(newline.min(BUFSIZ - 1));
        rest = left;
        let mut line = taken.to_vec();
        line.push(0);
        let pq = strchr(&line, 0, b'\'');
        let pdq = strchr(&line, 0, b'"');
        let mut p = 0;
        while let Some(hash) = strchr(&line, p, b'#') {
            if let Some(pq) = pq.filter(|&pq| hash > pq) {
                if let Some(closing) = strchr(&line, pq + 1, b'\'') {
                    line[closing + 1] = 0;
                }
                break;
            } else if let Some(pdq) = pdq.filter(|&pdq| hash > pdq) {
                if let Some(closing) = strchr(&line, pdq + 1, b'"') {
                    line[closing + 1] = 0;
                }
                break;
            } else if hash == 0 || line[hash - 1] != b'\\' {
                line[hash] = 0;
                break;
            }
            p = hash + 1;
        }
        let mut end = strlen(&line);
        while end > 0 && isspace(line[end - 1]) {
            end -= 1;
            line[end] = 0;
        }
        let mut start = 0;
        while isspace(line[start]) {
            start += 1;
        }
        if line[start] != 0 {
            set.extend(parse(&line[start..]));
        }
    }
    set
}

/// `parse()`, up to where the name is looked up; `None` where the line only asks for a value, or where the value would be
/// read from beyond its end.
fn parse(string: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut buf = string[..strlen(string)].to_vec();
    buf.push(0);
    // strsep(&cp, "=:")
    let separator = (0..strlen(&buf)).find(|&index| buf[index] == b'=' || buf[index] == b':')?;
    buf[separator] = 0;
    let mut cp = separator + 1;
    while isspace(buf[cp]) {
        cp += 1;
    }
    if buf[cp] == b'"' || buf[cp] == b'\'' {
        let last = cp + strlen(&buf[cp..]) - 1;
        if last == cp {
            return None;
        }
        if buf[last] == buf[cp] {
            buf[last] = 0;
        }
        cp += 1;
    }
    let newval = buf[cp..cp + strlen(&buf[cp..])].to_vec();
    let mut bufp = buf[..separator].to_vec();
    while bufp.last().is_some_and(|&byte| isspace(byte)) {
        bufp.pop();
    }
    while bufp.first().is_some_and(|&byte| isspace(byte)) {
        bufp.remove(0);
    }
    Some((bufp, newval))
}

/// One item of a pattern of Lua: a set of bytes and how often, or a parenthesis.
enum Item {
    Open,
    Close,
    Set(Vec<u8>, Repeat),
}

#[derive(Clone, Copy, PartialEq)]
enum Repeat {
    Once,
    AtLeastOnce,
    AnyNumber,
}

/// A pattern of Lua, as far as config.lua uses them: classes, sets of them, `+` and `*`.
fn compile(pattern: &str) -> Vec<Item> {
    fn class(letter: u8) -> Vec<u8> {
        let holds = |byte: &u8| match letter {
            b'w' => byte.is_ascii_alphanumeric(),
            b'd' => byte.is_ascii_digit(),
            b's' => isspace(*byte),
            _ => *byte == letter,
        };
        (0..=255).filter(holds).collect()
    }
    let bytes = pattern.as_bytes();
    let mut items = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let set = match bytes[at] {
            b'(' => {
                items.push(Item::Open);
                at += 1;
                continue;
            }
            b')' => {
                items.push(Item::Close);
                at += 1;
                continue;
            }
            b'%' => {
                at += 1;
                class(bytes[at])
            }
            b'[' => {
                let mut set = Vec::new();
                at += 1;
                while bytes[at] != b']' {
                    if bytes[at] == b'%' {
                        at += 1;
                        set.extend(class(bytes[at]));
                    } else {
                        set.push(bytes[at]);
                    }
                    at += 1;
                }
                set
            }
            b'.' => (0..=255).collect(),
            byte => vec![byte],
        };
        at += 1;
        let repeat = match bytes.get(at) {
            Some(b'+') => Repeat::AtLeastOnce,
            Some(b'*') => Repeat::AnyNumber,
            _ => Repeat::Once,
        };
        at += usize::from(repeat != Repeat::Once);
        items.push(Item::Set(set, repeat));
    }
    items
}

/// `line:match(pattern)`, anchored at `at`: the captures.
fn lua_match(items: &[Item], line: &[u8], at: usize, captures: &mut Vec<(usize, usize)>) -> bool {
    let Some((item, rest)) = items.split_first() else { return true };
    match item {
        Item::Open => {
            captures.push((at, usize::MAX));
            lua_match(rest, line, at, captures) || captures.pop().is_none()
        }
        Item::Close => {
            let Some(open) = captures.iter().rposition(|capture| capture.1 == usize::MAX) else { return false };
            captures[open].1 = at;
            if lua_match(rest, line, at, captures) {
                return true;
            }
            captures[open].1 = usize::MAX;
            false
        }
        Item::Set(set, repeat) => {
            let most = if *repeat == Repeat::Once { 1 } else { usize::MAX };
            let least = usize::from(*repeat != Repeat::AnyNumber);
            let count = line[at..].iter().take(most).take_while(|byte| set.contains(byte)).count();
            (least..=count).rev().any(|count| lua_match(rest, line, at + count, captures))
        }
    }
}

fn matches<'a>(pattern: &str, line: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let mut captures = Vec::new();
    let found = lua_match(&compile(pattern), line, 0, &mut captures);
    found.then(|| captures.into_iter().map(|(from, to)| &line[from..to]).collect())
}

/// `isValidComment()`.
fn is_valid_comment(rest: &[u8]) -> bool {
    let text = &rest[rest.iter().take_while(|&&byte| isspace(byte)).count()..];
    text.is_empty() || text.starts_with(b"#")
}

/// `processEnvVar()`, without the references: a backslash takes the next byte as it is; without one, and for a quote that
/// stands alone, the line is refused.
fn process_env_var(value: &[u8]) -> Option<Vec<u8>> {
    let (mut pval, mut nextpos) = (Vec::new(), 0);
    while nextpos < value.len() {
        match value[nextpos] {
            b'\\' => {
                // That a quote is none to escape is not in the source. It was seen on 15.1.
                pval.push(*value.get(nextpos + 1).filter(|&&escaped| escaped != b'"')?);
                nextpos += 2;
            }
            b'"' => return None,
            byte => {
                pval.push(byte);
                nextpos += 1;
            }
        }
    }
    Some(pval)
}

/// `config.parse()`: what is set, in order.
fn config_parse(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    const MODULEEXPR: &str = "([%w%d-_]+)";
    const QVALEXPR: &str = "\"(.*)\"";
    const WORDEXPR: &str = "([-%w%d][-%w%d_.]*)";
    let mut set = Vec::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| line.iter().any(|&byte| !isspace(byte))) {
        let mut table = vec![("(#.*)".to_owned(), "", 1)];
        for key in ["_load", "_name", "_type", "_flags", "_before", "_after", "_error"] {
            table.push((format!("{MODULEEXPR}{key}%s*=%s*$VALUE"), key, 2));
        }
        table.push((format!("exec%s*=%s*{QVALEXPR}"), "", 1));
        table.push(("([%w][%w%d-_.]*)%s*=%s*$VALUE".to_owned(), "", 2));
        for (pattern, key, groups) in table {
            let pattern = format!("%s*{pattern}%s*(.*)");
            let check = |value| matches(&pattern.replace("$VALUE", value), line);
            let Some(found) = check(QVALEXPR).or_else(|| check(WORDEXPR)) else { continue };
            if is_valid_comment(found[groups]) && groups == 2 {
                let (name, value) = (found[0].to_vec(), found[1].to_vec());
                if key.is_empty() {
                    set.extend(process_env_var(&value).map(|value| (name, value)));
                } else {
                    set.push(([&name, key.as_bytes()].concat(), value));
                }
            }
            break;
        }
    }
    set
}

/// `checkyesno()`: the patterns of its `case`, as they stand there.
fn checkyesno(value: &str) -> Option<bool> {
    let matches = |pattern: &str| {
        let sets = pattern.split(['[', ']']).filter(|set| !set.is_empty());
        sets.clone().count() == value.chars().count()
            && sets.zip(value.chars()).all(|(set, letter)| set.contains(letter))
    };
    if ["[Yy][Ee][Ss]", "[Tt][Rr][Uu][Ee]", "[Oo][Nn]", "1"].into_iter().any(matches) {
        return Some(true);
    }
    ["[Nn][Oo]", "[Ff][Aa][Ll][Ss][Ee]", "[Oo][Ff][Ff]", "0"].into_iter().any(matches).then_some(false)
}

fn as_text(set: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    set.into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// What our own reader finds.
fn read(conf: &ConfFile, file: &[u8]) -> Vec<(String, String)> {
    conf.settings(file).into_iter().map(|found| (found.name, found.value)).collect()
}

/// Files of a few lines near the language, and any bytes.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => "[ \t]{0,2}[ab_.-]{1,2}(_load|_name)?[ \t]?[=:][ \t]?[\"']?[ab\\\\#'\" ]{0,5}[\"']?[ \t]?(#[ab'\"]{0,3})?\r?"
            .prop_map(String::into_bytes),
        2 => "[ab#=:'\"\\\\ ]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>().prop_filter("a line", |&byte| byte != b'\n'), 0..8),
        1 => ("[ab]=[ab#'\" ]{0,3}", 1000..2060usize, "[=:#'\"ab ]{0,9}")
            .prop_map(|(begin, length, end)| format!("{begin:,<length$}{end}").into_bytes()),
    ];
    (prop::collection::vec(line, 0..5), any::<bool>()).prop_map(|(lines, ended)| {
        let mut file = lines.join(&b'\n');
        file.extend(ended.then_some(b'\n'));
        file
    })
}

proptest! {
    #[test]
    fn sysctl_conf_is_read_as_sysctl_reads_it(file in file()) {
        prop_assert_eq!(read(&sysctl_conf::FILE, &file), as_text(sysctl_f(&file)));
    }

    #[test]
    fn loader_conf_is_read_as_the_loader_reads_it(file in file()) {
        // A module whose name begins with a sign has no file, and its line is not looked at here.
        let is_name = |name: &str| name.starts_with(|first: char| first.is_ascii_alphanumeric());
        let mut set = as_text(config_parse(&file));
        set.retain(|(name, _)| is_name(name));
        prop_assert_eq!(read(&loader_conf::FILE, &file), set);
    }

    #[test]
    fn yes_and_no_are_those_of_checkyesno(
        value in prop_oneof![
            "(?i)(yes|true|on|1|no|false|off|0)", " ?(yes|on|1|no|0) ?", "[yYeEsSnNoOfFtTrRuU01]{0,5}", ".{0,4}",
        ]
    ) {
        prop_assert_eq!(rc_conf::is_yes(&value), checkyesno(&value) == Some(true));
        prop_assert_eq!(rc_conf::is_no(&value), checkyesno(&value) == Some(false));
    }
}

/// What the issue tells them apart by: the rehearsal's own reader once looked for the double quote first.
#[test]
fn the_single_quote_is_looked_for_first() {
    let line = b"a=\"x'y\" # z";
    assert_eq!(as_text(sysctl_f(line)), [("a".to_owned(), "x'y\" # z".to_owned())]);
    assert_eq!(sysctl_conf::FILE.get(line, "a").as_deref(), Some("x'y\" # z"));
}
