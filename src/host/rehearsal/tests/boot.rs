//! reboot 1 to 4, the guard, and the other ways of loading the module.

use super::*;

const SYSCTL_CONF: &str =
    "security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\nnet.inet.ip.portrange.reservedhigh=79\n";

fn outcomes(host: &Fresh) -> Vec<BindOutcome> {
    [209, 65534].iter().flat_map(|uid| [25, 80, 443, 1023].map(|port| host.bind_as(*uid, port))).collect()
}

fn install_guard(host: &Fresh) {
    for name in ["gts_portacl_guard", "gts_portacl_guard_late"] {
        host.put(&format!("/usr/local/etc/rc.d/{name}"), "#!/bin/sh\n", 0o555, Owner::ROOT);
    }
    host.set_rc_variable("gts_portacl_guard_enable", Some("YES")).unwrap();
}

#[test]
fn module_by_loader_conf_and_rules_by_sysctl_conf_hold_after_a_reboot() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.open_ports();
    host.start().unwrap();
    host.reboot().unwrap();
    assert!(host.module_loaded("mac_portacl").unwrap());
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some("uid:209:tcp:80,uid:209:tcp:443"));
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
    let (no, taken) = (BindOutcome::NoRule, BindOutcome::InUse);
    assert_eq!(outcomes(&host), [no, taken, taken, no, no, no, no, no]);
    assert!(host.runs());
    assert_eq!(host.listeners().unwrap().len(), 2);
    assert!(host.service("syslogd").unwrap().is_running());
}

#[test]
fn without_the_module_line_a_reboot_opens_the_ports_to_everybody() {
    let host = fresh();
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap(), None);
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
    let (closed, open) = (BindOutcome::Reserved, BindOutcome::Bound);
    assert_eq!(outcomes(&host), [closed, open, open, open, closed, open, open, open]);
}

#[test]
fn the_guard_closes_them_again_and_leaves_a_good_boot_alone() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    install_guard(&host);
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
    assert_eq!(host.bind_as(65534, 80), BindOutcome::Reserved);
    assert!(!host.runs());
    assert!(host.service("gts_portacl_guard").unwrap().is_running());
    host.write("/boot/loader.conf", "# comment\nmac_portacl_load=YES # why\n");
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
    assert!(host.runs());
}

#[test]
fn the_late_guard_is_needed_and_a_guard_that_is_disabled_or_not_there_does_nothing() {
    let host = fresh();
    install_guard(&host);
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.remove(Path::new("/usr/local/etc/rc.d/gts_portacl_guard_late")).unwrap();
    host.reboot().unwrap();
    // the late pass of sysctl.conf has lowered it again
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
    assert!(!host.service("gts_portacl_guard").unwrap().is_running());
    host.service_action("gts_portacl_guard", ServiceAction::Start).unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
    install_guard(&host);
    host.set_rc_variable("gts_portacl_guard_enable", Some("NO")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
}

#[test]
fn the_guard_cannot_close_what_the_securelevel_keeps_open() {
    let host = fresh();
    install_guard(&host);
    host.set_sysctl(RESERVED_HIGH, "79").unwrap();
    host.set_sysctl("kern.securelevel", "1").unwrap();
    let error = host.service_action("gts_portacl_guard", ServiceAction::Start).unwrap_err();
    assert!(command_failure(&error).1.contains("OPEN PORTS"));
}

#[test]
fn kld_list_brings_the_rules_with_the_late_pass_only_and_with_a_file_of_its_own_early() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.set_rc_variable("kld_list", Some("mac_portacl")).unwrap();
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some("uid:209:tcp:80,uid:209:tcp:443"));
    // GoToSocial started before that pass, so its first bind was refused.
    assert!(!host.runs() && host.text(LOG).contains("bind: operation not permitted"), "{}", host.text(LOG));
    host.write("/etc/sysctl.kld.d/mac_portacl.conf", SYSCTL_CONF);
    host.write("/etc/sysctl.conf", "");
    host.reboot().unwrap();
    assert!(host.runs());
}

#[test]
fn the_securelevel_is_raised_last() {
    let host = fresh();
    host.write("/etc/sysctl.conf", "net.inet.ip.portrange.reservedhigh=79\n");
    host.set_rc_variable("kern_securelevel_enable", Some("YES")).unwrap();
    host.set_rc_variable("kern_securelevel", Some("1")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.system().unwrap().securelevel, 1);
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
}

#[test]
fn loader_tunables_hold_and_a_rule_list_is_none() {
    let host = fresh();
    host.write(
        "/boot/loader.conf.d/portacl.conf",
        "mac_portacl_load=\"YES\"\nsecurity.mac.portacl.port_high=\"100\"\nsecurity.mac.portacl.rules=\"uid:209:tcp:80\"\n",
    );
    host.reboot().unwrap();
    assert_eq!(host.sysctl("security.mac.portacl.port_high").unwrap().as_deref(), Some("100"));
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(""));
}

#[test]
fn a_line_over_1023_characters_is_cut_into_another_port() {
    let host = fresh();
    host.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    let filler = ",".repeat(996 - "uid:65534:tcp:222".len());
    host.write(
        "/etc/sysctl.conf",
        &format!("security.mac.portacl.rules={filler}uid:65534:tcp:2222\n{RESERVED_HIGH}=0\n"),
    );
    host.reboot().unwrap();
    assert!(host.sysctl(RULES).unwrap().unwrap().ends_with("uid:65534:tcp:222"));
    assert_eq!(host.bind_as(65534, 222), BindOutcome::Bound);
}
