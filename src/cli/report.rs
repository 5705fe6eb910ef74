//! The result of a command, for people and for `--json`.

use serde_json::json;

use super::screen::{LATER, Level, Screen, Tone};
use super::text::Text;
use super::wrap::broken;
use crate::check::bind::{self, Row};
use crate::check::{Check, Status};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::parts::folders;
use crate::run::{Exit, Report, Stop};
use crate::shown::Shown;

/// Reports how a command ended, to people and to `--json`, and returns the exit code.
pub(super) fn finish(report: Report, screen: &Screen, ended: Result<Exit, Stop>) -> Exit {
    if let Err(stop) = &ended {
        screen.error(stop.code, &stop.why);
    }
    finish_silently(report, screen, ended)
}

/// Reports how a command ended to `--json` alone.
pub(super) fn finish_silently(mut report: Report, screen: &Screen, ended: Result<Exit, Stop>) -> Exit {
    let exit = ended.unwrap_or_else(|stop| {
        report.error = Some(stop.why);
        report.code = Some(stop.code);
        stop.exit
    });
    if screen.global.json {
        screen.print_exact(&format!("{}\n", json!(report)));
    }
    exit
}

/// Shows findings: those that need attention, and with `all` or `-v` those that passed.
pub fn show_checks(screen: &Screen, heading: &str, checks: &[Check], all: bool) {
    let all = all || screen.global.verbose;
    let (shown, hidden): (Vec<&Check>, _) = checks.iter().partition(|check| all || check.status != Status::Pass);
    screen.line(screen.paint(Tone::HEADING, heading));
    for check in shown {
        let is_alarming = check.detail.contains("ANY user") || check.detail.contains("must not");
        let (word, tone, level) = match check.status {
            Status::Pass => ("ok  ", Tone::GOOD, Level::Normal),
            Status::Warn => ("warn", Tone::CAUTION, Level::Quiet),
            Status::Skip => ("skip", Tone::DIM, Level::Normal),
            Status::Fail if is_alarming => ("FAIL", Tone::ALARM, Level::Quiet),
            Status::Fail => ("FAIL", Tone::BAD, Level::Quiet),
        };
        let text = wrap(&format!("{}: {}{}", check.name, check.detail, bracketed(check.code)), 7);
        screen.line_at(level, "  " + screen.paint(tone, word) + " " + text);
    }
    if !hidden.is_empty() {
        let are = if hidden.len() == 1 { "finding is as it" } else { "findings are as they" };
        screen.line(screen.paint(Tone::DIM, format!("  {} {are} should be (-v shows them)", hidden.len())));
    }
}

/// A code behind a finding.
pub(super) fn bracketed(code: Option<ErrorCode>) -> String {
    code.map(|code| format!(" [{code}]")).unwrap_or_default()
}

/// Shows the bind check's table.
pub fn show_matrix(screen: &Screen, rows: &[Row]) {
    screen.line(screen.paint(Tone::HEADING, "Bind check: who may bind which port, tried as that user"));
    screen.line(screen.paint(Tone::DIM, "  user                  port  family       bind(2)"));
    for row in rows {
        let (word, tone, level) = match row.right() {
            Some(true) => ("ok", Tone::GOOD, Level::Normal),
            Some(false) if row.wanted => ("FAIL", Tone::BAD, Level::Quiet),
            Some(false) => ("OPEN", Tone::ALARM, Level::Quiet),
            None => ("-", Tone::DIM, Level::Normal),
        };
        let who = format!("{} ({})", row.user, row.uid);
        let word = screen.paint(tone, format!("{word:<5}"));
        let said = bind::in_words(row.outcome);
        let begin = format!("  {who:<20} {:>5}  {:<6} ", row.port, row.family());
        screen.line_at(level, Text::from(begin) + word + " " + said);
    }
    for code in [ErrorCode::PortOpen, ErrorCode::PortRefused] {
        if rows.iter().any(|row| row.check().code == Some(code)) {
            screen.more(code);
        }
    }
}

