//! `status` and `check --brief`: what is told of a host that is well, that was tampered with, and that is in trouble.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::{Host, Observe, Owner, ServiceAction};
use serde_json::{Value, json};

use crate::machine::{ANSWERS, Machine};

const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
const SCRIPT: &str = "/usr/local/etc/rc.d/gotosocial";
const NGINX_SITE: &str = "/usr/local/etc/nginx/gts-bootstrap/gotosocial.conf";

fn behind_nginx() -> Machine {
    Machine::after(ANSWERS, &[&["switch-to-proxy", "nginx", "--yes", "-q"]])
}

fn open(machine: &Machine) -> Rehearsal {
    Rehearsal::open(machine.root()).unwrap()
}

fn status(machine: &Machine) -> (i32, Value) {
    let outcome = machine.run(&["status", "--offline", "--json"]);
    (outcome.code, outcome.json())
}

/// What differs, as target and kind.
fn drift(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = status["drift"].as_array().unwrap_or_else(|| panic!("{status}"));
    all.iter().map(|drift| (text(&drift["target"]), text(&drift["difference"]))).collect()
}

fn chmod(machine: &Machine, path: &str, mode: u32) {
    fs::set_permissions(machine.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn append(machine: &Machine, path: &str, text: &str) {
    chmod(machine, path, 0o644);
    machine.write(path, &(machine.read(path) + text));
}

/// What one tampering comes to: the exit code, and that and nothing else.
#[track_caller]
fn tampered(machine: &Machine, code: i32, target: &str, kind: &str) {
    let (exit, told) = status(machine);
    assert_eq!((exit, drift(&told)), (code, vec![(target.to_owned(), kind.to_owned())]), "{told}");
}

#[test]
fn nothing_has_drifted_after_an_installation_a_second_run_and_a_switch_there_and_back() {
    let machine = Machine::installed(ANSWERS);
    for command in [
        &["check"][..],
        &["install", "--yes"],
        &["switch-to-proxy", "nginx", "--yes"],
        &["install", "--yes"],
        &["switch-to-proxy", "httpd", "--yes"],
        &["switch-to-direct", "--yes"],
        &["rehearsal", "reboot"],
        &["check"],
    ] {
        machine.run(command).exits(0);
        let (exit, told) = status(&machine);
        assert_eq!((exit, drift(&told), &told["verdict"]), (0, vec![], &json!("ok")), "{command:?}: {told}");
        assert_eq!(told["concerns"], json!([]), "{command:?}");
    }
}

#[test]
fn what_is_no_longer_kept_of_upgrades_and_backups_is_not_missed() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["check"]).exits(0);
    for release in ["0.19.3", "0.19.4", "0.19.5"] {
        machine.run(&["upgrade", "--release", release, "--keep", "1", "--yes"]).exits(0);
        machine.run(&["backup", "--keep", "1", "--yes"]).exits(0);
        assert_eq!(drift(&status(&machine).1), [], "after {release}");
    }
    assert!(!machine.exists("/var/backups/gotosocial/0.19.2-to-0.19.3"), "one copy has gone");
    machine.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(drift(&status(&machine).1), [], "after the way back");
    // What is kept is missed.
    fs::remove_file(machine.path("/var/backups/gotosocial/0.19.5-to-0.19.4/deployment.lock")).unwrap();
    assert_eq!(drift(&status(&machine).1).len(), 1);
}

#[test]
fn a_look_changes_nothing() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.snapshot();
    for arguments in [&["status"][..], &["status", "--diff"], &["status", "--brief"], &["status", "--json"]] {
        machine.run(arguments).exits(0);
        assert!(machine.snapshot() == before, "{arguments:?}");
    }
}

#[test]
fn edits_are_noted_and_fail_nothing() {
    let machine = Machine::installed(ANSWERS);
    for path in
        [CONFIG, "/usr/local/etc/newsyslog.conf.d/gotosocial.conf", "/usr/local/etc/gts-bootstrap/deployment.toml"]
    {
        let mode = fs::metadata(machine.path(path)).unwrap().permissions().mode() & 0o7777;
        let before = machine.read(path);
        append(&machine, path, "# mine\n");
        chmod(&machine, path, mode);
        tampered(&machine, 0, path, "content");
        machine.run(&["status", "--brief", "--offline"]).exits(0).says("OK: ").says("; 1 file was edited");
        machine.write(path, &before);
    }
    let (_, told) = status(&machine);
    assert_eq!(drift(&told), []);
}

