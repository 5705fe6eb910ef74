use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::deployment::Secrets;

/// Lines that are typed, and what is said to them.
struct Script {
    lines: VecDeque<String>,
    patient: bool,
    said: String,
}

impl Console for Script {
    fn show(&mut self, text: Text<'_>) {
        self.said.push_str(text.as_str());
        self.said.push('\n');
    }

    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Stop> {
        let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        self.say(&format!("{prompt}{default}:"));
        self.lines.pop_front().ok_or_else(|| ended(ErrorCode::NoTerminal, prompt))
    }

    fn patient(&self) -> bool {
        self.patient
    }

    fn size(&self) -> Option<(usize, usize)> {
        None
    }
}

/// An outlook in which one host name is taken.
fn taken(key: &str, value: &str) -> Vec<Remark> {
    match (key, value) {
        ("host", "taken.example.org") => vec![Remark { grave: true, text: "another server answers".into() }],
        ("exposure.mode", "direct") => vec![Remark { grave: false, text: "port 80 is taken".into() }],
        _ => Vec::new(),
    }
}

struct Held {
    result: Result<String, Stop>,
    said: String,
}

impl Held {
    #[track_caller]
    fn answers(&self) -> &str {
        self.result.as_deref().unwrap_or_else(|stop| panic!("{}\n{}", stop.why, self.said))
    }

    /// Where the input ended, as what was said before it is what the test is about.
    #[track_caller]
    fn says(&self, text: &str) {
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(text), "{text:?} is not in:\n{}", self.said);
    }
}

