//! Text that somebody else has written, on its way to a terminal: names of files, the log, what was typed.

use std::fs;
use std::os::unix::fs::symlink;

use super::backup::{STORAGE, instance};
use super::screens::picture;
use super::upgrade::furnished;
use crate::machine::{Machine, Outcome};

/// Clears the screen, then turns the reading order.
const STEERS: &str = "\u{1b}[2J\u{9b}31m\u{202e}";
const WRITTEN_OUT: &str = "\\u{1b}[2J\\u{9b}31m\\u{202e}";

#[track_caller]
fn steers_nothing(outcome: &Outcome) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!said.contains(|c: char| c != '\n' && c.is_control() || STEERS.contains(c) && !c.is_ascii()), "{said:?}");
}

#[test]
fn a_file_name_in_storage_is_written_out_in_the_backups_report() {
    let machine = instance();
    let name = format!("a{STEERS}\n  ok   everything: is well");
    symlink("/etc/master.passwd", machine.path(&format!("{STORAGE}/{name}"))).unwrap();
    let outcome = machine.run(&["backup", "--yes"]).exits(0);
    steers_nothing(&outcome);
    assert!(!outcome.stdout.lines().any(|line| line.starts_with("  ok ")), "{}", outcome.stdout);
    outcome.says(&format!("{STORAGE}/a{WRITTEN_OUT}\\u{{a}} ok everything: is well (it is a symbolic link)"));
}

#[test]
fn the_end_of_a_log_is_written_out_and_stays_below_its_message() {
    let machine = furnished("0.19.1");
    let config = machine.path("/usr/local/etc/gotosocial/config.yaml");
    let level = "log-level: \"\\u001b[2J\\u009b31m\\u202e\\nAll is well.\"\n";
    let text = fs::read_to_string(&config).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("log-level:")).map(|line| format!("{line}\n"));
    fs::write(&config, kept.collect::<String>() + level).unwrap();
    let outcome = machine.run(&["upgrade", "--yes"]).exits(1).says("was started and died").says(WRITTEN_OUT);
    steers_nothing(&outcome);
    assert!(outcome.stderr.lines().all(|line| !line.starts_with("All is well")), "{}", picture(&outcome));
    // Nor does the record of it, whoever looks at that.
    let receipts = fs::read_dir(machine.path("/var/db/gts-bootstrap/receipts")).unwrap();
    let texts = receipts.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect::<String>();
    assert!(texts.contains(&WRITTEN_OUT.replace('\\', "\\\\")), "{texts}");
    assert!(!texts.contains("\\u001b") && !texts.contains(|c: char| c != '\n' && c.is_control()), "{texts:?}");
}

#[test]
fn what_was_typed_is_written_out() {
    let machine = Machine::fresh();
    let wrong = format!("x{STEERS}");
    for arguments in [
        &[&*wrong][..],
        &["help", &wrong],
        &["install", "--set", &wrong, "--yes"],
        &["install", "--answers", &wrong, "--yes"],
        &["check", &format!("--{wrong}")],
        &["filter", "rate", "/", &wrong],
        &["filter", "deny-agent", &wrong],
        &["portacl", "grant", &wrong, "80", "--yes"],
        &["restore", &wrong, "--yes"],
        &["backup", "--to", &wrong, "--yes"],
        &["rehearsal", "post", &wrong],
    ] {
        let outcome = machine.run(arguments);
        assert_ne!(outcome.code, 0, "{arguments:?}");
        steers_nothing(&outcome);
    }
    machine.run(&[&wrong]).exits(2).says(&format!("unrecognized subcommand 'x{WRITTEN_OUT}'"));
}
