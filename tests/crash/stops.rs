//! Every stop of a plan: what the next run makes of it, and what `recover --undo` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gts_bootstrap::change::journal::{self, Line};
use gts_bootstrap::change::{
    BackupChange, Change, Discard, Kind, Operator, Prior, RemoveTree, Reporter, settle, store,
};
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::release;

use super::child;
use super::compare::{
    State, differences, state, state_with_records, without_data, without_lost, without_record, without_superfluous,
    without_times_of_backups,
};
use super::machine::Machine;
use super::recorder::copy;

/// A stop.
struct Stop {
    /// Before which operation.
    before: String,
    /// The states that it can leave.
    left: [String; 2],
}

/// Stops a command at every operation, and has it recovered and undone.
pub fn at_every_operation(plan: &str, machine: &Machine, command: &[&str]) {
    let recorded = machine.beside("recorded");
    child::record(machine, command, &recorded).exits(0);
    let wanted = without_times_of_backups(state(&machine.root()));
    let stops: Vec<Stop> = fs::read_to_string(recorded.join("stops"))
        .unwrap()
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            Stop { before: text("before"), left: [text("killed"), text("cut")] }
        })
        .collect();
    let mut befores: Vec<State> = Vec::new();
    while let Some(before) = Some(recorded.join(format!("before-{}", befores.len()))).filter(|path| path.exists()) {
        befores.push(without_data(state(&before)));
    }
    let mut seen: BTreeMap<&str, &Stop> = BTreeMap::new();
    for stop in &stops {
        for left in &stop.left {
            seen.entry(left).or_insert(stop);
        }
    }
    let receipts_before = receipts(&recorded.join("before-0")).len();
    let (mut wrong, mut classes) = (Vec::new(), BTreeSet::new());
    for (name, stop) in &seen {
        let told = |what: &str, why: String| {
            let (kind, _) = name.split_once('-').unwrap();
            format!("{plan}, {kind} before {} ({}): {what}: {why}", stop.before, recorded.join(name).display())
        };
        let place = Place { folder: machine.beside("work"), snapshot: recorded.join(name) };
        // Settling is the first thing that the next run does: where it leads to the same state, so does the run.
        let settled = place.machine();
        if let Err(error) = settle::settle(&Rehearsal::open(settled.root()).unwrap()) {
            wrong.push(told("settling", error.to_string()));
        } else if classes.insert((journal_of(&place.snapshot), state_with_records(&settled.root())))
            && let Err(why) = recovered(&place, command, &wanted)
        {
            wrong.push(told("the next run", why));
        }
        // A command may have several runs of the executor: those that have ended stay.
        let result = if receipts_before > 0 && is_forgotten(&place.snapshot) {
            undone(&place, &without_record(befores.last().unwrap().clone()), without_record)
        } else {
            undone(&place, &befores[ended(&place.snapshot, receipts_before)], |state| state)
        };
        if let Err(why) = result {
            wrong.push(told("recover --undo", why));
        }
        if wrong.len() >= 2 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let count = stops.len();
    told_aloud(&format!(
        "{plan}: {count} stops, {count} recovered, {count} undone ({} different states, {} once settled)",
        seen.len(),
        classes.len()
    ));
}

/// Tells a count where the harness does not swallow it: whoever runs the tests is to see it without an option.
pub fn told_aloud(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

struct Place {
    folder: PathBuf,
    snapshot: PathBuf,
}

impl Place {
    /// The machine as the stop left it; after a power cut it boots first.
    fn machine(&self) -> Machine {
        let _ = fs::remove_dir_all(&self.folder);
        copy(&self.snapshot, &self.folder.join("root"));
        fs::copy(self.folder.with_file_name("answers.toml"), self.folder.join("answers.toml")).unwrap();
        let machine = Machine::at(&self.folder);
        if self.snapshot.file_name().unwrap().to_string_lossy().starts_with("cut-") {
            Rehearsal::open(machine.root()).unwrap().cut_power().unwrap();
        }
        machine
    }
}

/// Whether a purge, the last act of which this is, had begun to take away the record of it all.
fn is_forgotten(root: &Path) -> bool {
    let there = |path: &str| root.join(path.trim_start_matches('/')).exists();
    there(store::GOING) || !there(store::FOLDER)
}

/// What a stop has left of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// None, or one that tells nothing.
    Nothing,
    /// One that had come to its end.
    Ended,
    /// That of a run that was cut off.
    CutOff,
}

