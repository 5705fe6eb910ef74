//! An uninstallation: byte for byte what was before, on fresh and on lived-in machines, at a failure or a crash of any change,
//! and with the edits of others kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::switch::at_each_change;
use crate::machine::{ANSWERS, Machine, differences};

pub const UNINSTALL: &[&str] = &["uninstall", "--yes"];
pub const PURGE: &[&str] = &["uninstall", "--purge", "--yes", "--host-name", "social.example.org"];
const TO_NGINX: &[&str] = &["switch-to-proxy", "--yes"];
const TO_HTTPD: &[&str] = &["switch-to-proxy", "httpd", "--yes"];
const TO_DIRECT: &[&str] = &["switch-to-direct", "--yes"];
const SYSCTL_CONF: &str = "/etc/sysctl.conf";
const LOADER_CONF: &str = "/boot/loader.conf";
const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";

/// Every path with mode and content, and the whole state of the model; clock, pids and what happened in the outside world aside.
fn everything(machine: &Machine) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found: BTreeMap<PathBuf, (u32, Vec<u8>)> =
        machine.snapshot().into_iter().map(|(path, (mode, _, content))| (path, (mode, content))).collect();
    let mut model = machine.model();
    (model.clock, model.millis) = (0, 0);
    model.next_pid = 0;
    model.issued = 0;
    model.failed_validations.clear();
    model.services.values_mut().for_each(|pid| *pid = 0);
    for listener in &mut model.listeners {
        listener.pid = None;
    }
    // What a web server that does not run would serve.
    // That a variable has been set to what it was is not to be seen.
    model.sysctls.retain(|name, value| !(name.ends_with("reservedhigh") && value == "1023"));
    // The model's lock is beside its state; on a host it is in the record, and goes with that.
    found.retain(|path, _| ![".rehearsal/state.json", ".rehearsal/lock"].iter().any(|own| path.starts_with(own)));
    found.insert(".rehearsal/state.json".into(), (0, serde_json::to_vec_pretty(&model).unwrap()));
    found
}

#[track_caller]
pub fn same(before: &Machine, after: &Machine, aside: &[&str], what: &str) {
    let left: Vec<PathBuf> = differences(&everything(before), &everything(after))
        .into_iter()
        .filter(|path| !aside.iter().any(|aside| path.starts_with(aside)))
        .collect();
    let text = |machine: &Machine, path: &PathBuf| {
        let all = everything(machine);
        all.get(path)
            .map(|(mode, text)| format!("mode {mode:o}\n{}", String::from_utf8_lossy(text)))
            .unwrap_or_default()
    };
    for path in &left {
        println!("{}:\n{}", path.display(), diffy::create_patch(&text(before, path), &text(after, path)));
    }
    assert!(left.is_empty(), "{what}: {left:?}");
}

/// A machine on which somebody has lived: rules of others, settings, files that do not end in a newline.
pub fn lived_in() -> Machine {
    let machine = Machine::with(|model| {
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert("security.mac.portacl.rules".into(), "uid:53:udp:53,uid:53:tcp:53".into());
        model.sysctls.insert("net.inet.ip.portrange.reservedhigh".into(), "52".into());
    });
    machine.write(
        SYSCTL_CONF,
        "# mine\nsecurity.mac.portacl.rules=uid:53:udp:53,uid:53:tcp:53\nnet.inet.ip.portrange.reservedhigh=52 # dns\nkern.x=1",
    );
    machine.write(LOADER_CONF, "zfs_load=\"YES\"\nmac_portacl_load=\"YES\"");
    machine.write("/etc/rc.conf", "hostname=\"lived-in\"\nsshd_enable=YES # mine\n");
    machine.write("/usr/local/etc/rc.d/mine", "#!/bin/sh\n");
    machine
}

/// One with nginx that serves another site.
pub fn with_nginx() -> Machine {
    let machine = lived_in();
    machine.install_package("nginx");
    let conf = machine.read(NGINX_CONF);
    let end = conf.trim_end().strip_suffix('}').unwrap();
    let text =
        format!("{end}    server {{ listen 8081; server_name other.example.org; root /usr/local/www/other; }}\n}}\n");
    machine.write(NGINX_CONF, &text.replace("listen       80;", "listen       8082;"));
    machine.write("/etc/rc.conf", "hostname=\"lived-in\"\nnginx_enable=\"YES\"\n");
    machine.start_service("nginx");
    machine
}

pub fn answers(mode: &str) -> String {
    format!("{ANSWERS}\n[exposure]\nmode = \"{mode}\"\n")
}

/// The logs of a web server belong to its package.
pub const LOGS: &[&str] = &["var/log/nginx", "var/log/httpd", "var/log/httpd-access.log", "var/log/httpd-error.log"];

#[test]
fn installed_and_purged_is_as_before() {
    for name in ["fresh", "lived-in", "with nginx"] {
        for mode in ["direct", "nginx", "httpd"] {
            if (name, mode) == ("with nginx", "httpd") {
                continue;
            }
            let machine = match name {
                "fresh" => Machine::fresh(),
                "lived-in" => lived_in(),
                _ => with_nginx(),
            };
            let before = machine.copy();
            machine.install(&answers(mode)).exits(0);
            machine.run(PURGE).exits(0);
            same(&before, &machine, LOGS, &format!("{mode} on {name}"));
            machine.run(PURGE).exits(0).says("Nothing to undo");
        }
    }
}

