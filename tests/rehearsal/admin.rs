//! The first account: after the service is ready, and what happens if it cannot be made.

use crate::machine::{ANSWERS, Machine};

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
