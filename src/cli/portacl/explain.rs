//! `portacl explain`: may this user bind that port, and which rule or gate decides?

use clap::Args;
use serde_json::{Value, json};

use crate::check::bind::{self, Question, Trial};
use crate::cli::command;
use crate::cli::global::Global;
use crate::cli::report::wrap;
use crate::cli::screen::{Level, Screen, Tone};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::portacl::{Names, Protocol, State, Subject, Verdict};
use crate::run::port_rules::Picture;
use crate::run::port_words as words;
use crate::run::{Exit, Report, Stop};

/// What `portacl explain` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// A user by name, or uid:N
    #[arg(value_name = "USER")]
    pub user: String,
    /// Ports by number or name, followed by /udp for UDP
    #[arg(value_name = "PORT[/PROTO]", required = true)]
    pub ports: Vec<String>,
    /// Really try it as that user, and compare; needs root
    #[arg(long)]
    pub prove: bool,
}

/// Runs `portacl explain`.
pub(super) fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let screen = &screen.not_quiet();
    command::looking(global, screen, "portacl explain", |opened, report| {
        explain(opened.host(), arguments, screen, report)
    })
}

fn explain(host: &dyn Observe, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    if arguments.prove && host.system()?.euid != 0 {
        return Err(Stop::refused(
            ErrorCode::NotRoot,
            "--prove takes on the user's ids, which only root can do: run it as root",
        ));
    }
    let picture = Picture::of(host)?;
    let names: &dyn Names = &picture.names;
    let usage = |why: String| Stop::usage(why);
    let (uid, groups) = user(host, &arguments.user, names)?;
    let ports = words::ports(&arguments.ports, names).map_err(usage)?;
    let mut answers = Vec::new();
    let mut exit = Exit::Done;
    for (protocol, port) in ports {
        let question = Question { uid, groups: groups.clone(), protocol, port };
        let now = bind::verdict(&picture.now, &question);
        let next = bind::verdict(&picture.next_boot.state, &question);
        let trials = if arguments.prove { bind::prove(host, &question, &now)? } else { Vec::new() };
        show(screen, &picture, &question, (&now, &next), &trials);
        if trials.iter().any(|trial| trial.agrees == Some(false)) {
            exit = Exit::Check;
        }
        answers.push(json!({
            "uid": uid,
            "groups": groups,
            "protocol": protocol.to_string(),
            "port": port,
            "now": as_json(&picture.now, &question, &now),
            "next_boot": as_json(&picture.next_boot.state, &question, &next),
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

/// The user's uid, and its groups, the primary one first.
fn user(host: &dyn Observe, word: &str, names: &dyn Names) -> Result<(u32, Vec<u32>), Stop> {
    let subject = words::subject(word, names).map_err(Stop::usage)?;
    let Subject::Uid(uid) = subject else {
        return Err(Stop::usage(format!("{word} is a group; name a user, whose groups count with it")));
    };
    Ok((uid, bind::groups_of(host, uid)?))
}

fn show(
    screen: &Screen,
    picture: &Picture<'_>,
    question: &Question,
    (now, next): (&Verdict, &Verdict),
    trials: &[Trial],
) {
    let names: &dyn Names = &picture.names;
    let who = words::describe(Subject::Uid(question.uid), names);
    let what = words::describe_port(question.protocol, question.port, names);
    screen.line(&screen.paint(Tone::Heading, &format!("{who}, {what}")));
    let groups: Vec<String> = question
        .groups
        .iter()
        .map(|&gid| names.group(gid).map_or_else(|| gid.to_string(), |name| format!("{name} ({gid})")))
        .collect();
    screen.line_at(Level::Verbose, &format!("  groups: {}", groups.join(", ")));
    for (when, state, verdict) in [("now", &picture.now, now), ("after a boot", &picture.next_boot.state, next)] {
        let why = bind::reason(state, question, verdict, names);
        screen.line(&line(screen, when, verdict, &why));
    }
    for trial in trials {
        let (tone, word) = match trial.agrees {
            Some(true) => (Tone::Good, "as predicted"),
            Some(false) => (Tone::Alarm, "NOT AS PREDICTED"),
            None => (Tone::Dim, "not tried"),
        };
        let family = format!("tried, {}", trial.family);
        screen.line(&format!("  {family:<14} {}  {}", screen.paint(tone, word), trial.outcome));
    }
    if !(now.allowed && next.allowed) && question.uid != 0 {
        let protocol = if question.protocol == Protocol::Udp { "/udp" } else { "" };
        // A rule for an id that nobody has is refused otherwise.
        let user = names.user(question.uid).unwrap_or_else(|| format!("--allow-unknown uid:{}", question.uid));
        screen.line(&format!("  to allow it    gts-bootstrap portacl grant {user} {}{protocol}", question.port));
    }
}

fn line(screen: &Screen, when: &str, verdict: &Verdict, why: &str) -> String {
    let (word, tone) = if verdict.allowed { ("yes", Tone::Good) } else { ("no ", Tone::Bad) };
    let errno = verdict.errno.map(|errno| format!("{errno}: ")).unwrap_or_default();
    format!("  {when:<14} {}  {}", screen.paint(tone, word), wrap(&format!("{errno}{why}"), 22))
}

fn as_json(state: &State, question: &Question, verdict: &Verdict) -> Value {
    json!({
        "allowed": verdict.allowed,
        "errno": verdict.errno.map(|errno| errno.to_string()),
        "decided_by": bind::code(verdict.decided_by),
        "rule": bind::rule(state, verdict).map(|rule| rule.text.clone()),
        "why": bind::reason(state, question, verdict, &crate::portacl::NumbersOnly),
    })
}