fn hold_with(given: &str, settled: &[&'static str], patient: bool, lines: &[&str]) -> Held {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    let mut console = Script { lines, patient, said: String::new() };
    let conversation = Conversation {
        console: &mut console,
        outlook: &taken,
        asked: Asked {
            answers: Answers::parse(given, "t").unwrap(),
            secrets: &Secrets::default(),
            settled,
            wanting: &Wanting::Everything,
        },
    };
    let result = conversation.hold().map(|answers| answers.to_text());
    Held { result, said: console.said }
}

fn hold(lines: &[&str]) -> Held {
    hold_with("", &[], true, lines)
}

const HOST: &str = "social.example.org";
const MAIL: &str = "admin@example.org";
const NO_DIGEST: &str = "g123456789012345678901234567890123456789012345678901234567890123";

#[test]
fn four_answers_are_enough() {
    let held = hold(&[HOST, "", MAIL, "alice", ""]);
    assert_eq!(
        held.answers(),
        "host = \"social.example.org\"\n\n[exposure]\nmode = \"direct\"\n\n[tls]\nemail = \"admin@example.org\"\n\n\
         [admin]\nusername = \"alice\"\nemail = \"admin@example.org\"\n"
    );
    held.says("Note: port 80 is taken");
    let without = hold(&[HOST, "direct", MAIL, "", ""]);
    assert!(!without.answers().contains("admin]"));
}

#[test]
fn every_mistake_is_told_and_asked_for_again() {
    for (before, wrong, message) in [
        (&[][..], "", "It cannot be left out"),
        (&[], "https://social.example.org", "is a URL"),
        (&[], "192.0.2.1", "is an IP address"),
        (&[], "localhost", "always means the machine itself"),
        (&[], "social", "is a single word"),
        (&[], "a..example", "nothing between two dots"),
        (&[], "a.example.", "ends with a dot"),
        (&[], "-a.example", "begins or ends with a hyphen"),
        (&[], "a_b.example", "only letters, digits, hyphens and dots"),
        (&[], "a.example:443", "has a port in it"),
        (&[], "me@a.example", "an address with a user in it"),
        (&[HOST], "apache", "is none of direct, nginx, httpd"),
        (&[HOST], "dirct", "Did you mean direct?"),
        (&[HOST], "0", "is none of"),
        (&[HOST], "4", "is none of"),
        (&[HOST, ""], "", "It cannot be left out"),
        (&[HOST, ""], "-", "is not an e-mail address"),
        (&[HOST, ""], "nobody", "it has no @"),
        (&[HOST, ""], "@example.org", "1 to 64 characters before the @"),
        (&[HOST, ""], "a b@example.org", "cannot stand where it does"),
        (&[HOST, ""], "a@localhost", "is not a mail domain"),
        (&[HOST, "", MAIL], "Alice", "only lower-case letters"),
        (&[HOST, "", MAIL, ""], "x", "Enter continues"),
        (&[HOST, "", MAIL, "", "m"], "99", "Type a number from 1 to"),
        (&[HOST, "", MAIL, ""], "\u{1b}[A", "Enter continues"),
        (&[HOST, "", MAIL, "", "m"], "-1", "Type a number from 1 to"),
        (&[HOST, "", MAIL, "", "m"], "tls.hsts", "Type a number from 1 to"),
        (&[HOST, "", MAIL, "", "m", "account-domain"], "example.com", "is neither the host"),
        (&[HOST, "", MAIL, "", "m", "account-domain"], "https://a.example/", "is a URL"),
        (&[HOST, "", MAIL, "alice", "m", "admin.email"], "alice", "it has no @"),
        (&[HOST, "", MAIL, "", "m", "release.version", "0.19.2", "release.sha256"], "abc", "has 3 characters"),
        (
            &[HOST, "", MAIL, "", "m", "release.version", "0.19.2", "release.sha256"],
            NO_DIGEST,
            "are hexadecimal digits",
        ),
        (&[HOST, "", MAIL, "", "m", "release.variant"], "wasm", "is none of auto, default, nowasm"),
        (&[HOST, "", MAIL, "", "m", "database.type"], "mysql", "is none of sqlite, postgres"),
        (&[HOST, "", MAIL, "", "m", "database.type", "2", "database.address"], "a b", "Write an IP address without"),
        (
            &[HOST, "", MAIL, "", "m", "database.type", "2", "database.user"],
            "a\u{1b}b",
            "Write a plain name, like gotosocial.",
        ),
        (&[HOST, "", MAIL, "", "m", "database.type", "2", "database.database"], "a\u{7}", "Write a plain name"),
        (&[HOST, "", MAIL, "", "m", "database.type", "2", "database.tls-mode"], "yes", "is none of disable, enable"),
        (&[HOST, "", MAIL, "", "m", "config.bind-address"], "em0", "Write one like 192.0.2.1 or 2001:db8::1."),
        (&[HOST, "", MAIL, "", "m", "config.bind-address"], "::1", "or leave it out to listen on all of them"),
        (&[HOST, "", MAIL, "", "m", "config.accounts-registration-open"], "maybe", "Please type yes or no"),
        (&[HOST, "", MAIL, "", "m", "config.instance-languages"], "en de", "is not the code of a language"),
        (&[HOST, "nginx", "", "", "m", "tls.certificate"], "x.pem", "like /usr/local/etc/ssl/"),
        (&[HOST, "nginx", "", "", "m", "tls.certificate"], "/a/../b.pem", "or has `..`"),
        (&[HOST, "nginx", "", "", "m", "tls.key"], "/$x.pem", "is not an absolute path, or has"),
        (&[HOST, "nginx", "", "", "m", "tls.hsts"], "2", "Please type yes or no"),
        (&[HOST, "nginx", "", "", "m", "tls.acme-directory"], "http://ca.example/", "is not the https URL"),
        (&[HOST, "", MAIL, "", "m", "release.version"], "newest", "is not a version"),
        (&[HOST, "", MAIL, "", "m", "release.prereleases"], "perhaps", "Please type yes or no"),
        (&[HOST, "", MAIL, "", "m", "database.type", "postgres", "database.port"], "many", "is not a whole number"),
        (&[HOST, "", MAIL, "", "m", "database.type", "postgres", "database.port"], "70000", "65535"),
    ] {
        let lines: Vec<&str> = before.iter().copied().chain([wrong]).collect();
        let held = hold(&lines);
        assert!(
            matches!(held.result, Err(Stop { code: ErrorCode::NoTerminal, .. })),
            "{wrong:?} was taken: {:?}",
            held.result
        );
        held.says(message);
        // Nothing in it is about lines of a file.
        assert!(![" line", "= \""].iter().any(|word| held.said.contains(word)), "{wrong:?}\n{}", held.said);
        // The question is asked again, with the same words as before.
        let prompts: Vec<&str> = held.said.lines().filter(|line| line.ends_with(':')).collect();
        assert_eq!(prompts[prompts.len() - 1], prompts[prompts.len() - 2], "{wrong:?}\n{}", held.said);
    }
}

#[test]
fn names_in_other_scripts_become_what_dns_has() {
    let held = hold(&["M\u{fc}nchen.example.org", "", MAIL, "", ""]);
    assert!(held.answers().contains("host = \"xn--mnchen-3ya.example.org\""), "{}", held.answers());
    held.says("In DNS this name is xn--mnchen-3ya.example.org");
    for (typed, name) in [
        ("B\u{fc}cher.EXAMPLE", "xn--bcher-kva.example"),
        ("\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}", "xn--r8jz45g.xn--zckzah"),
        ("fa\u{df}.example", "xn--fa-hia.example"),
        // As some keyboards type a dot.
        ("\u{4f8b}\u{3048}\u{3002}example", "xn--r8jz45g.example"),
    ] {
        hold(&[typed]).says(&format!("In DNS this name is {name}, and that is what is used."));
    }
}

#[test]
fn what_is_no_name_in_any_script_is_told_in_the_letters_that_were_typed() {
    for (typed, message) in [
        ("a_\u{fc}.example.org", "has '_' in it, but a host name has only letters"),
        ("https://b\u{fc}cher.example/", "is a URL"),
        ("me@b\u{fc}cher.example", "an address with a user in it"),
        ("b\u{fc}cher", "In DNS this name is xn--bcher-kva"),
        ("b\u{fc}cher.example.", "ends with a dot"),
        ("\u{fc}..example", "nothing between two dots"),
        ("\u{fc}\u{202e}x.example", "is not a valid DNS name, in any script"),
        ("xn--zzzzzz.example", "stands for no name in another script"),
    ] {
        let held = hold(&[typed]);
        held.says(message);
        assert!(!held.said.contains("punycode form") && held.said.ends_with("Host name:\n"), "{}", held.said);
    }
    hold(&[&("\u{fc}".repeat(64) + ".example")]).says("but DNS allows 63 at most");
}

#[test]
fn one_can_go_back_and_finds_the_answers_of_before() {
    let held = hold(&["<", HOST, "back", "", "<", "other.example.org", "n", "<", "<", "", "", "", "bob", "<", "", ""]);
    assert!(matches!(held.result, Err(Stop { code: ErrorCode::NoTerminal, .. })));
    held.says("This is the first question");
    held.says("Host name [social.example.org]:");
    held.says("Host name [other.example.org]:");
    held.says("Direct, or behind a web server [nginx]:");
    let held = hold(&[HOST, "nginx", "", "bob", "<", "<", MAIL, "", ""]);
    let mail = "email = \"admin@example.org\"";
    assert!(held.answers().contains(&format!("[admin]\nusername = \"bob\"\n{mail}")), "{}", held.answers());
    assert!(held.answers().contains(&format!("[tls]\n{mail}")), "{}", held.answers());
}

#[test]
fn everything_explains_itself() {
    for (before, question) in [(&[][..], "host"), (&[HOST], "exposure.mode"), (&[HOST, ""], "tls.email")] {
        for word in ["?", "explain", " ? "] {
            let lines: Vec<&str> = before.iter().copied().chain([word]).collect();
            let held = hold(&lines);
            assert!(held.said.contains(&wrap(AnswerField::of(question).unwrap().explanation, 0)), "{}", held.said);
        }
    }
    for question in FIELDS.iter().filter(|field| !field.first && field.applies.holds(&Answers::empty())) {
        let held = hold(&[HOST, "", MAIL, "", "m", question.key, "?"]);
        assert!(held.said.contains(&wrap(question.explanation, 0)), "{}", question.key);
    }
    hold(&[HOST, "", MAIL, "", "?"]).says("docs/answers.md");
}

#[test]
fn a_grave_remark_is_asked_about() {
    let held = hold(&["taken.example.org", "perhaps", "no", HOST, "", MAIL, "", ""]);
    assert!(held.answers().contains("social.example.org"));
    held.says("WARNING: another server answers");
    held.says("Please type yes or no");
    let held = hold(&["taken.example.org", "yes", "", MAIL, "", ""]);
    assert!(held.answers().contains("taken.example.org"));
    // A pipe has said what it wants; the preflight looks again.
    let held = hold_with("", &[], false, &["taken.example.org", "", MAIL, "", ""]);
    assert!(held.answers().contains("taken.example.org"));
}

#[test]
fn a_wrong_line_of_a_pipe_ends_it() {
    for lines in [&["nonsense"][..], &[HOST, "4"], &[HOST, "", MAIL, "", "x"], &[HOST, "", MAIL, "", "m", "77"]] {
        let held = hold_with("", &[], false, lines);
        let wrong = lines.last().unwrap();
        let Stop { exit, code, why } = held.result.unwrap_err();
        assert_eq!((exit, code), (Exit::Usage, ErrorCode::Answers));
        assert!(why.starts_with(&format!("the line {wrong:?} is no answer")), "{why}");
    }
}

#[test]
fn further_settings_are_chosen_by_number_or_key_and_taken_back_with_a_hyphen() {
    let held = hold(&[
        HOST,
        "",
        MAIL,
        "alice",
        "more",
        "1",
        "example.org",
        "admin.email",
        "alice@example.org",
        "release.version",
        "0.19.2",
        "release.sha256",
        "<",
        "config.instance-languages",
        "en, de",
        "config.accounts-registration-open",
        "y",
        "database.type",
        "p",
        "database.port",
        "5433",
        "",
    ]);
    let answers = held.answers();
    for line in [
        "account-domain = \"example.org\"",
        "email = \"alice@example.org\"",
        "version = \"0.19.2\"",
        "instance-languages = [\"en\", \"de\"]",
        "accounts-registration-open = true",
        "type = \"postgres\"",
        "port = 5433",
    ] {
        assert!(answers.contains(line), "{line}\n{answers}");
    }
    let again = hold_with(answers, &[], true, &["", "", "", "", "m", "account-domain", "-", "database.type", "1", ""]);
    let again = again.answers();
    assert!(!again.contains("account-domain") && !again.contains("5433") && again.contains("sqlite"), "{again}");
}

#[test]
fn what_fits_no_more_is_asked_for_again() {
    let given = "host = \"a.example.org\"\naccount-domain = \"example.org\"\ntls.email = \"a@b.example\"\n";
    let held = hold_with(given, &[], true, &["a.example.com", "", "", "", "", "-"]);
    held.says("What stands behind the @");
    assert!(held.answers().contains("a.example.com") && !held.answers().contains("account-domain"));
    // From a web server back to direct: what only it needs goes.
    let given = "host = \"a.example\"\nexposure.mode = \"nginx\"\ntls.email = \"a@b.example\"\ntls.hsts = true\n";
    let held = hold_with(given, &[], true, &["", "direct", "", "", ""]);
    assert!(!held.answers().contains("hsts"), "{}", held.answers());
    // A mail address for the certificate is needed in direct mode only; for the administrator always.
    let held = hold(&[HOST, "nginx", "", "alice", "", "", "alice@example.org"]);
    assert!(held.answers().contains("alice@example.org") && !held.answers().contains("[tls]"), "{}", held.answers());
    held.says("With the other answers as they are this one cannot be left out");
    let held = hold(&[HOST, "nginx", "", "", "m", "tls.certificate", "/a.pem", "", "/a.key"]);
    held.says("With the other answers as they are this one cannot be left out");
    assert!(held.answers().contains("key = \"/a.key\"") && !held.said.contains("[tls]"), "{}", held.said);
}

#[test]
fn what_is_settled_is_not_asked_for() {
    let given = "host = \"a.example\"\ntls.email = \"a@b.example\"\n";
    let held = hold_with(given, &["host", "account-domain"], true, &["", "", "", "m", "account-domain", ""]);
    assert!(!held.said.contains("Host name"));
    held.says("Type a number");
    assert_eq!(held.answers(), format!("{given}\n[exposure]\nmode = \"direct\"\n"));
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let mut console = Script {
        lines: ["<", "?", MAIL].iter().map(|line| (*line).to_owned()).collect(),
        patient: true,
        said: String::new(),
    };
    let conversation = Conversation {
        console: &mut console,
        outlook: &taken,
        asked: Asked {
            answers: Answers::parse("host = \"a.example\" # ours\n", "t").unwrap(),
            secrets: &Secrets::default(),
            settled: &[],
            wanting: &Wanting::Missing(vec!["tls.email".to_owned()]),
        },
    };
    let answers = conversation.hold().unwrap();
    assert_eq!(answers.to_text(), "host = \"a.example\" # ours\n\n[tls]\nemail = \"admin@example.org\"\n");
    assert!(console.said.starts_with("One question.") && !console.said.contains("Host name"), "{}", console.said);
}

#[test]
fn a_line_of_the_file_that_no_question_fills_ends_it() {
    let held = hold_with("colour = \"red\"\n", &[], true, &[HOST, "", MAIL, "", ""]);
    let why = held.result.unwrap_err().why;
    assert!(why.starts_with("the line \"red\" is no answer to the question \"colour\""), "{why}");
}

proptest! {
    /// Whatever is typed: it ends, and what comes out of it can be installed.
    #[test]
    fn anything_can_be_typed(
        lines in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,12}",
                "[0-9]{1,2}",
                proptest::sample::select(vec![
                    HOST, MAIL, "", "<", "?", "-", "m", "alice", "nginx", "direct", "postgres", "yes", "no", "1", "back",
                    "taken.example.org", "example.org", "en,,de", "account-domain", "release.version", "0.19.2",
                ]).prop_map(str::to_owned),
            ],
            0..40,
        ),
        patient in any::<bool>(),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let held = hold_with("", &[], patient, &lines);
        if let Ok(answers) = held.result {
            let again = Answers::parse(&answers, "t").unwrap();
            prop_assert!(again.deployment(&Secrets::default()).is_ok());
        }
        let escapes = held.said.contains('\u{1b}');
        prop_assert!(!escapes);
    }
}
