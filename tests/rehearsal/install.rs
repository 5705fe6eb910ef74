//! The main story: one command, and then nothing to do.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::machine::{ANSWERS, Machine, differences};

#[test]
fn a_bare_freebsd_becomes_a_verified_gotosocial() {
    let machine = Machine::fresh();
    let outcome = machine.install(ANSWERS).exits(0);
    for line in [
        "gotosocial (209) 80 tcp4 ok may bind (EADDRINUSE: it is in use)",
        "gotosocial (209) 443 tcp6 ok may bind (EADDRINUSE: it is in use)",
        "gotosocial (209) 25 tcp4 ok may not (EPERM: no mac_portacl rule)",
        "nobody (65534) 80 tcp6 ok may not (EPERM: no mac_portacl rule)",
        "nobody (65534) 443 tcp4 ok may not (EPERM: no mac_portacl rule)",
        "https://social.example.org is up",
        "can never be changed",
    ] {
        assert!(outcome.said().contains(line), "{line:?} is not in:\n{}", outcome.stdout);
    }
    let model = machine.model();
    let program = model.gotosocial.expect("it runs").program.expect("it lives");
    assert_eq!((program.owner.uid, program.port, program.host.as_str()), (209, 443, "social.example.org"));
    assert_eq!(model.sysctls["security.mac.portacl.rules"], "uid:209:tcp:80,uid:209:tcp:443");
    assert_eq!(model.sysctls["net.inet.ip.portrange.reservedhigh"], "79");
    assert!(machine.read("/boot/loader.conf").contains("mac_portacl_load=\"YES\"\n"));
    let sysctl = machine.read("/etc/sysctl.conf");
    let rules = sysctl.find("security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n").unwrap();
    assert!(rules < sysctl.find("net.inet.ip.portrange.reservedhigh=79\n").unwrap(), "rules first");
    let rc = machine.read("/etc/rc.conf");
    for variable in ["gotosocial_enable=\"YES\"", "gotosocial_direct=\"YES\"", "gts_portacl_guard_enable=\"YES\""] {
        assert!(rc.contains(variable), "{variable} is not in {rc}");
    }
}

#[test]
fn modes_and_owners_are_as_documented() {
    let machine = Machine::installed(ANSWERS);
    let owners = machine.model().owners;
    for (path, mode, uid, gid) in [
        ("/usr/local/etc/gotosocial", 0o750, 0, 209),
        ("/usr/local/etc/gotosocial/config.yaml", 0o640, 0, 209),
        ("/usr/local/etc/rc.d/gotosocial", 0o555, 0, 0),
        ("/usr/local/etc/gts-bootstrap/deployment.toml", 0o640, 0, 0),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", 0o644, 0, 0),
        ("/usr/local/libexec/gotosocial/0.19.2", 0o755, 0, 0),
        ("/usr/local/libexec/gotosocial/0.19.2/gotosocial", 0o755, 0, 0),
        ("/var/db/gotosocial", 0o750, 209, 209),
        ("/var/db/gotosocial/storage", 0o750, 209, 209),
        ("/var/db/gotosocial/storage/certs", 0o750, 209, 209),
        ("/var/db/gotosocial/tmp", 0o750, 209, 209),
        ("/var/db/gotosocial/wazero", 0o750, 209, 209),
        ("/var/db/gts-bootstrap", 0o700, 0, 0),
        ("/var/log/gotosocial", 0o750, 0, 209),
        ("/var/log/gotosocial/gotosocial.log", 0o640, 0, 209),
    ] {
        let seen = machine.path(path).metadata().unwrap_or_else(|error| panic!("{path}: {error}")).permissions().mode();
        assert_eq!(format!("{:o}", seen & 0o7777), format!("{mode:o}"), "{path}");
        let owner = owners.get(std::path::Path::new(path)).map_or((0, 0), |owner| (owner.uid, owner.gid));
        assert_eq!(owner, (uid, gid), "{path}");
    }
    let link = |path: &str| std::fs::read_link(machine.path(path)).unwrap();
    assert_eq!(link("/usr/local/libexec/gotosocial/current"), std::path::Path::new("0.19.2"));
    assert_eq!(link("/usr/local/bin/gotosocial"), std::path::Path::new("../libexec/gotosocial/current/gotosocial"));
    let passwd = machine.read("/etc/master.passwd");
    assert!(passwd.contains("gotosocial:*:209:209::0:0:Gotosocial user:/nonexistent:/usr/sbin/nologin\n"), "{passwd}");
    assert!(machine.read("/etc/group").contains("gotosocial:*:209:\n"));
}