fn journal_of(root: &Path) -> Left {
    let text = fs::read_to_string(root.join("var/db/gts-bootstrap/journal")).unwrap_or_default();
    match text.lines().last() {
        Some(line) if line.starts_with("{\"end\"") => Left::Ended,
        Some(_) if text.contains("{\"intent\"") => Left::CutOff,
        _ => Left::Nothing,
    }
}

fn recovered(place: &Place, command: &[&str], wanted: &State) -> Result<(), String> {
    let machine = place.machine();
    let left = journal_of(&machine.root());
    // All was done, and nothing tells of it any more: the same command would be a new one, as a rollback that undoes the first.
    if left == Left::Nothing && differences(wanted, &without_times_of_backups(state(&machine.root()))).is_empty() {
        return Ok(());
    }
    let cut_off = left == Left::CutOff;
    let outcome = machine.run(command);
    let said = || format!("stdout:\n{}\nstderr:\n{}", outcome.stdout, outcome.stderr);
    if outcome.code != 0 {
        return Err(format!("exit code {}\n{}", outcome.code, said()));
    }
    let lines = outcome.stderr.lines().filter(|line| line.contains("was cut off")).count();
    if cut_off && lines != 1 {
        return Err(format!("{lines} lines say that a run was cut off\n{}", said()));
    }
    match differences(wanted, &without_times_of_backups(state(&machine.root()))) {
        same if same.is_empty() => Ok(()),
        different => Err(format!("{different}{}", said())),
    }
}

/// As `recover --undo` does.
fn undone(place: &Place, before: &State, aside: fn(State) -> State) -> Result<(), String> {
    let machine = place.machine();
    let (lost, superfluous) = removed_for_good(&machine);
    let told =
        settle::take_back(&Rehearsal::open(machine.root()).unwrap(), &Silent).map_err(|error| error.to_string())?;
    let left = told.map(|settled| settled.failed).unwrap_or_default();
    let named = |text: &str| left.iter().any(|line| line.starts_with(text));
    let all_named = lost.iter().all(|path| named(&format!("{}:", path.display())));
    if left.len() != lost.len() + usize::from(!lost.is_empty()) || !all_named {
        return Err(format!("removed for good: {lost:?}; told:\n{}", left.join("\n")));
    }
    let found = aside(without_data(state(&machine.root())));
    let (before, found) = (without_superfluous(before.clone(), &superfluous), without_superfluous(found, &superfluous));
    let different = match lost.is_empty() {
        true => differences(&before, &found),
        false => differences(&without_lost(before, &lost), &without_lost(found, &lost)),
    };
    if different.is_empty() { Ok(()) } else { Err(different) }
}

/// What an uninstallation has begun to remove as whole trees, which nothing brings back; and what was one too many.
fn removed_for_good(machine: &Machine) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let host = Rehearsal::open(machine.root()).unwrap();
    let lines = journal::read(&host, &journal::path()).unwrap().unwrap_or_default();
    let (mut lost, mut superfluous) = (Vec::new(), Vec::new());
    if lines.iter().any(|line| matches!(line, Line::End { .. })) {
        return (lost, superfluous);
    }
    for line in lines {
        let Line::Intent { change, prior: Prior::Present, .. } = line else { continue };
        match change {
            Change::TreeRemoval(RemoveTree { path }) if !path.starts_with("/var/run") => lost.push(path),
            Change::Discard(Discard { path }) => superfluous.push(path),
            Change::Backup { backup } if matches!(*backup, BackupChange::Prune { .. }) => {
                superfluous.push(backup.target().into());
            }
            _ => {}
        }
    }
    (lost, superfluous)
}

/// Nobody to tell.
pub struct Silent;

impl Operator for Silent {
    fn progress(&self) -> &dyn release::Progress {
        &release::NoProgress
    }
}

impl Reporter for Silent {}

/// The receipts of a machine.
fn receipts(root: &Path) -> Vec<String> {
    let folder = root.join("var/db/gts-bootstrap/receipts");
    let Ok(names) = fs::read_dir(folder) else { return Vec::new() };
    names.map(|name| fs::read_to_string(name.unwrap().path()).unwrap()).collect()
}

/// How many of the command's runs of the executor had ended.
fn ended(root: &Path, receipts_before: usize) -> usize {
    let journal = fs::read_to_string(root.join("var/db/gts-bootstrap/journal")).unwrap_or_default();
    let others = receipts(root).iter().filter(|text| **text != journal).count().saturating_sub(receipts_before);
    others + usize::from(journal.contains("{\"end\"") && journal.ends_with('\n'))
}
