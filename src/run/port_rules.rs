//! `portacl grant`, `revoke` and `apply`: change the rules, now and for every boot, with plan and journal.

use super::{Exit, Run, Stop, TypedPath, With, port_words};
use crate::change::{AfterPlan, Plan};
use crate::check::{self, bind};
use crate::error_code::ErrorCode;
use crate::host::{HostError, Observe};
use crate::parts::host_names::HostNames;
use crate::parts::rule_edit::RuleEdit;
use crate::parts::{portacl_boot, rule_change};
use crate::portacl::{self, BootSettings, ImpliedStatement, KernelRule, Meaning, NextBoot, Rule, Sign, State, Subject};
use crate::shown::Shown;

/// The requested change of the rules.
#[derive(Debug, Clone)]
pub enum RuleWish {
    /// A user or group, by name or number, may bind these ports.
    Grant(String, Vec<String>),
    /// It no longer may.
    Revoke(String, Vec<String>),
    /// The rules in a text; or why it cannot be read.
    Apply(Result<String, String>),
}

/// The rules and settings of a host.
pub struct Picture<'a> {
    /// What is in force.
    pub now: State,
    /// What the next boot reads.
    pub settings: BootSettings,
    /// The result of that boot.
    pub next_boot: NextBoot,
    /// The names of this host.
    pub names: HostNames<'a>,
}

impl<'a> Picture<'a> {
    /// Reads those of a host.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(host: &'a dyn Observe) -> Result<Self, Stop> {
        let settings = portacl_boot::settings(host)?;
        let next_boot = portacl::next_boot(&settings);
        Ok(Self { now: portacl_boot::now(host)?, settings, next_boot, names: HostNames::new(host)? })
    }
}

/// Changes the rules. `allow_unknown` allows ids without an account on this host.
///
/// # Errors
/// The command was refused, or failed.
pub fn change(run: &Run<'_>, wish: &RuleWish, allow_unknown: bool) -> Result<Exit, Stop> {
    run.for_root("read all that this needs, and change it")?;
    run.settle()?;
    let host = run.host;
    // The code of the finding that the option tolerates.
    let tolerated: &[&str] = if allow_unknown { &["unknown-id"] } else { &[] };
    let make = || -> Result<(Edit, Plan), Stop> {
        let (edit, implied) = match wish {
            RuleWish::Grant(subject, ports) => (Some(RuleEdit::Grant(named(host, subject, ports, true)?)), Vec::new()),
            RuleWish::Revoke(subject, ports) => {
                (Some(RuleEdit::Revoke(named(host, subject, ports, false)?)), Vec::new())
            }
            RuleWish::Apply(text) => from_text(host, text.as_ref().map_err(Stop::usage)?)?,
        };
        let plan = edit.as_ref().map(|edit| rule_change::plan(host, edit, tolerated)).transpose()?;
        Ok(((edit, implied), plan.unwrap_or_default()))
    };
    let ((edit, implied), plan) = make()?;
    contradicted(host, &plan, &implied)?.iter().for_each(|warning| run.warn(warning));
    run.show(&plan, "Plan: port access", "Nothing to change: the rules are so already.");
    if !run.carry_out(&plan, &EXPLANATION, &|| Ok(make()?.1), With::default())? {
        return Ok(Exit::Done);
    }
    if !plan.reboot.is_empty() {
        run.attention("A reboot is needed; after it the rules are in force.");
        return Ok(Exit::Reboot);
    }
    edit.map_or(Ok(Exit::Done), |edit| prove(run, &edit))
}

/// The change, `None` if the rules are already as wanted; and lines of the file that state what the settings imply.
type Edit = (Option<RuleEdit>, Vec<ImpliedStatement>);

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 1] = [
    "The kernel keeps one list of rules, which is replaced as a whole: what others have in it stays. A rule is put into the \
     running kernel and into /etc/sysctl.conf, so that it is there after every boot. The reserved range is lowered only after \
     the rules are in force, and no further than the lowest port needs. A boot guard closes the ports again should the \
     module ever be missing.",
];

/// The rules that the arguments name.
fn named(host: &dyn Observe, subject: &str, ports: &[String], granting: bool) -> Result<Vec<Rule>, Stop> {
    let Picture { now: State { policy, .. }, names, .. } = Picture::of(host)?;
    let subject = port_words::subject(subject, &names).map_err(Stop::usage)?;
    let ports = port_words::ports(ports, &names).map_err(Stop::usage)?;
    if granting && subject == Subject::Uid(0) && policy.suser_exempt != 0 {
        return Err(Stop::usage("root may bind every port without a rule (security.mac.portacl.suser_exempt is 1)"));
    }
    if granting && let Some((_, port)) = ports.iter().find(|(_, port)| i32::from(*port) > policy.port_high) {
        return Err(Stop::usage(format!(
            "port {port} needs no rule: mac_portacl guards the ports up to {} (security.mac.portacl.port_high), and above \
             that every user may bind",
            policy.port_high
        )));
    }
    names.finish()?;
    Ok(ports.into_iter().map(|(protocol, port)| Rule { subject, protocol, port }).collect())
}

