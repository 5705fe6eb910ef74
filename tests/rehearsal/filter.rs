//! `filter`: rules for whichever web server stands in front, tested before they go live, kept without one.

use super::switch_others::unusable;
use crate::machine::{ANSWERS, Machine, differences};

const RULES: &str = "/usr/local/etc/gts-bootstrap/filters.conf";
const NGINX: &str = "/usr/local/etc/nginx/gts-bootstrap/filters/global/gts-bootstrap.conf";

fn behind(front: &str) -> Machine {
    Machine::after(ANSWERS, &[&["switch-to-proxy", front, "--yes"]])
}

#[test]
fn every_kind_is_kept_rendered_and_answered_for() {
    for front in ["nginx", "httpd"] {
        let machine = behind(front);
        machine
            .run(&["filter", "deny", "192.0.2.0/24", "2001:db8::/32", "--yes"])
            .exits(0)
            .says("Added: deny 192.0.2.0/24");
        machine.run(&["filter", "allow", "192.0.2.7", "--yes"]).exits(0);
        machine.run(&["filter", "deny-agent", "BadBot", "--yes"]).exits(0);
        machine.run(&["filter", "protect", "/settings", "--from", "10.0.0.0/8", "--yes"]).exits(0);
        std::fs::write(machine.beside("drop.txt"), "198.51.100.0/24 # a comment\n203.0.113.9\n").unwrap();
        machine.run(&["filter", "import", "drop.txt", "--yes"]).exits(0).says("Imported: 2 entries as drop");
        if front == "nginx" {
            machine.run(&["filter", "rate", "/api/v1", "10/s", "--yes"]).exits(0);
            machine.run(&["filter", "test", "8.8.8.8", "--path", "/api/v1/x"]).exits(0).says("rate /api/v1 10/s");
        } else {
            machine.run(&["filter", "rate", "/api/v1", "10/s", "--yes"]).exits(1).says("Apache httpd cannot limit");
        }
        for (question, answer) in [
            (&["192.0.2.9"][..], "is refused with 403"),
            (&["192.0.2.7"], "passes"),
            (&["198.51.100.3"], "deny file drop"),
            (&["8.8.8.8", "--agent", "x badbot/1"], "deny agent BadBot"),
            (&["8.8.8.8", "--path", "/settings/user"], "protect /settings"),
            (&["10.1.2.3", "--path", "/settings/user"], "passes"),
        ] {
            machine.run(&[&["filter", "test"], question].concat()).exits(0).says(answer);
        }
        let before = machine.snapshot();
        machine.run(&["filter", "deny", "192.0.2.0/24", "--yes"]).exits(0).says("Nothing to change");
        machine.run(&["filter", "deny", "203.0.113.0/24", "--plan"]).exits(0).says("nothing was changed");
        machine.run(&["filter", "deny", "203.0.113.0/24"]).exits(4).says("nothing was changed");
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
        machine.run(&["check"]).exits(0);
    }
}

#[test]
fn rules_follow_from_one_front_to_the_other_and_wait_in_direct_mode() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["filter", "deny", "192.0.2.0/24", "--yes"]).exits(0).says("the rules take effect once");
    machine.run(&["switch-to-proxy", "--yes"]).exits(0);
    assert!(machine.exists(NGINX));
    machine.run(&["filter", "rate", "/api", "5/s", "--yes"]).exits(0);
    machine
        .run(&["switch-to-proxy", "httpd", "--yes"])
        .exits(1)
        .says("Apache httpd cannot limit")
        .says("line 2: rate /api 5/s");
    machine.run(&["filter", "remove", "rate /api 5/s", "--yes"]).exits(0);
    machine.run(&["switch-to-proxy", "httpd", "--yes"]).exits(0);
    assert!(machine.exists("/usr/local/etc/apache24/gts-bootstrap/filters/global/gts-bootstrap.conf"));
    assert!(!machine.exists("/usr/local/etc/nginx"), "nothing is left of the other front");
    machine.run(&["switch-to-direct", "--yes"]).exits(0);
    assert_eq!(machine.read(RULES), "deny 192.0.2.0/24\n");
    assert!(!machine.exists("/usr/local/etc/apache24"));
}

#[test]
fn what_would_cut_the_instance_off_has_to_be_forced() {
    let machine = behind("nginx");
    let before = machine.snapshot();
    for change in [
        &["deny", "0.0.0.0/0"][..],
        &["deny", "::/0"],
        &["deny-agent", "*"],
        &["protect", "/.well-known", "--from", "10.0.0.0/8"],
        &["protect", "/users", "--from", "10.0.0.0/8"],
    ] {
        machine.run(&[&["filter"], change, &["--yes"]].concat()).exits(2).says("--force");
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new(), "{change:?}");
    }
    machine.run(&["filter", "deny", "0.0.0.0/0", "--yes", "--force"]).exits(0).says("warning:");
    machine.run(&["filter", "list"]).exits(0).says("Mind:");
}

#[test]
fn a_front_that_refuses_the_rules_keeps_the_old_ones() {
    let machine = behind("nginx");
    machine.run(&["filter", "deny", "192.0.2.0/24", "--yes"]).exits(0);
    let before = machine.system_files();
    // Something else in nginx's configuration has been broken since: the test fails, and everything goes back.
    let main = "/usr/local/etc/nginx/nginx.conf";
    let good = machine.read(main);
    unusable(&machine, "nginx");
    machine.run(&["filter", "deny", "203.0.113.0/24", "--yes"]).exits(1).says("nowhere.pem");
    machine.write(main, &good);
    assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
    machine.run(&["check"]).exits(0);
}

#[test]
fn nonsense_is_refused() {
    let machine = behind("nginx");
    for (change, code, words) in [
        (&["deny", "192.0.2.1/24"][..], 2, "192.0.2.0/24"),
        (&["deny", "nowhere"], 2, "nowhere"),
        (&["remove", "7"], 2, "7"),
        (&["import", "/no/such/file"], 2, "/no/such/file"),
        (&["rate", "/api", "0/s"], 2, "would block every client"),
    ] {
        machine.run(&[&["filter"], change, &["--yes"]].concat()).exits(code).says(words);
    }
    std::fs::write(machine.beside("bad.txt"), "192.0.2.1\nnonsense\n10.0.0.1\n").unwrap();
    let outcome = machine.run(&["filter", "import", "bad.txt", "--yes"]).exits(2);
    outcome.says("2").says("nonsense");
    machine.edit(|model| model.euid = 1001);
    machine.run(&["filter", "deny", "192.0.2.1", "--yes"]).exits(1).says("run it as root");
    machine.run(&["filter", "list"]).exits(0).says("There are no rules");
}
