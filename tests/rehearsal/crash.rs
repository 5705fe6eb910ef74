//! A failure at every change of an installation is taken back. `tests/crash/` stops at every operation.

use gts_bootstrap::host::rehearsal::ChangeFault;

use crate::machine::{ANSWERS, Machine, differences};

fn fault(machine: &Machine, after: u32, takes_effect: bool, lasting: bool) {
    machine.edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }));
}

/// Leaves out data, log and pid folder of GoToSocial itself: they stay when an installation is taken back.
fn without_data(paths: Vec<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
    paths
        .into_iter()
        .filter(|path| {
            !["var/db/gotosocial", "var/log/gotosocial", "var/run/gotosocial"].iter().any(|own| path.starts_with(own))
        })
        .collect()
}

#[test]
fn a_failure_at_any_change_is_taken_back() {
    let mut stops = 0;
    for after in 0.. {
        let machine = Machine::fresh();
        let before = machine.system_files();
        fault(&machine, after, false, false);
        let outcome = machine.install(ANSWERS);
        if outcome.code == 0 {
            break;
        }
        stops += 1;
        let outcome = outcome.exits(1);
        if outcome.said().contains("every change was made") {
            // Only the last line of the record is missing: there is nothing to take back.
            machine.edit(|model| model.faults.change = None);
            machine.install(ANSWERS).exits(0).says("Nothing to change");
            continue;
        }
        let left = without_data(differences(&before, &machine.system_files()));
        assert_eq!(left, Vec::<std::path::PathBuf>::new(), "after {after}: {}", outcome.said());
        machine.edit(|model| model.faults.change = None);
        machine.install(ANSWERS).exits(0);
    }
    println!("install: {stops} failures, {stops} taken back");
    assert!(stops > 60, "only {stops} places to fail at");
}
