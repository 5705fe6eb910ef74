//! `portacl grant`, `revoke` and `apply`: the rules changed, now and for every boot, through plan and journal.

use std::path::PathBuf;

use clap::Args;

use super::{Picture, words};
use crate::change::{AfterPlan, Plan};
use crate::check::{self, bind};
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::open::Opened;
use crate::cli::report::{self, Report, wrap};
use crate::cli::screen::{Screen, Tone};
use crate::cli::surroundings::Surroundings;
use crate::cli::transaction::{Stop, Transaction, With};
use crate::error_code::ErrorCode;
use crate::host::{HostError, Observe};
use crate::parts::rule_edit::{Meaning, RuleEdit};
use crate::parts::{portacl_boot, rule_change};
use crate::portacl::{self, ImpliedStatement, KernelRule, Names, Rule, Sign, Subject};

/// How changes are agreed to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Agreement {
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Allow ids that nobody has on this host: those of a jail's users, for example
    #[arg(long)]
    pub allow_unknown: bool,
}

/// What `portacl grant` and `portacl revoke` take.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// Who: a user, a group as @GROUP, or a number as uid:N or gid:N
    #[arg(value_name = "USER|@GROUP|uid:N|gid:N")]
    pub subject: String,
    /// Ports by number or name, /udp behind those of UDP: 80,443 or 53/udp
    #[arg(value_name = "PORT[/PROTO]", required = true)]
    pub ports: Vec<String>,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// What `portacl apply` takes.
