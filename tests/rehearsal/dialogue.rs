//! The guided installation, typed at a real terminal (a pty) and through a pipe.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use gts_bootstrap::host::Listener;
use gts_bootstrap::host::rehearsal::{Model, OutsideAnswer};

use super::terminal::{PATIENCE, Terminal};
use crate::machine::{ANSWERS, Machine, Outcome, differences};

const HOST: (&str, &str) = ("Host name", "social.example.org");
const MODE: (&str, &str) = ("Direct, or behind a web server", "");
const MAIL: (&str, &str) = ("Mail address", "admin@my-domain.net");
const ADMIN: (&str, &str) = ("Administrator's user name", "alice");
const MORE: (&str, &str) = ("Enter, or m for more", "");
const APPLY: &str = "[s]ave answers";
const RECORD: &str = "/usr/local/etc/gts-bootstrap/deployment.toml";

fn unchanged(machine: &Machine, before: &crate::machine::Snapshot) {
    assert_eq!(differences(before, &machine.snapshot()), Vec::<PathBuf>::new());
}

/// The program with lines on its standard input, which is no terminal.
fn piped(machine: &Machine, arguments: &[&str], lines: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .arg("--rehearse")
        .arg(machine.root())
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends early closes its end.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn four_answers_and_a_yes_install_everything() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[HOST, MODE, MAIL, ADMIN, MORE]);
    terminal.expect("can never be changed");
    terminal.answer(&[(APPLY, "e")]);
    terminal.expect("mac_portacl lets that one user bind");
    terminal.expect("journal");
    terminal.answer(&[(APPLY, "perhaps")]);
    terminal.expect("Please type y, n, d, e or s");
    terminal.answer(&[(APPLY, "y")]);
    terminal.expect("password");
    terminal.expect("changes made");
    terminal.expect("Bind check");
    terminal.expect("https://social.example.org is up.");
    for text in ["/settings", "admin@my-domain.net", "config.yaml", "/var/backups/gotosocial", "gts-bootstrap check"] {
        terminal.expect(text);
    }
    // On a small screen the first time may have scrolled away by now.
    terminal.expect("password, for the last time: ");
    terminal.exits(0);
    // The dialogue has written the answers file, so that the installation can be repeated from it.
    let answers = machine.read(RECORD);
    for text in ["social.example.org", "admin@my-domain.net", "alice", "mode = \"direct\""] {
        assert!(answers.contains(text), "{answers}");
    }
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn behind_a_web_server_no_port_is_said_to_be_given_to_gotosocial() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[HOST, (MODE.0, "ngnix")]);
    terminal.expect("Did you mean nginx?");
    terminal.answer(&[(MODE.0, "?")]);
    terminal.expect("honest");
    terminal.answer(&[(MODE.0, "2"), MAIL, ADMIN, MORE, (APPLY, "e")]);
    terminal.expect_words("nginx listens on ports 80 and 443");
    terminal.expect_words("bind no port below 1024");
    terminal.expect(APPLY);
    assert!(!terminal.seen().contains("mac_portacl lets"));
    terminal.enter("y");
    terminal.expect(".example.org is up.");
    terminal.exits(0);
    assert!(machine.read(RECORD).contains("mode = \"nginx\""));
}

#[test]
fn wrong_answers_are_explained_and_asked_for_again() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    for (question, wrong, message) in [
        (HOST, "", "It cannot be left out"),
        (HOST, "https://social.example.org", "is a URL"),
        (HOST, "192.0.2.1", "is an IP address"),
        (HOST, "social", "is a single word"),
        (HOST, "a_b.example.org", "only letters, digits"),
        (MODE, "both", "is none of direct, nginx, httpd"),
        (MAIL, "", "It cannot be left out"),
        (MAIL, "nobody", "it has no @"),
        (ADMIN, "Alice", "only lower-case"),
        (MORE, "what", "Enter continues"),
    ] {
        // The right answer first, once for each question, is given when the next one is due.
        terminal.expect(question.0);
        terminal.enter(wrong);
        terminal.expect(message);
        let last = [("single", HOST), ("a_b", HOST), ("both", MODE), ("nobody", MAIL), ("Alice", ADMIN)];
        if let Some((_, right)) = last.iter().find(|(word, right)| wrong.starts_with(word) && right.0 == question.0) {
            terminal.answer(&[*right]);
        }
    }
    terminal.answer(&[MORE, (APPLY, "n")]);
    terminal.expect("nothing was changed");
    terminal.exits(4);
}