#[test]
fn a_second_run_changes_no_byte_and_no_time() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.snapshot();
    machine.install(ANSWERS).exits(0).says("Nothing to change");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
    let json = machine.install_with(ANSWERS, &["--yes", "--json"]).exits(0).json();
    assert_eq!((&json["changed"], &json["changes"]), (&false.into(), &serde_json::json!([])));
    // Without the answers file too: the host keeps its own record.
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_same_answers_and_lock_give_the_same_bytes() {
    let bytes = |machine: &Machine| -> BTreeMap<_, _> {
        machine.snapshot().into_iter().map(|(path, (mode, _, content))| (path, (mode, content))).collect()
    };
    let answers = format!(
        "{ANSWERS}\n[config]\nlanding-page-user = \"alice\"\n[admin]\nusername = \"alice\"\nemail = \"a@example.org\"\n"
    );
    let (one, two) = (Machine::installed(&answers), Machine::fresh());
    let lock = one.read("/usr/local/etc/gts-bootstrap/deployment.lock");
    two.install(&answers).exits(0);
    assert_eq!(two.read("/usr/local/etc/gts-bootstrap/deployment.lock"), lock);
    assert_eq!(differences(&bytes(&one), &bytes(&two)), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_lock_given_beforehand_decides_what_latest_is() {
    let latest = ANSWERS.replace("\"0.19.2\"", "\"latest\"");
    let older = Machine::installed(&ANSWERS.replace("0.19.2", "0.19.1"));
    let machine = Machine::fresh();
    let lock = older.read("/usr/local/etc/gts-bootstrap/deployment.lock");
    machine.write("/usr/local/etc/gts-bootstrap/deployment.lock", &lock);
    machine.install(&latest).exits(0);
    assert!(machine.exists("/usr/local/libexec/gotosocial/0.19.1/gotosocial"));
    assert!(!machine.exists("/usr/local/libexec/gotosocial/0.19.2"));
}

#[test]
fn a_plan_touches_nothing() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let outcome = machine.install_with(ANSWERS, &["--plan"]).exits(0);
    for text in [
        "create user gotosocial",
        "config.yaml",
        "set sysctl net.inet.ip.portrange.reservedhigh = 79",
        "nothing was changed",
    ] {
        assert!(outcome.said().contains(text), "{text:?} is not in {}", outcome.stdout);
    }
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    machine.install_with(ANSWERS, &[]).exits(4).says("nothing was changed").says("--yes");
    machine.run(&["install"]).exits(4).says("nothing was changed").says("--answers FILE");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn flags_fill_the_same_answers() {
    let machine = Machine::fresh();
    machine
        .run(&[
            "install",
            "--yes",
            "--set",
            "host=social.example.org",
            "--set",
            "tls.email=admin@example.org",
            "--set",
            "config.landing-page-user=alice",
            "--release",
            "0.19.1",
        ])
        .exits(0);
    let answers = machine.read("/usr/local/etc/gts-bootstrap/deployment.toml");
    for text in ["social.example.org", "0.19.1", "landing-page-user"] {
        assert!(answers.contains(text), "{answers}");
    }
    assert!(machine.read("/usr/local/etc/gotosocial/config.yaml").contains("landing-page-user: \"alice\""));
}

#[test]
fn the_installation_survives_a_reboot() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["check"]).exits(0).says("nobody (65534) 80 tcp4 ok may not");
    machine.install(ANSWERS).exits(0).says("Nothing to change");
}

#[test]
fn the_identity_of_an_instance_cannot_be_changed() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.snapshot();
    machine
        .install(&ANSWERS.replace("social.example.org", "other.example.org"))
        .exits(1)
        .says("this host runs GoToSocial as social.example.org")
        .says("can never be changed");
    let with_domain = ANSWERS.replace("\n\n[tls]", "\naccount-domain = \"example.org\"\n\n[tls]");
    machine.install(&with_domain).exits(1).says("account-domain").says("can never be changed");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_front_is_refused_by_name() {
    let machine = Machine::fresh();
    let answers = format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n");
    machine.install(&answers).exits(1).says("nginx").says("mode = \"direct\"");
}
