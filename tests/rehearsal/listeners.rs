//! Who listens is told by uid: a process gives itself any name, keeps an open socket when its rule is gone, and has a single
//! address before whoever listens on all of them.

use gts_bootstrap::host::Listener;

use super::switch::{changed, kernel};
use super::switch_others::{BACK, beside, there};
use crate::machine::{ANSWERS, Machine};

const NOTHING: Vec<std::path::PathBuf> = Vec::new();
const LOOPBACK: Option<&str> = Some("127.0.0.1");
const SERVICE: Option<u32> = Some(209);

/// A socket of a process that calls itself `command`.
fn socket(command: &str, uid: Option<u32>, port: u16, address: Option<&str>) -> Listener {
    let address = address.map(|address| address.parse::<std::net::IpAddr>().unwrap());
    Listener {
        user: uid.map_or_else(|| "?".into(), |uid| if uid == 209 { "gotosocial".into() } else { format!("{uid}") }),
        uid,
        command: command.into(),
        pid: uid.map(|_| 4711),
        address,
        ipv4: address.is_none_or(|address| address.is_ipv4()),
        ipv6: address.is_none_or(|address| address.is_ipv6()),
        port,
        jail: None,
    }
}

fn open(machine: &Machine, socket: Listener) {
    machine.edit(|model| model.listeners.push(socket));
}

fn close(machine: &Machine) {
    machine.edit(|model| model.listeners.clear());
}

fn behind(program: &str) -> Machine {
    Machine::after(ANSWERS, &[&there(program)])
}

#[test]
fn a_name_does_not_lend_a_port_behind_a_front() {
    for program in ["nginx", "httpd"] {
        let machine = behind(program);
        machine.run(&["check"]).exits(0);
        for port in [80, 443] {
            for address in [LOOPBACK, Some("203.0.113.10"), Some("2001:db8::10"), Some("::1"), None] {
                for uid in [SERVICE, Some(1001), None] {
                    open(&machine, socket(program, uid, port, address));
                    let (who, mend) = match uid {
                        Some(209) => ("(user gotosocial, uid 209, pid 4711)", "`kill 4711`".to_owned()),
                        Some(_) => ("(uid 1001, pid 4711)", "`kill 4711`".to_owned()),
                        None => ("(owner unknown, pid unknown)", format!("`sockstat -46l -p {port}`")),
                    };
                    let says = format!("{program} {who} listens on port {port}");
                    machine.run(&["check"]).exits(3).says(&format!("FAIL listens {port}")).says(&says).says(&mend);
                    let brief = machine.run(&["status", "--brief", "--offline"]).exits(3).says("FAIL: ").says(&says);
                    assert_eq!(brief.stdout.lines().count(), 1);
                    machine.run(&["status", "--offline"]).exits(3).says(&says).says(&mend);
                    close(&machine);
                }
            }
        }
        machine.run(&["check"]).exits(0);
        machine.run(&["status", "--brief", "--offline"]).exits(0);
    }
}

#[test]
fn in_direct_mode_nobody_else_has_the_ports() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["check"]).exits(0);
    for (uid, address) in [(Some(0), LOOPBACK), (Some(1001), Some("203.0.113.10")), (None, None)] {
        open(&machine, socket("gotosocial", uid, 443, address));
        machine.run(&["check"]).exits(3).says("listens on port 443").says("not gotosocial");
        machine.run(&["status", "--brief", "--offline"]).exits(3).says("listens on port 443");
        close(&machine);
    }
}

#[test]
fn nobody_stands_between_a_front_and_gotosocial() {
    let machine = behind("nginx");
    open(&machine, socket("gotosocial", Some(1001), 8080, LOOPBACK));
    machine.run(&["check"]).exits(3).says("FAIL backend").says("gotosocial (uid 1001, pid 4711) listens on port 8080");
    machine.run(&["status", "--brief", "--offline"]).exits(3).says("uid 1001");
    close(&machine);
    // There no request of the front's goes.
    open(&machine, socket("server", Some(1001), 8080, Some("203.0.113.10")));
    machine.run(&["check"]).exits(0);
    machine.run(&["status", "--brief", "--offline"]).exits(0);
}

#[test]
fn behind_a_front_the_services_user_has_no_ports_to_leave() {
    let machine = behind("nginx");
    open(&machine, socket("server", SERVICE, 443, LOOPBACK));
    machine.run(&there("nginx")).exits(1).says("port 443: taken by server (user gotosocial, uid 209, pid 4711)");
}

#[test]
fn a_name_ends_no_line_and_no_clause() {
    let shown = socket("a;b\n\u{1b}", Some(1001), 80, None).to_string();
    assert_eq!(shown, "a\\u{3b}b\\u{a}\\u{1b} (uid 1001, pid 4711)");
}

