//! Ctrl-C, SIGTERM and a closed terminal, as real signals to the real program, while it waits for GoToSocial to be ready.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::terminal::Terminal;
use crate::machine::{ANSWERS, Machine, differences};

const PATIENCE: Duration = Duration::from_secs(60);
const JOURNAL: &str = "/var/db/gts-bootstrap/journal";

/// A machine on which GoToSocial's start takes an hour of the model's time, and some seconds of ours.
fn slow() -> Machine {
    let machine = Machine::with(|model| model.faults.polls_until_ready = 1700);
    fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
    machine
}

fn start(machine: &Machine, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .arg("--rehearse")
        .arg(machine.root())
        .args(["install", "--answers", "answers.toml", "--yes"])
        .args(more)
        .current_dir(machine.root().parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the start of GoToSocial has begun.
fn is_starting(machine: &Machine) {
    let until = Instant::now() + PATIENCE;
    let begun = |journal: String| {
        journal.lines().any(|line| line.starts_with("{\"intent\"") && line.contains("\"kind\":\"service-start\""))
    };
    while !fs::read_to_string(machine.path(JOURNAL)).is_ok_and(begun) {
        assert!(Instant::now() < until, "the service is never started");
        thread::sleep(Duration::from_micros(200));
    }
}

/// Sends a signal while GoToSocial starts; the exit code and all that was said.
fn interrupted(machine: &Machine, signal: Signal, more: &[&str]) -> (i32, String) {
    let child = start(machine, more);
    is_starting(machine);
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    (output.status.code().unwrap(), said)
}

fn without_data(machine: &Machine) -> std::collections::BTreeMap<std::path::PathBuf, (u32, Vec<u8>)> {
    let mut files = machine.system_files();
    files.retain(|path, _| {
        !["var/db/gotosocial", "var/log/gotosocial", "var/run/gotosocial"].iter().any(|own| path.starts_with(own))
    });
    files
}

#[test]
fn each_signal_takes_the_run_back() {
    for (signal, told) in [
        (Signal::SIGINT, "interrupted (SIGINT)"),
        (Signal::SIGTERM, "interrupted (SIGTERM)"),
        (Signal::SIGHUP, "the terminal was closed (SIGHUP)"),
    ] {
        let machine = slow();
        let before = without_data(&machine);
        let (code, said) = interrupted(&machine, signal, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(told), "{said}");
        assert!(said.contains("All changes were undone"), "{said}");
        assert_eq!(differences(&before, &without_data(&machine)), Vec::<std::path::PathBuf>::new(), "{told}");
        assert!(!machine.exists(JOURNAL));
    }
}

#[test]
fn keep_leaves_a_clean_journal_and_the_next_run_goes_on() {
    let machine = slow();
    let (code, said) = interrupted(&machine, Signal::SIGTERM, &["--on-interrupt", "keep"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the changes are kept, and the same command continues from there"), "{said}");
    assert!(said.contains("was left running"), "GoToSocial is not stopped: {said}");
    assert!(!machine.exists(JOURNAL));
    assert!(machine.read("/var/db/gts-bootstrap/receipts/0001-install.jsonl").contains("\"interrupted\""));
    machine.edit(|model| {
        model.faults.polls_until_ready = 0;
        model.clock += 4000;
    });
    machine.install(ANSWERS).exits(0).does_not_say("was interrupted");
    machine.run(&["recover"]).exits(0).says("there is nothing to recover");
}

/// At a terminal, with GoToSocial starting, after a Ctrl-C.
fn asked(machine: &Machine) -> Terminal {
    let answers = machine.beside("answers.toml");
    let mut terminal = Terminal::start(machine, &["install", "--answers", answers.to_str().unwrap(), "--yes"]);
    terminal.expect("start service gotosocial");
    is_starting(machine);
    // As Ctrl-C does it, the terminal being in its usual mode.
    terminal.signal(Signal::SIGINT);
    terminal.expect("[u]ndo what was done, [k]eep it for the next run, [c]ontinue");
    terminal
}

#[test]
fn ctrl_c_asks_and_each_answer_is_obeyed() {
    let machine = slow();
    let before = without_data(&machine);
    let mut terminal = asked(&machine);
    terminal.enter("what?");
    terminal.expect("Please type u, k or c.");
    terminal.enter("u");
    terminal.expect("must not be interrupted");
    terminal.expect("were undone");
    terminal.exits(1);
    assert_eq!(differences(&before, &without_data(&machine)), Vec::<std::path::PathBuf>::new());

    let machine = slow();
    let mut terminal = asked(&machine);
    terminal.enter("k");
    terminal.expect("are kept");
    terminal.exits(1);
    assert!(!machine.exists(JOURNAL));
    assert!(machine.model().gotosocial.is_some(), "it was left running");

    let machine = slow();
    let mut terminal = asked(&machine);
    terminal.enter("c");
    terminal.expect("changes made");
    terminal.exits(0);
}

#[test]
fn a_second_ctrl_c_and_a_terminal_that_goes_away_mean_undo() {
    let machine = slow();
    let before = without_data(&machine);
    let mut terminal = asked(&machine);
    terminal.press_until("\u{3}", "were undone");
    terminal.exits(1);
    assert_eq!(differences(&before, &without_data(&machine)), Vec::<std::path::PathBuf>::new());

    let machine = slow();
    let before = without_data(&machine);
    asked(&machine).hang_up();
    assert_eq!(differences(&before, &without_data(&machine)), Vec::<std::path::PathBuf>::new());
    assert!(!machine.exists(JOURNAL));

    // And one that goes away while nobody is asked.
    let machine = slow();
    let before = without_data(&machine);
    let answers = machine.beside("answers.toml");
    let mut terminal = Terminal::start(&machine, &["install", "--answers", answers.to_str().unwrap(), "--yes"]);
    terminal.expect("start service gotosocial");
    terminal.hang_up();
    assert_eq!(differences(&before, &without_data(&machine)), Vec::<std::path::PathBuf>::new());
    assert!(!machine.exists(JOURNAL));
}
