//! The report: one structure, shown to people and printed for `--json`.

use serde::Serialize;

use super::exit::Exit;
use super::screen::{Level, Screen, Tone};
use crate::change::service_start::has_certificate;
use crate::change::{Action, Change, Plan, Readiness, Step, store};
use crate::check::bind::{self, Row};
use crate::check::{Check, Status};
use crate::host::Observe;
use crate::parts::secrets;

/// The largest file of which the changed lines are shown, in bytes.
const LONGEST_SHOWN: usize = 64 * 1024;

/// Version of the `--json` object.
pub const SCHEMA: u32 = 1;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    schema: u32,
    command: &'static str,
    /// Whether the host was changed (with `--plan`: would be).
    pub changed: bool,
    /// Whether the host must be rebooted before everything is in force.
    pub reboot_required: bool,
    /// The changes.
    pub changes: Vec<Changed>,
    /// Preflight and checks.
    pub checks: Vec<Check>,
    /// What this command alone has to tell.
    #[serde(flatten)]
    detail: serde_json::Map<String, serde_json::Value>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One change, for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    part: &'static str,
    kind: &'static str,
    target: String,
    action: &'static str,
}

impl From<&Step> for Changed {
    fn from(step: &Step) -> Self {
        Self { part: step.part, kind: step.change.kind(), target: step.change.target(), action: step.action.word() }
    }
}

impl Report {
    /// An empty report of a command.
    #[must_use]
    pub fn new(command: &'static str) -> Self {
        Self {
            schema: SCHEMA,
            command,
            changed: false,
            reboot_required: false,
            changes: Vec::new(),
            checks: Vec::new(),
            detail: serde_json::Map::new(),
            error: None,
        }
    }

    /// Adds what this command alone has to tell.
    pub fn add(&mut self, name: &str, value: serde_json::Value) {
        self.detail.insert(name.to_owned(), value);
    }

    /// Prints the object if `--json` asks for it, and returns the exit code.
    #[must_use]
    pub fn finish(self, screen: &Screen, exit: Exit) -> Exit {
        if screen.json() {
            match serde_json::to_value(&self) {
                Ok(object) => screen.print_json(&object),
                Err(error) => screen.error(&format!("the report cannot be written as JSON: {error}")),
            }
        }
        exit
    }

    /// Tells an error to `--json` alone: people have been told.
    #[must_use]
    pub fn fail_silently(mut self, screen: &Screen, exit: Exit, why: &str) -> Exit {
        self.error = Some(why.to_owned());
        self.finish(screen, exit)
    }

    /// Tells an error to people and to `--json`.
    #[must_use]
    pub fn fail(mut self, screen: &Screen, exit: Exit, why: &str) -> Exit {
        screen.error(why);
        self.error = Some(why.to_owned());
        self.finish(screen, exit)
    }
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
        let text = wrap(&format!("{}: {}", check.name, check.detail), 7);
        screen.line_at(level, &format!("  {} {}", screen.paint(tone, word), text));
    }
    if hidden > 0 {
        screen.line(&screen.paint(Tone::Dim, &format!("  {passed} findings are as they should be (-v shows them)")));
    }
}

/// Shows a plan, part by part; of a file that is edited, the lines that change.
pub fn show_plan(screen: &Screen, host: &dyn Observe, plan: &Plan) {
    let mut part = "";
    let own_copy = |step: &Step| matches!(&step.change, Change::File { path, .. } | Change::Removal { path } if path.starts_with(store::FOLDER));
    for step in &plan.steps {
        // Copies of what was written last are the program's own bookkeeping.
        if own_copy(step) && !screen.says(Level::Verbose) {
            continue;
        }
        if step.part != part {
            part = step.part;
            screen.line(&format!("  {}", screen.paint(Tone::Heading, part)));
        }
        let (sign, tone) = match step.action {
            Action::Create | Action::Install | Action::Load => ("+", Tone::Good),
            Action::Update | Action::Set => ("~", Tone::Caution),
            Action::Start | Action::Reload => (">", Tone::Good),
            Action::Stop => ("x", Tone::Caution),
            Action::Remove => ("-", Tone::Caution),
            Action::Test => ("?", Tone::Dim),
        };
        let text = format!("{} {} {}", step.action.word(), kind(step), step.change.target());
        let detail = step.change.detail();
        let one_line = format!("{text}  {detail}");
        screen.line(&format!("    {} {}", screen.paint(tone, sign), wrap(&one_line, 8)));
        for (sign, line) in changed_lines(host, step, screen.says(Level::Verbose)) {
            let tone = if sign == '+' { Tone::Good } else { Tone::Bad };
            screen.line(&screen.paint(tone, &format!("        {sign} {}", secrets::hide_in_line(&line))));
        }
    }
}