#[test]
fn the_account_that_a_front_is_configured_with_may_serve() {
    for (program, main, line) in [
        ("nginx", "/usr/local/etc/nginx/nginx.conf", "user nobody;\n"),
        ("httpd", "/usr/local/etc/apache24/httpd.conf", "User nobody\n"),
    ] {
        let machine = behind(program);
        let text = machine.read(main).replace("User www\n", "");
        // Its processes of before are www's still.
        machine.write(main, &format!("{line}{text}"));
        machine.run(&["check"]).exits(3).says(&format!("{program} (user www, uid 80"));
        machine.write(main, &format!("{}{text}", line.replace("nobody", "gotosocial")));
        open(&machine, socket(program, SERVICE, 80, LOOPBACK));
        machine.run(&["check"]).exits(3);
    }
}

#[test]
fn rows_that_nobody_can_read_may_be_anybody() {
    for machine in [Machine::installed(ANSWERS), behind("nginx")] {
        machine.edit(|model| model.faults.unreadable_rows = 2);
        machine.run(&["check"]).exits(3).says("FAIL listeners: 2 rows").says("could not be read");
        machine.run(&["status", "--brief", "--offline"]).exits(3).says("FAIL: 2 rows");
        let json = machine.run(&["check", "--json"]).exits(3).json();
        let checks = json["checks"].as_array().unwrap();
        assert!(checks.iter().any(|check| check["name"] == "listens 443" && check["status"] == "pass"), "{json}");
    }
    let bare = Machine::with(|model| model.faults.unreadable_rows = 1);
    bare.install(ANSWERS).exits(1).says("1 row of").says("could not be read");
}

#[test]
fn users_other_than_root_do_not_judge_what_they_cannot_see() {
    let machine = behind("nginx");
    open(&machine, socket("?", None, 443, LOOPBACK));
    machine.edit(|model| model.euid = 1001);
    machine.run(&["status", "--offline"]).says("only root can tell").does_not_say("owner unknown");
}

/// A socket of the service's user survives GoToSocial's stop and the loss of its rule. The web server binds beside it, as root may,
/// and requests for that address would never reach it.
#[test]
fn a_front_takes_no_port_on_which_somebody_has_stayed() {
    for machine in [Machine::installed(ANSWERS), beside("nginx"), beside("httpd")] {
        for program in ["nginx", "httpd"] {
            for (uid, port, address) in [(SERVICE, 443, LOOPBACK), (Some(1001), 80, Some("203.0.113.10"))] {
                let machine = machine.copy();
                open(&machine, socket(program, uid, port, address));
                // The preflight finds whoever is not GoToSocial, before it stops.
                let before = machine.copy();
                let refused = machine.run(&there(program)).exits(1).says(&format!("{program} ("));
                refused.says(&format!("port {port}")).says("pid 4711");
                assert_eq!(changed(&before, &machine), NOTHING);
                assert_eq!(kernel(&machine), kernel(&before));
                assert!(machine.model().gotosocial.is_some_and(|service| service.program.is_some()), "it serves again");
                close(&machine);
                machine.run(&there(program)).exits(0);
                machine.run(&["check"]).exits(0);
                machine.run(BACK).exits(0);
            }
        }
    }
}

#[test]
fn the_proof_stands_before_the_stop_and_again_between_it_and_the_front() {
    for machine in [Machine::installed(ANSWERS), beside("nginx")] {
        let pid = |machine: &Machine| machine.model().gotosocial.and_then(|it| it.program).map(|program| program.pid);
        let before = pid(&machine);
        // Another process: nothing is stopped for it.
        open(&machine, socket("nginx", SERVICE, 443, LOOPBACK));
        let said = machine.run(&there("nginx")).exits(1).says("`kill 4711`, and run this again");
        said.says("] reload service nginx").says("All changes were undone").says("were refused for 0 ms");
        assert_eq!(pid(&machine), before);
        close(&machine);
        // One of GoToSocial's own that is still there when it has ended.
        let own = Listener { pid: before, ..socket("gotosocial", SERVICE, 443, LOOPBACK) };
        open(&machine, own);
        let said = machine.run(&there("nginx")).exits(1).says("and run this again").says("All changes were undone");
        said.says(&format!("`kill {}`", before.unwrap()));
        assert_ne!(pid(&machine), before, "it was stopped, and serves again");
        machine.edit(|model| model.faults.unreadable_rows = 1);
        close(&machine);
        machine.run(&there("nginx")).exits(1).says("could not be read");
    }
}

#[test]
fn a_socket_that_survives_the_loss_of_its_rule_is_told() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["portacl", "grant", "www", "81", "--yes"]).exits(0);
    machine.run(&["portacl", "grant", "@www", "82", "--yes"]).exits(0);
    let revoke = |subject, port| machine.run(&["portacl", "revoke", subject, port, "--yes"]);
    open(&machine, socket("server", Some(80), 81, LOOPBACK));
    open(&machine, socket("server", Some(80), 82, None));
    for (subject, rule, port) in [("www", "uid:80:tcp:81", "81"), ("@www", "gid:80:tcp:82", "82")] {
        let says = format!("FAIL socket {port}/tcp: server (uid 80, pid 4711) listens on port {port}");
        revoke(subject, port).exits(3).says(&says).says("`kill 4711`");
        assert!(!machine.model().sysctls["security.mac.portacl.rules"].contains(rule), "the rule is gone all the same");
        // As long as it is there, and no longer.
        revoke(subject, port).exits(3).says("Nothing to change").says(&says);
    }
    close(&machine);
    revoke("www", "81").exits(0);
    open(&machine, socket("?", None, 81, None));
    let json = machine.run(&["portacl", "revoke", "www", "81", "--yes", "--json"]).exits(3).json();
    let found = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "socket 81/tcp").cloned();
    assert_eq!(found.unwrap()["code"], "GTSB-PORT-TAKEN");
    // GoToSocial itself, which goes on with what it has.
    close(&machine);
    revoke("gotosocial", "443").exits(3).says("FAIL socket 443/tcp: gotosocial (user gotosocial, uid 209");
}

