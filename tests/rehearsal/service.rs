//! What the executor does on its own before it starts the service: it tries the ports.

use gts_bootstrap::change::{Action, Executor, Operator, Plan, Readiness, ServiceStart, Step};
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::{Host, Listener, Owner};
use gts_bootstrap::release::{NoProgress, Progress};

use crate::machine::{ANSWERS, Machine};

pub struct Silent;

impl Operator for Silent {
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
    let start = ServiceStart {
        name: "gotosocial".into(),
        owner: Owner { uid: 209, gid: 209 },
        ports: vec![80, 443],
        readiness,
        migrates: false,
    };
    let plan = Plan { steps: vec![Step::new("service", Action::Start, start)], ..Plan::default() };
    Executor { host, source: None, authority: None, operator: &Silent, stop: &|| None, trial: None }
        .apply("test", &plan)
        .unwrap_err()
        .to_string()
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
            jail: None,
        });
    })
    .unwrap();
    let why = start_fails(&host);
    assert!(why.contains("port 80 is taken by nginx (user www, uid 80, pid 912)"), "{why}");
    assert!(host.model().gotosocial.is_none_or(|service| service.program.is_none()), "it was never started");
}
