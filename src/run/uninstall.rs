//! `uninstall`: reverts everything to its state before the first run, continues past single failures, and keeps or purges the data.

use std::path::Path;

use super::{Exit, Manner, Run, Stop, With};
use crate::change::store;
use crate::error_code::ErrorCode;
use crate::parts::uninstall::ledger::Ledger;
use crate::parts::uninstall::{self as parts, UninstallPlan};
use crate::shown::Shown;

pub use parts::{Extent, ledger::COMMAND};

/// Uninstalls. `host_name` names the instance whose data are purged.
///
/// # Errors
/// The command was refused, or failed.
pub fn uninstall(run: &Run<'_>, extent: Extent, host_name: Option<&str>) -> Result<Exit, Stop> {
    run.for_root("read the receipts, and take back what they tell")?;
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let ledger = Ledger::read(host)?;
    if !ledger.has_receipts {
        return without_record(run);
    }
    let planned = parts::plan(host, layout, extent)?;
    let plan = &planned.plan;
    let instance = parts::instance(host, layout, &ledger)?;
    let named = instance.as_deref().or(ledger.served.as_deref());
    if let Some(why) = misunderstanding(host_name, named, extent.purge && run.agreement.yes && instance.is_some()) {
        return Err(Stop::usage(why));
    }
    let purged = instance.as_ref().filter(|_| extent.purge);

    let title = match (&instance, purged) {
        (_, Some(name)) => format!("Plan: uninstall GoToSocial, and purge the data of {name}"),
        (Some(name), None) => format!("Plan: uninstall GoToSocial; the data of {name} stay"),
        (None, _) => "Plan: undo what gts-bootstrap has done here".to_owned(),
    };
    run.show(plan, &title, "Nothing to undo: nothing of gts-bootstrap's is in force here.");
    tell(run, &planned);
    if let Some(name) = purged {
        run.warn(&format!(
            "the keys of {name} are removed with the database. Other servers have cached them, and will refuse what a new instance \
             under this name sends: {name} can never be used again. A backup that has the keys is the only way back."
        ));
    }
    if run.ends_with(plan) {
        return Ok(Exit::Done);
    }
    if !plan.is_empty() || plan.forget {
        run.consent(plan, &EXPLANATION, None)?;
        if let Some(name) = purged.filter(|_| run.interactive())
            // Typing the name prevents a purge by habit.
            && run.people.typed("Type the host name of the instance to remove its data for good")? != *name
        {
            let why = format!("that is not {name}; nothing was changed");
            return Err(Stop::unconfirmed(ErrorCode::NotConfirmed, why));
        }
        run.apply(plan, &|| Ok(parts::plan(host, layout, extent)?.plan), With::default())?;
        if let Some(name) = purged {
            let kept: Vec<String> = planned.kept.iter().map(|(path, _)| path.shown().to_string()).collect();
            let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
            run.text(&format!("The data of {name} are gone. Kept: {kept}."));
        } else if instance.is_some() {
            run.text(
                "The data are where they were: `gts-bootstrap install` brings the same instance back. `gts-bootstrap uninstall \
                 --purge` removes them.",
            );
        }
    }
    if !plan.reboot.is_empty() {
        run.attention("A reboot is needed; after it everything is as it was before.");
        return Ok(Exit::Reboot);
    }
    Ok(Exit::Done)
}

/// What is wrong with the given name of the instance. `is_needed`: it must be given, because nobody is asked to type it.
fn misunderstanding(given: Option<&str>, instance: Option<&str>, is_needed: bool) -> Option<String> {
    Some(match (instance, given) {
        (Some(name), Some(given)) if name != given => {
            format!("the instance on this host is {name}, not {given}; nothing was changed")
        }
        (None, Some(given)) => format!("there is no instance on this host, {given} neither; leave --host-name out"),
        (Some(name), None) if is_needed => format!(
            "--purge removes the data of the instance, for good. With --yes it has to be named: add --host-name {name}, if that \
             is what you mean; nothing was changed"
        ),
        _ => return None,
    })
}

/// Prints what stays, and why.
fn tell(run: &Run<'_>, UninstallPlan { kept, needed, by_hand, .. }: &UninstallPlan) {
    if !kept.is_empty() {
        run.heading("Kept");
        kept.iter().for_each(|(path, what)| run.line(&format!("    {}  {what}", path.shown())));
    }
    for (heading, lines) in [("Stays, as others need it", needed), ("To be done by hand", by_hand)] {
        if !lines.is_empty() {
            run.tell(Manner::Concern, heading);
            lines.iter().for_each(|line| run.tell(Manner::Item, line));
        }
    }
    let kept = kept.iter().map(|(path, what)| serde_json::json!({ "path": path, "what": what }));
    let mut report = run.report();
    report.add("kept", kept.collect::<Vec<_>>());
    report.add("needed", needed);
    report.add("by_hand", by_hand);
}

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 2] = [
    "The receipts of all runs record what was there before. What is as gts-bootstrap left it reverts to that; later edits stay. The service \
     stops first; then the reserved range is raised, and only then the rules are removed.",
    "A failed change is skipped and named at the end, and everything else continues. \
     The same command, run again, continues with the rest, also after a power cut.",
];

/// The end on a host without receipts.
fn without_record(run: &Run<'_>) -> Result<Exit, Stop> {
    let found = parts::unrecorded(run.host, &run.layout)?;
    if !found.is_empty() {
        let (found, folder) = (found.join("\n  "), store::FOLDER);
        let why = format!(
            "there are no receipts in {folder}/receipts, so nobody can tell what was here before, and nothing is guessed. This is here by \
             its name, with how to remove it by hand:\n  {found}\nA copy of {folder} from a backup brings the receipts back"
        );
        return Err(Stop::refused(ErrorCode::NoReceipts, why));
    }
    let is_there = |folder: &str| run.host.entry(Path::new(folder)).map(|entry| entry.is_some());
    if (is_there(store::FOLDER)? | is_there(store::GOING)?) && run.agreement.yes {
        // An uninstallation with --purge was interrupted while it removed the record, its last step.
        let _lock = run.lock()?;
        store::forget(run.host)?;
        run.report().changed = true;
    }
    run.line("Nothing to undo: gts-bootstrap has done nothing here, or it was undone already.");
    Ok(Exit::Done)
}
