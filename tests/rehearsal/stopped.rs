//! A signal in the midst of a change that copies, reads or unpacks large files: at every question that such a change asks.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use gts_bootstrap::backup as format;
use gts_bootstrap::change::backup::Origin;
use gts_bootstrap::change::{
    Action, BackupChange, Change, Database, DatabaseCopy, DatabaseRestore, Executor, Interruption, Operator, Plan, Step,
};
use gts_bootstrap::host::Owner;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::release::{NoProgress, Progress};

use super::backup::{DATABASE, PICTURE, STORAGE, instance, made};
use crate::machine::{Machine, differences};

const SERVICE: Owner = Owner { uid: 209, gid: 209 };

/// Has an interrupted run undone.
struct Undoes;

impl Operator for Undoes {
    fn interrupted(&self) -> Interruption {
        Interruption::Undo
    }

    fn progress(&self) -> &dyn Progress {
        &NoProgress
    }
}

/// Makes a change on a copy of a machine, with a stop at one of the questions that it asks; how many it has asked.
fn applied(start: &Machine, change: &Change, at: Option<u32>) -> (u32, Machine) {
    let machine = start.copy();
    let host = Rehearsal::open(machine.root()).unwrap();
    let plan = Plan { steps: vec![Step::new("test", Action::Create, change.clone())], ..Plan::default() };
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        // The first is the executor's own, before the change.
        at.is_some_and(|at| asked.get() > at).then(|| "interrupted (SIGTERM)".to_owned())
    };
    let executor = Executor { host: &host, source: None, authority: None, operator: &Undoes, stop: &stop, trial: None };
    match (executor.apply("test", &plan), at) {
        (Ok(_), None) => {}
        (Err(error), Some(at)) => {
            assert_eq!(error.code.as_str(), "GTSB-INTERRUPTED", "{at}: {error}");
            assert_eq!((asked.get(), error.aftermath.failed), (at + 1, Vec::new()), "it stops where it is told to");
        }
        (result, at) => panic!("{at:?}: {result:?}"),
    }
    drop(host);
    (asked.get(), machine)
}

/// Stops a change at each of its questions, of which it asks at least so many.
fn stops_anywhere(start: &Machine, change: impl Into<Change>, least: u32) {
    let change = change.into();
    let before = start.system_files();
    let (all, machine) = applied(start, &change, None);
    assert!(all > least, "{all} questions");
    assert_ne!(differences(&before, &machine.system_files()), Vec::<PathBuf>::new());
    let every = (all / 40).max(1);
    for at in (1..all).step_by(every as usize).chain([all - 1]) {
        let (_, machine) = applied(start, &change, Some(at));
        assert_eq!(differences(&before, &machine.system_files()), Vec::<PathBuf>::new(), "at {at} of {all}");
    }
}

/// An instance that is stopped, a backup of it, and how that is known again.
fn stopped() -> (Machine, Origin) {
    let machine = instance();
    let file = made(&machine);
    machine.stop_service("gotosocial");
    let manifest = format::open(&mut fs::File::open(&file).unwrap()).unwrap().sha256;
    (machine, Origin { file, manifest })
}

fn copy(to: &str) -> DatabaseCopy {
    DatabaseCopy {
        from: Database::Sqlite { path: DATABASE.into() },
        to: to.into(),
        service: "gotosocial".to_owned(),
        owner: SERVICE,
        thorough: true,
        host: "social.example.org".to_owned(),
        version: "0.19.2".parse().unwrap(),
        guards: false,
    }
}

#[test]
fn a_copy_of_the_database_stops_anywhere() {
    let (machine, _) = stopped();
    stops_anywhere(&machine, copy("/var/backups/gotosocial/copy"), 10);
}

#[test]
fn a_database_stops_anywhere_on_its_way_back() {
    let (machine, _) = stopped();
    let from = PathBuf::from("/var/backups/gotosocial/copy");
    let (_, machine) = applied(&machine, &copy("/var/backups/gotosocial/copy").into(), None);
    let to = Database::Sqlite { path: DATABASE.into() };
    fs::write(machine.path(DATABASE), "another").unwrap();
    let restore = DatabaseRestore { from, to, service: "gotosocial".to_owned(), owner: SERVICE, before: None };
    stops_anywhere(&machine, restore, 4);
}

#[test]
fn what_is_unpacked_of_a_backup_stops_anywhere() {
    let (machine, from) = stopped();
    let to = PathBuf::from("/var/backups/gotosocial/unpacked");
    stops_anywhere(&machine, BackupChange::Database { from: from.clone(), to, owner: SERVICE }, 20);
    fs::remove_file(machine.path(PICTURE)).unwrap();
    let (storage, owner) = (PathBuf::from(STORAGE), SERVICE);
    stops_anywhere(&machine, BackupChange::Media { from: from.clone(), storage: storage.clone(), owner }, 20);
    // One that differs is read for its digest, and set aside.
    machine.write(PICTURE, "not much of a pixture");
    stops_anywhere(&machine, BackupChange::Media { from, storage, owner }, 20);
}