#[test]
fn what_is_gone_or_has_another_mode_or_owner_is_told() {
    let machine = Machine::installed(ANSWERS);
    // The service reads it no more often than at its start.
    let script = machine.read(SCRIPT);
    chmod(&machine, SCRIPT, 0o755);
    tampered(&machine, 0, SCRIPT, "mode");
    chmod(&machine, SCRIPT, 0o555);

    chmod(&machine, CONFIG, 0o644);
    tampered(&machine, 3, CONFIG, "mode");
    chmod(&machine, CONFIG, 0o640);
    machine.edit(|model| {
        model.owners.insert(CONFIG.into(), Owner { uid: 209, gid: 209 });
    });
    tampered(&machine, 0, CONFIG, "owner");
    machine.edit(|model| {
        model.owners.insert(CONFIG.into(), Owner { uid: 0, gid: 209 });
    });

    chmod(&machine, "/var/db/gotosocial", 0o755);
    tampered(&machine, 3, "/var/db/gotosocial", "mode");
    chmod(&machine, "/var/db/gotosocial", 0o750);

    let rotation = "/usr/local/etc/newsyslog.conf.d/gotosocial.conf";
    let text = machine.read(rotation);
    fs::remove_file(machine.path(rotation)).unwrap();
    tampered(&machine, 0, rotation, "missing");
    fs::create_dir(machine.path(rotation)).unwrap();
    tampered(&machine, 0, rotation, "kind");
    fs::remove_dir(machine.path(rotation)).unwrap();
    machine.write(rotation, &text);

    fs::remove_file(machine.path(SCRIPT)).unwrap();
    let (exit, told) = status(&machine);
    assert_eq!((exit, drift(&told)), (3, vec![(SCRIPT.to_owned(), "missing".to_owned())]));
    machine.write(SCRIPT, &script);
    chmod(&machine, SCRIPT, 0o555);
    let (_, told) = status(&machine);
    assert_eq!((drift(&told), &told["concerns"]), (vec![], &json!([])));
}

#[test]
fn links_variables_releases_and_accounts_are_compared() {
    let machine = Machine::installed(ANSWERS);
    let command = machine.path("/usr/local/bin/gotosocial");
    let target = fs::read_link(&command).unwrap();
    fs::remove_file(&command).unwrap();
    tampered(&machine, 0, "/usr/local/bin/gotosocial", "missing");
    symlink("/bin/sh", &command).unwrap();
    tampered(&machine, 0, "/usr/local/bin/gotosocial", "link");
    fs::remove_file(&command).unwrap();
    symlink(target, &command).unwrap();

    let host = open(&machine);
    host.set_rc_variable("gotosocial_enable", Some("NO")).unwrap();
    tampered(&machine, 0, "gotosocial_enable", "variable");
    host.set_rc_variable("gotosocial_enable", None).unwrap();
    tampered(&machine, 0, "gotosocial_enable", "variable");
    host.set_rc_variable("gotosocial_enable", Some("yes")).unwrap();

    let release = "/usr/local/libexec/gotosocial/0.19.2";
    let page = fs::read_dir(machine.path(&format!("{release}/web/template"))).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&page).unwrap();
    fs::write(&page, "other").unwrap();
    tampered(&machine, 0, release, "release");
    fs::write(&page, text).unwrap();
    let (_, told) = status(&machine);
    assert_eq!(drift(&told), []);

    // Lines of others in files of the system are theirs.
    append(&machine, "/etc/sysctl.conf", "kern.coredump=0\n");
    append(&machine, "/etc/rc.conf", "sshd_enable=\"YES\"\n");
    let (exit, told) = status(&machine);
    assert_eq!((exit, drift(&told)), (0, vec![]));

    open(&machine).delete_user("gotosocial").unwrap();
    let (_, told) = status(&machine);
    assert_eq!(drift(&told), [("the user gotosocial".to_owned(), "missing".to_owned())]);
}

