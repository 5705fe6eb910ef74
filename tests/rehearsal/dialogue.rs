//! The guided installation, typed at a real terminal (a pty).

use std::io::Write;
use std::time::{Duration, Instant};

use super::machine::{Machine, differences};
use super::terminal::{PATIENCE, Terminal};

#[test]
fn three_answers_and_a_yes_install_everything() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.expect("Host name:");
    terminal.enter("social.example.org");
    terminal.expect("Mail address:");
    terminal.enter("admin@example.org");
    terminal.expect("User name of the administrator:");
    terminal.enter("alice");
    terminal.expect("can never be changed");
    terminal.expect("Apply?");
    terminal.enter("e");
    terminal.expect("journal");
    terminal.expect("Apply?");
    terminal.enter("perhaps");
    terminal.expect("Please type");
    terminal.expect("Apply?");
    terminal.enter("y");
    terminal.expect("password");
    terminal.expect("changes made");
    terminal.expect("Bind check");
    terminal.exits(0);
    // The dialogue has written the answers file, so that the installation can be repeated from it.
    let answers = machine.read("/usr/local/etc/gts-bootstrap/deployment.toml");
    for text in ["social.example.org", "admin@example.org", "alice"] {
        assert!(answers.contains(text), "{answers}");
    }
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn a_wrong_answer_is_explained_and_asked_for_again() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.expect("Host name:");
    terminal.enter("https://social.example.org");
    terminal.expect("is a URL");
    terminal.enter("social.example.org");
    terminal.expect("Mail address:");
    terminal.enter("nobody");
    terminal.expect("error");
    terminal.enter("admin@example.org");
    terminal.expect("User name of the administrator:");
    terminal.enter("");
    terminal.expect("Apply?");
    terminal.enter("n");
    terminal.expect("nothing was changed");
    terminal.exits(4);
}

#[test]
fn no_means_that_nothing_is_changed() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let mut terminal =
        Terminal::start(&machine, &["install", "--set", "host=a.example", "--set", "tls.email=a@b.example"]);
    terminal.expect("Apply?");
    terminal.enter("no");
    terminal.expect("nothing was changed");
    terminal.exits(4);
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn control_c_at_a_question_leaves_everything_as_it_is() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.expect("Host name:");
    terminal.keyboard.write_all(b"social").unwrap();
    let until = Instant::now() + PATIENCE;
    // Again and again: one that comes before the program reads single keys is the terminal's, which has no job to stop.
    let status = loop {
        terminal.keyboard.write_all(b"\x03").unwrap();
        if let Some(status) = terminal.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "the program goes on; the screen says {:?}", terminal.seen);
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(!status.success());
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_host_that_changes_while_somebody_reads_is_not_touched() {
    let machine = Machine::fresh();
    let mut terminal =
        Terminal::start(&machine, &["install", "--set", "host=a.example", "--set", "tls.email=a@b.example"]);
    terminal.expect("Apply?");
    machine.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    terminal.enter("y");
    terminal.expect("the host has changed since the plan was made");
    terminal.exits(4);
    assert!(!machine.exists("/usr/local/etc/gotosocial"));
}

#[test]
fn data_are_purged_only_for_a_name_that_was_typed() {
    let machine = Machine::installed(super::machine::ANSWERS);
    let before = machine.snapshot();
    let start = || {
        let mut terminal = Terminal::start(&machine, &["uninstall", "--purge"]);
        terminal.expect("can never be used again");
        terminal.expect("Apply?");
        terminal.enter("y");
        terminal.expect("Type the host name of the instance to remove its data for good");
        terminal
    };
    let mut terminal = start();
    terminal.enter("y");
    terminal.expect("that is not social.example.org; nothing was changed");
    terminal.exits(4);
    assert!(before == machine.snapshot());
    let mut terminal = start();
    terminal.enter("social.example.org");
    terminal.expect("changes made.");
    terminal.exits(0);
    assert!(!machine.exists("/var/db/gotosocial") && !machine.exists("/var/db/gts-bootstrap"));
}

#[test]
fn enter_ends_a_trial_and_keeps_the_switch() {
    let machine = Machine::installed(super::machine::ANSWERS);
    machine.edit(|model| model.faults.waits_last = true);
    let mut terminal = Terminal::start(&machine, &["switch-to-proxy", "--trial", "99992"]);
    terminal.expect("Apply?");
    // What is typed before anything can be read of the trial does not end it.
    terminal.enter("y");
    terminal.enter("");
    terminal.expect("nginx serves. It is watched for");
    terminal.expect("Enter keeps it now, Ctrl-C undoes it");
    terminal.expect("Watching for 99990 s more");
    terminal.enter("");
    terminal.expect("changes made");
    terminal.exits(0);
    machine.run(&["check"]).exits(0);
}
