//! The first account: after the service is ready, and what happens if it cannot be made.

use gts_bootstrap::gotosocial::accounts::encrypted;
use gts_bootstrap::gotosocial::password_change::{APPS, AUTHORIZE, PASSWORD_CHANGE, SIGN_IN, TOKEN, TOKENS};

use crate::machine::{ANSWERS, Machine, Outcome};

const WITH_ADMIN: &str = "host = \"social.example.org\"\n[tls]\nemail = \"admin@example.org\"\n[release]\nversion = \"0.19.2\"\n\
                          [admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n";

#[test]
fn a_failure_is_told_and_leaves_the_server_up() {
    let machine = Machine::with(|model| model.faults.admin_create_fails = true);
    machine
        .install(WITH_ADMIN)
        .exits(1)
        .says("admin account create")
        .says("Nothing was undone: GoToSocial is installed and runs")
        .does_not_say("--password");
    assert!(machine.model().gotosocial.is_some_and(|service| service.program.is_some()), "it still serves");
    let json = machine.install_with(WITH_ADMIN, &["--yes", "--json"]).exits(1).json();
    assert_eq!(json["changed"], true, "the installation stands: {json}");
    machine.edit(|model| model.faults.admin_create_fails = false);
    machine.install(WITH_ADMIN).exits(0).says("user name alice");
}

#[test]
fn it_is_never_created_before_the_server_is_ready() {
    let machine = Machine::installed(ANSWERS);
    let certificate = "/var/db/gotosocial/storage/certs/social.example.org";
    // As after a first run that was cut off while the server was still migrating its database.
    for has_certificate in [true, false] {
        machine.edit(|model| {
            let clock = model.clock;
            let program = model.gotosocial.as_mut().unwrap().program.as_mut().unwrap();
            program.ready_at = clock + 100;
            program.announced = false;
        });
        machine.write("/var/log/gotosocial/gotosocial.log", "");
        if has_certificate {
            machine.install(WITH_ADMIN).exits(3).says("cannot be told").does_not_say("user name alice");
        } else {
            std::fs::remove_file(machine.path(certificate)).unwrap();
            machine.install(WITH_ADMIN).exits(0).says("GoToSocial is starting").says("user name alice");
        }
    }
    machine.install(WITH_ADMIN).exits(0).says("Nothing to change");
}

const BEHIND: &str = "[exposure]\nmode = \"nginx\"\n";

fn shown(outcome: &Outcome) -> String {
    let said = outcome.said();
    let words: Vec<&str> = said.split(' ').collect();
    let place = words.windows(5).find(|words| words[..4] == ["user", "name", "alice", "password"]);
    place.unwrap_or_else(|| panic!("no password in {said}"))[4].to_owned()
}

/// That the password in force is the one that was told, whether it stood on a command line, and that it is in no file.
#[track_caller]
fn assert_told(machine: &Machine, outcome: &Outcome, stood_on_a_command_line: bool) {
    let (password, model) = (shown(outcome), machine.model());
    assert_eq!(model.passwords["alice"], encrypted("alice", &password), "it is another one");
    assert_eq!(model.seen_passwords.contains(&model.passwords["alice"]), stood_on_a_command_line);
    let program = model.gotosocial.unwrap().program.unwrap();
    assert!(program.oauth.has_no_tokens());
    for (path, (_, _, content)) in machine.snapshot() {
        assert!(!content.windows(password.len()).any(|text| text == password.as_bytes()), "{}", path.display());
    }
}

#[test]
fn the_password_that_is_told_has_stood_on_no_command_line() {
    // Over TLS with the server's own certificate, whether it has one already or not, and in plain http behind a front.
    for before in [ANSWERS.to_owned(), format!("{ANSWERS}{BEHIND}")] {
        let machine = Machine::installed(&before);
        let answers = format!("{before}[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n");
        let outcome = machine.install(&answers).exits(0);
        let outcome = outcome
            .says("It is stored nowhere. The one that stood on a command line for a moment is not valid")
            .does_not_say("change it");
        assert_told(&machine, &outcome, false);
        machine.install(&answers).exits(0).says("Nothing to change");
    }
    for answers in [WITH_ADMIN.to_owned(), format!("{WITH_ADMIN}{BEHIND}")] {
        let machine = Machine::fresh();
        let outcome = machine.install(&answers).exits(0);
        assert_told(&machine, &outcome.says("is not valid any more"), false);
        assert_eq!(machine.model().issued, 1, "it was ordered once");
    }
}

