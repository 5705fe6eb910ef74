//! Every question of the guided installation, at a terminal: what is wrong and said to be, `?`, `<`, Ctrl-C, Ctrl-D; and terminals of every kind.

use std::path::PathBuf;

use gts_bootstrap::deployment::{AnswerField, FIELDS};
use gts_bootstrap::host::rehearsal::{Model, OutsideAnswer};

use super::terminal::Terminal;
use crate::machine::{ANSWERS, Machine, differences};

const HOST: (&str, &str) = ("Host name", "social.example.org");
const MAIL: (&str, &str) = ("Mail address", "admin@my-domain.net");
const ADMIN: (&str, &str) = ("Administrator's user name", "alice");
const MORE: &str = "Enter, or m for more";
const LIST: &str = "Number, or Enter to see the plan";
const TAKEN: &str = "taken.example.org";

type Typed = Vec<(&'static str, &'static str)>;

/// A machine whose name is free, and on which another server answers for [`TAKEN`].
fn machine() -> Machine {
    Machine::with(|model: &mut Model| {
        let body = r#"{"links":[{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"https://taken/x"}]}"#;
        model.outside.insert(
            format!("https://{TAKEN}/.well-known/nodeinfo"),
            OutsideAnswer { status: 200, body: body.into(), ..OutsideAnswer::default() },
        );
    })
}

/// The way to the list of further settings.
fn to_the_list(mode: &'static str) -> Typed {
    vec![HOST, ("Direct, or behind", mode), MAIL, ADMIN, (MORE, "m")]
}

/// The answers that stand in the list of further settings.
fn further_settings() -> impl Iterator<Item = &'static AnswerField> {
    FIELDS.iter().filter(|field| !field.first)
}

/// The further settings that can be asked for, each with the way to it.
fn further() -> Vec<(&'static AnswerField, Typed)> {
    let way = |question: &'static AnswerField| {
        let mut way = to_the_list("nginx");
        if question.key.starts_with("database.") && question.key != "database.type" {
            way.extend([(LIST, "database.type"), ("database", "postgres")]);
        }
        if question.key == "release.sha256" {
            way.extend([(LIST, "release.version"), ("release", "0.19.2")]);
        }
        way.push((LIST, question.key));
        (question, way)
    };
    further_settings().map(way).collect()
}

/// Everything that is asked before the plan, as what is seen last when it is asked, with the way to it.
fn everything() -> Vec<(&'static str, Typed)> {
    let first = [HOST, ("Direct, or behind", "nginx"), MAIL, ADMIN, (MORE, "m")];
    let mut all: Vec<_> = (0..first.len()).map(|count| (first[count].0, first[..count].to_vec())).collect();
    all.push(("Use it all the same?", vec![(HOST.0, TAKEN)]));
    all.push((LIST, to_the_list("nginx")));
    // Its name alone stands in the list as well.
    all.extend(further().into_iter().map(|(question, way)| (question.why, way)));
    let to_the_plan: Typed = to_the_list("direct").into_iter().take(4).chain([(MORE, "")]).collect();
    let with = |more: &[(&'static str, &'static str)]| to_the_plan.iter().chain(more).copied().collect::<Vec<_>>();
    all.push(("Apply?", with(&[])));
    all.push(("Enter for more", with(&[("Apply?", "d")])));
    all.push(("Save the answers", with(&[("Apply?", "s")])));
    all.push(("Overwrite it?", with(&[("Apply?", "s"), ("Save the answers", "is-there.toml")])));
    all
}

/// Waits until a question is not only begun to be shown.
fn is_asked(terminal: &mut Terminal, question: &str) {
    terminal.expect(question);
    if let Some(further) = further_settings().find(|further| further.why == question) {
        terminal.expect(&format!("\n{}", further.prompt.trim()));
    }
    terminal.expect(": ");
}

#[test]
fn control_c_at_every_question_changes_nothing_and_leaves_the_terminal_as_it_was() {
    let machine = machine();
    std::fs::write(machine.beside("is-there.toml"), "mine").unwrap();
    let before = machine.snapshot();
    for (question, way) in everything() {
        let mut terminal = Terminal::start(&machine, &["install"]);
        terminal.answer(&way);
        is_asked(&mut terminal, question);
        terminal.press(b"x\x03");
        terminal.expect("interrupted; nothing was changed");
        terminal.ends(4);
        assert!(terminal.untouched(), "{question}");
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<PathBuf>::new(), "{question}");
    }
    assert_eq!(std::fs::read(machine.beside("is-there.toml")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(machine.beside("")).unwrap().count(), 2, "the machine and the file");
}

