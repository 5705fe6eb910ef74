//! A switch on trial: how long it lasts, what ends it early, and what happens to the terminal meanwhile.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use gts_bootstrap::host::rehearsal::Faults;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::switch::{changed, kernel};
use super::switch_others::{BACK, beside, there};
use crate::machine::{ANSWERS, Machine};

const NOTHING: Vec<std::path::PathBuf> = Vec::new();

fn with_trial<'a>(command: &[&'a str], seconds: &'a str) -> Vec<&'a str> {
    [command, &["--trial", seconds]].concat()
}

/// The model's clock at the end of a switch without a trial.
fn end_of_changes(start: &Machine, command: &[&str]) -> u64 {
    let machine = start.copy();
    machine.run(&with_trial(command, "0")).exits(0);
    machine.model().clock
}

fn fails_between(machine: &Machine, from: u64, until: u64) {
    machine.edit(|model| {
        for what in ["http/livez", "https/livez"] {
            model.faults.web_status.insert(what.to_owned(), 500);
        }
        model.faults.web_status_when = Some((from, until));
    });
}

#[test]
fn a_trial_lasts_as_long_as_it_says() {
    let direct = Machine::installed(ANSWERS);
    let shortest = end_of_changes(&direct, &there("nginx"));
    for (seconds, least) in [("60", 60), ("100", 100)] {
        let machine = direct.copy();
        machine.run(&with_trial(&there("nginx"), seconds)).exits(0).says("if a check fails, everything is undone");
        let lasted = machine.model().clock - shortest;
        assert!((least - 2..least + 5).contains(&lasted), "--trial {seconds} lasted {lasted} s");
    }
    let machine = direct.copy();
    machine.run(&there("nginx")).exits(0).says("watched for 60 s more");
}

#[test]
fn a_check_that_fails_late_in_the_trial_takes_everything_back() {
    let direct = Machine::installed(ANSWERS);
    let behind = direct.copy();
    behind.run(&there("nginx")).exits(0);
    for (start, command) in [(&direct, there("nginx")), (&direct, there("httpd")), (&behind, BACK.to_vec())] {
        let end = end_of_changes(start, &command);
        let machine = start.copy();
        fails_between(&machine, end + 40, u64::MAX);
        machine
            .run(&with_trial(&command, "60"))
            .exits(1)
            .says("a check failed, looking again")
            .says("s after the switch: livez: /livez answers 500")
            .says("All changes were undone")
            .says("were refused for");
        machine.edit(|model| model.faults = Faults::default());
        assert_eq!(changed(start, &machine), NOTHING, "{command:?}");
        assert_eq!(kernel(&machine), kernel(start), "{command:?}");
        machine.run(&["check"]).exits(0);
    }
}

#[test]
fn a_check_that_fails_for_a_moment_is_looked_at_again() {
    let direct = Machine::installed(ANSWERS);
    let end = end_of_changes(&direct, &there("nginx"));
    let seen = (0..5).filter(|second| {
        let machine = direct.copy();
        fails_between(&machine, end + 12 + second, end + 14 + second);
        let outcome = machine.run(&with_trial(&there("nginx"), "60")).exits(0);
        outcome.said().contains("a check failed, looking again")
    });
    assert!(seen.count() > 0, "no look came in the moment");
}

/// A switch that is on trial, in real time.
struct OnTrial {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl OnTrial {
    fn start(machine: &Machine, command: &[&str]) -> Self {
        machine.edit(|model| model.faults.waits_last = true);
        let mut child = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(machine.root())
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("It is watched for") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it never comes to its trial");
        }
        Self { child, output }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// How it ends, and what it says of it.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

#[test]
fn a_signal_during_the_trial_takes_everything_back() {
    let direct = Machine::installed(ANSWERS);
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGTERM, "SIGTERM")] {
        let machine = direct.copy();
        let run = OnTrial::start(&machine, &with_trial(&there("nginx"), "600"));
        run.signal(signal);
        let (code, said) = run.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("interrupted ({name})")), "{said}");
        machine.edit(|model| model.faults = Faults::default());
        assert_eq!(changed(&direct, &machine), NOTHING, "{name}");
        assert_eq!(kernel(&machine), kernel(&direct), "{name}");
        machine.run(&["check"]).exits(0);
    }
}

#[test]
fn a_trial_goes_on_without_its_terminal() {
    let direct = Machine::installed(ANSWERS);
    let machine = direct.copy();
    let run = OnTrial::start(&machine, &with_trial(&there("nginx"), "8"));
    run.signal(Signal::SIGHUP);
    let (code, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
    machine.edit(|model| model.faults = Faults::default());
    machine.run(&["check"]).exits(0).says("listens 443: nginx");

    // A check that fails then takes everything back, and nobody need be there to read of it.
    let end = end_of_changes(&direct, &there("nginx"));
    let machine = direct.copy();
    fails_between(&machine, end + 4, u64::MAX);
    let OnTrial { mut child, output } = OnTrial::start(&machine, &with_trial(&there("nginx"), "600"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGHUP).unwrap();
    drop((output, child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    machine.edit(|model| model.faults = Faults::default());
    assert_eq!(changed(&direct, &machine), NOTHING);
    assert_eq!(kernel(&machine), kernel(&direct));
}

#[test]
fn a_switch_between_fronts_by_reload_is_measured() {
    let machine = beside("nginx");
    machine.run(&there("nginx")).exits(0);
    machine
        .run(&there("httpd"))
        .exits(0)
        .does_not_say("] stop service")
        .says("Connections to 80 and 443 were refused for");
}

#[test]
fn ports_that_a_web_server_lets_go_of_late_are_waited_for() {
    for (program, to) in [("nginx", BACK.to_vec()), ("httpd", BACK.to_vec()), ("nginx", there("httpd"))] {
        let machine = beside(program);
        machine.run(&there(program)).exits(0);
        machine.edit(|model| model.faults.reload_takes = 8);
        machine.run(&to).exits(0);
        machine.edit(|model| model.faults = Faults::default());
        machine.run(&["check"]).exits(0);
    }
}
