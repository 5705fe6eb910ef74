//! `portacl`: mac_portacl(4) that can be read, checked and changed as pf can, on any FreeBSD host.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::command::{Terms, changing, looking};
use super::open::Opened;
use super::report::wrap;
use super::screen::{Level, Screen, Tone};
use super::text::Text;
use crate::check::bind::{self, Question, Trial};
use crate::error_code::ErrorCode;
use crate::parts::rule_change;
use crate::portacl::{self, Decision, Finding, Line, Names, NumbersOnly, Protocol, Severity, Sign, State, Subject};
use crate::run::port_rules::{self, Picture, RuleWish};
use crate::run::port_words as words;
use crate::run::report::counted;
use crate::run::{Exit, Report, Stop};

/// What `portacl` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum PortaclCommand {
    /// Show which user may bind which port, one line per rule, and what the next boot will change
    Show(Show),
    /// Show whether a user may bind a port, now and after the next boot, and which rule or setting decides
    Explain(Explain),
    /// Look for rules and settings that do not do what they seem to
    Lint,
    /// Let a user or a group bind ports, now and after every boot
    Grant(Named),
    /// Remove such rules again
    Revoke(Named),
    /// Make the rules of a file, written as `show` writes them, the rules of this host
    Apply {
        /// The rules, as `portacl show` prints them; - for standard input
        file: PathBuf,
        /// How the changes are agreed to.
        #[command(flatten)]
        agreement: Agreement,
    },
}

/// What `portacl show` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Show {
    /// Numbers only: no names of users, groups and services
    #[arg(short, long)]
    pub numeric: bool,
    /// Print the list of rules as the kernel keeps it, and nothing else
    #[arg(long, conflicts_with = "numeric")]
    pub raw: bool,
}

/// What `portacl explain` takes.
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// A user by name, or uid:N
    pub user: String,
    /// Ports by number or name, followed by /udp for UDP
    #[arg(value_name = "PORT[/PROTO]", required = true)]
    pub ports: Vec<String>,
    /// Really try it as that user, and compare; needs root
    #[arg(long)]
    pub prove: bool,
}

/// How changes are agreed to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Agreement {
    /// How the changes are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Allow ids that no user has on this host, for example those of a jail's users
    #[arg(long)]
    pub allow_unknown: bool,
}

/// What `portacl grant` and `portacl revoke` take.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// Who: a user, a group as @GROUP, or a number as uid:N or gid:N
    #[arg(value_name = "USER|@GROUP|uid:N|gid:N")]
    pub subject: String,
    /// Ports by number or name, followed by /udp for UDP: 80,443 or 53/udp
    #[arg(value_name = "PORT[/PROTO]", required = true)]
    pub ports: Vec<String>,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Runs `portacl`.
pub(super) fn run(command: PortaclCommand, screen: &Screen) -> Exit {
    let change = |command, Agreement { terms, allow_unknown }, wish: RuleWish| {
        changing(screen, command, terms, &|run| port_rules::change(run, &wish, allow_unknown))
    };
    match command {
        PortaclCommand::Show(it) => {
            looking(screen, "portacl show", None, |opened, report| show(opened, it, screen, report))
        }
        PortaclCommand::Explain(it) => {
            looking(screen, "portacl explain", None, |opened, report| explain(opened, &it, screen, report))
        }
        PortaclCommand::Lint => looking(screen, "portacl lint", None, |opened, report| lint(opened, screen, report)),
        PortaclCommand::Grant(it) => change("portacl grant", it.agreement, RuleWish::Grant(it.subject, it.ports)),
        PortaclCommand::Revoke(it) => change("portacl revoke", it.agreement, RuleWish::Revoke(it.subject, it.ports)),
        PortaclCommand::Apply { file, agreement } => {
            // Standard input can be read only once.
            let input = (file.as_os_str() == "-").then(|| screen.around.rest());
            change("portacl apply", agreement, RuleWish::Apply(port_rules::read(&screen.around.typed(&file), input)))
        }
    }
}

/// The rules in force, as `pfctl -sr` shows those of pf.
fn show(opened: &Opened, Show { numeric, raw }: Show, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let Picture { now, settings, next_boot, names } = Picture::of(opened.host())?;
    let lines = portacl::print(&now, Some(&next_boot.state), &names, numeric);
    report.add("loaded", now.policy.loaded);
    report.add("list", &now.list);
    report.add("next_boot_list", &next_boot.state.list);
    report.add("lines", &lines);
    // The rules are what was asked for, so --quiet does not hide them.
    let loud = screen.not_quiet();
    if raw {
        loud.line(&now.list);
    } else {
        for (line, text) in lines.iter().zip(portacl::render(&lines).lines()) {
            loud.line(loud.paint(tone(line), text));
        }
    }
    let found = portacl::lint(Some(&now), &settings, &names).len();
    names.finish()?;
    if found > 0 && !screen.global.quiet {
        screen.attention(format!("{}: see `gts-bootstrap portacl lint`", counted(found, "finding")));
    }
    Ok(Exit::Done)
}

fn tone(line: &Line) -> Tone {
    let open = line.note.as_deref().is_some_and(|note| note.starts_with("OPEN"));
    match line.sign {
        _ if open => Tone::ALARM,
        Sign::NowOnly => Tone::BAD,
        Sign::NextBootOnly => Tone::GOOD,
        Sign::Both if line.effective => Tone::PLAIN,
        Sign::Both => Tone::DIM,
    }
}

