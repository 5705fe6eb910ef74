//! The suite as a whole, on a rehearsal: its report, its two halves around a reboot, and that no command is without a story.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod machine;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory;
use gts_bootstrap::cli::Cli;
use machine::{Machine, PROGRAM};

/// Commands that need no story. `rehearsal` is what one does to the model: on a real machine there is none.
const EXEMPT: [&str; 1] = ["rehearsal"];

#[track_caller]
fn told(output: &Output, status: i32, words: &[&str]) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
    assert_eq!(output.status.code(), Some(status), "{text}");
}

#[test]
fn every_story_that_a_rehearsal_can_tell_is_told_and_leaves_nothing() {
    let machine = Machine::fresh();
    machine.with_web_servers();
    let skipped = [
        "skipped port-80-taken-is-refused: it needs a real machine",
        "skipped portacl-rc-owns-the-rules: the package portacl-rc is not installed",
        "skipped log-rotation: it needs a real machine",
    ];
    let first = machine.tell(&[]);
    told(&first, 0, &[" passed, 0 failed, 9 skipped", "ok      install-from-the-mirror"]);
    told(&first, 0, &skipped);
    every_command_was_run(&machine);
    // The machine was put back, so everything can be told once more.
    told(&machine.tell(&["clean-stop", "upgrade-and-no-way-back"]), 0, &["2 passed, 0 failed, 0 skipped"]);
}

/// Each command of the program, and of those that have commands of their own each of these, is in the suite's record of
/// what its stories have run.
fn every_command_was_run(machine: &Machine) {
    let mut missing = BTreeSet::new();
    for command in Cli::command().get_subcommands().filter(|command| !EXEMPT.contains(&command.get_name())) {
        let name = command.get_name();
        let below: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        if below.is_empty() {
            missing.insert(name.to_owned());
        }
        missing.extend(below.iter().map(|below| format!("{name} {below}")));
    }
    assert!(missing.contains("install"), "{missing:?}");
    let record = fs::read_to_string(machine.root().join("var/db/gts-acceptance/commands.jsonl")).unwrap();
    for line in record.lines() {
        let arguments: Vec<String> = serde_json::from_str(line).unwrap();
        missing.remove(&command_of(arguments.iter().map(OsStr::new)));
    }
    assert_eq!(missing, BTreeSet::new(), "no story runs these commands. Write one for each, in src/stories");
}

/// The command that a command line runs, with the one below it if there is one; empty if it runs none.
fn command_of<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> String {
    let arguments = [OsStr::new("gts-bootstrap")].into_iter().chain(arguments);
    let Ok(matches) = Cli::command().try_get_matches_from(arguments) else { return String::new() };
    let Some((name, matches)) = matches.subcommand() else { return String::new() };
    matches.subcommand_name().map_or_else(|| name.to_owned(), |below| format!("{name} {below}"))
}

#[test]
fn a_command_line_that_runs_nothing_does_not_count() {
    for (line, command) in [
        ("--json install --answers a.toml --yes", "install"),
        ("check -q", "check"),
        ("--rehearse dir rehearsal reboot", "rehearsal reboot"),
        ("install --nonsense", ""),
        ("--help", ""),
    ] {
        assert_eq!(command_of(line.split(' ').map(OsStr::new)), command, "{line}");
    }
}

#[test]
fn the_boot_story_has_two_halves() {
    let machine = Machine::fresh();
    told(&machine.tell(&["--after-reboot"]), 1, &["there is no /var/db/gts-acceptance"]);
    let machine = Machine::fresh();
    told(&machine.tell(&["--before-reboot"]), 0, &["now reboot this machine", "1 passed, 0 failed, 0 skipped"]);
    let reboot = Command::new(PROGRAM).arg("--rehearse").arg(machine.root()).args(["rehearsal", "reboot"]).output();
    assert!(reboot.unwrap().status.success());
    told(&machine.tell(&["--after-reboot"]), 0, &["ok      boot-after-the-reboot", "1 passed, 0 failed, 0 skipped"]);
    told(&machine.tell(&["--after-reboot"]), 1, &["there was no --before-reboot"]);
}

#[test]
fn a_program_that_does_nothing_fails_the_stories() {
    let machine = Machine::fresh();
    let output = machine.tell_of(Path::new("/usr/bin/true"), &[]);
    told(&output, 1, &["FAILED  install-from-the-mirror", "\n0 passed, "]);
}

#[test]
fn a_machine_that_is_not_fresh_is_refused() {
    let machine = Machine::fresh();
    fs::create_dir_all(machine.root()).unwrap();
    let started = Command::new(PROGRAM).arg("--rehearse").arg(machine.root()).args(["rehearsal", "reboot"]).output();
    assert!(started.unwrap().status.success());
    fs::create_dir_all(machine.root().join("var/db/gotosocial")).unwrap();
    told(&machine.tell(&[]), 2, &["no fresh machine", "there is /var/db/gotosocial"]);
}
