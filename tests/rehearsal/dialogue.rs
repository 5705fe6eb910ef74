//! The guided installation, typed at a real terminal (a pty).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use super::machine::{Machine, differences};

/// How long the program may take over anything before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program at a terminal of 80 columns and 24 lines.
struct Terminal {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(machine.root())
            .args(arguments)
            .env_clear()
            .env("TERM", "xterm")
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        drop(pty.slave);
        let (sender, output) = channel();
        let mut screen = File::from(pty.master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of a pty is an error on some systems and an empty read on others.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard: File::from(pty.master), output, seen: String::new() }
    }

    /// Waits until this text appears after what was expected last.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some((_, rest)) = self.seen.split_once(text) {
                self.seen = rest.to_owned();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} did not come; the screen says {:?}", self.seen),
            }
        }
    }

    fn enter(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.write_all(b"\r").unwrap();
    }

    #[track_caller]
    fn exits(mut self, code: i32) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(code), "{}", self.seen);
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the program goes on; the screen says {:?}", self.seen);
    }
}

impl Drop for Terminal {
    /// A test that gives up leaves no program behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
