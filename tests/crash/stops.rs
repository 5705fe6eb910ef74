//! Every stop of a plan: what the next run makes of it, and what `recover --undo` does.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gts_bootstrap::change::journal::{self, Line};
use gts_bootstrap::change::{BackupChange, Change, Discard, Kind, Operator, Prior, RemoveTree, settle, store};
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::release;

use super::compare::{
    State, differences, digest, state, state_with_records, without_data, without_lost, without_record,
    without_superfluous, without_times_of_backups,
};
use super::recorder::{StopKind, record};
use crate::image::Image;
use crate::machine::Machine;
use crate::rehearsal::switch_power::assert_nobody_competes;

const JOURNAL: &str = "var/db/gts-bootstrap/journal";

/// Stops a command at every operation, and has it recovered and undone.
pub fn at_every_operation(plan: &str, machine: &Machine, command: &[&str]) {
    let (outcome, recorded) = record(machine, command);
    outcome.exits(0);
    let wanted = without_times_of_backups(state(&Image::of(&machine.root())));
    let befores: Vec<State> = recorded.befores.iter().map(|before| without_data(state(before))).collect();
    let receipts_before = receipts(&recorded.befores[0]).len();
    let work = machine.beside("work");
    let (mut wrong, mut tried, mut classes) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (kind, name) in recorded.stops.iter().flat_map(|stop| &stop.left) {
        let before = || {
            let stop = recorded.stops.iter().find(|stop| stop.left.contains(&(*kind, *name)));
            stop.map(|stop| stop.before.clone()).unwrap_or_default()
        };
        let told = |what: &str, why: String| format!("{plan}, {kind:?} before {}: {what}: {why}", before());
        let mut place = Place { folder: work.clone(), image: recorded.states[&(*kind, *name)].clone() };
        if !tried.insert(*name) {
            continue;
        }
        if *kind == StopKind::Cut {
            // It boots first; two stops can come to the same by that.
            let booted = place.machine();
            Rehearsal::open(booted.root()).unwrap().cut_power().unwrap();
            if command[0].starts_with("switch-") {
                assert_nobody_competes(&booted, &told("the boot", String::new()));
            }
            place.image = Image::of(&booted.root());
            if !tried.insert(place.image.digest()) {
                continue;
            }
        }
        // Settling is the first thing that the next run does: where it leads to the same state, so does the run.
        let settled = place.machine();
        if let Err(error) = settle::settle(&Rehearsal::open(settled.root()).unwrap()) {
            wrong.push(told("settling", error.to_string()));
        } else if classes.insert((journal_of(&place.image), digest(&state_with_records(&Image::of(&settled.root())))))
            && let Err(why) = recovered(&place, command, &wanted)
        {
            wrong.push(told("the next run", why));
        }
        // A command may have several runs of the executor: those that have ended stay.
        let result = if receipts_before > 0 && is_forgotten(&place.image) {
            undone(&place, &without_record(befores.last().unwrap().clone()), without_record)
        } else {
            undone(&place, &befores[ended(&place.image, receipts_before)], |state| state)
        };
        if let Err(why) = result {
            wrong.push(told("recover --undo", why));
        }
        if wrong.len() >= 2 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let count = recorded.stops.len();
    told_aloud(&format!(
        "{plan}: {count} stops, {count} recovered, {count} undone ({} different states, {} once settled)",
        tried.len(),
        classes.len()
    ));
}

/// Tells a count where the harness does not swallow it: whoever runs the tests is to see it without an option.
pub fn told_aloud(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

struct Place {
    folder: PathBuf,
    image: Image,
}

impl Place {
    /// The machine as the stop left it.
    fn machine(&self) -> Machine {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir(&self.folder).unwrap();
        self.image.lay_out(&self.folder.join("root"));
        fs::copy(self.folder.with_file_name("answers.toml"), self.folder.join("answers.toml")).unwrap();
        Machine::at(&self.folder)
    }
}

/// Whether a purge, the last act of which this is, had begun to take away the record of it all.
fn is_forgotten(image: &Image) -> bool {
    let there = |path: &str| image.0.contains_key(Path::new(path.trim_start_matches('/')));
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

fn journal_of(image: &Image) -> Left {
    let text = text(image, JOURNAL);
    match text.lines().last() {
        Some(line) if line.starts_with("{\"end\"") => Left::Ended,
        Some(_) if text.contains("{\"intent\"") => Left::CutOff,
        _ => Left::Nothing,
    }
}

fn recovered(place: &Place, command: &[&str], wanted: &State) -> Result<(), String> {
    let machine = place.machine();
    let left = journal_of(&place.image);
    // All was done, and nothing tells of it any more: the same command would be a new one, as a rollback that undoes the first.
    if left == Left::Nothing
        && differences(wanted, &without_times_of_backups(state(&Image::of(&machine.root())))).is_empty()
    {
        return Ok(());
    }
    let cut_off = left == Left::CutOff;
    let outcome = machine.run(command);
    let said = || format!("stdout:\n{}\nstderr:\n{}", outcome.stdout, outcome.stderr);
    if outcome.code != 0 {
        return Err(format!("exit code {}\n{}", outcome.code, said()));
    }
    let lines = outcome.stderr.lines().filter(|line| line.contains("was interrupted")).count();
    if cut_off && lines != 1 {
        return Err(format!("{lines} lines say that a run was interrupted\n{}", said()));
    }
    match differences(wanted, &without_times_of_backups(state(&Image::of(&machine.root())))) {
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
    let found = aside(without_data(state(&Image::of(&machine.root()))));
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

/// The text of a file; empty if there is none.
fn text(image: &Image, path: &str) -> String {
    image.file(path).map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default()
}

/// The receipts of a machine.
fn receipts(image: &Image) -> Vec<String> {
    let folder = Path::new("var/db/gts-bootstrap/receipts");
    let paths = image.0.keys().filter(|path| path.parent() == Some(folder));
    paths.map(|path| text(image, path.to_str().unwrap())).collect()
}

/// How many of the command's runs of the executor had ended.
fn ended(image: &Image, receipts_before: usize) -> usize {
    let journal = text(image, JOURNAL);
    let others = receipts(image).iter().filter(|text| **text != journal).count().saturating_sub(receipts_before);
    others + usize::from(journal.contains("{\"end\"") && journal.ends_with('\n'))
}
