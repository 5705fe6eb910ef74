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
fn a_failure_is_told_and_leaves_the_server_up() {
    let machine = Machine::with(|model| model.faults.admin_create_fails = true);
    machine
        .install(WITH_ADMIN)
        .exits(1)
        .says("admin account create")
        .says("Nothing was taken back: GoToSocial is installed and runs")
        .does_not_say("--password");
    assert!(machine.model().gotosocial.is_some_and(|service| service.program.is_some()), "it still serves");
    let json = machine.install_with(WITH_ADMIN, &["--yes", "--json"]).exits(1).json();
    assert_eq!(json["changed"], true, "the installation stands: {json}");
    machine.edit(|model| model.faults.admin_create_fails = false);
    machine.install(WITH_ADMIN).exits(0).says("user name alice");
}

#[test]
fn it_can_be_asked_for_later() {
    let machine = Machine::installed(ANSWERS);
    let outcome = machine.install(WITH_ADMIN).exits(0).says("user name alice");
    assert!(!outcome.said().contains("stop service"), "the service is not restarted for it");
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

#[test]
fn an_account_of_that_name_that_was_made_by_hand_is_left_alone() {
    let machine = Machine::installed(WITH_ADMIN);
    // Without receipts and without a certificate nothing tells of it beforehand.
    std::fs::remove_dir_all(machine.path("/var/db/gts-bootstrap/receipts")).unwrap();
    std::fs::remove_file(machine.path("/var/db/gotosocial/storage/certs/social.example.org")).unwrap();
    machine.install(WITH_ADMIN).exits(0).says("there is an account alice already").does_not_say("user name alice");
}
