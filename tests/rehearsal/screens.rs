//! What people read, kept as pictures of text that a person can review: `tests/rehearsal/snapshots/`.
//!
//! After a wanted change: `INSTA_UPDATE=always cargo test --test integration rehearsal::screens`, and read the difference.

use crate::machine::{ANSWERS, Machine, Outcome};

/// Both streams, with digest and size of the stand-in release left out.
pub fn picture(outcome: &Outcome) -> String {
    let text = format!("{}--- standard error, exit code {}\n{}", outcome.stdout, outcome.code, outcome.stderr);
    let sized = |line: &str| match line.split_once(".tar.gz, ") {
        Some((before, size)) if size.ends_with('B') => format!("{before}.tar.gz, (size)\n"),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(sized).collect();
    text.split_inclusive(|character: char| !character.is_ascii_hexdigit())
        .map(|word| if word.len() >= 64 { format!("(digest){}", &word[64..]) } else { word.to_owned() })
        .collect()
}

#[test]
fn a_plan() {
    insta::assert_snapshot!(picture(&Machine::fresh().install_with(ANSWERS, &["--plan"])));
}

#[test]
fn an_installation_and_a_second_run() {
    let machine = Machine::fresh();
    insta::assert_snapshot!("installation", picture(&machine.install(ANSWERS)));
    insta::assert_snapshot!("second_run", picture(&machine.install(ANSWERS)));
    insta::assert_snapshot!("check", picture(&machine.run(&["check"])));
}

#[test]
fn an_upgrade_and_the_way_back() {
    let machine = Machine::installed(ANSWERS);
    let go = |arguments: &[&str]| picture(&machine.run(arguments));
    insta::assert_snapshot!("upgrade_plan", go(&["upgrade", "--release", "0.20.0-rc1", "--plan"]));
    insta::assert_snapshot!("upgrade", go(&["upgrade", "--release", "0.20.0-rc1", "--yes"]));
    insta::assert_snapshot!("rollback_plan", go(&["rollback", "--plan"]));
}

#[test]
fn a_refusal_by_the_preflight() {
    let machine = Machine::with(|model| {
        model.euid = 1001;
        model.allow_wx = false;
        model.sse4_1 = false;
        model.free_bytes = 100 << 20;
        model.packages.insert("gotosocial".into(), "0.18.1".into());
    });
    insta::assert_snapshot!(picture(&machine.install(ANSWERS)));
}

#[test]
fn a_conflict_with_an_edit_by_hand() {
    const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
    let machine = Machine::installed(ANSWERS);
    machine.write(CONFIG, &machine.read(CONFIG).replace("admin@example.org", "mine@example.org"));
    insta::assert_snapshot!(picture(&machine.install(&ANSWERS.replace("admin@example.org", "ops@example.org"))));
}

#[test]
fn a_host_that_is_open_to_everybody() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| {
        model.modules.remove("mac_portacl");
    });
    insta::assert_snapshot!(picture(&machine.run(&["check"])));
}

#[test]
fn the_end_of_a_service_that_dies() {
    let machine = Machine::with(|model| model.faults.dies_after_start = true);
    let outcome = machine.install_with(ANSWERS, &["--yes", "-q"]);
    insta::assert_snapshot!(picture(&outcome));
}

#[test]
fn a_jail() {
    let machine = Machine::with(|model| model.jail = gts_bootstrap::host::Jail::Shared);
    insta::assert_snapshot!(picture(&machine.install(ANSWERS)));
}

#[test]
fn rules_that_are_wrong() {
    let machine = Machine::installed(ANSWERS);
    let rules = "uid:209:tcp:80,uid:4711:tcp:443,gid:80:udp:25,uid:209:tcp:65979";
    machine.edit(|model| {
        model.sysctls.insert("security.mac.portacl.rules".into(), rules.into());
    });
    insta::assert_snapshot!("rules_shown", picture(&machine.run(&["portacl", "show"])));
    insta::assert_snapshot!("rules_linted", picture(&machine.run(&["portacl", "lint"])));
    insta::assert_snapshot!(
        "rules_explained",
        picture(&machine.run(&["portacl", "explain", "www", "80", "25/udp", "-v", "--prove"]))
    );
    insta::assert_snapshot!("rules_granted", picture(&machine.run(&["portacl", "grant", "bind", "53/udp", "--yes"])));
}

#[test]
fn the_status() {
    insta::assert_snapshot!("status_of_nothing", picture(&Machine::fresh().run(&["status"])));
    let machine = Machine::installed(ANSWERS);
    insta::assert_snapshot!("status_direct", picture(&machine.run(&["status"])));
    machine.edit(|model| model.euid = 1001);
    insta::assert_snapshot!("status_without_root", picture(&machine.run(&["status"])));
    machine.edit(|model| model.euid = 0);
    machine.run(&["switch-to-proxy", "nginx", "--yes", "-q"]).exits(0);
    let outcome = machine.run(&["status"]);
    assert!(outcome.stdout.lines().count() <= 24 && outcome.stdout.lines().all(|line| line.chars().count() <= 80));
    insta::assert_snapshot!("status_behind_nginx", picture(&outcome));
}

#[test]
fn the_status_of_a_host_in_trouble() {
    const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
    let machine = Machine::installed(&ANSWERS.replace("0.19.2", "0.19.1"));
    machine.write(CONFIG, &machine.read(CONFIG).replace("admin@example.org", "mine@example.org"));
    for path in ["/usr/local/etc/newsyslog.conf.d/gotosocial.conf", "/usr/local/bin/gotosocial"] {
        std::fs::remove_file(machine.path(path)).unwrap();
    }
    machine.edit(|model| {
        model.clock += 87 * 86_400;
        model.free_bytes = 100 << 20;
        model.gotosocial.as_mut().unwrap().program = None;
        model.modules.remove("mac_portacl");
    });
    machine.write(
        "/var/db/gts-bootstrap/journal",
        "{\"begin\":{\"schema\":1,\"command\":\"install\",\"program\":\"0.1.0\",\"time\":1774742400}}\n",
    );
    insta::assert_snapshot!("status_in_trouble", picture(&machine.run(&["status", "--diff"])));
    insta::assert_snapshot!("status_in_trouble_in_one_line", picture(&machine.run(&["status", "--brief"])));
}
