//! Prints what is in force, line by line.

use super::implied::{Gates, implied, reservation};
use super::line::{Action, Line, PortRange, Sign, Whom};
use super::words::is_name;
use crate::portacl::names::Names;
use crate::portacl::{KernelId, KernelRule, Policy, Protocol, State};

/// Returns the lines for what is in force now, with the differences from what the next boot will set, if that is known.
///
/// The lines without a `+` are in force now, those without a `-` will be in force after the boot, each in order.
/// `numbers_only` leaves out the names.
pub fn print(now: &State, next_boot: Option<&State>, names: &dyn Names, numbers_only: bool) -> Vec<Line> {
    let now = lines(&now.policy, names, numbers_only);
    match next_boot {
        Some(next_boot) => differences(now, lines(&next_boot.policy, names, numbers_only)),
        None => now,
    }
}

fn lines(policy: &Policy, names: &dyn Names, numbers_only: bool) -> Vec<Line> {
    let rules = policy.rules.iter().map(|rule| rule_line(policy, rule, names, numbers_only));
    rules.chain(implied(policy, numbers_only)).collect()
}

fn rule_line(policy: &Policy, rule: &KernelRule, names: &dyn Names, numbers_only: bool) -> Line {
    let effect = effect(policy, rule);
    let mut notes: Vec<String> = Vec::new();
    match &effect {
        Effect::Full => {}
        Effect::RootAlone(reason) => notes.push(format!("for root alone: {reason}")),
        Effect::None(reason) => notes.push(format!("no effect: {reason}")),
    }
    notes.extend(looks(rule));
    let subject = match rule.id {
        KernelId::Uid(id) => {
            Whom::User { id, name: named(numbers_only, id, |id| names.user(id), |name| names.uid(name)) }
        }
        KernelId::Gid(id) => {
            Whom::Group { id, name: named(numbers_only, id, |id| names.group(id), |name| names.gid(name)) }
        }
    };
    Line {
        sign: Sign::Both,
        action: Action::Pass,
        protocol: rule.protocol.into(),
        ports: PortRange { first: rule.port, last: rule.port },
        service: if numbers_only { None } else { service(rule.port, rule.protocol, names) },
        subject,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        effective: !matches!(effect, Effect::None(_)),
        root_alone: matches!(effect, Effect::RootAlone(_)),
        implied: false,
    }
}

/// The name to show for an id. A name that would be read back as another id, or not at all, is not shown.
fn named(
    numbers_only: bool,
    id: i64,
    name_of: impl Fn(u32) -> Option<String>,
    id_of: impl Fn(&str) -> Option<u32>,
) -> Option<String> {
    if numbers_only {
        return None;
    }
    let id = u32::try_from(id).ok()?;
    name_of(id).filter(|name| is_name(name) && id_of(name).is_none_or(|known| known == id))
}

fn service(port: u16, protocol: Protocol, names: &dyn Names) -> Option<String> {
    let fits = |name: &String| is_name(name) && names.port(name, protocol).is_none_or(|known| known == port);
    names.service(port, protocol).filter(fits)
}

enum Effect {
    Full,
    RootAlone(String),
    None(String),
}

/// The effect of a rule under this policy.
fn effect(policy: &Policy, rule: &KernelRule) -> Effect {
    let port = i32::from(rule.port);
    let none = |reason: &str| Effect::None(reason.to_owned());
    if !policy.loaded {
        return none("mac_portacl is not loaded");
    }
    if policy.enabled == 0 {
        return none("mac_portacl is switched off");
    }
    if rule.subject().is_none() {
        return none("no user has an id outside 0-4294967295");
    }
    if port == 0 && policy.autoport_exempt != 0 {
        return none("port 0 asks for any free port, which needs no rule");
    }
    if port > policy.port_high {
        return Effect::None(format!("above port_high {}", policy.port_high));
    }
    if !Gates::of(policy).reserved.contains(&port) {
        return Effect::Full;
    }
    match rule.id {
        KernelId::Uid(0) => Effect::Full,
        // Without a rule portacl refuses root. With one, root passes the reserved range that stops all other users.
        KernelId::Gid(_) if policy.suser_exempt == 0 => Effect::RootAlone(reservation(policy)),
        _ => Effect::None(format!("{} covers the port", reservation(policy))),
    }
}

/// The element as it is in the list, if it does not mean what it seems to mean.
fn looks(rule: &KernelRule) -> Option<String> {
    let (KernelId::Uid(id) | KernelId::Gid(id)) = rule.id;
    let mut fields = rule.text.splitn(4, ':');
    let id_text = fields.nth(1).unwrap_or_default();
    let port_text = fields.nth(1).unwrap_or_default();
    let plain = plain_number(id_text) == id.to_string() && plain_number(port_text) == rule.port.to_string();
    let cut = match rule.id {
        KernelId::Gid(id) if u32::try_from(id).is_err() => format!(", which the kernel takes for group {}", id as u32),
        _ => String::new(),
    };
    if plain && cut.is_empty() {
        return None;
    }
    // Spaces that would end the line are written as in Rust and C.
    let mut text = String::new();
    for character in rule.text.chars() {
        if character.is_control() { text.extend(character.escape_default()) } else { text.push(character) }
    }
    Some(format!("written \"{text}\"{cut}"))
}

/// The number that a reader sees: without spaces, a plus sign and leading zeros, but neither clamped nor truncated.
fn plain_number(text: &str) -> String {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    match digits.trim_start_matches('0') {
        "" if digits.is_empty() => String::new(),
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    }
}

/// Combines both lists with the signs of a diff: the longest common subsequence keeps its order.
fn differences(now: Vec<Line>, next_boot: Vec<Line>) -> Vec<Line> {
    // common[i][j]: how many lines now[i..] and next_boot[j..] have in common.
    let mut common = vec![vec![0_usize; next_boot.len() + 1]; now.len() + 1];
    for i in (0..now.len()).rev() {
        for j in (0..next_boot.len()).rev() {
            common[i][j] =
                if now[i] == next_boot[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < now.len() || j < next_boot.len() {
        if i < now.len() && j < next_boot.len() && now[i] == next_boot[j] {
            lines.push(now[i].clone());
            i += 1;
            j += 1;
        } else if j == next_boot.len() || (i < now.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line { sign: Sign::NowOnly, ..now[i].clone() });
            i += 1;
        } else {
            lines.push(Line { sign: Sign::NextBootOnly, ..next_boot[j].clone() });
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