/// Shows what a user needs to know of a new installation, and once more the password of a new account, which may be off the screen
/// by now.
pub(super) fn show_installation(screen: &Screen, deployment: &Deployment, layout: &Layout, password: Option<&str>) {
    screen.line(screen.paint(Tone::HEADING, format!("https://{} is up.", deployment.host)));
    screen.line(installation(deployment, layout));
    // Where nothing scrolls away, once is enough.
    if let Some(password) = password.filter(|_| screen.around.errors.size().is_some()) {
        screen.attention(format!("The administrator's password, for the last time: {password}"));
    }
}

/// Where everything is, how to log in, and what to type from now on.
fn installation(deployment: &Deployment, layout: &Layout) -> String {
    let login = match &deployment.admin {
        Some(admin) => format!("as {}", admin.email),
        None => "there is no account yet: `gts-bootstrap install --ask` makes one".to_owned(),
    };
    let (settings, answers, data) = (layout.config.shown(), layout.answers(), layout.data.shown());
    let (log, backups) = (folders::log(layout), layout.backups.shown());
    format!(
        "  log in    https://{}/settings
            {login}
  settings  {settings}
  answers   {}
  data      {data}
  log       {}
  backups   {backups}
From day to day:
  service gotosocial status    also start, stop, restart, health
  gts-bootstrap check          proves again that everything is right
  gts-bootstrap install --ask  changes the answers",
        deployment.host,
        answers.shown(),
        log.shown()
    )
}

/// Breaks a text at spaces so that it fits 80 columns, with later lines indented. Its own line breaks are kept.
pub fn wrap(text: &str, indent: usize) -> String {
    wrapped(text, indent, indent)
}

/// The same for a message, which may come from anywhere: what follows a line break in it is indented as in [`indented`].
///
/// [`indented`]: super::screen::indented
pub(super) fn wrap_message(text: &str, indent: usize) -> String {
    wrapped(text, indent, indent.max(LATER))
}

/// With this indentation of the lines that go on, and of those that follow a line break.
fn wrapped(text: &str, indent: usize, later: usize) -> String {
    const WIDTH: usize = 78;
    let pad = " ".repeat(later);
    let lines = text.lines().enumerate().map(|(number, line)| {
        let pad = if number == 0 || line.is_empty() { "" } else { pad.as_str() };
        // Commands to be copied, and lines of files.
        let stays = line.starts_with("  ") || line.starts_with(['<', '|', '=', '>']);
        let indent = if number == 0 { indent } else { later };
        format!("{pad}{}", if stays { line.to_owned() } else { broken(line, WIDTH, indent, indent) })
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_blanks_and_indented() {
        let text = wrap(&"word ".repeat(30), 4);
        assert!(text.lines().count() > 1);
        for (number, line) in text.lines().enumerate() {
            assert!(line.chars().count() <= 78, "{line:?}");
            assert!(number == 0 || line.starts_with("    w"), "{line:?}");
        }
        assert_eq!(wrap(&"x".repeat(100), 4), "x".repeat(100), "a word is never broken");
        assert_eq!(wrap("a\nb", 2), "a\n  b");
        assert_eq!(wrap_message("a\nb", 0), "a\n    b", "it does not stand where a line of ours begins");
        assert_eq!(wrap_message("a\nb", 7), "a\n       b");
    }

    #[test]
    fn it_says_how_to_log_in() {
        let said = |answers: &str| {
            let answers = crate::deployment::Answers::parse(answers, "t").unwrap();
            let deployment = answers.deployment(&crate::deployment::Secrets::default()).unwrap();
            installation(&deployment, &Layout::default())
        };
        let without = "host = \"a.example\"\ntls.email = \"a@b.example\"";
        let with = format!("{without}\nadmin = {{ username = \"alice\", email = \"alice@b.example\" }}");
        assert!(said(without).contains("no account yet"));
        assert!(said(&with).contains("as alice@b.example"));
    }
}