/// Reads rules from a file, or from the bytes that standard input had.
///
/// # Errors
/// In words: it cannot be read, or is not text.
pub fn read(file: &TypedPath, input: Option<std::io::Result<Vec<u8>>>) -> Result<String, String> {
    let name = file.typed.shown();
    let bytes = match input {
        Some(input) => input.map_err(|error| format!("standard input cannot be read: {error}"))?,
        None => std::fs::read(&file.path).map_err(|error| format!("{name} cannot be read: {error}"))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8 text"))?;
    Ok(without_colours(&text))
}

/// The text without colour sequences (ECMA-48, 8.3.117 SGR), so that the output of `portacl show --color always` is valid.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|character: char| !(character.is_ascii_digit() || character == ';'));
        match end.and_then(|end| after.get(end..)?.strip_prefix('m')) {
            Some(after) => rest = after,
            // Any other sequence stays, and its line is refused.
            None => {
                plain.push_str("\x1b[");
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The change that a text in the readable form requests.
fn from_text(host: &dyn Observe, text: &str) -> Result<Edit, Stop> {
    let usage = |lines: Vec<String>| Stop::usage(lines.join("\n"));
    let picture = Picture::of(host)?;
    let ruleset = portacl::parse_readable(text, &picture.names)
        .map_err(|errors| usage(errors.iter().map(ToString::to_string).collect()))?;
    let meanings = |state: &State| state.policy.rules.iter().map(KernelRule::meaning).collect::<Vec<Meaning>>();
    let (now, boot) = (meanings(&picture.now), meanings(&picture.next_boot.state));
    let wanted = |without: Sign| -> Vec<Meaning> {
        ruleset.rules.iter().filter(|rule| rule.sign != without).map(|rule| rule.meaning).collect()
    };
    let (wanted_now, wanted_boot) = (wanted(Sign::NextBootOnly), wanted(Sign::NowOnly));
    let stays = |meaning: Meaning| {
        let count = |list: &[Meaning]| list.iter().filter(|there| **there == meaning).count();
        count(&wanted_now) == count(&now) && count(&wanted_boot) == count(&boot)
    };
    let wrong: Vec<String> = ruleset
        .rules
        .iter()
        .filter(|rule| rule.sign != Sign::Both && !stays(rule.meaning))
        .map(|rule| {
            format!(
                "line {}: a rule with a sign, in force until or from the next boot only, stays as it is where there is one, \
                 and cannot be made. Take the sign away: the rule is then in force now and after every boot",
                rule.line
            )
        })
        .collect();
    if !wrong.is_empty() {
        return Err(usage(wrong));
    }
    picture.names.finish()?;
    let implied = ruleset.implied;
    if wanted_now == now && wanted_boot == boot {
        return Ok((None, implied));
    }
    let everywhere = |meaning: &Meaning| now.contains(meaning) && boot.contains(meaning);
    let all: Vec<Meaning> = wanted_now.iter().chain(&wanted_boot).copied().collect();
    let granted = effective(ruleset.rules.iter().map(|rule| rule.meaning).filter(|meaning| !everywhere(meaning)));
    let revoked = effective(now.iter().chain(&boot).copied().filter(|meaning| !all.contains(meaning)));
    Ok((Some(RuleEdit::Replace { now: wanted_now, boot: wanted_boot, granted, revoked }), implied))
}

/// The rules among these that permit something, each once.
fn effective(meanings: impl Iterator<Item = Meaning>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for rule in meanings.filter_map(portacl::effective) {
        if rule.port > 0 && !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Warnings about implied lines that contradict the settings. mac_portacl has no such rules, so they change nothing.
fn contradicted(host: &dyn Observe, plan: &Plan, implied: &[ImpliedStatement]) -> Result<Vec<String>, Stop> {
    if implied.is_empty() {
        return Ok(Vec::new());
    }
    let after = AfterPlan::new(host, &plan.steps);
    let next = portacl::next_boot(&portacl_boot::settings(&after)?);
    let lines = portacl::print(&portacl_boot::now(&after)?, Some(&next.state), &portacl::NumbersOnly, true);
    let is_so = |ImpliedStatement { action, ports, subject, .. }: &&ImpliedStatement| {
        lines.iter().any(|line| line.implied && (&line.action, &line.ports, &line.subject) == (action, ports, subject))
    };
    let warning = |statement: &ImpliedStatement| {
        format!(
            "line {} says what will not be so. mac_portacl has only permissions; lines with “any” follow from the settings of \
             the kernel, and are only read over",
            statement.line
        )
    };
    Ok(implied.iter().filter(|statement| !is_so(statement)).map(warning).collect())
}

/// Verifies that the granted ports can be bound, and by no other user, and that nobody has kept one that was revoked.
fn prove(run: &Run<'_>, edit: &RuleEdit) -> Result<Exit, Stop> {
    let failed = |error: HostError| {
        Stop::new(Exit::Check, ErrorCode::CheckFailed, format!("the bind check could not be run: {error}"))
    };
    let host = run.host;
    let state = portacl_boot::now(host).map_err(failed)?;
    let mut rows = bind::rules(host, &state, edit.granted(), true).map_err(failed)?;
    rows.extend(bind::rules(host, &state, edit.revoked(), false).map_err(failed)?);
    run.people.show_matrix(&rows);
    let open = bind::still_open(host, &state, edit.revoked()).map_err(failed)?;
    if !open.is_empty() {
        run.people.show_checks("Sockets that the rules do not close", &open);
    }
    let mut report = run.report();
    report.checks.extend(rows.iter().map(bind::Row::check).chain(open));
    Ok(if check::failed(&report.checks) { Exit::Check } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_nothing_else_are_taken_out() {
        for (text, plain) in [
            ("\x1b[1;37;41mpermit\x1b[0m any\n", "permit any\n"),
            ("\x1b[mplain", "plain"),
            ("\x1b[2Jother", "\x1b[2Jother"),
            ("end \x1b[31", "end \x1b[31"),
            ("[31m", "[31m"),
        ] {
            assert_eq!(without_colours(text), plain);
        }
    }
}
