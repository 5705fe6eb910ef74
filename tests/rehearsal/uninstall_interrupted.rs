//! An uninstallation that somebody interrupts before any of its changes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use gts_bootstrap::change::{ApplyError, Executor, Interruption, Operator};
use gts_bootstrap::deployment::Layout;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::parts::uninstall::{Extent, plan};
use gts_bootstrap::release::{NoProgress, Progress};

use super::uninstall::{UNINSTALL, same};
use crate::machine::{ANSWERS, Machine, differences};

/// What GoToSocial itself writes when it is stopped and started, and the record of our runs.
const ASIDE: &[&str] = &["var/db/gts-bootstrap", "var/db/gotosocial", "var/log/gotosocial", "var/run/gotosocial"];

struct Asked(Interruption);

impl Operator for Asked {
    fn interrupted(&self) -> Interruption {
        self.0
    }

    fn progress(&self) -> &dyn Progress {
        &NoProgress
    }
}

/// Uninstalls, and interrupts that once before the change of this number.
fn interrupted(machine: &Machine, before: u32, answer: Interruption) -> Result<Vec<String>, ApplyError> {
    let host = Rehearsal::open(machine.root()).unwrap();
    let planned = plan(&host, &Layout::default(), Extent { purge: false, backups: false }).unwrap();
    let asked = Cell::new(0);
    let stop = || {
        let number = asked.replace(asked.get() + 1);
        (number == before).then(|| "interrupted (SIGINT)".to_owned())
    };
    Executor { host: &host, source: None, authority: None, operator: &Asked(answer), stop: &stop, trial: None }
        .apply("uninstall", &planned.plan)
}

/// Files and kernel, but for what GoToSocial itself writes.
fn host_of(machine: &Machine) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = machine.system_files();
    found.retain(|path, _| !ASIDE.iter().any(|aside| path.starts_with(aside)));
    let model = machine.model();
    found.insert("kernel".into(), (0, format!("{:?} {:?}", model.modules, model.sysctls).into_bytes()));
    found
}

fn uninstalled() -> Machine {
    let machine = Machine::installed(ANSWERS);
    machine.run(UNINSTALL).exits(0);
    machine
}

#[test]
fn undo_takes_all_of_it_back_as_long_as_nothing_has_gone_for_good() {
    let installed = Machine::installed(ANSWERS);
    let after = uninstalled();
    let (mut taken_back, mut too_late) = (0, 0);
    for before in 0.. {
        let machine = installed.copy();
        match interrupted(&machine, before, Interruption::Undo) {
            Err(error) => {
                assert_eq!(error.aftermath.failed, Vec::<String>::new(), "before {before}");
                assert_eq!(error.code.as_str(), "GTSB-INTERRUPTED");
                let changed = differences(&host_of(&installed), &host_of(&machine));
                assert!(changed.is_empty(), "taken back before {before}: {changed:?}");
                machine.run(&["check"]).exits(0);
                taken_back += 1;
            }
            Ok(applied) if applied.is_empty() => break,
            Ok(applied) => {
                let why = applied.last().unwrap();
                assert!(why.contains("nothing was undone") && why.contains("is gone for good"), "{why}");
                too_late += 1;
            }
        }
        machine.run(UNINSTALL).exits(0);
        same(&after, &machine, ASIDE, &format!("run again after {before}"));
    }
    assert!(taken_back > 10 && too_late > 0, "{taken_back} {too_late}");
}

#[test]
fn keep_ends_it_where_it_is_and_continue_goes_on() {
    let installed = Machine::installed(ANSWERS);
    let after = uninstalled();
    let machine = installed.copy();
    let kept = interrupted(&machine, 5, Interruption::Keep).unwrap();
    assert!(kept[0].contains("the changes after it were not started"), "{kept:?}");
    machine.run(UNINSTALL).exits(0);
    same(&after, &machine, ASIDE, "kept");

    let machine = installed.copy();
    assert_eq!(interrupted(&machine, 5, Interruption::Continue).unwrap(), Vec::<String>::new());
    same(&after, &machine, ASIDE, "continued");
}
