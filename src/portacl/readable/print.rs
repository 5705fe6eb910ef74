//! Prints what is in force, line by line.

use super::implied::{implied, reservation};
use super::line::{Action, Line, PortRange, Sign, Whom};
use super::words::is_name;
use crate::portacl::kernel::signed;
use crate::portacl::names::{Names, NumbersOnly};
use crate::portacl::{KernelId, KernelRule, Policy, State};

/// Returns the lines for what is in force now, with the differences from what the next boot will set, if that is known.
///
/// The lines without a `+` are in force now, those without a `-` will be in force after the boot, each in order.
/// `numbers_only` leaves out the names.
pub fn print(now: &State, next_boot: Option<&State>, names: &dyn Names, numbers_only: bool) -> Vec<Line> {
    let names: &dyn Names = if numbers_only { &NumbersOnly } else { names };
    let lines = |state: &State| -> Vec<Line> {
        let rules = state.policy.rules.iter().map(|rule| rule_line(&state.policy, rule, names));
        rules.chain(implied(&state.policy, numbers_only)).collect()
    };
    match next_boot {
        Some(next_boot) => differences(lines(now), lines(next_boot)),
        None => lines(now),
    }
}

fn rule_line(policy: &Policy, rule: &KernelRule, names: &dyn Names) -> Line {
    let effect = effect(policy, rule);
    let reason = match &effect {
        Effect::Full => None,
        Effect::RootAlone(reason) => Some(format!("for root alone: {reason}")),
        Effect::None(reason) => Some(format!("no effect: {reason}")),
    };
    let notes: Vec<String> = reason.into_iter().chain(looks(rule)).collect();
    let number = |id: i64| u32::try_from(id).ok();
    let subject = match rule.id {
        KernelId::Uid(id) => Whom::User { id, name: named(number(id), |id| names.user(id), |name| names.uid(name)) },
        KernelId::Gid(id) => Whom::Group { id, name: named(number(id), |id| names.group(id), |name| names.gid(name)) },
    };
    let service = |port| names.service(port, rule.protocol);
    Line {
        sign: Sign::Both,
        action: Action::Pass,
        protocol: Some(rule.protocol),
        ports: PortRange { first: rule.port, last: rule.port },
        service: named(Some(rule.port), service, |name| names.port(name, rule.protocol)),
        subject,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        effective: !matches!(effect, Effect::None(_)),
        root_alone: matches!(effect, Effect::RootAlone(_)),
        implied: false,
    }
}

/// The name to show for a number. A name that would be read back as another number, or not at all, is not shown.
fn named<N: Copy + PartialEq>(
    number: Option<N>,
    name_of: impl Fn(N) -> Option<String>,
    number_of: impl Fn(&str) -> Option<N>,
) -> Option<String> {
    let number = number?;
    name_of(number).filter(|name| is_name(name) && number_of(name).is_none_or(|known| known == number))
}

enum Effect {
    Full,
    RootAlone(String),
    None(String),
}

/// The effect of a rule under this policy.
fn effect(policy: &Policy, rule: &KernelRule) -> Effect {
    let none = |reason: &str| Effect::None(reason.to_owned());
    if !policy.loaded {
        return none("mac_portacl is not loaded");
    }
    if policy.enabled == 0 {
        return none("mac_portacl is switched off");
    }
    if rule.effective().is_none() {
        return none("no user has an id outside 0-4294967295");
    }
    if rule.port == 0 && policy.autoport_exempt != 0 {
        return none("port 0 asks for any free port, which needs no rule");
    }
    if i32::from(rule.port) > policy.port_high {
        return Effect::None(format!("above port_high {}", policy.port_high));
    }
    if !policy.reserves(rule.port) {
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
    let fields: Vec<&str> = rule.text.splitn(4, ':').collect();
    let reads = |field: usize, meant: String| fields.get(field).is_some_and(|text| plain_number(text) == meant);
    let plain = reads(1, id.to_string()) && reads(3, rule.port.to_string());
    let cut = match rule.id {
        KernelId::Gid(id) if u32::try_from(id).is_err() => format!(", which the kernel takes for group {}", id as u32),
        _ => String::new(),
    };
    if plain && cut.is_empty() {
        return None;
    }
    // Spaces that would end the line are written as in Rust and C.
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    let text: String = rule.text.chars().map(escaped).collect();
    Some(format!("written \"{text}\"{cut}"))
}

/// The number that a reader sees: without spaces, a plus sign and leading zeros, but neither clamped nor truncated.
fn plain_number(text: &str) -> String {
    let (sign, digits) = signed(text.trim());
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
