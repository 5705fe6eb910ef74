//! `uninstall`: everything back to what it was before the first run, past single failures, with the data kept or purged.

use std::path::Path;

use clap::Args;

use super::Global;
use super::dialogue;
use super::exit::Exit;
use super::open::Opened;
use super::report::{Report, wrap};
use super::screen::{Screen, Tone};
use super::transaction::{Stop, Transaction, With};
use crate::change::store;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::parts::uninstall::ledger::Ledger;
use crate::parts::uninstall::{self as parts, Extent, Planned};

/// What `uninstall` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Remove the data, too: database, media, configuration, answers, secrets, log. Nobody can undo that
    #[arg(long)]
    pub purge: bool,
    /// The instance whose data are meant: needed with --purge --yes, where nobody can be asked to type it
    #[arg(long, value_name = "NAME", requires = "purge")]
    pub host_name: Option<String>,
    /// Remove the backups in /var/backups/gotosocial, too
    #[arg(long, requires = "purge")]
    pub with_backups: bool,
}

const COMMAND: &str = parts::ledger::COMMAND;

/// Runs `uninstall`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new(COMMAND);
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match uninstall(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn uninstall(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    if host.system()?.euid != 0 {
        return Err(Stop::refused(
            ErrorCode::NotRoot,
            "only root can read the receipts, and take back what they tell; run it as root",
        ));
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
    transaction.settle()?;
    let ledger = Ledger::read(host.observe())?;
    if !ledger.has_receipts {
        return without_record(&transaction, &layout, screen, report);
    }
    let extent = Extent { purge: arguments.purge, backups: arguments.with_backups };
    let make = || parts::plan(host.observe(), &layout, extent).map_err(Stop::failed);
    let planned = make()?;
    let instance = parts::instance(host.observe(), &layout, &ledger).map_err(Stop::failed)?;
    is_meant(arguments, instance.as_deref().or(ledger.served.as_deref()), instance.is_some())?;

    let title = match (&instance, arguments.purge) {
        (Some(name), true) => format!("Plan: uninstall GoToSocial, and purge the data of {name}"),
        (Some(name), false) => format!("Plan: uninstall GoToSocial; the data of {name} stay"),
        (None, _) => "Plan: take back what gts-bootstrap has done here".to_owned(),
    };
    transaction.show(
        &planned.plan,
        &title,
        "Nothing to take back: nothing of gts-bootstrap's is in force here.",
        report,
    );
    tell(screen, &planned, report);
    if arguments.purge
        && let Some(name) = &instance
    {
        never_again(screen, name);
    }
    let nothing = planned.plan.is_empty() && !planned.plan.forget;
    if transaction.ends_with(&planned.plan, report) {
        return Ok(Exit::Done);
    }
    if !nothing {
        agree(&transaction, arguments, instance.as_deref(), &planned)?;
        transaction.apply(&planned.plan, || Ok(make()?.plan), With::default(), report)?;
        if arguments.purge
            && let Some(name) = &instance
        {
            let kept: Vec<String> = planned.kept.iter().map(|(path, _)| path.display().to_string()).collect();
            let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
            screen.line(&wrap(&format!("The data of {name} are gone. Kept: {kept}."), 0));
        }
        if !arguments.purge && instance.is_some() {
            screen.line(&wrap(
                "The data are where they were: `gts-bootstrap install` brings the same instance back. `gts-bootstrap uninstall \
                 --purge` removes them.",
                0,
            ));
        }
    }
    if !planned.plan.reboot.is_empty() {
        screen.attention("A reboot is needed; after it everything is as it was before.");
        return Ok(Exit::Reboot);
    }
    Ok(Exit::Done)
}

/// Whether the instance that is to be purged is the one that was named.
fn is_meant(arguments: &Arguments, instance: Option<&str>, has_data: bool) -> Result<(), Stop> {
    let usage = |why: String| Err(Stop::usage(why));
    match (instance, &arguments.host_name) {
        (Some(name), Some(given)) if name != given => {
            usage(format!("the instance on this host is {name}, not {given}; nothing was changed"))
        }
        (None, Some(given)) => {
            usage(format!("there is no instance on this host, {given} neither; leave --host-name out"))
        }
        (Some(name), None) if arguments.purge && arguments.yes && has_data => usage(format!(
            "--purge removes the data of the instance, for good. With --yes it has to be named: add --host-name {name}, if that \
             is what you mean; nothing was changed"
        )),
        _ => Ok(()),
    }
}

fn agree(
    transaction: &Transaction<'_>,
    arguments: &Arguments,
    instance: Option<&str>,
    planned: &Planned,
) -> Result<(), Stop> {
    transaction.consent(&planned.plan, &explanation())?;
    let Some(name) = instance.filter(|_| arguments.purge && transaction.interactive()) else { return Ok(()) };
    let prompt = "Type the host name of the instance to remove its data for good";
    if dialogue::typed(transaction.screen.around(), prompt, name)? {
        return Ok(());
    }
    Err(Stop::new(Exit::NotConfirmed, ErrorCode::NotConfirmed, format!("that is not {name}; nothing was changed")))
}

/// Says what stays and why.
fn tell(screen: &Screen, planned: &Planned, report: &mut Report) {
    if !planned.kept.is_empty() {
        screen.line(&screen.paint(Tone::Heading, "Kept"));
        for (path, what) in &planned.kept {
            screen.line(&format!("    {}  {what}", path.display()));
        }
    }
    for (heading, lines) in [("Stays, as others need it", &planned.needed), ("To be done by hand", &planned.by_hand)] {
        if !lines.is_empty() {
            screen.attention(&screen.paint(Tone::Caution, heading));
            for line in lines {
                screen.attention(&format!("    {}", wrap(line, 4)));
            }
        }
    }
    let kept: Vec<_> =
        planned.kept.iter().map(|(path, what)| serde_json::json!({ "path": path, "what": what })).collect();
    report.add("kept", serde_json::json!(kept));
    report.add("needed", serde_json::json!(planned.needed));
    report.add("by_hand", serde_json::json!(planned.by_hand));
}

fn never_again(screen: &Screen, name: &str) {
    screen.attention(&wrap(
        &format!(
            "{} with the database go the keys of {name}. Other servers have cached them, and will refuse what a new instance under \
             this name sends: {name} can never be used again. A backup that has the keys is the only way back.",
            screen.paint(Tone::Caution, "warning:")
        ),
        2,
    ));
}

fn explanation() -> [String; 2] {
    [
        "The receipts of all runs say what was there before. What is as gts-bootstrap left it goes back to that; what others have \
         edited since keeps their edits. The service stops first; then the reserved range goes up, and only then the rules out."
            .to_owned(),
        "What fails is left and named at the end, and everything else goes on. The same command, run again, goes on with what is \
         left, after a power cut as well."
            .to_owned(),
    ]
}

/// The end on a host of which no receipt tells anything.
fn without_record(
    transaction: &Transaction<'_>,
    layout: &Layout,
    screen: &Screen,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let host: &dyn Host = transaction.host;
    let found = parts::unrecorded(host.observe(), layout)?;
    if !found.is_empty() {
        return Err(Stop::refused(
            ErrorCode::NoReceipts,
            format!(
                "there are no receipts in {}/receipts, so nobody can tell what was here before, and nothing is guessed. This is here by \
             its name, with how to remove it by hand:\n  {}\nA copy of {} from a backup brings the receipts back",
                store::FOLDER,
                found.join("\n  "),
                store::FOLDER
            ),
        ));
    }
    let leftovers = [store::FOLDER, store::GOING];
    let mut swept = false;
    for folder in leftovers.map(Path::new) {
        swept |= host.entry(folder)?.is_some();
    }
    if swept && transaction.yes {
        // An uninstallation with --purge was cut off while it removed the record, its very last act.
        transaction.sweep()?;
        report.changed = true;
    }
    screen.line("Nothing to take back: gts-bootstrap has done nothing here, or it was taken back already.");
    Ok(Exit::Done)
}
