//! Misbehaviour on order.

use super::super::ChangeFault;
use super::*;

fn fault(after: u32, takes_effect: bool, lasting: bool) -> Fresh {
    fresh_with(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }))
}

fn write(host: &Fresh, name: &str) -> Result<(), HostError> {
    host.write_file(Path::new(name), b"x", 0o644, Owner::ROOT)
}

#[test]
fn the_change_in_question_fails_and_only_that() {
    let host = fault(1, false, false);
    write(&host, "/etc/one").unwrap();
    assert_eq!(write(&host, "/etc/two").unwrap_err().errno(), Some(5));
    assert_eq!(host.entry(Path::new("/etc/two")).unwrap(), None);
    write(&host, "/etc/three").unwrap();
    assert_eq!(host.model().faults.change, None);
}

#[test]
fn a_dead_program_changes_nothing_more() {
    let host = fault(0, true, true);
    assert!(write(&host, "/etc/one").is_err());
    assert!(host.entry(Path::new("/etc/one")).unwrap().is_some());
    assert!(write(&host, "/etc/two").is_err());
    assert_eq!(host.set_sysctl(RESERVED_HIGH, "0").unwrap_err().errno(), Some(5));
    assert!(command_failure(&host.load_module("mac_portacl").unwrap_err()).1.contains("Input/output error"));
    assert_eq!(host.entry(Path::new("/etc/two")).unwrap(), None);
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
}

#[test]
fn a_full_disk_takes_nothing_but_gives_things_back() {
    let host = fresh_with(|model| model.faults.disk_full = true);
    assert_eq!(write(&host, "/etc/one").unwrap_err().errno(), Some(28));
    assert_eq!(host.free_bytes(Path::new("/")).unwrap(), 0);
    host.remove(Path::new("/etc/services")).unwrap();
    host.edit(|model| (model.faults.disk_full, model.free_bytes) = (false, 3)).unwrap();
    assert!(host.write_file(Path::new("/etc/one"), b"four", 0o644, Owner::ROOT).is_err());
    write(&host, "/etc/one").unwrap();
}

#[test]
fn gotosocial_dies_after_its_start() {
    let host = fresh_with(|model| model.faults.dies_after_start = true);
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    assert!(!host.runs());
    assert!(host.listeners().unwrap().is_empty());
    assert!(host.text(LOG).contains("listening on 127.0.0.1:8080"));
}

#[test]
fn a_full_disk_ends_gotosocial_at_its_database() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.edit(|model| model.faults.disk_full = true).unwrap();
    host.start().unwrap();
    assert!(!host.runs());
    assert!(host.text(LOG).contains("database or disk is full"));
}

#[test]
fn commands_of_gotosocial_fail_on_order() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    host.edit(|model| {
        model.faults.admin_create_fails = true;
        model.faults.debug_config_without_host = true;
    })
    .unwrap();
    assert_eq!(host.create("alice").status, Some(1));
    assert!(host.gotosocial(&["debug", "config"]).stdout.contains("\"host\": \"\""));
}
