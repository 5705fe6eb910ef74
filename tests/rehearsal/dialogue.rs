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
