//! A web server in front that serves other sites too, or that somebody else looks after: what is not ours stays, whatever
//! happens.

use gts_bootstrap::host::Observe;
use gts_bootstrap::host::rehearsal::{ChangeFault, Faults, Rehearsal};

use super::switch::{at_each_change, changed, kernel};
use crate::machine::{ANSWERS, Machine};

const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const HTTPD_CONF: &str = "/usr/local/etc/apache24/httpd.conf";
const NOTHING: Vec<std::path::PathBuf> = Vec::new();

/// GoToSocial in direct mode, and the administrator's own web server beside it, on another port.
pub fn beside(program: &str) -> Machine {
    Machine::prepared(&format!("beside {program}"), || beside_for_the_first_time(program))
}

fn beside_for_the_first_time(program: &str) -> Machine {
    let machine = Machine::installed(ANSWERS);
    let (package, main, from, to) = match program {
        "nginx" => ("nginx", NGINX_CONF, "listen       80;", "listen 8081;"),
        _ => ("apache24", HTTPD_CONF, "Listen 80\n", "Listen 8081\n"),
    };
    machine.install_package(package);
    let text = machine.read(main);
    assert!(text.contains(from));
    machine.write(main, &text.replace(from, to));
    machine.write("/etc/rc.conf", &format!("{}{package}_enable=\"YES\"\n", machine.read("/etc/rc.conf")));
    machine.start_service(package);
    machine
}

pub fn there(program: &str) -> Vec<&str> {
    vec!["switch-to-proxy", program, "--yes"]
}

pub const BACK: &[&str] = &["switch-to-direct", "--yes"];

#[test]
fn a_web_server_that_was_enabled_after_the_way_back_is_not_ours() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&there("nginx")).exits(0);
    machine.run(BACK).exits(0);
    machine.install_package("nginx");
    machine.write(NGINX_CONF, &machine.read(NGINX_CONF).replace("listen       80;", "listen 8081;"));
    machine.write("/etc/rc.conf", &(machine.read("/etc/rc.conf") + "nginx_enable=\"YES\"\n"));
    machine.start_service("nginx");
    let before = machine.copy();
    machine.run(&there("nginx")).exits(0);
    machine.run(BACK).exits(0);
    assert_eq!(changed(&before, &machine), NOTHING);
    assert!(machine.model().services.contains_key("nginx"), "it goes on");
}

/// rc.subr(8) takes four words for a yes, in any case.
#[test]
fn a_web_server_that_is_enabled_in_another_word_goes_on() {
    for (program, variable, words) in
        [("nginx", "nginx_enable", ["on", "True", "1"]), ("httpd", "apache24_enable", ["ON", "true", "yEs"])]
    {
        for word in words {
            let machine = beside(program);
            let enabled = |word: &str| format!("{variable}=\"{word}\"");
            machine.write("/etc/rc.conf", &machine.read("/etc/rc.conf").replace(&enabled("YES"), &enabled(word)));
            let before = machine.copy();
            machine.run(&there(program)).exits(0).does_not_say(variable);
            machine.run(BACK).exits(0).does_not_say("enabled by gts-bootstrap").does_not_say(variable);
            assert_eq!(changed(&before, &machine), NOTHING, "{word}");
            assert_eq!(kernel(&machine), kernel(&before), "{word}: it goes on with its own site");
        }
    }
}

#[test]
fn a_crash_beside_other_sites_is_finished_by_the_next_run() {
    for program in ["nginx", "httpd"] {
        let direct = beside(program);
        let behind = direct.copy();
        behind.run(&there(program)).exits(0);
        for (start, command) in [(&direct, there(program)), (&behind, BACK.to_vec())] {
            let wanted = start.copy();
            wanted.run(&command).exits(0);
            // A switch proves itself: what the web server has not read fails its trial.
            let stops = at_each_change(start, &command, (true, true), |machine, after, _| {
                machine.run(&command).exits(0);
                assert_eq!(changed(&wanted, machine), NOTHING, "{command:?} after {after}");
                assert_eq!(kernel(machine), kernel(&wanted), "{command:?} after {after}");
            });
            assert!(stops > 30, "{command:?}: only {stops} places to stop at");
        }
    }
}

