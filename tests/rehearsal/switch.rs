//! A web server put in front and taken away again: byte for byte, at a failure or a crash of any change, on trial.

use std::time::Duration;

use gts_bootstrap::host::rehearsal::{Authority, ChangeFault, Faults, Model, Rehearsal};
use gts_bootstrap::host::{Host, Observe, WatchedPort, WebRequest};

use super::backup::made;
use super::switch_others::{beside, there, unusable};
use crate::machine::{ANSWERS, Machine, Outcome, differences};

pub const TO_NGINX: &[&str] = &["switch-to-proxy", "--yes"];
const TO_HTTPD: &[&str] = &["switch-to-proxy", "httpd", "--yes"];
pub const TO_DIRECT: &[&str] = &["switch-to-direct", "--yes"];
const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";

fn direct() -> Machine {
    Machine::installed(ANSWERS)
}

fn behind(command: &[&str]) -> Machine {
    Machine::after(ANSWERS, &[command])
}

fn behind_beside(front: &str) -> Machine {
    let machine = beside(front);
    machine.run(&there(front)).exits(0);
    machine
}

fn behind_nginx() -> Machine {
    behind(TO_NGINX)
}

/// What differs, logs and pid folders aside.
pub fn changed(before: &Machine, after: &Machine) -> Vec<std::path::PathBuf> {
    differences(&before.system_files(), &after.system_files())
        .into_iter()
        .filter(|path| !["var/log", "var/run"].iter().any(|aside| path.starts_with(aside)))
        .collect()
}

/// What is in force in the kernel and who runs, as far as a switch goes.
pub fn kernel(machine: &Machine) -> (Option<String>, Option<String>, Vec<String>) {
    let model = machine.model();
    let value = |name: &str| model.sysctls.get(name).cloned().filter(|value| !value.is_empty() && value != "1023");
    let services = model.services.keys().cloned().collect();
    (value("security.mac.portacl.rules"), value("net.inet.ip.portrange.reservedhigh"), services)
}

fn fault(machine: &Machine, after: u32, takes_effect: bool, lasting: bool) {
    machine.edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }));
}

/// Runs `command` with a fault at each change in turn, until it meets none; `then` looks at what is left.
pub fn at_each_change(
    start: &Machine,
    command: &[&str],
    (takes_effect, lasting): (bool, bool),
    mut then: impl FnMut(&Machine, u32, Outcome),
) -> u32 {
    for after in 0.. {
        let machine = start.copy();
        fault(&machine, after, takes_effect, lasting);
        let outcome = machine.run(command);
        if machine.model().faults.change.is_some_and(|fault| fault.after > 0) {
            outcome.exits(0);
            return after;
        }
        machine.edit(|model| model.faults.change = None);
        then(&machine, after, outcome);
    }
    unreachable!("the range has no end")
}

#[test]
fn there_and_back_leaves_nothing() {
    for path in [&[TO_NGINX, TO_DIRECT][..], &[TO_HTTPD, TO_DIRECT], &[TO_NGINX, TO_HTTPD, TO_NGINX, TO_DIRECT]] {
        let machine = direct();
        let (before, kernel_before) = (machine.copy(), kernel(&machine));
        for command in path {
            machine.run(command).exits(0).says("were refused for");
            machine.run(&["check"]).exits(0);
            machine.run(command).exits(0).says("Nothing to change");
        }
        assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new(), "{path:?}");
        assert_eq!(kernel(&machine), kernel_before);
    }
}

/// By the model's clock, in which GoToSocial closes port 80 a little after 443, and takes two seconds to end.
#[test]
fn the_ports_are_refused_for_a_moment_only_whoever_hands_them_to_whom() {
    for front in ["nginx", "httpd"] {
        for (start, command) in [
            (direct(), vec!["switch-to-proxy", front, "--yes", "--json"]),
            (beside(front), vec!["switch-to-proxy", front, "--yes", "--json"]),
            (behind(TO_NGINX), vec!["switch-to-proxy", "httpd", "--yes", "--json"]),
            (behind(TO_HTTPD), vec!["switch-to-proxy", "nginx", "--yes", "--json"]),
            (behind(&there(front)), vec!["switch-to-direct", "--yes", "--json"]),
            (behind_beside(front), vec!["switch-to-direct", "--yes", "--json"]),
        ] {
            let json = start.run(&command).exits(0).json();
            let refused = json["refused_ms"].as_u64().unwrap();
            assert!((1..=250).contains(&refused), "{command:?}: {refused} ms");
            let [free, bound, served] =
                ["free", "bound", "served"].map(|when| json["handover_ms"][when].as_u64().unwrap());
            assert!(free < bound && bound <= served && bound - free <= refused, "{command:?}: {json}");
            println!("{command:?}: {refused} ms; {free}, {bound}, {served}");
        }
    }
}

