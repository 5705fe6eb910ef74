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

#[test]
fn the_loader_reads_what_loader_conf_files_names_and_the_local_file_last() {
    let host = fresh();
    host.write("/boot/loader.conf", "loader_conf_files=\"/boot/mine\"\nmac_portacl_load=\"NO\"\n");
    host.write(
        "/boot/mine",
        "mac_portacl_load=\"YES\" # \"always\"\nmac_portacl_load='NO'\nmac_portacl_load=\"YES\"\n",
    );
    host.reboot().unwrap();
    assert!(host.module_loaded("mac_portacl").unwrap());
    host.write("/boot/loader.conf.d/x.conf", "mac_portacl_load=\"NO\"\n");
    host.reboot().unwrap();
    assert!(!host.module_loaded("mac_portacl").unwrap());
    host.write("/boot/loader.conf.local", "mac_portacl_load=\"YES\"\n");
    host.reboot().unwrap();
    assert!(host.module_loaded("mac_portacl").unwrap());
    host.write("/boot/loader.conf.local", "mac_portacl_load=\"YES\"\nmodule_blacklist=\"mac_portacl\"\n");
    host.reboot().unwrap();
    assert!(!host.module_loaded("mac_portacl").unwrap());
}

#[test]
fn before_14_1_the_folder_comes_after_the_local_file() {
    let host = fresh();
    let files =
        "loader_conf_files=\"/boot/loader.conf /boot/loader.conf.local\"\nloader_conf_dirs=\"/boot/loader.conf.d\"\n";
    host.write("/boot/defaults/loader.conf", files);
    host.write("/boot/loader.conf.local", "mac_portacl_load=\"YES\"\n");
    host.write("/boot/loader.conf.d/x.conf", "mac_portacl_load=\"NO\"\n");
    host.reboot().unwrap();
    assert!(!host.module_loaded("mac_portacl").unwrap());
}

#[test]
fn a_module_file_is_read_only_where_rc_itself_loads_the_module() {
    let host = fresh();
    host.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    host.write("/etc/sysctl.kld.d/mac_portacl.conf", SYSCTL_CONF);
    host.set_rc_variable("kld_list", Some("mac_portacl")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(""));
    host.write("/boot/loader.conf", "");
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some("uid:209:tcp:80,uid:209:tcp:443"));
    host.edit(|model| model.osreldate = 1_302_000).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(""));
}

#[test]
fn portacl_rc_replaces_the_list_and_opens_the_whole_range_until_it_is_stopped() {
    let host = fresh();
    host.put("/usr/local/etc/rc.d/portacl", "#!/bin/sh\n", 0o555, Owner::ROOT);
    for (name, value) in [
        ("portacl_enable", "YES"),
        ("portacl_users", "www nosuch"),
        ("portacl_user_www_tcp", "https http"),
        ("portacl_additional_rules", "uid:70000:tcp:80,gid:53:udp:53"),
    ] {
        host.set_rc_variable(name, Some(value)).unwrap();
    }
    host.reboot().unwrap();
    assert!(host.module_loaded("mac_portacl").unwrap());
    let rules = Some("gid:53:udp:53,uid:80:tcp:443,uid:80:tcp:80");
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), rules);
    assert_eq!(host.bind_as(80, 80), BindOutcome::Bound);
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("0"));
    host.service_action("portacl", ServiceAction::Stop).unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), rules);
    assert_eq!(host.bind_as(80, 80), BindOutcome::Reserved);
    host.service_action("portacl", ServiceAction::Start).unwrap();
    assert_eq!(host.bind_as(80, 80), BindOutcome::Bound);
    let error = host.service_action("portacl", ServiceAction::Reload).unwrap_err();
    assert!(command_failure(&error).1.contains("unknown directive"));
    // What sysctl.conf says holds in the end.
    host.write("/etc/sysctl.conf", &format!("{RULES}=uid:53:tcp:53\n"));
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some("uid:53:tcp:53"));
}

#[test]
fn a_guard_without_a_number_does_nothing_and_the_late_one_needs_the_other() {
    let host = fresh();
    install_guard(&host);
    host.write("/etc/sysctl.conf", SYSCTL_CONF);
    host.set_rc_variable("gts_portacl_guard_reservedhigh", Some("all")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
    host.set_rc_variable("gts_portacl_guard_reservedhigh", None).unwrap();
    host.remove(Path::new("/usr/local/etc/rc.d/gts_portacl_guard")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("79"));
}

#[test]
fn a_module_that_is_compiled_in_takes_its_tunables_and_stays() {
    let host = fresh_with(|model| model.compiled_in = ["mac_portacl".into()].into());
    host.write("/boot/loader.conf", "security.mac.portacl.suser_exempt=0\n");
    host.reboot().unwrap();
    assert_eq!(host.sysctl("security.mac.portacl.suser_exempt").unwrap().as_deref(), Some("0"));
    assert!(host.sysctl("kern.conftxt").unwrap().unwrap().contains("options\tMAC_PORTACL\n"));
    let error = host.unload_module("mac_portacl").unwrap_err();
    assert!(command_failure(&error).1.contains("can't find file"));
}