#[test]
fn what_belongs_to_a_web_server_is_compared_too() {
    let machine = behind_nginx();
    append(&machine, NGINX_SITE, "# mine\n");
    tampered(&machine, 0, NGINX_SITE, "content");
    machine.write(NGINX_SITE, machine.read(NGINX_SITE).trim_end_matches("# mine\n"));

    let main = "/usr/local/etc/nginx/nginx.conf";
    let text = machine.read(main);
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("gts-bootstrap")).collect();
    machine.write(main, &(without.join("\n") + "\n"));
    tampered(&machine, 0, main, "include");
    machine.write(main, &text);

    let key = "/usr/local/etc/gts-bootstrap/tls/social.example.org.key";
    chmod(&machine, "/usr/local/etc/gts-bootstrap/tls", 0o755);
    let (exit, told) = status(&machine);
    assert!(exit == 3 && drift(&told).len() == 1, "{told}");
    chmod(&machine, "/usr/local/etc/gts-bootstrap/tls", 0o700);
    assert!(machine.exists(key));
}

#[test]
fn a_difference_is_shown_without_passwords() {
    let secret = "hunter2-and-more";
    let machine = Machine::fresh();
    let secrets = machine.beside("answers.secrets.toml");
    fs::write(&secrets, format!("smtp-password = \"{secret}\"\n")).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    machine.install(ANSWERS).exits(0);
    assert!(machine.read(CONFIG).contains(secret));
    let edited = machine.read(CONFIG).replace(secret, "another-password").replace("port: 443", "port: 444");
    machine.write(CONFIG, &edited);
    let outcome = machine.run(&["status", "--diff", "--offline"]).exits(0);
    let outcome = outcome.says("-port: 443 +port: 444").says("-smtp-password: (hidden) +smtp-password: (hidden)");
    outcome.does_not_say(secret).does_not_say("another-password");
    let json = machine.run(&["status", "--diff", "--offline", "--json"]);
    assert!(json.stdout.contains("port: 444") && !json.stdout.contains("another-password"));
    machine.run(&["status", "--offline"]).exits(0).does_not_say("@@");
}

#[test]
fn the_service_is_spoken_of_truthfully() {
    let machine = Machine::installed(ANSWERS);
    let brief = |code: i32, line: &str| {
        let outcome = machine.run(&["status", "--brief", "--offline"]).exits(code);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (format!("{line}\n").as_str(), ""));
    };
    brief(0, "OK: social.example.org 0.19.2, direct, certificate 90 days");
    machine.edit(|model| model.gotosocial.as_mut().unwrap().killed = true);
    brief(0, "WARN: gotosocial runs without its supervisor");
    machine.edit(|model| model.gotosocial.as_mut().unwrap().killed = false);
    machine.edit(|model| {
        let program = model.gotosocial.as_mut().unwrap().program.as_mut().unwrap();
        program.ready_at = model.clock + 600;
    });
    brief(0, "WARN: gotosocial is starting");
    machine.edit(|model| {
        model.clock += 300;
        model.faults.web_status.insert("https/readyz".into(), 503);
    });
    brief(3, "FAIL: gotosocial is not ready");
    machine.edit(|model| {
        model.faults.web_status.clear();
        model.gotosocial.as_mut().unwrap().program = None;
    });
    brief(3, "FAIL: gotosocial dies and is started again");
    open(&machine).service_action("gotosocial", ServiceAction::Stop).unwrap();
    brief(3, "FAIL: gotosocial does not run");
    let outcome = machine.run(&["check", "--brief"]).exits(3);
    assert!(
        outcome.stdout.starts_with("FAIL: service: gotosocial does not run; listens 80: nothing"),
        "{}",
        outcome.stdout
    );
    assert_eq!((outcome.stdout.lines().count(), outcome.stderr.as_str()), (1, ""));
}

#[test]
fn a_front_that_is_down_and_a_stranger_on_a_port_are_told() {
    let machine = behind_nginx();
    open(&machine).service_action("nginx", ServiceAction::Stop).unwrap();
    machine.run(&["status", "--brief", "--offline"]).exits(3).says("FAIL: nginx does not run");
    machine.edit(|model| {
        let stranger = gts_bootstrap::host::Listener {
            user: "www".into(),
            uid: Some(80),
            command: "lighttpd".into(),
            pid: Some(9),
            address: None,
            ipv4: true,
            ipv6: true,
            port: 80,
            jail: None,
        };
        model.listeners.push(stranger);
    });
    let line =
        "nginx does not run; lighttpd (user www, uid 80, pid 9) listens on port 80, not nginx; end it with `kill 9`";
    machine.run(&["status", "--brief", "--offline"]).exits(3).says(line);
}