/// Go writes a line of each handshake that is not finished. What `service gotosocial health` leaves is seen in the tests of the
/// stand-in.
#[test]
fn no_command_leaves_a_failed_handshake_in_the_servers_log() {
    const FAILED: &str = "TLS handshake error";
    let log = |machine: &Machine| machine.read("/var/log/gotosocial/gotosocial.log");
    // Whether or not this host trusts the certificate.
    for authority in [Authority::Issues, Authority::Private] {
        let machine = Machine::with(|model| model.authority = authority);
        machine.install(ANSWERS).exits(0);
        let made = made(&machine);
        let file = machine.beside(made.file_name().unwrap().to_str().unwrap());
        std::fs::copy(&made, &file).unwrap();
        for command in [
            &["check"][..],
            &["status"],
            &["status", "--offline"],
            &["certificate", "status"],
            &["backup", "--yes"],
            &["restore", "--yes", file.to_str().unwrap()],
            &["upgrade", "--release", "0.20.0-rc1", "--yes"],
            &["check"],
            &["rollback", "--yes"],
            TO_NGINX,
            &["check"],
            &["certificate", "status"],
            TO_HTTPD,
            TO_DIRECT,
            &["check"],
            &["install", "--yes"],
        ] {
            machine.run(command).exits(0);
            assert!(!log(&machine).contains(FAILED), "{authority:?}, {command:?}: {}", log(&machine));
        }
        // As it is if somebody does, and if the ports were watched without finishing the handshakes.
        let host = Rehearsal::open(machine.root()).unwrap();
        let address = "127.0.0.1:443".parse().unwrap();
        let request = WebRequest::to(address, false, "social.example.org", "/", Duration::MAX);
        assert_eq!(host.web(&request).unwrap().status, 400);
        assert!(log(&machine).contains("client sent an HTTP request to an HTTPS server"));
        drop(host.watch_ports(&[WatchedPort { port: 443, tls: None }]).unwrap());
        assert!(log(&machine).contains(": EOF"), "{}", log(&machine));
    }
}

#[test]
fn behind_a_front_gotosocial_has_neither_port() {
    for (command, front) in [(TO_NGINX, "nginx"), (TO_HTTPD, "Apache httpd")] {
        let machine = direct();
        machine.run(command).exits(0);
        let checked = machine.run(&["check"]).exits(0);
        checked
            .says("gotosocial (209) 80 tcp4 ok may not")
            .says("gotosocial (209) 443 tcp6 ok may not")
            .says(&format!("listens 443: {front}"))
            .says("GoToSocial listens on loopback alone, port 8080")
            .says("leads to https://social.example.org/")
            .says("/livez and /readyz are hidden from outside");
        assert!(!machine.read("/etc/sysctl.conf").contains("portacl"), "the rules have gone");
        let config = machine.read("/usr/local/etc/gotosocial/config.yaml");
        for line in ["letsencrypt-enabled: false", "bind-address: \"127.0.0.1\"", "port: 8080", "trusted-proxies:"] {
            assert!(config.contains(line), "{line} is not in {config}");
        }
        // It comes back so after a reboot.
        machine.run(&["rehearsal", "reboot"]).exits(0);
        machine.run(&["check"]).exits(0);
    }
}

#[test]
fn rules_of_others_stay_and_so_does_what_they_need() {
    let machine = direct();
    machine.run(&["portacl", "grant", "bind", "53,53/udp", "--yes"]).exits(0);
    machine.run(TO_NGINX).exits(0);
    machine
        .run(&["portacl", "show"])
        .exits(0)
        .says("pass proto tcp port 53 (domain) user bind (53)")
        .says("block proto any port 1-52 all # reservedhigh 52")
        .does_not_say("gotosocial");
    machine.run(TO_DIRECT).exits(0);
    machine.run(&["portacl", "explain", "bind", "53", "--prove"]).exits(0).says("now yes");
}

