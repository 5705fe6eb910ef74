//! `status`: how the installation is, on one screen, or in one line for monitoring.

mod newest;
mod rows;

use clap::Args;
use serde_json::Value;

use super::command::looking;
use super::open::Opened;
use super::report::{bracketed, wrap};
use super::screen::{Level, Screen, Tone};
use super::text::Text;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::uninstall;
use crate::run::deployed::uninstalled;
use crate::run::{Exit, Report, Stop};
use crate::shown::Shown;
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

/// How many findings of one kind are listed without `-v`.
const LISTED: usize = 10;

/// Runs `status`.
pub(super) fn run(arguments: Arguments, screen: &Screen) -> Exit {
    fn first_line(text: &str) -> &str {
        text.lines().next().unwrap_or_default()
    }
    looking(screen, "status", arguments.brief.then_some(first_line), |opened, report| {
        look(opened, arguments, screen, report)
    })
}

fn look(
    opened: &Opened,
    Arguments { diff, brief, offline }: Arguments,
    screen: &Screen,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let host = opened.host();
    let layout = Layout::default();
    let absent = |report: &mut Report, why: &str| {
        report.add("installed", false);
        Stop::new(Exit::Check, ErrorCode::NotInstalled, why)
    };
    if let Some(name) = uninstall::only_data(host, &layout).unwrap_or_default() {
        return Err(absent(report, &uninstalled(&name)));
    }
    let newest = match Lock::of_host(host, &layout) {
        // One line for monitoring does not depend on another server.
        Ok(Some(lock)) if !offline && !brief => newest::ask(opened, &layout, &lock.release),
        _ => Newest::NotAsked,
    };
    let status = match status::gather(host, &layout, newest, diff) {
        Ok(Some(status)) => status,
        Ok(None) => {
            let why = "nothing here is installed by gts-bootstrap; `gts-bootstrap install` does that";
            return Err(absent(report, why));
        }
        Err(Unknown(unknown)) => {
            let why = format!("cannot determine what is installed here: {unknown}");
            return Err(Stop::new(Exit::Check, ErrorCode::Unreadable, why));
        }
    };
    let concerns = judge::concerns(&status);
    let gravest = judge::gravest(&concerns);
    let (tone, verdict) = match gravest {
        Some(Severity::Failure) => (Tone::BAD, "something is wrong"),
        Some(Severity::Warning) => (Tone::CAUTION, "it serves, but needs attention"),
        Some(Severity::Note) | None => (Tone::GOOD, "all is well"),
    };
    if brief {
        screen.not_quiet().line(judge::brief(&status, &concerns));
    } else {
        show(screen, &status, screen.paint(tone, verdict), &concerns);
    }
    report.reboot_required = status.reboot.known().is_some_and(|pending| !pending.is_empty());
    report.add("installed", true);
    report.add("verdict", judge::word(&concerns));
    report.add("concerns", &concerns);
    let all = serde_json::to_value(&status).map_err(|error| Stop::refused(ErrorCode::Unreadable, error.to_string()))?;
    if let Value::Object(members) = all {
        members.into_iter().for_each(|(name, value)| report.add(&name, value));
    }
    Ok(if gravest == Some(Severity::Failure) { Exit::Check } else { Exit::Done })
}

fn show(screen: &Screen, status: &Status, verdict: Text<'_>, concerns: &[Concern]) {
    let heading = screen.paint(Tone::HEADING, status.host.shown());
    let seen = if status.root { "" } else { ", as far as others than root can see" };
    screen.line(heading + ": " + verdict + seen);
    for (label, text) in rows::rows(status) {
        screen.line(format!("  {label:<12}  {}", wrap(&text, 16)));
    }
    let mut left = 0;
    for (number, concern) in concerns.iter().enumerate() {
        let is_alike = |other: &&Concern| (other.about, other.severity) == (concern.about, concern.severity);
        if concerns[..number].iter().filter(is_alike).count() >= LISTED && !screen.global.verbose {
            left += 1;
            continue;
        }
        let (level, tone, word) = match concern.severity {
            Severity::Failure => (Level::Quiet, Tone::BAD, "FAIL"),
            Severity::Warning => (Level::Quiet, Tone::CAUTION, "warn"),
            Severity::Note => (Level::Normal, Tone::DIM, "note"),
        };
        let text = wrap(&format!("{}: {}{}", concern.about, concern.detail, bracketed(concern.code)), 7);
        screen.line_at(level, "  " + screen.paint(tone, word) + " " + text);
    }
    if left > 0 {
        screen.line_at(Level::Quiet, format!("       and {left} more of that kind (-v lists them)"));
    }
    for drift in status.drift.known().into_iter().flatten() {
        let What::Content { diff: Some(diff) } = &drift.what else { continue };
        for line in diff.lines() {
            let tone = match line.chars().next() {
                Some('+') => Tone::GOOD,
                Some('-') => Tone::BAD,
                Some('@') => Tone::HEADING,
                _ => Tone::PLAIN,
            };
            screen.line(screen.paint(tone, line));
        }
    }
}
