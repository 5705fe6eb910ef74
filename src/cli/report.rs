//! What a command came to, for people and for `--json`.

use super::screen::{Level, Screen, Tone};
use super::wrap::broken;
use crate::check::bind::{self, Row};
use crate::check::{Check, Status};
use crate::error_code::ErrorCode;
use crate::run::{Exit, Report, Stop};

/// Prints the object if `--json` asks for it, and returns the exit code.
pub(super) fn finish(report: &Report, screen: &Screen, exit: Exit) -> Exit {
    if screen.json() {
        match serde_json::to_value(report) {
            Ok(object) => screen.print_json(&object),
            Err(error) => {
                screen.error(ErrorCode::Unreadable, &format!("the report cannot be written as JSON: {error}"));
            }
        }
    }
    exit
}

/// Tells an error to people and to `--json`.
pub(super) fn fail(report: Report, screen: &Screen, stop: &Stop) -> Exit {
    screen.error(stop.code, &stop.why);
    fail_silently(report, screen, stop)
}

/// Tells an error to `--json` alone: people have been told.
pub(super) fn fail_silently(mut report: Report, screen: &Screen, stop: &Stop) -> Exit {
    report.error = Some(stop.why.clone());
    report.code = Some(stop.code);
    finish(&report, screen, stop.exit)
}

/// Shows findings. Those that passed are shown only where everything is said, unless `all`.
pub fn show_checks(screen: &Screen, heading: &str, checks: &[Check], all: bool) {
    let shown: Vec<&Check> =
        checks.iter().filter(|check| all || screen.says(Level::Verbose) || check.status != Status::Pass).collect();
    let passed = checks.iter().filter(|check| check.status == Status::Pass).count();
    let hidden = checks.len() - shown.len();
    screen.line(&screen.paint(Tone::Heading, heading));
    for check in shown {
        let level = match check.status {
            Status::Fail | Status::Warn => Level::Quiet,
            Status::Pass | Status::Skip => Level::Normal,
        };
        let (word, tone) = match check.status {
            Status::Pass => ("ok  ", Tone::Good),
            Status::Warn => ("warn", Tone::Caution),
            Status::Skip => ("skip", Tone::Dim),
            Status::Fail if check.detail.contains("ANY user") || check.detail.contains("must not") => {
                ("FAIL", Tone::Alarm)
            }
            Status::Fail => ("FAIL", Tone::Bad),
        };
        let text = wrap(&format!("{}: {}{}", check.name, check.detail, bracketed(check.code)), 7);
        screen.line_at(level, &format!("  {} {}", screen.paint(tone, word), text));
    }
    if hidden > 0 {
        let are = if passed == 1 { "1 finding is as it".to_owned() } else { format!("{passed} findings are as they") };
        screen.line(&screen.paint(Tone::Dim, &format!("  {are} should be (-v shows them)")));
    }
}

/// A code behind a finding.
pub(super) fn bracketed(code: Option<ErrorCode>) -> String {
    code.map(|code| format!(" [{code}]")).unwrap_or_default()
}

/// Shows the bind check's table.
pub fn show_matrix(screen: &Screen, rows: &[Row]) {
    screen.line(&screen.paint(Tone::Heading, "Bind check: who may bind which port, tried as that user"));
    let head = format!("  {:<20} {:>5}  {:<6} {:<5} {}", "user", "port", "family", "", "bind(2)");
    screen.line(&screen.paint(Tone::Dim, &head));
    for row in rows {
        let (word, tone) = match row.right() {
            Some(true) => ("ok", Tone::Good),
            Some(false) if row.wanted => ("FAIL", Tone::Bad),
            Some(false) => ("OPEN", Tone::Alarm),
            None => ("-", Tone::Dim),
        };
        let level = if row.right() == Some(false) { Level::Quiet } else { Level::Normal };
        screen.line_at(
            level,
            &format!(
                "  {:<20} {:>5}  {:<6} {} {}",
                format!("{} ({})", row.user, row.uid),
                row.port,
                row.family(),
                screen.paint(tone, &format!("{word:<5}")),
                bind::in_words(row.outcome)
            ),
        );
    }
    for code in [ErrorCode::PortOpen, ErrorCode::PortRefused] {
        if rows.iter().any(|row| row.check().code == Some(code)) {
            screen.more(code);
        }
    }
}

/// Breaks a text at blanks so that it fits 80 columns, with later lines indented. Lines that it has of its own are kept.
pub fn wrap(text: &str, indent: usize) -> String {
    const WIDTH: usize = 78;
    let pad = " ".repeat(indent);
    let lines = text.lines().enumerate().map(|(number, line)| {
        let pad = if number == 0 || line.is_empty() { "" } else { pad.as_str() };
        // Commands to be copied, and lines of files.
        let stays = line.starts_with("  ") || line.starts_with(['<', '|', '=', '>']);
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
    }
}