#[test]
fn an_edited_nginx_conf_is_edited_and_never_replaced() {
    let machine = behind_nginx();
    machine.run(TO_DIRECT).exits(0);
    // The administrator's own nginx, on another port, enabled and running.
    let machine = direct();
    machine.install_package("nginx");
    let mine =
        machine.read(NGINX_CONF).replace("listen       80;", "listen 8081; # mine").replace("#user", "# my user");
    machine.write(NGINX_CONF, &mine);
    machine.write("/etc/rc.conf", &(machine.read("/etc/rc.conf") + "nginx_enable=\"YES\"\n"));
    machine.start_service("nginx");
    let before = machine.copy();
    machine.run(TO_NGINX).exits(0);
    let now = machine.read(NGINX_CONF);
    assert!(
        now.contains("listen 8081; # mine") && now.contains("include gts-bootstrap/*.conf; # gts-bootstrap"),
        "{now}"
    );
    machine.run(TO_DIRECT).exits(0).does_not_say("remove package");
    assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
    assert!(machine.model().services.contains_key("nginx"), "it goes on with its own site");
}

#[test]
fn a_site_with_our_name_is_refused_with_file_and_line() {
    let machine = direct();
    machine.install_package("nginx");
    let site = "server {\n    listen 80;\n    server_name www.example.org social.example.org;\n}\n";
    machine.write("/usr/local/etc/nginx/sites/mine.conf", site);
    machine.write(
        NGINX_CONF,
        &machine.read(NGINX_CONF).replace("    server {", "    include sites/*.conf;\n    server {"),
    );
    let before = machine.system_files();
    machine.run(TO_NGINX).exits(1).says("/usr/local/etc/nginx/sites/mine.conf:3").says("social.example.org");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_configuration_that_nginx_refuses_touches_nothing_live() {
    let machine = direct();
    machine.install_package("nginx");
    unusable(&machine, "nginx");
    let before = machine.copy();
    machine.run(TO_NGINX).exits(1).says("nowhere.pem").says("What runs now has not been touched");
    assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
    machine.run(&["check"]).exits(0);
}

#[test]
fn a_trial_that_fails_takes_everything_back() {
    type Breaks = fn(&mut Model);
    // The checks one by one, with the words in which each tells it.
    let faults: [(&str, Breaks); 12] = [
        ("bind gotosocial 443/tcp6", |model| model.faults.bind_probes = Some(true)),
        ("port gates: ANY user", |model| {
            model.sysctls.insert("net.inet.ip.portrange.reservedhigh".into(), "20".into());
            model.sysctls.insert("security.mac.portacl.port_high".into(), "500".into());
        }),
        ("port access at boot: ANY user", |_| {}),
        ("certificate: ", |model| model.faults.shows_expired = true),
        ("livez: /livez answers 500", |model| answers(model, "http/livez", 500)),
        ("readyz: /readyz answers 503", |model| answers(model, "http/readyz", 503)),
        ("nodeinfo: ", |model| answers(model, "http/nodeinfo/2.0", 500)),
        ("host-meta: ", |model| answers(model, "http/.well-known/host-meta", 404)),
        ("https: /nodeinfo/2.0 answers 502", |model| answers(model, "https/nodeinfo/2.0", 502)),
        ("hidden: /livez answers 200", |model| answers(model, "https/livez", 200)),
        ("http: answers 200", |model| answers(model, "http/", 200)),
        ("backend: ", |_| {}),
    ];
    for (told, break_it) in faults {
        let machine = direct();
        match told {
            "port access at boot: ANY user" => {
                let lines = "net.inet.ip.portrange.reservedhigh=20\nsecurity.mac.portacl.enabled=0\n";
                machine.write("/etc/sysctl.conf.local", lines);
                // The guard would close them again.
                let rc = machine.read("/etc/rc.conf");
                machine.write("/etc/rc.conf", &rc.replace("guard_enable=\"YES\"", "guard_enable=\"NO\""));
            }
            "backend: " => {
                machine.run(&["install", "--set", "config.bind-address=\"0.0.0.0\"", "--yes"]).exits(0);
            }
            _ => {}
        }
        machine.edit(break_it);
        let (before, kernel_before) = (machine.copy(), kernel(&machine));
        let outcome = machine.run(&["switch-to-proxy", "--yes", "--trial", "10"]).exits(1);
        outcome.says("the checks did not pass within 10 s").says(told).says("All changes were undone");
        assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new(), "{told}");
        assert_eq!(kernel(&machine), kernel_before, "{told}");
    }
    // And the other ways.
    for (command, start) in [(TO_HTTPD, direct as fn() -> Machine), (TO_DIRECT, behind_nginx)] {
        let machine = start();
        let (before, kernel_before) = (machine.copy(), kernel(&machine));
        machine.edit(|model| model.faults.bind_probes = Some(true));
        machine.run(&[command, &["--trial", "10"]].concat()).exits(1).says("the checks did not pass within 10 s");
        machine.edit(|model| model.faults = Faults::default());
        assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new(), "{command:?}");
        assert_eq!(kernel(&machine), kernel_before, "{command:?}");
        machine.run(&["check"]).exits(0);
    }
}

