//! `status`: how the installation is, on one screen, or in one line for monitoring.

mod newest;
mod rows;

use clap::Args;
use serde_json::Value;

use super::global::Global;
use super::open::Opened;
use super::report::{self, bracketed, wrap};
use super::screen::{Level, Screen, Tone};
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::uninstall;
use crate::run::deployed::uninstalled;
use crate::run::{Exit, Report, Stop};
use crate::status::drift::What;
use crate::status::judge::{self, Concern, Severity};
use crate::status::{self, Newest, Status, Unknown};

/// What `status` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// Show the edits of each file since it was installed; passwords are hidden
    #[arg(long, conflicts_with = "brief")]
    pub diff: bool,
    /// Print one line, for monitoring
    #[arg(long)]
    pub brief: bool,
    /// Do not look for the newest release
    #[arg(long)]
    pub offline: bool,
}

/// What is said of a host without an installation.
const NOTHING: &str = "nothing here is installed by gts-bootstrap";
/// How many findings of one kind are listed, unless everything is said.
const LISTED: usize = 10;

/// Runs `status`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("status");
    match Opened::open(global, screen).and_then(|opened| look(&opened, arguments, screen, &mut report)) {
        Ok(exit) => report::finish(&report, screen, exit),
        Err(stop) if arguments.brief => {
            screen.not_quiet().line(&format!("FAIL: {}", stop.why.lines().next().unwrap_or_default()));
            report::fail_silently(report, screen, &stop)
        }
        Err(stop) => report::fail(report, screen, &stop),
    }
}

fn look(opened: &Opened, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let host = opened.host();
    let layout = Layout::default();
    if let Some(name) = uninstall::only_data(host, &layout).unwrap_or_default() {
        report.add("installed", false);
        return Err(Stop::new(Exit::Check, ErrorCode::NotInstalled, uninstalled(&name)));
    }
    let newest = match Lock::of_host(host, &layout) {
        // One line for monitoring does not depend on a server somewhere else.
        Ok(Some(lock)) if !arguments.offline && !arguments.brief => newest::ask(opened, &layout, &lock.release),
        _ => Newest::NotAsked,
    };
    let status = match status::gather(host, &layout, newest, arguments.diff) {
        Ok(Some(status)) => status,
        Ok(None) => {
            report.add("installed", false);
            let next = "gts-bootstrap install";
            return Err(Stop::new(Exit::Check, ErrorCode::NotInstalled, format!("{NOTHING}; `{next}` does that")));
        }
        Err(Unknown(unknown)) => {
            return Err(Stop::new(
                Exit::Check,
                ErrorCode::Unreadable,
                format!("cannot determine what is installed here: {unknown}"),
            ));
        }
    };
    let concerns = judge::concerns(&status);
    let verdict = judge::gravest(&concerns);
    if arguments.brief {
        screen.not_quiet().line(&judge::brief(&status, &concerns));
    } else {
        show(screen, &status, &concerns);
    }
    report.reboot_required = status.reboot.known().is_some_and(|pending| !pending.is_empty());
    report.add("installed", true);
    report.add("verdict", judge::word(&concerns));
    report.add("concerns", &concerns);
    if let Value::Object(members) = serde_json::to_value(&status).map_err(Stop::unwritable)? {
        for (name, value) in members {
            report.add(&name, value);
        }
    }
    Ok(if verdict == Some(Severity::Failure) { Exit::Check } else { Exit::Done })
}

fn show(screen: &Screen, status: &Status, concerns: &[Concern]) {
    let (tone, verdict) = match judge::gravest(concerns) {
        Some(Severity::Failure) => (Tone::Bad, "something is wrong"),
        Some(Severity::Warning) => (Tone::Caution, "it serves, but needs attention"),
        Some(Severity::Note) | None => (Tone::Good, "all is well"),
    };
    let heading = screen.paint(Tone::Heading, &status.host);
    let seen = if status.root { "" } else { ", as far as others than root can see" };
    screen.line(&format!("{heading}: {}{seen}", screen.paint(tone, verdict)));
    for (label, text) in rows::rows(status) {
        screen.line(&format!("  {label:<12}  {}", wrap(&text, 16)));
    }
    let mut listed: Vec<(&str, Severity)> = Vec::new();
    let mut left = 0;
    for concern in concerns {
        let kind = (concern.about, concern.severity);
        if listed.iter().filter(|other| **other == kind).count() >= LISTED && !screen.says(Level::Verbose) {
            left += 1;
            continue;
        }
        listed.push(kind);
        let (level, tone, word) = match concern.severity {
            Severity::Failure => (Level::Quiet, Tone::Bad, "FAIL"),
            Severity::Warning => (Level::Quiet, Tone::Caution, "warn"),
            Severity::Note => (Level::Normal, Tone::Dim, "note"),
        };
        let text = wrap(&format!("{}: {}{}", concern.about, concern.detail, bracketed(concern.code)), 7);
        screen.line_at(level, &format!("  {} {text}", screen.paint(tone, word)));
    }
    if left > 0 {
        screen.line_at(Level::Quiet, &format!("       and {left} more of that kind (-v lists them)"));
    }
    for drift in status.drift.known().into_iter().flatten() {
        let What::Content { diff: Some(diff) } = &drift.what else { continue };
        for line in diff.lines() {
            let tone = match line.chars().next() {
                Some('+') => Tone::Good,
                Some('-') => Tone::Bad,
                Some('@') => Tone::Heading,
                _ => Tone::Plain,
            };
            screen.line(&screen.paint(tone, line));
        }
    }
}