#[test]
fn a_udp_socket_that_survives_the_loss_of_its_rule_is_told() {
    let machine = Machine::installed(ANSWERS);
    let open = |uid| machine.edit(|model| model.udp_sockets = vec![socket("named;\u{1b}[2J", uid, 53, LOOPBACK)]);
    machine.run(&["portacl", "grant", "bind", "53/udp", "--yes"]).exits(0);
    open(Some(53));
    let revoke = || machine.run(&["portacl", "revoke", "bind", "53/udp", "--yes"]);
    let told = revoke().exits(3);
    let told =
        told.says("named\\u{3b}\\u{1b}[2J (uid 53, pid 4711) has port 53/udp open: it keeps the port until it ends");
    told.says("FAIL socket 53/udp: named\\u{3b}\\u{1b}[2J (uid 53, pid 4711) listens on port 53 of 127.0.0.1")
        .says("`kill 4711`");
    open(None);
    revoke().exits(3).says("FAIL socket 53/udp").says("owner unknown");
    // Neither somebody else's, nor one of TCP.
    open(Some(80));
    revoke().exits(0).does_not_say("socket 53/udp");
    machine.edit(|model| model.listeners = std::mem::take(&mut model.udp_sockets));
    open_tcp_of(&machine, Some(53));
    revoke().exits(0).does_not_say("socket 53");
    // A port that is taken is granted all the same, and said to be in use.
    machine.edit(|model| model.udp_sockets = vec![socket("named", Some(53), 53, None)]);
    machine.run(&["portacl", "grant", "bind", "53/udp", "--yes"]).says("in use");
}

fn open_tcp_of(machine: &Machine, uid: Option<u32>) {
    machine.edit(|model| model.listeners = vec![socket("named", uid, 53, None)]);
}

#[test]
fn a_process_in_a_jail_is_named_and_is_nobody_of_this_host() {
    for (program, uid, port) in [("nginx", Some(0), 443), ("nginx", Some(80), 80)] {
        let machine = behind(program);
        open(&machine, Listener { jail: Some(7), ..socket(program, uid, port, None) });
        let says = format!("{program} (uid {}, pid 4711, jail 7) listens on port {port}", uid.unwrap());
        machine.run(&["check"]).exits(3).says(&says).says("`kill 4711`");
        machine.run(&["status", "--brief", "--offline"]).exits(3).says(&says);
    }
    let machine = Machine::installed(ANSWERS);
    open(&machine, Listener { jail: Some(7), ..socket("gotosocial", SERVICE, 443, LOOPBACK) });
    machine.run(&["check"]).exits(3).says("(user gotosocial, uid 209, pid 4711, jail 7) listens on port 443");
    machine
        .run(&there("nginx"))
        .exits(1)
        .says("port 443: taken by gotosocial (user gotosocial, uid 209, pid 4711, jail 7)");
}

#[test]
fn what_may_stay_is_no_survivor() {
    // The web server's processes have inherited what root has opened; root needs no rule, and another rule is enough.
    let machine = behind("nginx");
    for who in ["www", "root"] {
        machine.run(&["portacl", "revoke", who, "443", "--yes"]).exits(0).does_not_say("FAIL");
    }
    // What is www's alone it has inherited from nobody, whatever it calls itself.
    machine.run(&["portacl", "grant", "www", "81", "--yes"]).exits(0);
    open(&machine, socket("nginx", Some(80), 81, None));
    let revoke = || machine.run(&["portacl", "revoke", "www", "81", "--yes"]);
    revoke().exits(3).says("nginx (uid 80, pid 4711) listens on port 81");
    open(&machine, socket("nginx", Some(0), 81, LOOPBACK));
    revoke().exits(3);
    open(&machine, socket("nginx", Some(0), 81, None));
    revoke().exits(0);
    close(&machine);
    machine.run(&["portacl", "grant", "bind", "53", "--yes"]).exits(0);
    machine.run(&["portacl", "grant", "@bind", "53", "--yes"]).exits(0);
    open(&machine, socket("named", Some(53), 53, None));
    machine.run(&["portacl", "revoke", "bind", "53", "--yes"]).exits(0);
    machine.run(&["portacl", "revoke", "@bind", "53", "--yes"]).exits(3).says("named (uid 53, pid 4711)");
}