#[test]
fn control_d_ends_the_input_of_a_plain_terminal_and_is_no_key_at_another() {
    let machine = machine();
    std::fs::write(machine.beside("is-there.toml"), "mine").unwrap();
    let before = machine.snapshot();
    for (question, way) in everything() {
        let mut terminal = Terminal::of_type("dumb", &machine, &["install"]);
        terminal.answer(&way);
        is_asked(&mut terminal, question);
        terminal.press(b"\x04");
        terminal.expect_words("the input ended");
        terminal.expect_words("nothing was changed");
        terminal.ends(4);
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<PathBuf>::new(), "{question}");
    }
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.expect(HOST.0);
    terminal.press(b"social.\x04example\x04.org\r");
    terminal.expect("Host name: social.example.org\r\n");
    terminal.expect("Direct");
    terminal.press(b"\x03");
    terminal.exits(4);
}

#[test]
fn every_question_explains_itself_and_is_asked_again() {
    let machine = machine();
    let mut terminal = Terminal::start(&machine, &["install"]);
    let explains = |terminal: &mut Terminal, text: &str| {
        for line in text.lines().filter(|line| !line.is_empty()) {
            terminal.expect_words(line.trim());
        }
    };
    for (question, (prompt, answer)) in FIELDS.iter().filter(|field| field.first).zip(to_the_list("nginx")) {
        terminal.answer(&[(prompt, "?")]);
        explains(&mut terminal, question.explanation);
        terminal.answer(&[(prompt, answer)]);
    }
    terminal.answer(&[(MORE, "?")]);
    terminal.expect("docs/answers.md");
    terminal.answer(&[(MORE, "m"), (LIST, "release.version"), ("release", "0.19.2")]);
    terminal.answer(&[(LIST, "database.type"), ("database", "postgres")]);
    for question in further_settings() {
        if question.key == "release.prereleases" {
            // It has a meaning with `latest` only.
            continue;
        }
        terminal.answer(&[(LIST, question.key)]);
        terminal.expect(question.why);
        terminal.answer(&[(question.prompt.trim(), "?")]);
        explains(&mut terminal, question.explanation);
        terminal.answer(&[(question.prompt.trim(), "<")]);
    }
    terminal.answer(&[(LIST, ""), ("Apply?", "?")]);
    terminal.expect("journal");
    terminal.answer(&[("Apply?", "n")]);
    terminal.exits(4);
}

#[test]
fn one_can_go_back_from_every_question_to_the_first() {
    let machine = machine();
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&to_the_list("nginx"));
    for question in further_settings().filter(|question| question.key.starts_with("tls.")) {
        terminal.answer(&[(LIST, question.key), (question.prompt.trim(), "<")]);
    }
    // From the list it goes on to the plan; from the gate before it, back.
    terminal.answer(&[(LIST, "<"), ("Apply?", "n")]);
    terminal.exits(4);
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&to_the_list("nginx")[..4]);
    terminal.answer(&[(MORE, "<"), ("user name [alice]", "<"), ("Mail address [admin@my-domain.net]", "<")]);
    terminal.answer(&[("web server [nginx]", "back"), ("Host name [social.example.org]", "<")]);
    terminal.expect("This is the first question. Ctrl-C ends here; nothing is changed.");
    terminal.expect("Host name [social.example.org]");
    terminal.press(b"\x03");
    terminal.exits(4);
}