#[test]
fn certificates_that_end_are_told_in_time() {
    let machine = Machine::installed(ANSWERS);
    let brief = || machine.run(&["status", "--brief", "--offline"]);
    machine.edit(|model| model.clock += 60 * 86_400);
    brief().exits(0).says("OK: ").says("certificate 30 days");
    machine.edit(|model| model.clock += 12 * 86_400);
    brief().exits(0).says("WARN: certificate expires in 18 days");
    machine.edit(|model| model.clock += 15 * 86_400);
    brief().exits(3).says("FAIL: certificate expires in 3 days");
    machine.edit(|model| model.clock += 15 * 86_400);
    brief().exits(3).says("FAIL: certificate has expired");
    fs::remove_file(machine.path("/var/db/gotosocial/storage/certs/social.example.org")).unwrap();
    brief().exits(3).says("FAIL: there is no certificate");
    machine.write("/var/db/gotosocial/storage/certs/social.example.org", "nonsense");
    brief().exits(3).says("FAIL: certificate is not right");
}

#[test]
fn ports_that_are_open_and_a_reboot_that_is_pending_are_told() {
    let machine = Machine::installed(ANSWERS);
    let host = open(&machine);
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    let (exit, told) = status(&machine);
    assert_eq!((exit, &told["reboot_required"]), (0, &json!(true)));
    assert_eq!(told["reboot"], json!([{"name": "security.mac.portacl.suser_exempt", "now": "0", "next": "1"}]));
    machine.run(&["status", "--brief", "--offline"]).exits(0).says("WARN: a reboot is pending");
    host.set_sysctl("security.mac.portacl.suser_exempt", "1").unwrap();
    host.set_sysctl("security.mac.portacl.enabled", "0").unwrap();
    machine.run(&["status", "--brief", "--offline"]).exits(3).says("FAIL: port gates not as it should be");
}

#[test]
fn a_full_disk_and_the_newest_backup_are_told() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.free_bytes = 500 << 20);
    machine.run(&["status", "--brief", "--offline"]).exits(0).says("WARN: 500 MiB of disk free");
    machine.edit(|model| model.free_bytes = 100 << 20);
    machine.run(&["status", "--brief", "--offline"]).exits(3).says("FAIL: 100 MiB of disk free");
    machine.edit(|model| model.free_bytes = 40 << 30);
    machine.write("/var/backups/gotosocial/social.example.org-0.19.2-20251230T000000Z.tar", "old");
    machine.write("/var/backups/gotosocial/social.example.org-0.19.2-20251231T000000Z.tar", "new one");
    let newest = "last backup 24 hours ago, 7 bytes, \
                  /var/backups/gotosocial/social.example.org-0.19.2-20251231T000000Z.tar";
    machine.run(&["status", "--offline"]).exits(0).says(newest);
    fs::write(machine.path("/var/db/gotosocial/sqlite.db-wal"), vec![0; 3 << 20]).unwrap();
    machine.run(&["status", "--offline"]).says("and 3.0 MiB in its -wal");
}

#[test]
fn the_last_operation_is_told_whatever_became_of_it() {
    let machine = Machine::installed(ANSWERS);
    let last = || machine.run(&["status", "--offline"]).exits(0);
    last().says("last change install, Jan 1 2026 00:00 UTC: done");
    let receipts = "/var/db/gts-bootstrap/receipts";
    let line = |outcome: &str| {
        format!(
            "{{\"begin\":{{\"schema\":1,\"command\":\"switch-to-proxy\",\"program\":\"0.1.0\",\"time\":1767225600}}}}\n\
             {{\"undoing\":{{\"reason\":\"nginx said no\\nat length\"}}}}\n{{\"end\":{{\"outcome\":\"{outcome}\"}}}}\n"
        )
    };
    let receipt = format!("{receipts}/0002-switch-to-proxy.jsonl");
    machine.write(&receipt, &line("undone"));
    last().says("switch-to-proxy, Jan 1 2026 00:00 UTC: failed, and undone (nginx said no)").says("all is well");
    machine.write(&receipt, &line("not-undone"));
    last().says("NOT all of it undone").says("warn last operation: `switch-to-proxy` failed");
    machine.write(&receipt, &line("interrupted"));
    last().says("interrupted, and cleaned up since").says("all is well");

    let journal = "/var/db/gts-bootstrap/journal";
    machine.write(journal, line("").lines().next().unwrap());
    machine.write(journal, &format!("{}\n", machine.read(journal)));
    last()
        .says("switch-to-proxy, Jan 1 2026 00:00 UTC: interrupted; the next run cleans it up")
        .says("warn last operation");
    // Nothing was settled by the look.
    assert!(machine.exists(journal));
    machine.write("/var/db/gts-bootstrap/lock", "pid 4711: switch-to-proxy\n");
    last().says("active, or interrupted; in that case the next run cleans it up").says("all is well");
    machine.edit(|model| model.clock += 7200);
    last().says("warn last operation: `switch-to-proxy` was interrupted");
}

