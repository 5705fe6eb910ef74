//! A web server whose main file is a symbolic link: what it leads to is edited, and the link stays.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gts_bootstrap::host::{Entry, Observe, Owner, rehearsal::Rehearsal};

use super::switch::{at_each_change, changed};
use super::switch_others::{BACK, beside, there};
use crate::machine::{ANSWERS, Machine};

const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const HTTPD_CONF: &str = "/usr/local/etc/apache24/httpd.conf";
/// Where the real file is; `mime.types` and other includes are not there.
const REAL: &str = "/usr/local/etc/site/real.conf";
const OWNER: Owner = Owner { uid: 0, gid: 20 };

/// Moves the main file away and lets links lead there, one after the other.
pub fn linked(machine: &Machine, program: &str) -> &'static str {
    let main = if program == "nginx" { NGINX_CONF } else { HTTPD_CONF };
    let folder = machine.path("/usr/local/etc/site");
    fs::create_dir_all(&folder).unwrap();
    fs::rename(machine.path(main), machine.path(REAL)).unwrap();
    fs::set_permissions(machine.path(REAL), Permissions::from_mode(0o640)).unwrap();
    machine.edit(|model| {
        model.owners.insert(REAL.into(), OWNER);
    });
    symlink("../site/second", machine.path(main)).unwrap();
    symlink("/usr/local/etc/site/real.conf", folder.join("second")).unwrap();
    main
}

fn is_link(machine: &Machine, main: &str) {
    assert_eq!(fs::read_link(machine.path(main)).unwrap(), Path::new("../site/second"));
    let entry = Rehearsal::open(machine.root()).unwrap().entry(Path::new(REAL)).unwrap();
    let Some(Entry::File { mode, owner, .. }) = entry else { panic!("{entry:?}") };
    assert_eq!((mode, owner), (0o640, OWNER));
}

/// Apache has to have a line of ours in its main file, too.
fn without_includes(machine: &Machine, program: &str) {
    if program == "httpd" {
        let text = machine.read(HTTPD_CONF).replace("Include etc/apache24/Includes/*.conf", "");
        machine.write(HTTPD_CONF, &text);
    }
}

#[test]
fn a_main_file_that_is_a_link_stays_one() {
    for program in ["nginx", "httpd"] {
        let machine = beside(program);
        without_includes(&machine, program);
        let main = linked(&machine, program);
        let before = machine.copy();
        machine.run(&there(program)).exits(0);
        is_link(&machine, main);
        assert!(machine.read(REAL).contains("gts-bootstrap"), "{}", machine.read(REAL));
        machine.run(&["check"]).exits(0);
        machine.run(BACK).exits(0);
        is_link(&machine, main);
        assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_main_file_that_is_a_link_is_put_back_at_any_failure() {
    let start = beside("nginx");
    let main = linked(&start, "nginx");
    at_each_change(&start, &there("nginx"), (false, false), |machine, after, outcome| {
        is_link(machine, main);
        if outcome.code != 0 && !outcome.said().contains("every change was made") {
            assert_eq!(changed(&start, machine), Vec::<std::path::PathBuf>::new(), "after {after}");
        }
    });
}

#[test]
fn a_main_file_that_leads_nowhere_is_refused() {
    for (program, package, main) in [("nginx", "nginx", NGINX_CONF), ("httpd", "apache24", HTTPD_CONF)] {
        for (target, said) in [
            ("/usr/local/etc/gone.conf", "it is a symbolic link to /usr/local/etc/gone.conf, which is not there"),
            (main, "a symbolic link that leads in a circle"),
        ] {
            let machine = Machine::installed(ANSWERS);
            machine.install_package(package);
            fs::remove_file(machine.path(main)).unwrap();
            symlink(target, machine.path(main)).unwrap();
            let before = machine.copy();
            machine.run(&there(program)).exits(1).says(main).says(said).does_not_say("[ 1/");
            assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
        }
    }
}

#[test]
fn a_link_that_somebody_else_could_turn_is_not_followed() {
    let machine = beside("nginx");
    linked(&machine, "nginx");
    // The folder of the second link belongs to somebody who is not root.
    machine.edit(|model| {
        model.owners.insert("/usr/local/etc/site".into(), Owner { uid: 1001, gid: 1001 });
    });
    let before = machine.copy();
    machine.run(&there("nginx")).exits(1);
    assert_eq!(changed(&before, &machine), Vec::<std::path::PathBuf>::new());
}
