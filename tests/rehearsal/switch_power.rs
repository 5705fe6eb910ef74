//! The power fails in the midst of a switch, and the machine boots before anybody runs anything: GoToSocial and the web
//! server must never want the same ports.

use gts_bootstrap::host::Observe;
use gts_bootstrap::host::rehearsal::Rehearsal;

use super::machine::{ANSWERS, Machine};
use super::switch::{at_each_change, changed, copy, kernel};
use super::switch_others::{BACK, beside, there};

/// Nobody wanted what another has: GoToSocial is up, every enabled web server too, and nobody tries again and again.
fn assert_nobody_competes(machine: &Machine, when: &str) {
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

/// Stops dead after each change of `command`, boots, looks, and runs the command again.
fn power_cut_at_each_change(start: &Machine, command: &[&str], least: u32) {
    let wanted = copy(start);
    wanted.run(command).exits(0);
    let stops = at_each_change(start, command, (true, true), |machine, after, _| {
        let when = format!("{command:?} cut off after {after}");
        machine.run(&["rehearsal", "reboot"]).exits(0);
        assert_nobody_competes(machine, &when);
        machine.run(command).exits(0);
        assert_eq!(changed(&wanted, machine), Vec::<std::path::PathBuf>::new(), "{when}");
        assert_eq!(kernel(machine), kernel(&wanted), "{when}");
    });
    println!("{command:?}: {stops} power cuts");
    assert!(stops > least, "{command:?}: only {stops} places to stop at");
}

#[test]
fn a_power_cut_on_the_way_to_a_front_leaves_one_owner() {
    let direct = Machine::installed(ANSWERS);
    for program in ["nginx", "httpd"] {
        power_cut_at_each_change(&direct, &there(program), 60);
    }
}

#[test]
fn a_power_cut_on_the_way_back_leaves_one_owner() {
    for program in ["nginx", "httpd"] {
        let behind = Machine::installed(ANSWERS);
        behind.run(&there(program)).exits(0);
        power_cut_at_each_change(&behind, BACK, 50);
    }
}

#[test]
fn a_power_cut_beside_other_sites_leaves_one_owner() {
    for program in ["nginx", "httpd"] {
        let direct = beside(program);
        power_cut_at_each_change(&direct, &there(program), 30);
        direct.run(&there(program)).exits(0);
        power_cut_at_each_change(&direct, BACK, 30);
    }
}

#[test]
fn a_power_cut_between_two_fronts_leaves_one_owner() {
    for (from, to) in [("nginx", "httpd"), ("httpd", "nginx")] {
        let start = if from == "nginx" { Machine::installed(ANSWERS) } else { beside(from) };
        start.run(&there(from)).exits(0);
        power_cut_at_each_change(&start, &there(to), 40);
    }
}
