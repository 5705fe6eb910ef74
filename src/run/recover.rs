//! `recover`: cleans up after an interrupted run, or undoes all of it.

use super::report::counted;
use super::{Exit, Manner, Run, Stop};
use crate::change::journal::{Announced, Outcome};
use crate::change::settle::{self, CutOff, Settled};
use crate::change::{journal, store};
use crate::error_code::ErrorCode;
use crate::shown::Shown;
use crate::utc::date;

/// Recovers; with `undo` everything that the run did is undone.
///
/// # Errors
/// The command was refused, or failed.
pub fn recover(run: &Run<'_>, undo: bool) -> Result<Exit, Stop> {
    run.for_root("see whether a run was interrupted")?;
    let host = run.host;
    let nothing = || {
        run.line("No run was interrupted: there is nothing to recover.");
        Ok(Exit::Done)
    };
    // If there is nothing to do, nothing is written, not even the folder of the lock.
    if host.entry(&journal::path())?.is_none() {
        return nothing();
    }
    let _lock = run.lock()?;
    if let Some(cut_off) = CutOff::read(host)? {
        tell(run, &cut_off, undo);
        run.report().add("command_cut_off", cut_off.command);
    }
    if run.agreement.plan {
        run.line("Nothing was changed.");
        return Ok(Exit::Done);
    }
    let question = if undo { "Take all of that back? [y]es [n]o" } else { "Settle that? [y]es [n]o" };
    let is_yes = |answer: String| ["y", "yes"].contains(&&*answer.to_ascii_lowercase());
    if !(run.agreement.yes || run.interactive() && run.people.typed(question).is_ok_and(is_yes)) {
        let why = "not confirmed; nothing was changed. Add --yes to do it unasked";
        return Err(Stop::unconfirmed(ErrorCode::NotConfirmed, why));
    }
    // A signal must not interrupt the recovery, which takes only a moment.
    let _signals = run.signals.changing()?;
    let settled = if undo { settle::take_back(host, &*run.people.progress())? } else { settle::settle(host)? };
    let Some(settled) = settled else { return nothing() };
    let mut report = run.report();
    report.changed = !settled.undone.is_empty();
    report.add("undone", &settled.undone);
    report.add("stays", &settled.spared);
    outcome(run, &settled, undo)
}

/// Prints what there is to recover.
fn tell(run: &Run<'_>, cut_off: &CutOff, undo: bool) {
    let (open, undoing) = (cut_off.open(), cut_off.is_undoing());
    let undo = undo || cut_off.goes_back();
    let done = open.iter().filter(|announced| announced.done).count();
    let state = match (cut_off.ended(), undoing) {
        (Some(Outcome::Complete), _) => "had made all its changes; only its record is not in its place",
        (Some(_), _) => "had ended; only its record is not in its place",
        (None, true) => "was interrupted while it undid its changes",
        (None, false) => "was interrupted",
    };
    run.text(&format!("`{}` of {} {state}.", cut_off.command, date(cut_off.began)));
    if cut_off.ended().is_some() {
        return;
    }
    let (done, begun) = (counted(done, "change"), counted(open.len() - done, "change"));
    run.line(&format!("  completed: {done}; started and not completed: {begun}"));
    for Announced { change, done, .. } in open {
        if let Some(path) = change.kind().gone_for_good() {
            run.line(&format!("  removed for good, cannot be undone: {}", path.shown()));
        } else if undo || !done {
            run.line(&format!("  to be undone: {} {}", change.kind().name(), change.kind().target().shown()));
        }
    }
}

/// Prints the outcome, and what to do next.
fn outcome(run: &Run<'_>, settled: &Settled, undo: bool) -> Result<Exit, Stop> {
    let Settled { command, had_ended, is_taken_back, undone, spared, failed } = settled;
    if *had_ended {
        run.text(&format!("`{command}` had ended. Its record is in place now, and nothing was undone."));
        return Ok(Exit::Done);
    }
    spared.iter().for_each(|spared| run.attention(&format!("  stays: {spared}")));
    if !failed.is_empty() {
        let (failed, folder) = (failed.join("\n  "), store::FOLDER);
        let why = format!(
            "NOT everything could be undone. What is left:\n  {failed}\nThe record is among the receipts in {folder}"
        );
        return Err(Stop::refused(ErrorCode::NotUndone, why));
    }
    let ending = if undo || *is_taken_back {
        let was = match undone.len() {
            0 => "had left nothing to undo".to_owned(),
            count => format!("was undone ({})", counted(count, "change")),
        };
        format!("`{command}` {was}; the host is as it was before.")
    } else {
        let undone = if undone.is_empty() { String::new() } else { format!("; undone: {}", undone.join(", ")) };
        format!("`{command}` is cleaned up{undone}. Next: run `gts-bootstrap {command}` again; it continues from here.")
    };
    run.tell(Manner::Good, &ending);
    Ok(Exit::Done)
}