#[derive(Debug, Clone, Args)]
pub struct FromFile {
    /// The rules, as `portacl show` prints them; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Runs `portacl grant`.
#[must_use]
pub(super) fn grant(global: &Global, arguments: &Named, screen: &Screen) -> Exit {
    run("portacl grant", global, arguments.agreement, screen, &|host| {
        Ok(Wish::only(RuleEdit::Grant(named(host, arguments, true)?)))
    })
}

/// Runs `portacl revoke`.
#[must_use]
pub(super) fn revoke(global: &Global, arguments: &Named, screen: &Screen) -> Exit {
    run("portacl revoke", global, arguments.agreement, screen, &|host| {
        Ok(Wish::only(RuleEdit::Revoke(named(host, arguments, false)?)))
    })
}

/// Runs `portacl apply`.
#[must_use]
pub(super) fn apply(global: &Global, arguments: &FromFile, screen: &Screen) -> Exit {
    // Standard input can be read only once.
    let text = text_of(&arguments.file, screen.around());
    run("portacl apply", global, arguments.agreement, screen, &|host| {
        let text = text.as_ref().map_err(Stop::usage)?;
        from_text(host, text)
    })
}

/// What is wanted.
struct Wish {
    /// The change; `None` where the rules are as they are wanted already.
    edit: Option<RuleEdit>,
    /// Lines of the file that say what follows by itself.
    implied: Vec<ImpliedStatement>,
}

impl Wish {
    fn only(edit: RuleEdit) -> Self {
        Self { edit: Some(edit), implied: Vec::new() }
    }
}

fn run(
    command: &'static str,
    global: &Global,
    agreement: Agreement,
    screen: &Screen,
    wish: &dyn Fn(&dyn Observe) -> Result<Wish, Stop>,
) -> Exit {
    let mut report = Report::new(command);
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if agreement.yes { screen.clone() } else { screen.not_quiet() };
    match change(command, global, agreement, screen, wish, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn change(
    command: &'static str,
    global: &Global,
    agreement: Agreement,
    screen: &Screen,
    wish: &dyn Fn(&dyn Observe) -> Result<Wish, Stop>,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    if host.system()?.euid != 0 {
        return Err(Stop::refused(
            ErrorCode::NotRoot,
            "only root can read all that this needs, and change it; run it as root",
        ));
    }
    let transaction = Transaction {
        command,
        host,
        authority: opened.authority(),
        screen,
        yes: agreement.yes,
        plan_only: agreement.plan,
        ask: false,
    };
    transaction.settle()?;
    let tolerated: &[&str] = if agreement.allow_unknown { &[UNKNOWN_ID] } else { &[] };
    let make = || -> Result<(Wish, Plan), Stop> {
        let wish = wish(host.observe())?;
        let Some(edit) = &wish.edit else { return Ok((wish, Plan::default())) };
        let plan = rule_change::plan(host.observe(), edit, tolerated).map_err(Stop::failed)?;
        Ok((wish, plan))
    };
    let (wish, plan) = make()?;
    for warning in contradicted(host.observe(), &plan, &wish.implied)? {
        screen.attention(&wrap(&format!("{} {warning}", screen.paint(Tone::Caution, "warning:")), 2));
    }
    transaction.show(&plan, "Plan: port access", "Nothing to change: the rules are so already.", report);
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    if !plan.is_empty() {
        transaction.consent(&plan, &explanation())?;
        transaction.apply(&plan, || Ok(make()?.1), With::default(), report)?;
    }
    if !plan.reboot.is_empty() {
        screen.attention("A reboot is needed; after it the rules are in force.");
        return Ok(Exit::Reboot);
    }
    match &wish.edit {
        Some(edit) => prove(host.observe(), edit, screen, report),
        None => Ok(Exit::Done),
    }
}

/// The code of the finding that `--allow-unknown` is about.
const UNKNOWN_ID: &str = "unknown-id";

fn explanation() -> [String; 1] {
    ["The kernel keeps one list of rules, which is replaced as a whole: what others have in it stays. A rule is put into the \
      running kernel and into /etc/sysctl.conf, so that it is there after every boot. The reserved range is lowered only after \
      the rules are in force, and no further than the lowest port needs. A boot guard closes the ports again should the \
      module ever be missing."
        .to_owned()]
}

/// The rules that the arguments name.
fn named(host: &dyn Observe, arguments: &Named, granting: bool) -> Result<Vec<Rule>, Stop> {
    let usage = |why: String| Stop::usage(why);
    let picture = Picture::of(host)?;
    let names: &dyn Names = &picture.names;
    let subject = words::subject(&arguments.subject, names).map_err(usage)?;
    let ports = words::ports(&arguments.ports, names).map_err(usage)?;
    let rules = words::rules(subject, &ports);
    if granting {
        let policy = &picture.now.policy;
        if subject == Subject::Uid(0) && policy.suser_exempt != 0 {
            return Err(usage(
                "root may bind every port without a rule (security.mac.portacl.suser_exempt is 1)".into(),
            ));
        }
        if let Some((_, port)) = ports.iter().find(|(_, port)| i32::from(*port) > policy.port_high) {
            return Err(usage(format!(
                "port {port} needs no rule: mac_portacl guards the ports up to {} (security.mac.portacl.port_high), and above \
                 that every user may bind",
                policy.port_high
            )));
        }
    }
    picture.names.finish()?;
    Ok(rules)
}

fn text_of(file: &std::path::Path, around: &Surroundings) -> Result<String, String> {
    let bytes = if file.as_os_str() == "-" {
        around.rest().map_err(|error| format!("standard input cannot be read: {error}"))?
    } else {
        std::fs::read(around.path(file)).map_err(|error| format!("{} cannot be read: {error}", file.display()))?
    };
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", file.display()))?;
    Ok(without_colours(&text))
}

/// The text without the sequences that colour it (ECMA-48, 8.3.117 SGR): what `portacl show --color always` prints is taken,
/// too.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|character: char| !(character.is_ascii_digit() || character == ';'));
        match end.and_then(|end| after.get(end..)?.strip_prefix('m')) {
            Some(after) => rest = after,
            // Any other sequence is refused with its line.
            None => {
                plain.push_str("\x1b[");
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// What a text in the readable form asks for.
fn from_text(host: &dyn Observe, text: &str) -> Result<Wish, Stop> {
    let usage = |lines: Vec<String>| Stop::usage(lines.join("\n"));
    let picture = Picture::of(host)?;
    let ruleset = portacl::parse_readable(text, &picture.names)
        .map_err(|errors| usage(errors.iter().map(ToString::to_string).collect()))?;
    let now: Vec<Meaning> = meanings(&picture.now.policy.rules);
    let boot: Vec<Meaning> = meanings(&picture.next_boot.state.policy.rules);
    let wanted = |without: Sign| -> Vec<Meaning> {
        ruleset.rules().filter(|rule| rule.sign != without).map(|rule| rule.meaning()).collect()
    };
    let (wanted_now, wanted_boot) = (wanted(Sign::NextBootOnly), wanted(Sign::NowOnly));
    let mut wrong = Vec::new();
    for rule in ruleset.rules() {
        let as_often = |a: &[Meaning], b: &[Meaning]| {
            let count = |list: &[Meaning]| list.iter().filter(|there| **there == rule.meaning()).count();
            count(a) == count(b)
        };
        let is_so = rule.sign == Sign::Both || (as_often(&wanted_now, &now) && as_often(&wanted_boot, &boot));
        if !is_so {
            wrong.push(format!(
                "line {}: a rule with a sign, in force until or from the next boot only, stays as it is where there is one, and \
                 cannot be made. Take the sign away: the rule is then in force now and after every boot",
                rule.line
            ));
        }
    }
    if !wrong.is_empty() {
        return Err(usage(wrong));
    }
    let implied = ruleset.implied().cloned().collect();
    picture.names.finish()?;
    if wanted_now == now && wanted_boot == boot {
        return Ok(Wish { edit: None, implied });
    }
    let everywhere = |meaning: &Meaning| now.contains(meaning) && boot.contains(meaning);
    let all: Vec<Meaning> = wanted_now.iter().chain(&wanted_boot).copied().collect();
    let granted = effective(ruleset.rules().map(|rule| rule.meaning()).filter(|meaning| !everywhere(meaning)));
    let revoked = effective(now.iter().chain(&boot).copied().filter(|meaning| !all.contains(meaning)));
    Ok(Wish { edit: Some(RuleEdit::Replace { now: wanted_now, boot: wanted_boot, granted, revoked }), implied })
}

fn meanings(rules: &[KernelRule]) -> Vec<Meaning> {
    rules.iter().map(KernelRule::meaning).collect()
}

/// The rules among these that permit anybody anything, each once.
fn effective(meanings: impl Iterator<Item = Meaning>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (id, protocol, port) in meanings {
        let rule = KernelRule { text: String::new(), id, protocol, port }.effective();
        if let Some(rule) = rule.filter(|rule| rule.port > 0 && !rules.contains(rule)) {
            rules.push(rule);
        }
    }
    rules
}

/// Implied lines of a file that do not say what will be: mac_portacl has no such rules, so they change nothing.
fn contradicted(host: &dyn Observe, plan: &Plan, implied: &[ImpliedStatement]) -> Result<Vec<String>, Stop> {
    if implied.is_empty() {
        return Ok(Vec::new());
    }
    let after = AfterPlan::new(host, plan);
    let now = portacl_boot::now(&after)?;
    let next = portacl::next_boot(&portacl_boot::settings(&after)?);
    let lines = portacl::print(&now, Some(&next.state), &portacl::NumbersOnly, true);
    let so = |statement: &ImpliedStatement| {
        lines.iter().any(|line| {
            line.implied
                && (line.action, line.ports, &line.subject) == (statement.action, statement.ports, &statement.subject)
        })
    };
    Ok(implied
        .iter()
        .filter(|statement| !so(statement))
        .map(|statement| {
            format!(
                "line {} says what will not be so. mac_portacl has only permissions; lines with “any” follow from the settings of \
                 the kernel, and are only read over",
                statement.line
            )
        })
        .collect())
}

/// The proof: who was to get a port has it, and nobody else.
fn prove(host: &dyn Observe, edit: &RuleEdit, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let failed = |error: HostError| {
        Stop::new(Exit::Check, ErrorCode::CheckFailed, format!("the bind check could not be run: {error}"))
    };
    let state = portacl_boot::now(host).map_err(failed)?;
    let mut rows = bind::rules(host, &state, edit.granted(), true).map_err(failed)?;
    rows.extend(bind::rules(host, &state, edit.revoked(), false).map_err(failed)?);
    report::show_matrix(screen, &rows);
    let checks: Vec<check::Check> = rows.iter().map(bind::Row::check).collect();
    let exit = if check::failed(&checks) { Exit::Check } else { Exit::Done };
    report.checks.extend(checks);
    Ok(exit)
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