#[test]
fn a_step_that_the_server_refuses_leaves_the_first_password_and_says_so() {
    for (step, status) in [(APPS, 404), (AUTHORIZE, 500), (SIGN_IN, 429), (TOKEN, 400)] {
        let machine = Machine::installed(ANSWERS);
        machine.edit(|model| model.faults.web_status = [(format!("https{step}"), status)].into());
        let outcome = machine.install(WITH_ADMIN).exits(0).says("change it at the first login");
        let outcome = outcome.says(&format!("It could not be replaced: {step} answered {status}."));
        assert_told(&machine, &outcome, true);
    }
    // A login with the second one tells that it is not in force.
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.faults.web_status = [(format!("https{PASSWORD_CHANGE}"), 500)].into());
    let outcome =
        machine.install(WITH_ADMIN).exits(0).says(&format!("could not be replaced: {PASSWORD_CHANGE} answered 500"));
    assert_told(&machine, &outcome, true);
}

#[test]
fn who_was_quick_enough_to_log_in_with_the_first_password_is_logged_out_and_told_of() {
    let machine = Machine::installed(ANSWERS);
    let theirs = serde_json::json!({
        "given": 7, "sessions": {}, "codes": {}, "users": {},
        "clients": {"CLIENT-000001": {"name": "curl", "secret": "secret-000002", "redirects": "", "scopes": "read"}},
        "tokens": {"TOKEN-000007": {"client": "CLIENT-000001", "scope": "read", "user": "alice@example.org"}},
    });
    machine.edit(|model| {
        let program = model.gotosocial.as_mut().unwrap().program.as_mut().unwrap();
        program.oauth = serde_json::from_value(theirs.clone()).unwrap();
    });
    let outcome = machine.install(WITH_ADMIN).exits(0).says("is not valid any more");
    let outcome = outcome.says("somebody read the first password of alice").says("Logins that were ended: 1. Look");
    assert_told(&machine, &outcome.says("`service gotosocial restart`").says("Access Tokens"), false);

    // A release that cannot list them.
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.faults.web_status = [(format!("https{TOKENS}?limit=100"), 404)].into());
    let outcome = machine.install(WITH_ADMIN).exits(0).says("is not valid any more");
    let outcome = outcome.says("with the first password is not known: /api/v1/tokens answered 404. To be sure");
    assert_told(&machine, &outcome, false);
    let outcome = Machine::installed(ANSWERS).install(WITH_ADMIN).exits(0);
    outcome.does_not_say("somebody").does_not_say("Access Tokens");
}

#[test]
fn without_a_certificate_the_first_password_is_told_and_why() {
    let machine = Machine::with(|model| model.authority = gts_bootstrap::host::rehearsal::Authority::Unreachable);
    let outcome = machine.install(WITH_ADMIN).says("no certificate yet, so nobody can log in");
    assert_told(&machine, &outcome.says("change it at the first login"), true);
}

#[test]
fn an_account_that_is_finished_later_gets_a_password_that_stood_nowhere() {
    let cut_off = |machine: &Machine| {
        let receipts = "/var/db/gts-bootstrap/receipts";
        let newest = std::fs::read_dir(machine.path(receipts)).unwrap().map(|file| file.unwrap().path()).max().unwrap();
        let text = std::fs::read_to_string(&newest).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.contains("\"account\"")).unwrap();
        // The process died while the account was made.
        machine.write("/var/db/gts-bootstrap/journal", &format!("{}\n", lines[..=at].join("\n")));
        std::fs::remove_file(&newest).unwrap();
    };
    let machine = Machine::installed(ANSWERS);
    machine.install(WITH_ADMIN).exits(0);
    let first = machine.model().passwords;
    cut_off(&machine);
    // The server has read of the account what stood there then.
    let outcome =
        machine.install(WITH_ADMIN).exits(0).says("the server does not know it before `service gotosocial restart`");
    assert_told(&machine, &outcome, true);
    assert_ne!(machine.model().passwords, first);
    cut_off(&machine);
    machine.edit(|model| model.gotosocial.as_mut().unwrap().program.as_mut().unwrap().oauth = Default::default());
    let outcome = machine.install(WITH_ADMIN).exits(0).says("is not valid any more");
    assert_told(&machine, &outcome, false);
}
