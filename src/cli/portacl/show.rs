//! `portacl show`: the rules in force, as `pfctl -sr` shows pf's.

use clap::Args;
use serde_json::json;

use super::Picture;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::open::Opened;
use crate::cli::report::Report;
use crate::cli::screen::{Screen, Tone};
use crate::cli::transaction::Stop;
use crate::portacl::{self, Line, Sign};

/// What `portacl show` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// Numbers only: no names of users, groups and services
    #[arg(short, long)]
    pub numeric: bool,
    /// Print the list of rules as the kernel keeps it, and nothing else
    #[arg(long, conflicts_with = "numeric")]
    pub raw: bool,
}

/// Runs `portacl show`.
#[must_use]
pub(super) fn run(global: &Global, arguments: Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("portacl show");
    // The rules are what was asked for, and not a remark on it.
    match show(global, arguments, &screen.not_quiet(), &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn show(global: &Global, arguments: Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let picture = Picture::of(opened.host().observe())?;
    let Picture { now, settings, next_boot, names } = picture;
    let lines = portacl::print(&now, Some(&next_boot.state), &names, arguments.numeric);
    report.add("loaded", json!(now.policy.loaded));
    report.add("list", json!(now.list));
    report.add("next_boot_list", json!(next_boot.state.list));
    report.add("lines", json!(lines));
    if arguments.raw {
        screen.line(&now.list);
    } else {
        for (line, text) in lines.iter().zip(portacl::render(&lines).lines()) {
            screen.line(&screen.paint(tone(line), text));
        }
    }
    let found = portacl::lint(Some(&now), &settings, &names).len();
    names.finish()?;
    if found > 0 && !global.quiet {
        let findings = if found == 1 { "1 finding".to_owned() } else { format!("{found} findings") };
        screen.attention(&format!("{findings}: see `gts-bootstrap portacl lint`"));
    }
    Ok(Exit::Done)
}

fn tone(line: &Line) -> Tone {
    let open = line.note.as_deref().is_some_and(|note| note.starts_with("OPEN"));
    match line.sign {
        _ if open => Tone::Alarm,
        Sign::NowOnly => Tone::Bad,
        Sign::NextBootOnly => Tone::Good,
        Sign::Both if line.effective => Tone::Plain,
        Sign::Both => Tone::Dim,
    }
}
