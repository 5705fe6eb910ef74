//! An uninstallation where there are backups, and copies of the database from before upgrades.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::backup::made;
use super::uninstall::{PURGE, UNINSTALL, same};
use crate::machine::{ANSWERS, Machine};

/// The folder of backups, as a snapshot names it.
const BACKUPS: &str = "var/backups/gotosocial";

fn backups(machine: &Machine) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    machine.system_files().into_iter().filter(|(path, _)| path.starts_with(BACKUPS)).collect()
}

#[test]
fn backups_stay_unless_they_are_named() {
    for named in [false, true] {
        let machine = Machine::installed(ANSWERS);
        machine.write("/var/backups/gotosocial/one.tar", "a backup\n");
        let command = if named { [PURGE, &["--with-backups"]].concat() } else { PURGE.to_vec() };
        let outcome = machine.run(&command).exits(0);
        assert_eq!(outcome.said().contains("/var/backups/gotosocial backups"), !named, "{}", outcome.said());
        assert_eq!(machine.exists("/var/backups/gotosocial/one.tar"), !named);
    }
}

/// Upgraded, taken back, backed up and restored: all that these leave behind.
fn with_a_past() -> Machine {
    let machine = Machine::installed(ANSWERS);
    let file = made(&machine);
    machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(0);
    machine.run(&["rollback", "--yes"]).exits(0);
    machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(0);
    machine.run(&["restore", "--yes", file.to_str().unwrap()]).exits(0);
    machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(0);
    machine
}

#[test]
fn upgrades_backups_and_restorations_are_purged_too() {
    let before = Machine::fresh();
    let machine = with_a_past();
    // What a run has left that could not even take itself back.
    machine.write("/var/db/gts-bootstrap.opened/sqlite.db", "a copy\n");
    machine.write("/var/db/gotosocial/sqlite.db-displaced", "the database of then\n");
    machine.write("/var/db/gotosocial/sqlite.db-incoming-wal", "its log\n");
    machine.run(&[PURGE, &["--with-backups"]].concat()).exits(0);
    same(&before, &machine, &[], "with a past");
}

#[test]
fn a_copy_of_a_database_is_kept_whole() {
    let machine = with_a_past();
    let before = backups(&machine);
    assert!(before.keys().any(|path| path.ends_with("deployment.lock")), "{:?}", before.keys());
    machine.run(UNINSTALL).exits(0).says("copies of the database from before upgrades");
    let after = backups(&machine);
    assert!(before == after, "{:?} → {:?}", before.keys(), after.keys());
    // With it the way back is there again.
    machine.run(&["install", "--yes"]).exits(0);
    machine.run(&["rollback", "--yes"]).exits(0);
    machine.run(&["check"]).exits(0);
}
