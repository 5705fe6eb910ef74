//! `portacl show`: the rules in force, as `pfctl -sr` shows pf's.

use clap::Args;

use crate::cli::command;
use crate::cli::global::Global;
use crate::cli::open::Opened;
use crate::cli::screen::{Screen, Tone};
use crate::portacl::{self, Line, Sign};
use crate::run::port_rules::Picture;
use crate::run::report::counted;
use crate::run::{Exit, Report, Stop};

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
pub(super) fn run(global: &Global, arguments: Arguments, screen: &Screen) -> Exit {
    // The rules are what was asked for, and not a remark on it.
    let screen = &screen.not_quiet();
    command::looking(global, screen, "portacl show", |opened, report| {
        show(opened, arguments, global.quiet, screen, report)
    })
}

fn show(
    opened: &Opened,
    arguments: Arguments,
    is_quiet: bool,
    screen: &Screen,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let picture = Picture::of(opened.host())?;
    let Picture { now, settings, next_boot, names } = picture;
    let lines = portacl::print(&now, Some(&next_boot.state), &names, arguments.numeric);
    report.add("loaded", now.policy.loaded);
    report.add("list", &now.list);
    report.add("next_boot_list", &next_boot.state.list);
    report.add("lines", &lines);
    if arguments.raw {
        screen.line(&now.list);
    } else {
        for (line, text) in lines.iter().zip(portacl::render(&lines).lines()) {
            screen.line(&screen.paint(tone(line), text));
        }
    }
    let found = portacl::lint(Some(&now), &settings, &names).len();
    names.finish()?;
    if found > 0 && !is_quiet {
        let findings = counted(found, "finding");
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