#[test]
fn a_crash_is_also_left_by_the_other_way() {
    let direct = beside("httpd");
    let stops = at_each_change(&direct, &there("httpd"), (true, true), |machine, after, _| {
        let back = machine.run(BACK);
        if back.code != 0 {
            // Cut off between config.yaml and the copy of what was written: the way back takes its lines for an edit of the
            // administrator's, sees in the trial that it does not come to direct mode, and says what to run. That ends it.
            back.exits(1).says("run `gts-bootstrap switch-to-proxy` again").says("All changes were undone");
            machine.run(&there("httpd")).exits(0);
            machine.run(BACK).exits(0);
        }
        assert_eq!(changed(&direct, machine), NOTHING, "after {after}");
        assert_eq!(kernel(machine), kernel(&direct), "after {after}");
    });
    assert!(stops > 30, "only {stops} places to stop at");
}

#[test]
fn sites_that_came_after_the_switch_are_told_and_keep_their_web_server() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&there("nginx")).exits(0);
    let site = "    server {\n        listen 80;\n        server_name other.example.org;\n    }\n    include gts";
    machine.write(NGINX_CONF, &machine.read(NGINX_CONF).replace("    include gts", site));
    machine.run(BACK).exits(0).says("other sites than GoToSocial's by now").does_not_say("remove package");
    assert!(machine.model().packages.contains_key("nginx"));
    assert!(machine.read(NGINX_CONF).contains("other.example.org"));

    let machine = Machine::installed(ANSWERS);
    machine.run(&there("httpd")).exits(0);
    machine
        .write("/usr/local/etc/apache24/Includes/mine.conf", "<VirtualHost *:80>\nServerName x.org\n</VirtualHost>\n");
    machine.run(BACK).exits(0).says("other sites than GoToSocial's by now").does_not_say("remove package");
}

#[test]
fn a_web_server_that_goes_on_and_keeps_a_port_is_refused_beforehand() {
    for (program, main, from, to) in [
        ("nginx", NGINX_CONF, "listen 8081;", "listen 80;"),
        ("httpd", HTTPD_CONF, "Listen 8081\n", "Listen 8081\nListen 80\n"),
    ] {
        let machine = beside(program);
        machine.run(&there(program)).exits(0);
        machine.write(main, &machine.read(main).replace(from, to));
        let before = machine.copy();
        machine.run(BACK).exits(1).says("one of which listens on port 80").does_not_say("Connections to");
        assert_eq!(changed(&before, &machine), NOTHING);
    }
}

#[test]
fn a_trial_that_fails_gives_a_front_back_as_it_was() {
    for program in ["nginx", "httpd"] {
        let enabled = beside(program);
        let by_hand = enabled.copy();
        let lines = enabled.read("/etc/rc.conf");
        let others = lines.lines().filter(|line| !line.starts_with("nginx_") && !line.starts_with("apache24_"));
        by_hand.write("/etc/rc.conf", &(others.collect::<Vec<_>>().join("\n") + "\n"));
        for machine in [enabled, by_hand] {
            let before = machine.copy();
            machine.edit(|model| model.faults.bind_probes = Some(true));
            machine.run(&[&there(program)[..], &["--trial", "0"]].concat()).exits(1).says("the host is as it was");
            machine.edit(|model| model.faults = Faults::default());
            assert_eq!(changed(&before, &machine), NOTHING);
            assert_eq!(kernel(&machine), kernel(&before));
            let listeners = Rehearsal::open(machine.root()).unwrap().listeners().unwrap();
            let elsewhere = |there: &gts_bootstrap::host::Listener| there.command != program || there.port == 8081;
            assert!(listeners.iter().all(elsewhere), "it serves what it served");
            machine.run(&["check"]).exits(0);
        }
    }
}

#[test]
fn no_key_stays_in_the_store() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["check"]).exits(0);
    machine.run(&there("nginx")).exits(0);
    machine.run(BACK).exits(0);
    let kept = machine.path("/var/db/gts-bootstrap");
    for (path, (_, _, bytes)) in machine.snapshot() {
        if machine.root().join(&path).starts_with(&kept) {
            assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "{}", path.display());
        }
    }
}

#[test]
fn without_ipv6_nothing_listens_for_it() {
    for program in ["nginx", "httpd"] {
        let machine = Machine::installed(ANSWERS);
        machine.edit(|model| model.ipv6 = false);
        machine.run(&there(program)).exits(0);
    }
}

#[test]
fn at_a_securelevel_a_switch_is_refused_before_anything_stops() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.securelevel = 1);
    let before = machine.copy();
    machine.run(&there("nginx")).exits(1).says("kern_securelevel_enable").does_not_say("undo");
    assert_eq!(changed(&before, &machine), NOTHING);
}

