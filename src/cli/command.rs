//! The course of every command on a host: open it, run, and report how that ended.

use std::cell::RefCell;

use clap::Args;

use super::dialogue::consent::offer_to_save;
use super::open::Opened;
use super::people::Attendants;
use super::report;
use super::screen::Screen;
use super::surroundings::Surroundings;
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
    /// Whether lines are taken for answers even if there is no terminal.
    #[arg(skip)]
    pub asks: bool,
}

/// Runs a command that changes the host.
pub(super) fn changing(
    screen: &Screen,
    command: &'static str,
    Terms { yes, plan, asks }: Terms,
    course: &dyn Fn(&Run<'_>) -> Result<Exit, Stop>,
) -> Exit {
    // A user who is asked for consent, or asks for the plan, has to see it.
    let screen = &if yes { screen.clone() } else { screen.not_quiet() };
    let around = &screen.around;
    let opened = match Opened::open(screen) {
        Ok(opened) => opened,
        Err(stop) => return report::finish(Report::new(command), screen, Err(stop)),
    };
    let run = Run {
        command,
        host: opened.host(),
        releases: &opened,
        authority: opened.authority(),
        people: &Attendants { screen, asks },
        agreement: Agreement { yes, plan },
        layout: Layout::default(),
        signals: around.signals.clone(),
        environment: around.variables.clone(),
        report: RefCell::new(Report::new(command)),
        unsaved: RefCell::default(),
    };
    let ended = course(&run);
    let Run { report, unsaved, .. } = run;
    let unsaved = unsaved.take().filter(|_| matches!(&ended, Err(Stop { exit: Exit::Failed | Exit::Busy, .. })));
    let exit = report::finish(report.into_inner(), screen, ended);
    if let Some(unsaved) = unsaved {
        let mut console: &Surroundings = around;
        // No answer means no.
        let _ = offer_to_save(&mut console, around, &unsaved);
    }
    exit
}

/// Runs a command that only reads, and enters what it sees into the report. With `brief`, people read one line: of an error
/// the part that `brief` takes from its message.
pub(super) fn looking(
    screen: &Screen,
    command: &'static str,
    brief: Option<fn(&str) -> &str>,
    look: impl FnOnce(&Opened, &mut Report) -> Result<Exit, Stop>,
) -> Exit {
    let mut report = Report::new(command);
    let ended = Opened::open(screen).and_then(|opened| look(&opened, &mut report));
    if let (Some(brief), Err(stop)) = (brief, &ended) {
        screen.not_quiet().line(format!("FAIL: {}", brief(&stop.why)));
        return report::finish_silently(report, screen, ended);
    }
    report::finish(report, screen, ended)
}
