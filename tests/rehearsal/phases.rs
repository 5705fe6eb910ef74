//! What a start waits for: each phase is told apart, with the time that it has been in it.

use std::time::Duration;

use gts_bootstrap::host::Host;
use gts_bootstrap::host::rehearsal::{Authority, Rehearsal};
use serde_json::{Value, json};

use crate::machine::{ANSWERS, Machine};

/// An installation that was started just now, migrates for 60 seconds and is ready after 200.
fn starting() -> Machine {
    let machine = Machine::installed(ANSWERS);
    machine.stop_service("gotosocial");
    machine.edit(|model| {
        model.faults.polls_while_migrating = 30;
        model.faults.polls_until_ready = 100;
    });
    machine.start_service("gotosocial");
    machine
}

fn pass(machine: &Machine, seconds: u64) {
    Rehearsal::open(machine.root()).unwrap().sleep(Duration::from_secs(seconds));
}

/// The finding `name` of a check, as JSON.
fn finding(machine: &Machine, name: &str) -> Value {
    let json = machine.run(&["check", "--json"]).json();
    json["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

#[test]
fn the_phases_of_a_start_are_told_apart_with_their_times() {
    let machine = starting();
    pass(&machine, 42);
    let migrating = "starting: migrating the database for 43 s (last log line 43 s ago)";
    machine.run(&["check"]).exits(3).says(&format!("readyz: {migrating}; /readyz answers 503"));
    machine.run(&["check", "--brief"]).exits(3).says(&format!("FAIL: readyz: {migrating}"));
    let check = finding(&machine, "readyz");
    assert_eq!(
        (&check["phase"], &check["seconds"], &check["silent_seconds"]),
        (&json!("migrating"), &json!(43), &json!(43))
    );
    machine.run(&["status", "--offline"]).exits(0).says(&format!("NOT ready, {migrating}"));
    let status = machine.run(&["status", "--offline", "--json"]).json();
    assert_eq!(status["service"]["startup"]["phase"], "migrating", "{status}");

    pass(&machine, 30);
    let check = finding(&machine, "readyz");
    assert_eq!(check["phase"], "starting", "{check}");
    assert!(check["seconds"].as_u64().is_some_and(|seconds| seconds < 20), "{check}");

    pass(&machine, 200);
    let check = finding(&machine, "readyz");
    assert_eq!((&check["status"], check.get("phase")), (&json!("pass"), None), "{check}");
    let status = machine.run(&["status", "--offline", "--json"]).json();
    assert_eq!(status["service"].get("startup"), None, "{status}");
    machine.run(&["status", "--offline"]).exits(0).says(", ready");
}

#[test]
fn a_server_without_a_certificate_fetches_it() {
    let machine = Machine::with(|model| model.authority = Authority::Unreachable);
    machine.install(ANSWERS).exits(3);
    let check = finding(&machine, "certificate");
    assert_eq!((&check["status"], &check["phase"]), (&json!("fail"), &json!("certificate")), "{check}");
    assert!(check["detail"].as_str().unwrap().contains("starting: fetching the certificate for "), "{check}");
    machine.run(&["status", "--offline"]).says("starting: fetching the certificate for ");
    // Once the authority can be reached, the check's own request has it ordered.
    machine.edit(|model| model.authority = Authority::Issues);
    pass(&machine, 120);
    assert_eq!(finding(&machine, "certificate").get("phase"), None);
}

#[test]
fn a_log_in_json_tells_the_same() {
    let machine = starting();
    pass(&machine, 42);
    let log = "/var/log/gotosocial/gotosocial.log";
    let line = |line: &str| {
        let (time, rest) = line.strip_prefix("timestamp=\"")?.split_once("\" func=")?;
        let (func, rest) = rest.split_once(' ')?;
        let (_, message) = rest.split_once("msg=\"")?;
        let message = message.trim_end_matches('"');
        Some(format!("{{\"timestamp\":\"{time}\", \"func\":\"{func}\", \"level\":\"INFO\", \"msg\":\"{message}\"}}\n"))
    };
    machine.write(log, &machine.read(log).lines().filter_map(line).collect::<String>());
    assert_eq!(finding(&machine, "readyz")["phase"], "migrating");
}

#[test]
fn an_installation_that_waits_names_the_phase() {
    let machine = Machine::with(|model| {
        model.faults.polls_while_migrating = 30;
        model.faults.polls_until_ready = 60;
    });
    let outcome = machine.install(ANSWERS).exits(0);
    outcome
        .says("GoToSocial is starting: migrating the database for 20 s (20 s): connected to SQLITE database")
        .says("GoToSocial is starting (80 s): compiling WebAssembly");
}
