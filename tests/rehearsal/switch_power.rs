//! The power fails in the midst of a switch, and the machine boots before anybody runs anything: GoToSocial and the web
//! server must never want the same ports, and the next run finishes the switch. Here beside other sites; `tests/crash/` does it
//! at every operation of the others.

use gts_bootstrap::host::Observe;
use gts_bootstrap::host::rehearsal::Rehearsal;

use super::switch::{TO_DIRECT, TO_NGINX, at_each_change, changed, kernel};
use super::switch_others::{BACK, beside, there};
use crate::machine::{ANSWERS, Machine};
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

/// Whether anybody has port 443.
fn is_served(machine: &Machine) -> bool {
    let host = Rehearsal::open(machine.root()).unwrap();
    host.listeners().unwrap().iter().any(|socket| socket.port == 443)
}

/// How many of the stops may leave nobody who wants the ports at the next boot: those between the change that has their owner give
/// them up and the one that has the other claim them.
const UNWANTED: u32 = 20;

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
    let mut unwanted = 0;
    let stops = at_each_change(start, command, (true, true), |machine, after, _| {
        let when = format!("{command:?} cut off after {after}");
        let booted = machine.copy();
        booted.run(&["rehearsal", "reboot"]).exits(0);
        assert_nobody_competes(&booted, &when);
        unwanted += u32::from(!is_served(&booted));
        finished(&booted, &format!("{when}, and a boot"));
        finished(machine, &when);
    });
    println!("{command:?}: {stops} stops, of which {unwanted} leave nobody who wants the ports");
    assert!(unwanted <= UNWANTED, "{command:?}: {unwanted} stops leave nobody who wants the ports");
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

/// What a stop before the handover has written, and GoToSocial has not read, is no way back for the next run.
#[test]
fn until_the_ports_change_hands_a_cut_off_switch_goes_back_as_a_whole() {
    let begun = |machine: &Machine, what: &str| {
        let journal = "/var/db/gts-bootstrap/journal";
        let intents =
            |journal: String| journal.lines().any(|line| line.starts_with("{\"intent\"") && line.contains(what));
        machine.exists(journal) && intents(machine.read(journal))
    };
    let receipts =
        |machine: &Machine| std::fs::read_dir(machine.path("/var/db/gts-bootstrap/receipts")).unwrap().count();
    let server = |machine: &Machine| machine.model().gotosocial.unwrap().program.unwrap().pid;
    let (direct, behind) = (Machine::installed(ANSWERS), Machine::after(ANSWERS, &[TO_NGINX]));
    for (start, command, hands_over) in [(&direct, TO_NGINX, "front-takeover"), (&behind, TO_DIRECT, "\"from\":")] {
        let mut tried = 0;
        at_each_change(start, command, (true, true), |machine, after, _| {
            // A second run tidies up after the first.
            if receipts(machine) > receipts(start) || !begun(machine, "\"kind\"") || begun(machine, hands_over) {
                return;
            }
            let undone = machine.copy();
            undone.run(&["recover", "--undo", "--yes"]).exits(0);
            assert_eq!(changed(start, &undone), Vec::<std::path::PathBuf>::new(), "{command:?} undone after {after}");
            assert_eq!(kernel(&undone), kernel(start), "{command:?} undone after {after}");
            assert_eq!(server(&undone), server(start), "{command:?} undone after {after}: GoToSocial was restarted");
            if !begun(machine, "\"when_undone\":true") {
                return;
            }
            tried += 1;
            machine.edit(|model| model.faults.bind_probes = Some(true));
            let again = machine.run(&[command, &["--trial", "0"]].concat()).exits(1);
            again.says("the checks did not pass").says("No change of it stays").says("All changes were undone");
            assert_eq!(changed(start, machine), Vec::<std::path::PathBuf>::new(), "{command:?} again after {after}");
            assert_eq!(kernel(machine), kernel(start), "{command:?} again after {after}");
            assert!(is_served(machine), "{command:?} again after {after}: nobody serves");
        });
        println!("{command:?}: {tried} second tries");
        assert!(tried > 5, "{command:?}: only {tried} second tries");
    }
}