#[test]
fn the_newest_release_is_asked_for_where_the_installation_came_from() {
    let machine = Machine::installed(&ANSWERS.replace("0.19.2", "0.19.1"));
    machine.run(&["status"]).exits(0).says("0.19.1, newest: 0.19.2").says("note version: GoToSocial 0.19.2 is out");
    machine.run(&["status", "--offline"]).exits(0).says("GoToSocial 0.19.1 exposure");
    // One line for monitoring asks nobody.
    machine.run(&["status", "--brief"]).exits(0).does_not_say("0.19.2");
    let lock = "/usr/local/etc/gts-bootstrap/deployment.lock";
    let elsewhere = "https://127.0.0.1:1/gts/v0.19.1/";
    machine.write(lock, &machine.read(lock).replace("rehearsal:v0.19.1/", elsewhere));
    machine
        .run(&["status"])
        .exits(0)
        .says("newest: not known (the mirror https://127.0.0.1:1/gts has no list of releases)");
}

#[test]
fn others_than_root_see_what_they_may_and_are_told_so() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.euid = 1001);
    let (exit, told) = status(&machine);
    assert_eq!((exit, &told["root"]), (0, &json!(false)));
    for member in ["certificate", "database", "drift", "last"] {
        assert_eq!(told[member], json!({"unknown": "only root can tell"}), "{member}: {told}");
    }
    assert_eq!(told["service"]["supervision"]["state"], "running");
    assert_eq!(told["ports"].as_array().unwrap().len(), 2);
    assert_eq!(told["concerns"], json!([]));
    open(&machine)
        .edit(|model| {
            model.sysctls.insert("security.bsd.see_other_uids".into(), "0".into());
        })
        .unwrap();
    let (exit, told) = status(&machine);
    assert_eq!((exit, &told["ports"]), (0, &json!({"unknown": "only root can tell"})));
    assert_eq!(told["service"]["supervision"]["state"], "hidden");
    machine.run(&["status", "--brief"]).exits(0).says("; looked at without root");
}

#[test]
fn others_than_root_are_not_told_that_a_web_server_is_down_which_they_may_not_see() {
    for name in ["security.bsd.see_other_uids", "security.bsd.see_other_gids"] {
        let machine = behind_nginx();
        machine.edit(|model| {
            model.euid = 1001;
            model.sysctls.insert(name.into(), "0".into());
        });
        let (exit, told) = status(&machine);
        let unknown = json!({"unknown": "only root can tell"});
        assert_eq!((exit, &told["front"]["running"], &told["ports"]), (0, &unknown, &unknown), "{told}");
        assert_eq!(told["service"]["supervision"]["state"], "hidden");
        assert_eq!(told["concerns"], json!([]));
    }
}

#[test]
fn a_host_without_an_installation_is_no_well_installation() {
    let machine = Machine::fresh();
    machine.run(&["status"]).exits(3).says("nothing here is installed by gts-bootstrap");
    for command in ["status", "check"] {
        let outcome = machine.run(&[command, "--brief"]).exits(3);
        assert_eq!((outcome.stdout.lines().count(), outcome.stderr.as_str()), (1, ""), "{}", outcome.stdout);
        assert!(outcome.stdout.starts_with("FAIL: "), "{}", outcome.stdout);
    }
    let json = machine.run(&["status", "--json"]).json();
    assert_eq!(json["installed"], json!(false));
}

#[test]
fn the_daily_script_is_there_in_every_mode_and_follows_no_switch() {
    let machine = Machine::installed(ANSWERS);
    let script = "/usr/local/etc/periodic/daily/495.status-gotosocial";
    let before = machine.read(script);
    assert_eq!(before, include_str!("../../templates/periodic/status"));
    machine.run(&["switch-to-proxy", "nginx", "--yes", "-q"]).exits(0);
    machine.run(&["switch-to-direct", "--yes", "-q"]).exits(0);
    assert_eq!(machine.read(script), before);
    assert!(matches!(
        open(&machine).entry(Path::new(script)).unwrap(),
        Some(gts_bootstrap::host::Entry::File { mode: 0o555, .. })
    ));
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}
