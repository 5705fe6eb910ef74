//! The course of every command on a host: open it, run, and report how that ended.

use std::cell::RefCell;

use clap::Args;

use super::dialogue::consent::offer_to_save;
use super::dialogue::console::Standard;
use super::global::Global;
use super::open::Opened;
use super::people::Attendants;
use super::report;
use super::screen::Screen;
use crate::deployment::Layout;
use crate::run::{Agreement, Exit, Report, Run, Stop};

/// How changes are agreed to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Terms {
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs a command that changes the host.
pub(super) fn changing(
    global: &Global,
    screen: &Screen,
    command: &'static str,
    Terms { yes, plan }: Terms,
    course: &dyn Fn(&Run<'_>) -> Result<Exit, Stop>,
) -> Exit {
    asking(global, screen, command, (Agreement { yes, plan }, false), course)
}

/// The same, where lines are taken for answers even if there is no terminal.
pub(super) fn asking(
    global: &Global,
    screen: &Screen,
    command: &'static str,
    (agreement, asks): (Agreement, bool),
    course: &dyn Fn(&Run<'_>) -> Result<Exit, Stop>,
) -> Exit {
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if agreement.yes { screen.clone() } else { screen.not_quiet() };
    let opened = match Opened::open(global, screen) {
        Ok(opened) => opened,
        Err(stop) => return report::fail(Report::new(command), screen, &stop),
    };
    let run = Run {
        command,
        host: opened.host(),
        releases: &opened,
        authority: opened.authority(),
        people: &Attendants { screen, asks },
        agreement,
        layout: Layout::default(),
        signals: screen.around().signals.clone(),
        environment: screen.around().variables(),
        report: RefCell::new(Report::new(command)),
        unsaved: RefCell::default(),
    };
    let ended = course(&run);
    let Run { report, unsaved, .. } = run;
    match ended {
        Ok(exit) => report::finish(&report.into_inner(), screen, exit),
        Err(stop) => {
            let exit = report::fail(report.into_inner(), screen, &stop);
            if let (Exit::Failed | Exit::Busy, Some(unsaved)) = (exit, unsaved.take()) {
                // Whoever does not answer does not want that.
                let around = screen.around();
                let _ = Standard::open(around).and_then(|mut console| offer_to_save(&mut console, around, &unsaved));
            }
            exit
        }
    }
}

/// Runs a command that only looks, and enters what it sees into the report.
pub(super) fn looking(
    global: &Global,
    screen: &Screen,
    command: &'static str,
    look: impl FnOnce(&Opened, &mut Report) -> Result<Exit, Stop>,
) -> Exit {
    let mut report = Report::new(command);
    match Opened::open(global, screen).and_then(|opened| look(&opened, &mut report)) {
        Ok(exit) => report::finish(&report, screen, exit),
        Err(stop) => report::fail(report, screen, &stop),
    }
}