/// The lines of a text file that a step takes out and puts in; of a new file only if `all`.
fn changed_lines(host: &dyn Observe, step: &Step, all: bool) -> Vec<(char, String)> {
    let Change::File { path, content, .. } = &step.change else { return Vec::new() };
    // Of a list of thousands of addresses nobody reads the difference.
    if (step.action != Action::Update && !all) || content.bytes().len() > LONGEST_SHOWN {
        return Vec::new();
    }
    let old = host.read(path).ok().flatten().unwrap_or_default();
    if [&*old, content.bytes()].iter().any(|bytes| String::from_utf8_lossy(bytes).contains("PRIVATE KEY-----")) {
        return Vec::new();
    }
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(content.bytes()));
    let patch = diffy::create_patch(&old, &new);
    patch
        .hunks()
        .iter()
        .flat_map(diffy::Hunk::lines)
        .filter_map(|line| match line {
            diffy::Line::Context(_) => None,
            diffy::Line::Delete(text) => Some(('-', text.trim_end_matches('\n').to_owned())),
            diffy::Line::Insert(text) => Some(('+', text.trim_end_matches('\n').to_owned())),
        })
        .collect()
}

/// The kind in a person's words.
pub(super) fn kind(step: &Step) -> &'static str {
    match step.change.kind() {
        "directory" => "folder",
        "symlink" => "link",
        "rc-variable" => "rc.conf",
        "config-test" => "configuration",
        "front-include" => "include in",
        "front-test" => "configuration",
        "removal" | "discard" => "",
        "database" if matches!(step.change, Change::DatabaseCopy { .. }) => "copy",
        "account" => "GoToSocial account",
        other => other,
    }
}

/// Says beforehand that the checks are going to have the server order its first certificate, which takes a while.
pub fn announce_order(screen: &Screen, host: &dyn Observe, readiness: &Readiness) {
    if readiness.tls && !has_certificate(host, readiness) {
        screen.line("Asking for the first certificate; this can take up to two minutes.");
    }
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
}

/// Breaks a text at blanks so that it fits 80 columns, with later lines indented. Lines that it has of its own are kept.
#[must_use]
pub fn wrap(text: &str, indent: usize) -> String {
    const WIDTH: usize = 78;
    let pad = " ".repeat(indent);
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(if line.is_empty() { "" } else { &pad });
        }
        // Commands to be copied, and lines of files.
        if line.starts_with("  ") || line.starts_with(['<', '|', '=', '>']) {
            out.push_str(line);
            continue;
        }
        let mut column = indent;
        for (number, word) in line.trim_end().split(' ').enumerate() {
            let width = word.chars().count();
            if number > 0 && column + 1 + width > WIDTH && column > indent {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.push_str(&pad);
                column = indent;
            } else if number > 0 && column > indent {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += width;
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::change::Content;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, Owner};

    #[test]
    fn a_key_is_never_shown_with_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let path = std::path::Path::new("/x");
        let step = |text: &str| {
            let content = Content::new(text);
            Step::new(
                "x",
                Action::Update,
                Change::File { path: path.to_owned(), content, mode: 0o600, owner: Owner::ROOT },
            )
        };
        let key = "-----BEGIN EC PRIVATE KEY-----\nabc\n";
        assert_eq!(changed_lines(&host, &step("plain\n"), true), [('+', "plain".to_owned())]);
        assert_eq!(changed_lines(&host, &step(key), true), []);
        host.write_file(path, key.as_bytes(), 0o600, Owner::ROOT).unwrap();
        assert_eq!(changed_lines(&host, &step("plain\n"), true), []);
    }

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
