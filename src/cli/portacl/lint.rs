//! `portacl lint`: rules and settings that do not do what they seem to.

use clap::Args;

use crate::cli::command;
use crate::cli::global::Global;
use crate::cli::report::wrap;
use crate::cli::screen::{Level, Screen, Tone};
use crate::parts::rule_change;
use crate::portacl::{Finding, Severity};
use crate::run::Exit;

/// What `portacl lint` takes: nothing of its own.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {}

/// Runs `portacl lint`.
pub(super) fn run(global: &Global, _arguments: Arguments, screen: &Screen) -> Exit {
    command::looking(global, screen, "portacl lint", |opened, report| {
        let found = rule_change::findings(opened.host(), true)?;
        report.add("findings", &found);
        show(screen, &found);
        Ok(if found.is_empty() { Exit::Done } else { Exit::Check })
    })
}

fn show(screen: &Screen, found: &[Finding]) {
    if found.is_empty() {
        screen
            .line(&screen.paint(Tone::Good, "Nothing found: every rule does what it seems to, now and after a boot."));
    }
    for finding in found {
        for line in lines(screen, finding) {
            screen.line_at(Level::Quiet, &line);
        }
    }
}

/// One finding: what, why, and how to mend it.
fn lines(screen: &Screen, finding: &Finding) -> [String; 3] {
    let (word, tone) = match finding.severity {
        Severity::Alarm => ("ALARM", Tone::Alarm),
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warn ", Tone::Caution),
    };
    let what = wrap(&format!("{}: {}", finding.subject, finding.what), 6);
    [
        format!("{} {}", screen.paint(tone, word), screen.paint(Tone::Heading, &what)),
        format!("      {}", wrap(&format!("why:  {}", finding.why), 12)),
        format!("      {}", wrap(&format!("mend: {}", finding.mend), 12)),
    ]
}