#[test]
fn every_mistake_is_explained_at_a_terminal_and_asked_for_again() {
    let machine = machine();
    let mut terminal = Terminal::start(&machine, &["install"]);
    let long = format!("{}.example.org", "a".repeat(64));
    let longer = "abc.".repeat(64) + "org";
    let mut mistakes = |prompt: &str, wrong: &[(&str, &str)], right: Option<&str>| {
        for (text, message) in wrong {
            terminal.answer(&[(prompt, text)]);
            terminal.expect_words(message);
        }
        if let Some(right) = right {
            terminal.answer(&[(prompt, right)]);
        }
    };
    mistakes(
        "Host name",
        &[
            ("", "It cannot be left out"),
            ("  ", "It cannot be left out"),
            ("https://social.example.org/", "Write social.example.org."),
            ("alice@social.example.org", "an address with a user in it"),
            ("192.0.2.1", "is an IP address"),
            ("[2001:db8::1]", "is an IP address"),
            ("social.example.org:443", "has a port in it"),
            ("social.example.org.", "ends with a dot"),
            ("localhost", "always means the machine itself"),
            ("social", "is a single word"),
            ("a..example", "nothing between two dots"),
            ("a_b.example", "only letters, digits"),
            ("-a.example", "begins or ends with a hyphen"),
            (&long, "DNS allows 63 at most"),
            (&longer, "DNS allows 253 at most"),
            ("social.123", "ends with a number"),
            ("xn--zzzzzz.example", "begins with xn--, but stands for no name in another script"),
            ("a_\u{fc}.example", "only letters, digits"),
        ],
        Some("M\u{dc}nchen.example.org"),
    );
    mistakes("Direct, or behind", &[("apache", "is none of direct, nginx, httpd"), ("4", "is none of")], Some("nginx"));
    mistakes(
        "Mail address",
        &[
            ("nobody", "it has no @"),
            ("a@localhost", "is not a mail domain"),
            ("@a.example", "1 to 64 characters"),
            ("a b@c.example", "' ' cannot stand"),
        ],
        Some("a@b.example.net"),
    );
    mistakes("Administrator's user name", &[("Alice", "only lower-case"), ("a-b", "only lower-case")], Some("alice"));
    mistakes(MORE, &[("what", "Enter continues, m shows more settings, < goes back")], Some("m"));
    mistakes(LIST, &[("0", "Type a number from 1 to"), ("host", "Type a number from 1 to")], None);
    for (key, prompt, wrong, message) in [
        ("account-domain", "account domain", "example.com", "is neither the host"),
        ("admin.email", "administrator's mail", "alice", "it has no @"),
        ("release.version", "release", "newest", "is not a version"),
        ("release.prereleases", "release candidates", "2", "Please type yes or no"),
        ("release.variant", "build", "wasm", "is none of auto, default"),
        ("database.type", "database", "mysql", "is none of sqlite, postgres"),
        ("config.bind-address", "bind address", "em0", "is not an IP address"),
        ("config.accounts-registration-open", "registration", "maybe", "Please type yes or no"),
        ("config.instance-languages", "languages", "en de", "is not the code of a language"),
        ("tls.certificate", "certificate of your own", "x.pem", "is not an absolute path"),
        ("tls.key", "its key", "/a/../b", "or has `..`"),
        ("tls.hsts", "https alone", "maybe", "Please type yes or no"),
        ("tls.acme-directory", "certificate authority", "http://ca.example/", "is not the https URL"),
    ] {
        mistakes(LIST, &[], Some(key));
        mistakes(prompt, &[(wrong, message)], Some("<"));
    }
    mistakes(LIST, &[], Some("database.type"));
    mistakes("database", &[], Some("postgres"));
    mistakes(LIST, &[], Some("release.version"));
    mistakes("release", &[], Some("0.19.2"));
    for (key, prompt, wrong, message) in [
        ("release.sha256", "digest of the release", "abc", "must have 64"),
        ("database.address", "its address", "a b", "is not the address of a database"),
        ("database.port", "its port", "70000", "from 1 to 65535"),
        ("database.port", "its port", "many", "is not a whole number"),
        ("database.tls-mode", "encryption", "perhaps", "is none of disable"),
    ] {
        mistakes(LIST, &[], Some(key));
        mistakes(prompt, &[(wrong, message)], Some("<"));
    }
    // Two answers that do not fit each other.
    mistakes(LIST, &[], Some("tls.certificate"));
    mistakes("certificate of your own", &[], Some("/a.pem"));
    mistakes("Use it all the same?", &[("perhaps", "Please type yes or no")], Some("y"));
    mistakes(LIST, &[], Some(""));
    mistakes("its key", &[("", "this one cannot be left out")], Some("/a.key"));
    mistakes("Use it all the same?", &[], Some("yes"));
    terminal.expect_words("/a.pem, which the answers name under [tls], is not there");
    terminal.answer(&[("or Enter to end", "")]);
    terminal.exits(1);
    let mut terminal = Terminal::start(&machine, &["install"]);
    terminal.answer(&to_the_list("direct"));
    terminal.answer(&[(LIST, "config.bind-address"), ("bind address", "127.0.0.1")]);
    terminal.expect("reached only from the machine itself");
    terminal.press_until("\x03", "nothing was changed");
    terminal.exits(4);
}