#[test]
fn a_main_file_that_is_gone_does_not_bar_the_way_back() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&there("nginx")).exits(0);
    std::fs::remove_file(machine.path(NGINX_CONF)).unwrap();
    machine.run(BACK).exits(0);
}

/// Puts something into the main file that only the web server's own test refuses: a certificate that is not there.
pub fn unusable(machine: &Machine, program: &str) {
    if program == "nginx" {
        let pair = "http {\n    ssl_certificate /nowhere.pem;\n    ssl_certificate_key /nowhere.key;";
        machine.write(NGINX_CONF, &machine.read(NGINX_CONF).replacen("http {", pair, 1));
    } else {
        machine.write(HTTPD_CONF, &format!("SSLCertificateFile /nowhere.pem\n{}", machine.read(HTTPD_CONF)));
    }
}

/// What the web server reads of ours, and whether its own test would pass.
fn live(machine: &Machine, program: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let folder = if program == "nginx" { "usr/local/etc/nginx" } else { "usr/local/etc/apache24" };
    let candidate = |path: &std::path::Path| path.to_string_lossy().contains("gts-bootstrap-candidate");
    machine
        .system_files()
        .into_iter()
        .filter(|(path, (mode, _))| path.starts_with(folder) && !candidate(path) && mode & 0o040_000 == 0)
        .filter(|(path, _)| program != "nginx" || !path.starts_with("usr/local/etc/nginx/gts-bootstrap"))
        .map(|(path, (_, bytes))| (path, bytes))
        .collect()
}

/// Stops `command`, which the web server's test refuses, dead after each change.
fn never_live(start: &Machine, command: &[&str], look: impl Fn(&Machine) -> Vec<(std::path::PathBuf, Vec<u8>)>) {
    let before = look(start);
    for after in 0..200 {
        let machine = start.copy();
        let fault = ChangeFault { after, takes_effect: true, lasting: true, errno: 5 };
        machine.edit(|model| model.faults.change = Some(fault));
        let outcome = machine.run(command).exits(1);
        assert!(look(&machine) == before, "{command:?} after {after}: {}", outcome.said());
        if machine.model().faults.change.is_some_and(|fault| fault.after > 0) {
            assert!(after > 10, "{command:?}: only {after} places to stop at");
            outcome.says("What runs now has not been touched");
            return;
        }
    }
    panic!("{command:?} never comes to its end");
}

#[test]
fn what_the_test_refuses_was_never_where_a_reload_would_read_it() {
    // Apache lacks a module that our site needs; nginx reads what it cannot.
    let httpd = beside("httpd");
    std::fs::remove_file(httpd.path("/usr/local/libexec/apache24/mod_proxy_http.so")).unwrap();
    never_live(&httpd, &there("httpd"), |machine| live(machine, "httpd"));
    let nginx = beside("nginx");
    unusable(&nginx, "nginx");
    never_live(&nginx, &there("nginx"), |machine| live(machine, "nginx"));
}

#[test]
fn filters_are_tested_before_they_are_where_a_reload_would_read_them() {
    for program in ["nginx", "httpd"] {
        let machine = Machine::installed(ANSWERS);
        machine.run(&there(program)).exits(0);
        machine.run(&["filter", "deny", "192.0.2.0/24", "--yes"]).exits(0);
        let folder = if program == "nginx" {
            "usr/local/etc/nginx/gts-bootstrap/"
        } else {
            "usr/local/etc/apache24/gts-bootstrap/"
        };
        unusable(&machine, program);
        never_live(&machine, &["filter", "deny", "198.51.100.0/24", "--yes"], |machine| {
            let all = machine.system_files().into_iter();
            all.filter(|(path, _)| path.starts_with(folder)).map(|(path, (_, bytes))| (path, bytes)).collect()
        });
    }
}

#[test]
fn the_way_back_is_tested_before_gotosocial_stops() {
    for (program, to) in [("nginx", BACK.to_vec()), ("httpd", BACK.to_vec()), ("nginx", there("httpd"))] {
        let machine = beside(program);
        machine.run(&there(program)).exits(0);
        unusable(&machine, program);
        let before = machine.copy();
        machine.run(&to).exits(1).says("nowhere.pem").does_not_say("] stop service");
        assert_eq!(changed(&before, &machine), NOTHING);
        assert_eq!(machine.model().gotosocial, before.model().gotosocial, "GoToSocial was not stopped");
    }
}
