//! The service: proved before it is started, waited for, and never killed for being slow.

use gts_bootstrap::host::rehearsal::Authority;

use super::machine::{ANSWERS, Machine, differences};

#[test]
fn a_slow_start_is_waited_for() {
    let machine = Machine::with(|model| model.faults.polls_until_ready = 400);
    machine.install(ANSWERS).exits(0).says("GoToSocial is starting (790 s)");
}

#[test]
fn a_service_that_dies_is_told_with_its_log_and_everything_is_taken_back() {
    let machine = Machine::with(|model| model.faults.dies_after_start = true);
    let before = machine.system_files();
    machine
        .install(ANSWERS)
        .exits(1)
        .says("was started and died")
        .says("gotosocial.log")
        .says("timestamp=")
        .says("/var/db/gotosocial is not empty and stays");
    let after = machine.system_files();
    // Its own data and log are left: nobody but GoToSocial itself knows what they are worth.
    let left: Vec<_> = differences(&before, &after)
        .into_iter()
        .filter(|path| {
            !["var/db/gotosocial", "var/log/gotosocial", "var/run/gotosocial"].iter().any(|own| path.starts_with(own))
        })
        .collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
    let model = machine.model();
    assert_eq!(model.sysctls.get("net.inet.ip.portrange.reservedhigh").map_or("1023", String::as_str), "1023");
    assert!(!model.modules.contains("mac_portacl") && model.gotosocial.is_none());
}

#[test]
fn only_what_it_reads_makes_a_restart() {
    let machine = Machine::installed(ANSWERS);
    let pid = |machine: &Machine| machine.model().gotosocial.unwrap().program.unwrap().pid;
    let before = pid(&machine);
    std::fs::remove_file(machine.path("/usr/local/etc/newsyslog.conf.d/gotosocial.conf")).unwrap();
    machine.install(ANSWERS).exits(0).says("newsyslog.conf.d");
    assert_eq!(pid(&machine), before);
    machine.install(&format!("{ANSWERS}\n[config]\nlanding-page-user = \"alice\"\n")).exits(0);
    assert_ne!(pid(&machine), before);
}

#[test]
fn a_stopped_service_is_started_again() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.gotosocial = None);
    machine.run(&["check"]).exits(3).says("gotosocial does not run").says("nobody listens on port 80");
    machine.install(ANSWERS).exits(0).says("1 change made");
    machine.run(&["check"]).exits(0);
}

#[test]
fn a_certificate_authority_that_fails_is_told_in_words_and_the_installation_stands() {
    for (authority, words) in
        [(Authority::RateLimited, "rate limit"), (Authority::Unreachable, "cannot reach Let's Encrypt")]
    {
        let machine = Machine::with(|model| model.authority = authority);
        machine.install(ANSWERS).exits(3).says(words).says("The installation stands");
        machine.edit(|model| model.authority = Authority::Issues);
        machine.run(&["check"]).exits(0).says("certificate: for social.example.org");
    }
}

#[test]
fn checks_can_be_left_out() {
    Machine::fresh()
        .install_with(ANSWERS, &["--yes", "--no-check"])
        .exits(0)
        .does_not_say("Bind check")
        .does_not_say("FAIL");
}

#[test]
fn check_before_install_says_what_to_do() {
    Machine::fresh().run(&["check"]).exits(3).says("run `gts-bootstrap install`");
}
