//! A change of the filters: planned, tested by the front, applied with a reload, and taken back if anything fails.

use super::{Change, Edited, edit};
use crate::change::Plan;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::open::Opened;
use crate::cli::report::{Report, wrap};
use crate::cli::screen::{Screen, Tone};
use crate::cli::transaction::{Stop, Transaction, With};
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::parts::filter::{self, State};
use crate::parts::front;

/// Runs a change.
#[must_use]
pub(super) fn run(global: &Global, change: &Change, screen: &Screen) -> Exit {
    let command = match change {
        Change::Deny(_) => "filter deny",
        Change::Allow(_) => "filter allow",
        Change::DenyAgent { .. } => "filter deny-agent",
        Change::Protect { .. } => "filter protect",
        Change::Rate { .. } => "filter rate",
        Change::Remove { .. } => "filter remove",
        Change::Import { .. } => "filter import",
    };
    let mut report = Report::new(command);
    let terms = change.terms();
    let screen = &if terms.yes { screen.clone() } else { screen.not_quiet() };
    match apply(command, global, change, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn apply(
    command: &'static str,
    global: &Global,
    change: &Change,
    screen: &Screen,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    if host.system()?.euid != 0 {
        return Err(Stop::refused(ErrorCode::NotRoot, "only root can change the filters; run it as root"));
    }
    let (layout, terms) = (Layout::default(), change.terms());
    let transaction = Transaction {
        command,
        host,
        authority: opened.authority(),
        screen,
        yes: terms.yes,
        plan_only: terms.plan,
        ask: false,
    };
    transaction.settle()?;
    let make = || -> Result<(Edited, Plan), Stop> {
        let refused = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
        let state = State::read(host.observe(), &layout).map_err(refused)?;
        let edited = edit(&state, change, &layout, screen.around()).map_err(refused)?;
        let front = front::present(host.observe())?;
        let plan = filter::plan(host.observe(), &layout, &edited.files, &edited.state, front).map_err(Stop::failed)?;
        Ok((edited, plan))
    };
    let (edited, plan) = make()?;
    for danger in &edited.dangers {
        screen.attention(&wrap(&format!("{} {danger}", screen.paint(Tone::Caution, "warning:")), 2));
    }
    transaction.show(&plan, "Plan: filters", "Nothing to change: the rules are so already.", report);
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    if !plan.is_empty() {
        transaction.consent(&plan, &explanation())?;
        transaction.apply(&plan, || Ok(make()?.1), With::default(), report)?;
    }
    edited.said.iter().for_each(|line| screen.line(line));
    Ok(Exit::Done)
}

fn explanation() -> [String; 1] {
    ["The rules are kept in one file, whichever web server stands in front. What that is told of them is tested by itself \
      before it reads it anew, without dropping a connection; if anything fails, the old rules are put back."
        .to_owned()]
}