/// Whether the user may bind the ports, and why.
fn explain(opened: &Opened, arguments: &Explain, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let (host, screen) = (opened.host(), &screen.not_quiet());
    if arguments.prove && host.system()?.euid != 0 {
        return Err(Stop::refused(
            ErrorCode::NotRoot,
            "--prove takes on the user's ids, which only root can do: run it as root",
        ));
    }
    let picture = Picture::of(host)?;
    let names: &dyn Names = &picture.names;
    let Subject::Uid(uid) = words::subject(&arguments.user, names).map_err(Stop::usage)? else {
        return Err(Stop::usage(format!("{} is a group; name a user, whose groups count with it", arguments.user)));
    };
    let groups = bind::groups_of(host, uid)?;
    let ports = words::ports(&arguments.ports, names).map_err(Stop::usage)?;
    let mut answers = Vec::new();
    let mut exit = Exit::Done;
    let asked = |(protocol, port)| {
        let question = Question { uid, groups: groups.clone(), protocol, port };
        let now = bind::verdict(&picture.now, &question);
        (question, now)
    };
    let asked: Vec<_> = ports.into_iter().map(asked).collect();
    let mut tried = if arguments.prove { bind::prove(host, &asked)? } else { Vec::new() }.into_iter();
    for (question, now) in asked {
        let Question { protocol, port, .. } = question;
        let next = bind::verdict(&picture.next_boot.state, &question);
        let trials = tried.next().unwrap_or_default();
        show_answer(screen, &picture, &question, (now, next), &trials);
        if trials.iter().any(|trial| trial.agrees == Some(false)) {
            exit = Exit::Check;
        }
        answers.push(json!({
            "uid": uid,
            "groups": groups,
            "protocol": protocol.to_string(),
            "port": port,
            "now": as_json(&picture.now, &question, now),
            "next_boot": as_json(&picture.next_boot.state, &question, next),
            "tried": trials,
        }));
    }
    report.add("answers", answers);
    picture.names.finish()?;
    if exit == Exit::Check {
        screen.error(
            ErrorCode::Prediction,
            "prediction and kernel disagree (marked above). That is a bug of gts-bootstrap: please report it, with this output \
             and that of `gts-bootstrap portacl show --json` and `sysctl security.mac net.inet.ip.portrange`",
        );
    }
    Ok(exit)
}

fn show_answer(
    screen: &Screen,
    picture: &Picture<'_>,
    question: &Question,
    (now, next): (Decision, Decision),
    trials: &[Trial],
) {
    let names: &dyn Names = &picture.names;
    let who = words::describe(Subject::Uid(question.uid), names);
    let what = words::describe_port(question.protocol, question.port, names);
    screen.line(screen.paint(Tone::HEADING, format!("{who}, {what}")));
    let named = |&gid: &u32| names.group(gid).map_or_else(|| gid.to_string(), |name| format!("{name} ({gid})"));
    let groups: Vec<String> = question.groups.iter().map(named).collect();
    if screen.global.verbose {
        screen.line(format!("  groups: {}", groups.join(", ")));
    }
    for (when, state, decision) in [("now", &picture.now, now), ("after a boot", &picture.next_boot.state, next)] {
        let (word, tone) = if decision.errno().is_none() { ("yes", Tone::GOOD) } else { ("no ", Tone::BAD) };
        let errno = decision.errno().map(|errno| format!("{errno}: ")).unwrap_or_default();
        let why = bind::reason(state, question, decision, names);
        let why = wrap(&format!("{errno}{why}"), 22);
        screen.line(Text::from(format!("  {when:<14} ")) + screen.paint(tone, word) + "  " + why);
    }
    for trial in trials {
        let (tone, word) = match trial.agrees {
            Some(true) => (Tone::GOOD, "as predicted"),
            Some(false) => (Tone::ALARM, "NOT AS PREDICTED"),
            None => (Tone::DIM, "not tried"),
        };
        let family = format!("tried, {}", trial.family);
        screen.line(Text::from(format!("  {family:<14} ")) + screen.paint(tone, word) + format!("  {}", trial.outcome));
    }
    if (now.errno().is_some() || next.errno().is_some()) && question.uid != 0 {
        let protocol = if question.protocol == Protocol::Udp { "/udp" } else { "" };
        // Otherwise a rule for an id that no user has is refused.
        let user = names.user(question.uid).unwrap_or_else(|| format!("--allow-unknown uid:{}", question.uid));
        screen.line(format!("  to allow it    gts-bootstrap portacl grant {user} {}{protocol}", question.port));
    }
}

fn as_json(state: &State, question: &Question, decision: Decision) -> Value {
    json!({
        "allowed": decision.errno().is_none(),
        "errno": decision.errno().map(|errno| errno.to_string()),
        "decided_by": bind::code(decision),
        "rule": bind::rule(state, decision).map(|rule| rule.text.clone()),
        "why": bind::reason(state, question, decision, &NumbersOnly),
    })
}

/// Rules and settings that do not do what they seem to: for each what, why, and how to fix it.
fn lint(opened: &Opened, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let found = rule_change::findings(opened.host(), true)?;
    report.add("findings", &found);
    if found.is_empty() {
        let nothing = "Nothing found: every rule does what it seems to, now and after a boot.";
        screen.line(screen.paint(Tone::GOOD, nothing));
    }
    for Finding { severity, subject, what, why, mend, .. } in &found {
        let (word, tone) = match severity {
            Severity::Alarm => ("ALARM", Tone::ALARM),
            Severity::Error => ("error", Tone::BAD),
            Severity::Warning => ("warn ", Tone::CAUTION),
        };
        let what = screen.paint(Tone::HEADING, wrap(&format!("{subject}: {what}"), 6));
        screen.line_at(Level::Quiet, screen.paint(tone, word) + " " + what);
        for (label, text) in [("why: ", why), ("fix: ", mend)] {
            screen.line_at(Level::Quiet, format!("      {}", wrap(&format!("{label} {text}"), 12)));
        }
    }
    Ok(if found.is_empty() { Exit::Done } else { Exit::Check })
}
