//! The first account: after the service is ready, with a password that is told once and kept nowhere.

use super::machine::{ANSWERS, Machine};

const WITH_ADMIN: &str = "host = \"social.example.org\"\n[tls]\nemail = \"admin@example.org\"\n[release]\nversion = \"0.19.2\"\n\
                          [admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n";

fn password(said: &str) -> String {
    said.split_once("user name alice password ").unwrap().1.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn it_is_created_once_and_its_password_is_kept_nowhere() {
    let machine = Machine::fresh();
    let outcome = machine.install(WITH_ADMIN).exits(0).says("user name alice").says("change it at the first login");
    let password = password(&outcome.said());
    assert!(password.len() >= 26, "{password}");
    for (path, (_, _, content)) in machine.snapshot() {
        assert!(!String::from_utf8_lossy(&content).contains(&password), "it is in {}", path.display());
    }
    machine.install(WITH_ADMIN).exits(0).says("Nothing to change").does_not_say("password");
    let other = Machine::fresh();
    assert_ne!(self::password(&other.install(WITH_ADMIN).exits(0).said()), password);
}

#[test]
fn it_is_told_even_to_the_quiet_and_never_on_standard_output_of_json() {
    let quiet = Machine::fresh().install_with(WITH_ADMIN, &["--yes", "-q"]).exits(0);
    let word = password(&quiet.stderr.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(!word.is_empty());
    let json = Machine::fresh().install_with(WITH_ADMIN, &["--yes", "--json"]).exits(0);
    let word = password(&json.stderr.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(!json.stdout.contains(&word));
}

#[test]
fn a_failure_is_told_and_taken_back_as_far_as_it_can_be() {
    let machine = Machine::with(|model| model.faults.admin_create_fails = true);
    machine.install(WITH_ADMIN).exits(1).says("admin account create").does_not_say("--password");
    machine.edit(|model| model.faults.admin_create_fails = false);
    machine.install(WITH_ADMIN).exits(0).says("user name alice");
}

#[test]
fn it_can_be_asked_for_later() {
    let machine = Machine::installed(ANSWERS);
    let outcome = machine.install(WITH_ADMIN).exits(0).says("user name alice");
    assert!(!outcome.said().contains("stop service"), "the service is not restarted for it");
}
