//! The service: proved before it is started, waited for, and never killed for being slow.

use gts_bootstrap::change::{Executor, Plan, Readiness, Reporter};
use gts_bootstrap::host::rehearsal::{Authority, Rehearsal};
use gts_bootstrap::host::{Host, Listener, Owner};
use gts_bootstrap::parts::service;
use gts_bootstrap::release::{NoProgress, Progress};

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
fn a_certificate_authority_that_fails_is_told_in_words_and_the_installation_stands() {
    for (authority, words) in
        [(Authority::RateLimited, "rate limit"), (Authority::Unreachable, "cannot reach Let's Encrypt")]
    {
        let machine = Machine::with(|model| model.authority = authority);
        machine
            .install(ANSWERS)
            .exits(3)
            .says("Asking for the first certificate")
            .says(words)
            .says("The installation stands");
        machine.edit(|model| model.authority = Authority::Issues);
        machine.run(&["check"]).exits(0).says("certificate: for social.example.org");
    }
}

struct Silent;

impl Reporter for Silent {
    fn progress(&self) -> &dyn Progress {
        &NoProgress
    }
}

/// Why a start of the service on this machine fails.
fn start_fails(host: &Rehearsal) -> String {
    let readiness = Readiness {
        host: "social.example.org".into(),
        address: "127.0.0.1:443".parse().unwrap(),
        tls: true,
        log: "/var/log/gotosocial/gotosocial.log".into(),
        certificate: None,
    };
    let start = service::start(Owner { uid: 209, gid: 209 }, &[80, 443], &readiness);
    let plan = Plan { steps: vec![start], ..Plan::default() };
    Executor { host, source: None, reporter: &Silent }.apply("test", &plan).unwrap_err().to_string()
}

#[test]
fn the_ports_are_tried_as_the_service_user_before_the_start() {
    let machine = Machine::installed(ANSWERS);
    let host = Rehearsal::open(machine.root()).unwrap();
    host.set_sysctl("security.mac.portacl.rules", "uid:209:tcp:80").unwrap();
    let why = start_fails(&host);
    assert!(why.contains("uid 209 may not bind port 443 (EPERM)"), "{why}");

    host.set_sysctl("security.mac.portacl.rules", "uid:209:tcp:80,uid:209:tcp:443").unwrap();
    host.set_sysctl("net.inet.ip.portrange.reservedhigh", "1023").unwrap();
    let why = start_fails(&host);
    assert!(why.contains("uid 209 may not bind port 80 (EACCES)"), "{why}");

    host.set_sysctl("net.inet.ip.portrange.reservedhigh", "79").unwrap();
    host.edit(|model| {
        model.listeners.push(Listener {
            user: "www".into(),
            uid: Some(80),
            command: "nginx".into(),
            pid: Some(912),
            address: None,
            ipv4: true,
            ipv6: true,
            port: 80,
        });
    })
    .unwrap();
    let why = start_fails(&host);
    assert!(why.contains("port 80 is taken by nginx (user www, pid 912)"), "{why}");
    assert!(host.model().gotosocial.is_none_or(|service| service.program.is_none()), "it was never started");
}
