//! `recover`: a run that was cut off is settled, or taken back as a whole.

use clap::Args;

use super::Global;
use super::dialogue;
use super::exit::Exit;
use super::open::Opened;
use super::progress::Progress;
use super::report::{Report, wrap};
use super::screen::{Screen, Tone};
use super::transaction::{Stop, Transaction};
use crate::certificate::date;
use crate::change::journal::Outcome;
use crate::change::settle::{self, CutOff, Settled};
use crate::change::{Change, RemoveTree};
use crate::error_code::ErrorCode;

const COMMAND: &str = "recover";

/// What `recover` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// Take back everything that the cut-off run did
    #[arg(long)]
    pub undo: bool,
    /// Do it without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs `recover`.
#[must_use]
pub fn run(global: &Global, arguments: Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new(COMMAND);
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match recover(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn recover(global: &Global, arguments: Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    if host.system()?.euid != 0 {
        return Err(Stop::refused(ErrorCode::NotRoot, "only root can see whether a run was cut off; run it as root"));
    }
    let nothing = || {
        screen.line("No run was cut off: there is nothing to recover.");
        Ok(Exit::Done)
    };
    // Nothing is written where there is nothing to do, not even the folder of the lock.
    if host.entry(&crate::change::journal::path())?.is_none() {
        return nothing();
    }
    let transaction = Transaction {
        command: COMMAND,
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    let _lock = transaction.lock()?;
    if let Some(run) = settle::cut_off(host.observe())? {
        tell(&run, arguments.undo, screen);
        report.add("command_cut_off", run.command.clone().into());
    }
    if arguments.plan {
        screen.line("Nothing was changed.");
        return Ok(Exit::Done);
    }
    if !arguments.yes {
        let question = if arguments.undo { "Take all of that back?" } else { "Settle that?" };
        if !transaction.interactive() || !dialogue::yes(screen.around(), question) {
            return Err(Stop::new(
                Exit::NotConfirmed,
                ErrorCode::NotConfirmed,
                "not confirmed; nothing was changed. Add --yes to do it unasked",
            ));
        }
    }
    // A signal must not cut what mends a cut: it is over in a moment.
    let _signals = screen.around().signals.changing().map_err(Stop::uncatchable)?;
    let progress = Progress::new(screen);
    let settled =
        if arguments.undo { settle::take_back(host, &progress).map_err(Stop::failed)? } else { settle::settle(host)? };
    let Some(settled) = settled else { return nothing() };
    report.changed = !settled.undone.is_empty();
    report.add("undone", serde_json::json!(settled.undone));
    report.add("stays", serde_json::json!(settled.spared));
    outcome(&settled, arguments.undo, screen)
}

/// What there is to recover.
fn tell(run: &CutOff, undo: bool, screen: &Screen) {
    let done = run.changes.iter().filter(|(_, done)| *done).count();
    let state = match (run.ended, run.undoing) {
        (Some(Outcome::Complete), _) => "had made all its changes; only its record is not in its place",
        (Some(_), _) => "had ended; only its record is not in its place",
        (None, true) => "was cut off while it took back what it had done",
        (None, false) => "was cut off",
    };
    screen.line(&wrap(&format!("`{}` of {} {state}.", run.command, date(run.began)), 0));
    if run.ended.is_some() {
        return;
    }
    screen.line(&format!(
        "  finished: {}; begun and not finished: {}",
        changes(done),
        changes(run.changes.len() - done)
    ));
    for (change, done) in &run.changes {
        if let Change::TreeRemoval(RemoveTree { path }) = change {
            screen.line(&format!("  removed for good, and not to be taken back: {}", path.display()));
        } else if undo || run.undoing || !done {
            screen.line(&format!("  to be taken back: {} {}", change.kind().name(), change.kind().target()));
        }
    }
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// What became of it, and what is next.
fn outcome(settled: &Settled, undo: bool, screen: &Screen) -> Result<Exit, Stop> {
    let Settled { command, had_ended, undone, spared, failed } = settled;
    if *had_ended {
        screen.line(&wrap(
            &format!("`{command}` had come to its end. Its record is in its place now, and nothing was taken back."),
            0,
        ));
        return Ok(Exit::Done);
    }
    for spared in spared {
        screen.attention(&wrap(&format!("  stays: {spared}"), 4));
    }
    if !failed.is_empty() {
        return Err(Stop::refused(
            ErrorCode::NotUndone,
            format!(
                "NOT everything could be taken back. What is left:\n  {}\nThe record is among the receipts in {}",
                failed.join("\n  "),
                crate::change::store::FOLDER
            ),
        ));
    }
    let told = match (undo, undone.as_slice()) {
        (true, []) => format!("Nothing of `{command}` was left to take back; the host is as it was before."),
        (true, _) => format!("`{command}` was taken back ({}); the host is as it was before.", changes(undone.len())),
        (false, []) => {
            format!("`{command}` is settled. Next: run `gts-bootstrap {command}` again; it goes on from here.")
        }
        (false, _) => format!(
            "`{command}` is settled; taken back: {}. Next: run `gts-bootstrap {command}` again; it goes on from here.",
            undone.join(", ")
        ),
    };
    screen.line(&wrap(&screen.paint(Tone::Good, &told), 0));
    Ok(Exit::Done)
}