#[test]
fn what_the_host_tells_of_an_answer_is_said_at_once() {
    let machine = Machine::with(|model: &mut Model| {
        model.dns.insert("nowhere.example.org".into(), Vec::new());
        model.dns.insert("elsewhere.example.org".into(), vec!["198.51.100.7".parse().unwrap()]);
        let body = r#"{"links":[{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"https://taken/x"}]}"#;
        model.outside.insert(
            "https://taken.example.org/.well-known/nodeinfo".into(),
            OutsideAnswer { status: 200, body: body.into(), ..OutsideAnswer::default() },
        );
        model.listeners.push(Listener {
            user: "www".into(),
            uid: Some(80),
            command: "nginx".into(),
            pid: Some(4711),
            address: None,
            ipv4: true,
            ipv6: true,
            port: 80,
            jail: None,
        });
    });
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[(HOST.0, "nowhere.example.org")]);
    terminal.expect("Note: nowhere.example.org has no address yet");
    terminal.answer(&[(MODE.0, "<"), (HOST.0, "elsewhere.example.org")]);
    terminal.expect_words("resolves to 198.51.100.7, which is not an address");
    terminal.answer(&[(MODE.0, "<"), (HOST.0, "taken.example.org")]);
    terminal.expect("WARNING: a fediverse server answers for taken.example.org already");
    terminal.expect("As long as that is so the installation is refused.");
    terminal.answer(&[("Use it all the same?", ""), HOST, MODE]);
    terminal.expect("port 80 is taken by nginx");
    // nginx itself is no obstacle to nginx.
    terminal.answer(&[(MAIL.0, "<"), (MODE.0, "nginx")]);
    terminal.expect("Let's Encrypt");
    assert!(!terminal.seen().contains("is taken"));
    terminal.answer(&[(MAIL.0, "me@example.com")]);
    terminal.expect("Let's Encrypt refuses such an");
    terminal.expect(ADMIN.0);
    terminal.press(b"\x03");
    terminal.exits(4);
    let machine = Machine::with(|model| model.faults.resolver_fails = true);
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[(HOST.0, "nowhere.example.org")]);
    terminal.expect_words("Note: the name nowhere.example.org could not be looked up: Name could not be resolved");
}

#[test]
fn one_can_go_back_and_set_more() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[(HOST.0, "<")]);
    terminal.expect("This is the first question");
    terminal.answer(&[HOST, MODE, MAIL, (ADMIN.0, "back"), ("Mail address [admin@my-domain.net]", "<"), (MODE.0, "")]);
    terminal.answer(&[("Mail address [", ""), ADMIN, (MORE.0, "m")]);
    terminal.expect("account domain");
    terminal.answer(&[("Number", "1"), ("account domain", "example.org"), ("Number", "99")]);
    terminal.expect("Type a number from 1 to");
    terminal.answer(&[("Number", "config.instance-languages"), ("languages", "en, de"), ("Number", "release.version")]);
    terminal.answer(&[("release", "0.19.2"), ("Number", ""), (APPLY, "y")]);
    terminal.expect(".example.org is up.");
    terminal.exits(0);
    let answers = machine.read(RECORD);
    for text in ["account-domain = \"example.org\"", "instance-languages = [\"en\", \"de\"]", "version = \"0.19.2\""] {
        assert!(answers.contains(text), "{answers}");
    }
    assert!(machine.read("/usr/local/etc/gotosocial/config.yaml").contains("account-domain: \"example.org\""));
}

