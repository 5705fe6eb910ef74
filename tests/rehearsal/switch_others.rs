//! A web server in front that serves other sites too, or that somebody else looks after: what is not ours stays, whatever
//! happens.

use super::machine::ANSWERS;
use super::machine::Machine;
use super::switch::{at_each_change, changed, copy, kernel};

const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const HTTPD_CONF: &str = "/usr/local/etc/apache24/httpd.conf";
const NOTHING: Vec<std::path::PathBuf> = Vec::new();

/// GoToSocial in direct mode, and the administrator's own web server beside it, on another port.
fn beside(program: &str) -> Machine {
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

fn there(program: &str) -> Vec<&str> {
    vec!["switch-to-proxy", program, "--yes"]
}

const BACK: &[&str] = &["switch-to-direct", "--yes"];

#[test]
fn a_web_server_that_was_enabled_after_the_way_back_is_not_ours() {
    let machine = Machine::installed(ANSWERS);
    machine.run(&there("nginx")).exits(0);
    machine.run(BACK).exits(0);
    machine.install_package("nginx");
    machine.write(NGINX_CONF, &machine.read(NGINX_CONF).replace("listen       80;", "listen 8081;"));
    machine.write("/etc/rc.conf", &(machine.read("/etc/rc.conf") + "nginx_enable=\"YES\"\n"));
    machine.start_service("nginx");
    let before = copy(&machine);
    machine.run(&there("nginx")).exits(0);
    machine.run(BACK).exits(0);
    assert_eq!(changed(&before, &machine), NOTHING);
    assert!(machine.model().services.contains_key("nginx"), "it goes on");
}

#[test]
fn a_crash_beside_other_sites_is_finished_by_the_next_run() {
    for program in ["nginx", "httpd"] {
        let direct = beside(program);
        let behind = copy(&direct);
        behind.run(&there(program)).exits(0);
        for (start, command) in [(&direct, there(program)), (&behind, BACK.to_vec())] {
            let wanted = copy(start);
            wanted.run(&command).exits(0);
            for takes_effect in [false, true] {
                let stops = at_each_change(start, &command, (takes_effect, true), |machine, after, _| {
                    machine.run(&command).exits(0);
                    assert_eq!(changed(&wanted, machine), NOTHING, "{command:?} after {after}");
                    assert_eq!(kernel(machine), kernel(&wanted), "{command:?} after {after}");
                    machine.run(&["check"]).exits(0);
                });
                assert!(stops > 30, "{command:?}: only {stops} places to stop at");
            }
        }
        assert_eq!(kernel(&behind).2.len(), kernel(&direct).2.len());
    }
}

#[test]
fn a_crash_is_also_left_by_the_other_way() {
    for program in ["nginx", "httpd"] {
        let direct = beside(program);
        for takes_effect in [false, true] {
            at_each_change(&direct, &there(program), (takes_effect, true), |machine, after, _| {
                machine.run(BACK).exits(0);
                assert_eq!(changed(&direct, machine), NOTHING, "{program} after {after}");
                assert_eq!(kernel(machine), kernel(&direct), "{program} after {after}");
                machine.run(&["check"]).exits(0);
            });
        }
    }
}
