//! The power fails in the midst of a switch, and the machine boots before anybody runs anything: GoToSocial and the web
//! server must never want the same ports, and the next run finishes the switch. Here beside other sites; `tests/crash/` does it
//! at every operation of the others.

use gts_bootstrap::host::Observe;
use gts_bootstrap::host::rehearsal::Rehearsal;

use super::switch::{at_each_change, changed, kernel};
use super::switch_others::{BACK, beside, there};
use crate::machine::Machine;
use crate::settled::Classes;

/// Nobody wanted what another has: GoToSocial is up, every enabled web server too, and nobody tries again and again.
pub fn assert_nobody_competes(machine: &Machine, when: &str) {
    let model = machine.model();
    let supervisor = model.gotosocial.as_ref().unwrap_or_else(|| panic!("{when}: GoToSocial has not been started"));
    assert!(supervisor.program.is_some(), "{when}: GoToSocial dies again and again");
    let host = Rehearsal::open(machine.root()).unwrap();
    for service in ["nginx", "apache24"] {
        if host.rc_is_yes(&format!("{service}_enable")).unwrap() {
            assert!(model.services.contains_key(service), "{when}: {service} is enabled and could not be started");
        }
    }
}

/// Stops dead after each change of `command`. The command, run again, finishes it: right away, and after a boot.
fn stopped_at_each_change(start: &Machine, command: &[&str], least: u32) {
    let wanted = start.copy();
    wanted.run(command).exits(0);
    let mut classes = Classes::default();
    // A switch proves itself: what the web server has not read fails its trial.
    let mut finished = |machine: &Machine, when: &str| {
        if !classes.is_new(machine) {
            return;
        }
        machine.run(command).exits(0);
        assert_eq!(changed(&wanted, machine), Vec::<std::path::PathBuf>::new(), "{when}");
        assert_eq!(kernel(machine), kernel(&wanted), "{when}");
    };
    let stops = at_each_change(start, command, (true, true), |machine, after, _| {
        let when = format!("{command:?} cut off after {after}");
        let booted = machine.copy();
        booted.run(&["rehearsal", "reboot"]).exits(0);
        assert_nobody_competes(&booted, &when);
        finished(&booted, &format!("{when}, and a boot"));
        finished(machine, &when);
    });
    println!("{command:?}: {stops} stops");
    assert!(stops > least, "{command:?}: only {stops} places to stop at");
}

#[test]
fn a_stop_or_power_cut_beside_other_sites_leaves_one_owner_and_is_finished_by_the_next_run() {
    for program in ["nginx", "httpd"] {
        let direct = beside(program);
        stopped_at_each_change(&direct, &there(program), 30);
        direct.run(&there(program)).exits(0);
        stopped_at_each_change(&direct, BACK, 30);
    }
}