fn answers(model: &mut Model, what: &str, status: u16) {
    model.faults.web_status.insert(what.to_owned(), status);
}

#[test]
fn a_gotosocial_that_can_be_reached_past_the_front_fails_the_trial() {
    let machine = direct();
    machine.run(&["install", "--set", "config.bind-address=\"0.0.0.0\"", "--yes"]).exits(0);
    let before = machine.copy();
    machine
        .run(&["switch-to-proxy", "--yes", "--trial", "0"])
        .exits(1)
        .says("it can be reached past the web server and its filters");
    assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_failure_at_any_change_of_a_switch_is_taken_back() {
    for (start, command, least) in [(direct(), TO_NGINX, 60), (behind_nginx(), TO_DIRECT, 50)] {
        let kernel_before = kernel(&start);
        let stops = at_each_change(&start, command, (false, false), |machine, after, outcome| {
            if outcome.code == 0 || outcome.said().contains("every change was made") {
                // Only a record, or the tidying up after all was done, was missing.
                return;
            }
            assert_eq!(outcome.code, 1, "{command:?} after {after}: {}", outcome.said());
            let left = changed(&start, machine);
            assert_eq!(left, Vec::<std::path::PathBuf>::new(), "{command:?} after {after}: {}", outcome.said());
            assert_eq!(kernel(machine), kernel_before, "{command:?} after {after}: {}", outcome.said());
        });
        println!("{command:?}: {stops} failures");
        assert!(stops > least, "{command:?}: only {stops} places to fail at");
    }
}

#[test]
fn without_an_installation_there_is_nothing_to_switch() {
    let machine = Machine::fresh();
    machine.run(TO_NGINX).exits(1).says("was not installed here");
    machine.run(&["switch-to-proxy", "lighttpd", "--yes"]).exits(2).says("nginx, httpd");
}

#[test]
fn a_plan_touches_nothing_and_a_missing_yes_neither() {
    let machine = direct();
    let before = machine.snapshot();
    let json = machine.run(&["switch-to-proxy", "--plan", "--json"]).exits(0).json();
    assert_eq!((&json["command"], &json["changed"]), (&"switch-to-proxy".into(), &true.into()));
    machine.run(&["switch-to-proxy"]).exits(4).says("nothing was changed");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_host_without_ipv6_gets_a_front_without() {
    for command in [TO_NGINX, TO_HTTPD] {
        let machine = Machine::with(|model| model.ipv6 = false);
        machine.install(ANSWERS).exits(0);
        machine.run(command).exits(0).says("tcp6 - not tried");
        machine.run(&["check"]).exits(0);
    }
}

#[test]
fn an_installation_behind_a_front_orders_its_certificate() {
    for mode in ["nginx", "httpd"] {
        let answers = format!("{ANSWERS}\n[exposure]\nmode = \"{mode}\"\n");
        let machine = Machine::fresh();
        machine
            .install(&answers)
            .exits(0)
            .says("a placeholder that no client trusts")
            .says("may not (EACCES: reserved for root)")
            .does_not_say("were refused for");
        machine.run(&["certificate", "status"]).exits(0).says("managed by gts-bootstrap");
        machine.install(&answers).exits(0).says("Nothing to change");
        machine.run(TO_DIRECT).exits(0);
        machine.run(&["certificate", "status"]).exits(0).says("managed by GoToSocial itself");

        // Without a certificate there is no installation.
        let machine = Machine::with(|model| model.authority = Authority::Unreachable);
        machine.install(&answers).exits(1).says("cannot be reached").says("undone");
        assert!(!machine.exists("/usr/local/etc/gts-bootstrap/tls"), "a placeholder is left");
        assert!(machine.model().packages.is_empty(), "a package is left");
    }
}

#[test]
fn what_direct_mode_has_no_use_for_is_named() {
    let machine = Machine::fresh();
    let tls = "[tls]\nhsts = true\n";
    machine.install(&format!("{}\n[exposure]\nmode = \"nginx\"\n", ANSWERS.replace("[tls]\n", tls))).exits(0);
    machine.run(TO_DIRECT).exits(2).says("tls.hsts").says("only behind a web server");
    machine.run(&["check"]).exits(0);
}