#[test]
fn the_differences_are_shown_a_page_at_a_time_without_secrets() {
    let machine = Machine::fresh();
    machine.write("/usr/local/etc/gts-bootstrap/deployment.secrets.toml", "smtp-password = \"hunter2\"\n");
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[HOST, MODE, MAIL, ADMIN, MORE, (APPLY, "d")]);
    terminal.expect("create group gotosocial");
    terminal.answer(&[("Enter for more", "")]);
    while terminal.expect_one_of(&["Enter for more", APPLY]) == 0 {
        terminal.enter("f");
    }
    terminal.enter("n");
    terminal.ends(4);
    assert!(terminal.all().contains("+net.inet.ip.portrange.reservedhigh=79"));

    // The same on one go where nobody turns pages; the secret is in config.yaml and in no line.
    let lines = "social.example.org\n\nadmin@my-domain.net\n\n\nd\nn\n";
    let outcome = piped(&machine, &["install", "--ask"], lines).exits(4).says("smtp-password: (hidden)");
    assert!(!outcome.stderr.contains("hunter2") && !outcome.stdout.contains("hunter2"));
    assert!(outcome.stderr.contains("\n--- /etc/sysctl.conf\n+++ /etc/sysctl.conf\n@@"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("\n--- /dev/null\n+++ /usr/local/etc/gotosocial/config.yaml\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn saved_answers_install_the_same() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&[HOST, MODE, MAIL, ADMIN, MORE, (APPLY, "s"), ("Save the answers to the file", "mine.toml")]);
    terminal.expect("Saved.");
    terminal.answer(&[(APPLY, "s"), ("Save the answers to the file", "mine.toml"), ("Overwrite it?", "")]);
    terminal.expect("Nothing was saved");
    terminal.answer(&[(APPLY, "s"), ("Save the answers to the file", "no/such/folder/x.toml")]);
    terminal.expect("cannot be written");
    terminal.answer(&[(APPLY, "n")]);
    terminal.exits(4);
    unchanged(&machine, &before);
    let file = machine.beside("mine.toml");
    machine.run(&["install", "--answers", file.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(machine.read(RECORD), std::fs::read_to_string(&file).unwrap());
}

#[test]
fn a_second_time_the_answers_are_there_already() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.snapshot();
    // A plain run asks nothing.
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.expect("Nothing to change");
    terminal.exits(0);
    unchanged(&machine, &before);
    let mut terminal = Terminal::start(&machine, &["install", "--ask"]);
    terminal.expect("social.example.org, which is installed here");
    terminal.answer(&[("Direct, or behind a web server [direct]", ""), ("Mail address [admin@example.org]", "")]);
    terminal.answer(&[ADMIN, MORE]);
    terminal.expect("account");
    terminal.answer(&[(APPLY, "y")]);
    terminal.expect("password");
    terminal.exits(0);
    assert!(machine.read(RECORD).contains("username = \"alice\""));
}

#[test]
fn only_what_a_file_lacks_is_asked_for() {
    let machine = Machine::fresh();
    let file = machine.beside("part.toml");
    std::fs::write(&file, "# mine\nhost = \"social.example.org\"\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let mut terminal = Terminal::start(&machine, &["install", "--answers", &file]);
    terminal.expect("One question.");
    terminal.answer(&[MAIL, (APPLY, "y")]);
    terminal.expect(".example.org is up.");
    assert!(!terminal.seen().contains("Host name"));
    terminal.exits(0);
    assert!(machine.read(RECORD).starts_with("# mine\nhost = \"social.example.org\"\n"));
    // What is wrong in a file is told, not asked for.
    std::fs::write(&file, "host = \"localhost\"\n").unwrap();
    let other = Machine::fresh();
    let mut terminal = Terminal::start(&other, &["install", "--answers", &file]);
    terminal.expect_words("always means the machine itself");
    terminal.exits(2);
    // Without a terminal nothing is asked.
    std::fs::write(&file, "host = \"a.example\"\n").unwrap();
    machine.run(&["install", "--answers", &file, "--plan"]).exits(2).says("this answer is missing");
}

#[test]
fn lines_of_a_pipe_are_answers() {
    let machine = Machine::fresh();
    let lines = "social.example.org\n\nadmin@my-domain.net\nalice\n\ny\n";
    let outcome = piped(&machine, &["install", "--ask"], lines).exits(0).says(".example.org is up.");
    // What is read stands behind its question.
    assert!(outcome.stderr.contains("Host name: social.example.org\n"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains('\x1b') && !outcome.stdout.contains('\x1b'));
    assert!(machine.read(RECORD).contains("username = \"alice\""));
}

#[test]
fn a_pipe_that_ends_or_is_wrong_changes_nothing() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let lines = ["social.example.org", "", "admin@my-domain.net", "alice", "", ""];
    for count in 0..lines.len() {
        let text: String = lines[..count].iter().map(|line| format!("{line}\n")).collect();
        piped(&machine, &["install", "--ask"], &text).exits(4).says("the input ended").says("nothing was changed");
    }
    piped(&machine, &["install", "--ask"], "nonsense\nsocial.example.org\n").exits(2).says("is a single word");
    piped(&machine, &["install", "--ask"], &(lines.join("\n") + "perhaps\n")).exits(2).says("y, n, d, e or s");
    piped(&machine, &["install", "--ask"], &"y\n".repeat(10_000)).exits(2).says("nothing was changed");
    piped(&machine, &["install"], "social.example.org\n").exits(4).says("no terminal to ask on");
    piped(&machine, &["install", "--ask", "--yes"], "").exits(2);
    unchanged(&machine, &before);
    let plan = piped(&machine, &["install", "--ask", "--plan"], "social.example.org\n\nadmin@my-domain.net\n\n\n");
    plan.exits(0).says("This is the plan; nothing was changed");
    unchanged(&machine, &before);
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::of_type("dumb", &machine, &["install"]);
    terminal.answer(&[HOST, (MODE.0, "?")]);
    terminal.expect("honest");
    terminal.answer(&[MODE, (MAIL.0, "<"), MODE, MAIL, ADMIN, MORE, (APPLY, "y")]);
    terminal.expect("downloading");
    terminal.expect(".example.org is up.");
    terminal.ends(0);
    assert!(!terminal.all().contains('\x1b'), "{:?}", terminal.all());
}

/// Everywhere somebody is asked something, with what has to be typed to come there.
fn every_question() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let first = [HOST, MODE, MAIL, ADMIN, MORE];
    let mut all: Vec<_> = (0..first.len()).map(|count| (first[count].0, first[..count].to_vec())).collect();
    let to_more = first[..4].to_vec();
    let with = |more: &[(&'static str, &'static str)]| to_more.iter().chain(more).copied().collect::<Vec<_>>();
    all.push(("Number", with(&[(MORE.0, "m")])));
    all.push(("account domain", with(&[(MORE.0, "m"), ("Number", "1")])));
    all.push((APPLY, with(&[MORE])));
    all.push(("Enter for more", with(&[MORE, (APPLY, "d")])));
    all.push(("Save the answers to the file", with(&[MORE, (APPLY, "s")])));
    all
}

#[test]
fn control_c_at_any_question_leaves_everything_as_it_was() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    for (question, way) in every_question() {
        let mut terminal = Terminal::start(&machine, &["install"]);
        terminal.answer(&way);
        terminal.expect(question);
        assert!(!terminal.untouched(), "{question}: a terminal that is not touched proves nothing");
        terminal.press(b"so\x03");
        terminal.expect("interrupted; nothing was changed");
        terminal.ends(4);
        assert!(terminal.untouched(), "{question}");
        assert!(!terminal.all().contains("\x1b[?25l"), "{question}: the cursor is never hidden");
        unchanged(&machine, &before);
    }
}

#[test]
fn a_terminated_program_leaves_the_terminal_as_it_was() {
    let machine = Machine::fresh();
    for signal in [nix::sys::signal::SIGTERM, nix::sys::signal::SIGHUP, nix::sys::signal::SIGINT] {
        let mut terminal = Terminal::start(&machine, &["install"]);
        terminal.expect("Host name:");
        terminal.signal(signal);
        terminal.ends(4);
        assert!(terminal.untouched(), "{signal}");
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// No `y`, so that nobody says yes, and no `/`, so that nothing is saved outside the folder.
fn any_keys(dice: &mut Dice) -> Vec<u8> {
    const WORDS: [&[u8]; 24] = [
        b"social.example.org\r",
        b"a@b.example.net\r",
        b"alice\r",
        b"\r",
        b"\r",
        b"\r",
        b"?\r",
        b"<\r",
        b"m\r",
        b"d\r",
        b"e\r",
        b"s\r",
        b"1\r",
        b"7\r",
        b"-\r",
        b"\x1b[A",
        b"\x1b[D",
        b"\x1b[C",
        b"\x1b[3~",
        b"\x7f",
        b"\x01",
        b"\x1bb",
        b"\x1bf",
        b"n0\r",
    ];
    match dice.roll(4) {
        0 => (0..dice.roll(90)).map(|_| b"abcnx .@-0159<?"[dice.roll(15)]).collect(),
        1 => vec![[0x00, 0x04, 0x1a, 0x1b, 0xff, 0xc3, 0xf0, 0x9f, 0x09, 0x15, 0x17, 0x0c][dice.roll(12)]],
        _ => WORDS[dice.roll(WORDS.len())].to_vec(),
    }
}

#[test]
fn nonsense_changes_nothing() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    for seed in 1..=12 {
        let mut dice = Dice(seed);
        let kind = if seed % 4 == 0 { "dumb" } else { "xterm" };
        let mut terminal = Terminal::of_type(kind, &machine, &["install"]);
        for _ in 0..120 {
            if terminal.ended().is_some() {
                break;
            }
            terminal.press(&any_keys(&mut dice));
            terminal.drain();
        }
        let until = Instant::now() + PATIENCE;
        // A dumb terminal's own Ctrl-C needs a job to stop; the end of input ends it there.
        let stop: &[u8] = if kind == "dumb" { b"\r\x04\x04" } else { b"\x03" };
        while terminal.ended().is_none() {
            terminal.press(stop);
            assert!(Instant::now() < until, "seed {seed}: it goes on; the screen says {:?}", terminal.seen());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let all = terminal.all().to_owned();
        assert_eq!(terminal.ended(), Some(4), "seed {seed}: {all}");
        assert!(!all.contains("panicked"), "seed {seed}: {all}");
        unchanged(&machine, &before);
    }
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
    unchanged(&machine, &before);
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
    let machine = Machine::installed(crate::machine::ANSWERS);
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
    terminal.press(b"social.example.org\x03");
    terminal.expect("interrupted; nothing was changed");
    terminal.ends(4);
    assert!(terminal.untouched() && before == machine.snapshot());
    let mut terminal = start();
    terminal.enter("social.example.org");
    terminal.expect("changes made.");
    terminal.exits(0);
    assert!(!machine.exists("/var/db/gotosocial") && !machine.exists("/var/db/gts-bootstrap"));
}