#[test]
fn answers_that_were_typed_in_vain_can_be_saved() {
    let machine = Machine::with(|model| model.free_bytes = 100 << 20);
    let before = machine.snapshot();
    let mut lines = to_the_list("direct");
    lines[4].1 = "";
    for wish in ["", "\x03", "s"] {
        let mut terminal = Terminal::start(&machine, &["install"]);
        terminal.answer(&lines);
        terminal.expect_words("the preflight found problems to fix first (marked FAIL above); nothing was changed");
        terminal.expect_words("Your answers are stored nowhere; saved to a file, they need not be typed again.");
        terminal.answer(&[("[s]ave answers, or Enter to end", wish)]);
        if wish == "s" {
            terminal.answer(&[("Save the answers to the file [social.example.org.toml]", "")]);
            terminal.expect("install --answers");
        }
        terminal.ends(1);
        assert!(terminal.untouched());
        assert_eq!(machine.beside("social.example.org.toml").exists(), wish == "s");
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<PathBuf>::new());
    }
    machine.edit(|model| model.free_bytes = 40 << 30);
    let file = machine.beside("social.example.org.toml");
    machine.run(&["install", "--answers", file.to_str().unwrap(), "--yes"]).exits(0);
    // What a file says already is not offered to be saved.
    machine.edit(|model| model.free_bytes = 100 << 20);
    std::fs::remove_file(machine.path("/usr/local/etc/newsyslog.conf.d/gotosocial.conf")).unwrap();
    let mut terminal = Terminal::start(&machine, &["install", "--answers", file.to_str().unwrap()]);
    terminal.expect("the preflight found");
    terminal.exits(1);
}

#[test]
fn a_terminal_without_a_type_of_its_own_gets_no_escape_code() {
    let machine = Machine::installed(ANSWERS);
    let plain = ["dumb", "unknown", "dialup", "network", "su", ""];
    for environment in plain.iter().map(|kind| vec![("TERM", *kind)]).chain([vec![]]) {
        for arguments in [&["check"][..], &["install", "--ask"], &["portacl", "lint"], &["status"]] {
            let mut terminal = Terminal::with(&environment, &machine, arguments);
            if arguments.contains(&"--ask") {
                terminal.answer(&[("Direct, or behind", "nginx"), ("Mail address", ""), (ADMIN.0, ""), (MORE, "")]);
                terminal.answer(&[("Apply?", "n")]);
                terminal.ends(4);
            } else {
                terminal.ends(0);
            }
            assert!(!terminal.all().contains('\x1b'), "{environment:?} {arguments:?}: {:?}", terminal.all());
        }
    }
}

#[test]
fn colours_are_for_terminals_that_have_them_and_people_who_want_them() {
    let machine = Machine::installed(ANSWERS);
    for (environment, more, colours) in [
        (vec![("TERM", "xterm")], None, true),
        (vec![("TERM", "xterm"), ("NO_COLOR", "")], None, true),
        (vec![("TERM", "xterm"), ("NO_COLOR", "1")], None, false),
        (vec![("TERM", "xterm")], Some("--color=never"), false),
        (vec![("TERM", "vt100")], None, false),
        (vec![("TERM", "vt220")], None, false),
        (vec![("TERM", "vt100")], Some("--color=always"), true),
    ] {
        let arguments: Vec<&str> = more.into_iter().chain(["install", "--ask"]).collect();
        let mut terminal = Terminal::with(&environment, &machine, &arguments);
        // The line can be edited all the same.
        terminal.answer(&[("Direct, or behind", "nginy\x7fx"), ("Mail address", ""), (ADMIN.0, ""), (MORE, "")]);
        terminal.answer(&[("Apply?", "n")]);
        terminal.ends(4);
        let coloured = terminal.all().split("\x1b[").skip(1).any(|rest| {
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != ';')
                .is_some_and(|at| rest[at..].starts_with('m'))
        });
        assert_eq!(coloured, colours, "{environment:?} {more:?}: {:?}", terminal.all());
        assert!(terminal.all().contains("behind nginx"), "{environment:?}");
    }
}