#[test]
fn there_and_back_and_purged_is_as_before() {
    for path in
        [&[TO_NGINX, TO_DIRECT][..], &[TO_HTTPD, TO_DIRECT], &[TO_NGINX, TO_HTTPD], &[TO_NGINX, TO_DIRECT, TO_NGINX]]
    {
        for make in [Machine::fresh, lived_in] {
            let machine = make();
            let before = machine.copy();
            machine.install(ANSWERS).exits(0);
            for command in path {
                machine.run(command).exits(0);
            }
            machine.run(PURGE).exits(0);
            same(&before, &machine, LOGS, &format!("{path:?}"));
        }
    }
}

/// A failure at each change in turn: everything else is done all the same, what is left is named, and the next run does the
/// rest.
fn failures(start: &Machine, command: &[&str], end: &Machine) -> u32 {
    at_each_change(start, command, (false, false), |machine, after, outcome| {
        // Nothing was begun if not even the journal could be; and the last fault is met by nobody.
        let told =
            ["what is left:", "the host is as it was", "cannot"].iter().any(|words| outcome.said().contains(words));
        assert!(outcome.code == 0 || (outcome.code == 1 && told), "after {after}: {}", outcome.stderr);
        machine.run(command).exits(0);
        same(end, machine, IN_THE_RECORD, &format!("failed after {after}"));
    })
}

/// A dead stop at each change in turn: the next run ends where one without a stop would have.
fn crashes(start: &Machine, command: &[&str], takes_effect: bool, end: &Machine) -> u32 {
    at_each_change(start, command, (takes_effect, true), |machine, after, _| {
        machine.run(command).exits(0);
        same(end, machine, IN_THE_RECORD, &format!("stopped after {after}"));
    })
}

/// Receipts of the runs themselves, and what the log tells of stops.
const IN_THE_RECORD: &[&str] =
    &["var/db/gts-bootstrap/receipts", "var/db/gts-bootstrap/replaced", "var/log", "var/db/gts-bootstrap/lock"];

fn after(start: &Machine, command: &[&str]) -> Machine {
    let end = start.copy();
    end.run(command).exits(0);
    end
}

fn installed(mode: &str) -> Machine {
    Machine::prepared(&format!("lived in, then installed {mode}"), || {
        let machine = lived_in();
        machine.install(&answers(mode)).exits(0);
        machine
    })
}

#[test]
fn a_failure_at_any_change_is_gone_past() {
    let mut stops = 0;
    for (mode, command) in [("direct", UNINSTALL), ("nginx", PURGE)] {
        let start = installed(mode);
        stops += failures(&start, command, &after(&start, command));
    }
    println!("uninstall: {stops} failures, {stops} finished by the next run");
    assert!(stops > 150, "only {stops} places to fail at");
}

#[test]
fn a_crash_before_any_change_is_finished_by_the_next_run() {
    let start = installed("httpd");
    let stops = crashes(&start, PURGE, false, &after(&start, PURGE));
    println!("uninstall: {stops} stops before a change, {stops} recovered");
    assert!(stops > 75, "only {stops} places to stop at");
}

#[test]
fn a_crash_after_any_change_is_finished_by_the_next_run() {
    let start = installed("nginx");
    let stops = crashes(&start, PURGE, true, &after(&start, PURGE));
    println!("uninstall: {stops} stops after a change, {stops} recovered");
    assert!(stops > 75, "only {stops} places to stop at");
}

#[test]
fn an_instance_of_which_only_data_are_kept_is_told_as_that_and_comes_back_by_install_alone() {
    let machine = Machine::installed(ANSWERS);
    machine.run(UNINSTALL).exits(0);
    let told = "GoToSocial was uninstalled here; the data of social.example.org are kept";
    for command in [&["status"][..], &["status", "--brief"], &["check"]] {
        machine.run(command).exits(3).says(told).does_not_say("port access");
    }
    assert_eq!(machine.run(&["status", "--json"]).exits(3).json()["installed"], false);
    let before = machine.system_files();
    machine.run(TO_NGINX).exits(1).says(told);
    assert!(differences(&before, &machine.system_files()).is_empty());
    machine.run(&["install", "--yes"]).exits(0);
    machine.run(&["check"]).exits(0);
}

#[test]
fn no_folder_that_holds_what_is_kept_is_among_what_goes() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["backup", "--yes", "--to", "/backup"]).exits(0);
    machine.run(&["backup", "--yes"]).exits(0);
    machine.run(TO_NGINX).exits(0);
    let shown = machine.run(&["uninstall", "--purge", "--host-name", "social.example.org", "--plan"]).exits(0);
    let going: Vec<&str> =
        shown.stdout.lines().filter(|line| line.contains("remove") && line.contains("/backup")).collect();
    assert!(going.is_empty(), "{going:?}");
    machine.run(PURGE).exits(0).says("The data of social.example.org are gone. Kept: /var/backups/gotosocial");
    assert!(machine.exists("/backup") && machine.exists("/var/backups/gotosocial"));
}
