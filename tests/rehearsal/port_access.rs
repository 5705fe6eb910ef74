//! mac_portacl: everybody else's rules and lines stay, and the host is closed at every moment.

use gts_bootstrap::host::Jail;

use super::machine::{ANSWERS, Machine, differences};

const RULES: &str = "security.mac.portacl.rules";
const HIGH: &str = "net.inet.ip.portrange.reservedhigh";

#[test]
fn foreign_lines_comments_and_order_survive() {
    let machine = Machine::fresh();
    let loader = "# mine\nzfs_load=\"YES\"   # root on zfs\n\nautoboot_delay=\"3\"";
    let sysctl = "# tuned by hand\nkern.ipc.somaxconn = 1024\n\nsecurity.mac.portacl.rules=uid:80:tcp:8, # odd but mine\nvfs.zfs.arc_max: 1G\n";
    machine.write("/boot/loader.conf", loader);
    machine.write("/etc/sysctl.conf", sysctl);
    machine.install(ANSWERS).exits(0);
    let loader_after = machine.read("/boot/loader.conf");
    assert!(
        loader_after.starts_with(loader) && loader_after.ends_with("\nmac_portacl_load=\"YES\"\n"),
        "{loader_after}"
    );
    let after = machine.read("/etc/sysctl.conf");
    for line in ["# tuned by hand\n", "kern.ipc.somaxconn = 1024\n", "vfs.zfs.arc_max: 1G\n", "# odd but mine"] {
        assert!(after.contains(line), "{line:?} is not in {after}");
    }
    assert!(after.contains("uid:80:tcp:8,uid:209:tcp:80,uid:209:tcp:443"), "{after}");
}

#[test]
fn rules_that_others_have_set_now_and_for_the_boot_are_kept_apart() {
    let machine = Machine::with(|model| {
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert(RULES.into(), "uid:80:tcp:81".into());
    });
    machine.write("/etc/sysctl.conf", "security.mac.portacl.rules=gid:53:udp:53\n");
    machine.install(ANSWERS).exits(0);
    assert_eq!(machine.model().sysctls[RULES], "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443");
    assert!(machine.read("/etc/sysctl.conf").contains("gid:53:udp:53,uid:209:tcp:80,uid:209:tcp:443\n"));
}

#[test]
fn what_an_admin_has_lowered_further_is_never_raised() {
    let machine = Machine::with(|model| {
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert(HIGH.into(), "20".into());
    });
    machine.write("/etc/sysctl.conf", "net.inet.ip.portrange.reservedhigh=20\n");
    machine.install(ANSWERS).exits(0);
    assert_eq!(machine.model().sysctls[HIGH], "20");
    assert!(machine.read("/etc/sysctl.conf").contains("reservedhigh=20\n"));
}

#[test]
fn the_order_is_module_rules_and_then_the_reserved_range() {
    let machine = Machine::fresh();
    let json = machine.install_with(ANSWERS, &["--plan", "--json"]).exits(0).json();
    let targets: Vec<&str> =
        json["changes"].as_array().unwrap().iter().map(|change| change["target"].as_str().unwrap()).collect();
    let at = |name: &str| targets.iter().position(|target| *target == name).unwrap_or_else(|| panic!("{name}"));
    assert!(at("mac_portacl") < at(RULES));
    assert!(at(RULES) < at(HIGH));
    assert!(at("/usr/local/etc/rc.d/gts_portacl_guard") < at(HIGH), "the guard stands before anything is lowered");
}

#[test]
fn settings_that_would_leave_the_host_open_are_refused() {
    for (file, line, word) in [
        ("/etc/sysctl.conf", "security.mac.portacl.enabled=0\n", "enabled to 0"),
        ("/etc/sysctl.conf.local", "security.mac.portacl.port_high=100\n", "below 1023"),
        ("/boot/loader.conf.local", "mac_portacl_load=\"NO\"\n", "keeps mac_portacl from being loaded"),
        ("/boot/loader.conf.d/mine.conf", "mac_portacl_load=\"NO\"\n", "mine.conf keeps mac_portacl"),
    ] {
        let machine = Machine::fresh();
        machine.write(file, line);
        let before = machine.snapshot();
        machine.install(ANSWERS).exits(1).says(word);
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
    }
    let machine = Machine::with(|model| {
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert("security.mac.portacl.enabled".into(), "0".into());
    });
    machine.install(ANSWERS).exits(1).says("enforces nothing");
}

#[test]
fn a_list_that_is_full_or_broken_is_refused() {
    let machine = Machine::fresh();
    let long: Vec<String> = (0..61).map(|number| format!("uid:{}:tcp:80", 1000 + number)).collect();
    machine.write("/etc/sysctl.conf", &format!("security.mac.portacl.rules={}\n", long.join(",")));
    machine.install(ANSWERS).exits(1).says("/etc/sysctl.conf").says("996");

    let machine = Machine::fresh();
    machine.write("/etc/sysctl.conf", "security.mac.portacl.rules=uid:www:tcp:80\n");
    machine.install(ANSWERS).exits(1).says("uid:www:tcp:80");
}

#[test]
fn at_a_raised_securelevel_everything_is_staged_and_a_reboot_asked_for() {
    let machine = Machine::with(|model| model.securelevel = 1);
    let outcome = machine.install(ANSWERS).exits(5).says("reboot is needed").says("securelevel 1");
    assert!(outcome.said().contains("mac_portacl"));
    assert!(machine.model().gotosocial.is_none(), "it could not bind its ports");
    assert!(machine.read("/etc/sysctl.conf").contains("reservedhigh=79"));
    // Until then a second run has nothing to do, and says the same.
    let json = machine.install_with(ANSWERS, &["--yes", "--json"]).exits(5).json();
    assert_eq!((&json["changed"], &json["reboot_required"]), (&false.into(), &true.into()));
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["check"]).exits(0).says("nobody (65534) 443 tcp6 ok may not");
    machine.install(ANSWERS).exits(0).says("Nothing to change");
}

#[test]
fn portacl_rc_owns_the_rules_where_it_is_enabled() {
    let machine = Machine::with(|model| {
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert(RULES.into(), "uid:80:tcp:81".into());
    });
    machine.write("/usr/local/etc/rc.d/portacl", "#!/bin/sh\n");
    let rc = "portacl_enable=\"YES\"\nportacl_users=\"www\"\nportacl_user_www_tcp=\"81\"\nportacl_user_gotosocial_tcp=\"http\"\n";
    machine.write("/etc/rc.conf", &(machine.read("/etc/rc.conf") + rc));
    let sysctl = machine.read("/etc/sysctl.conf");
    machine.install(ANSWERS).exits(0).says("portacl-rc is enabled and owns");
    let rc = machine.read("/etc/rc.conf");
    assert!(rc.contains("portacl_users=\"www gotosocial\""), "{rc}");
    assert!(rc.contains("portacl_user_gotosocial_tcp=\"http 443\""), "{rc}");
    assert_eq!(machine.read("/etc/sysctl.conf"), sysctl, "portacl-rc's rules do not go into sysctl.conf");
    assert_eq!(machine.model().sysctls[RULES], "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443");
    machine.install(ANSWERS).exits(0).says("Nothing to change");
}

#[test]
fn portacl_rc_and_sysctl_conf_must_not_both_set_the_rules() {
    let machine = Machine::fresh();
    machine.write("/usr/local/etc/rc.d/portacl", "#!/bin/sh\n");
    machine.write("/etc/rc.conf", &(machine.read("/etc/rc.conf") + "portacl_enable=\"YES\"\n"));
    machine.write("/etc/sysctl.conf", "security.mac.portacl.rules=uid:80:tcp:81\n");
    machine.install(ANSWERS).exits(1).says("undoes what portacl-rc has set");
}

#[test]
fn a_jail_whose_host_has_allowed_it_is_installed() {
    for jail in [Jail::Shared, Jail::Vnet] {
        let machine = Machine::with(|model| {
            model.jail = jail;
            model.modules.insert("mac_portacl".into());
            model.sysctls.insert(RULES.into(), "uid:209:tcp:80,uid:209:tcp:443".into());
            if jail == Jail::Shared {
                model.sysctls.insert(HIGH.into(), "79".into());
            }
        });
        machine.install(ANSWERS).exits(0).says("nobody (65534) 80 tcp4 ok may not");
        assert_eq!(machine.model().sysctls[HIGH], "79");
        let in_file = machine.read("/etc/sysctl.conf").contains("reservedhigh=79");
        assert_eq!(in_file, jail == Jail::Vnet, "a VNET jail has a reserved range of its own");
        let guard = machine.exists("/usr/local/etc/rc.d/gts_portacl_guard");
        assert_eq!(guard, jail == Jail::Vnet, "the guard belongs where the reserved range is one's own");
    }
}

#[test]
fn an_open_port_is_a_failure_in_the_loudest_words() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| {
        model.modules.remove("mac_portacl");
    });
    machine
        .run(&["check"])
        .exits(3)
        .says("ANY user of this host may bind the ports from 80 to 1023")
        .says("nobody (65534) 80 tcp4 OPEN");
    // And install puts it right again.
    machine.install(ANSWERS).exits(0);
    machine.run(&["check"]).exits(0);
}

#[test]
fn a_boot_without_the_module_is_closed_by_the_guard() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| {
        model.modules_available.remove("mac_portacl");
    });
    machine.run(&["rehearsal", "reboot"]).exits(0);
    let model = machine.model();
    assert_eq!(model.sysctls.get(HIGH).map_or("1023", String::as_str), "1023");
    machine.run(&["check"]).exits(3).says("nobody (65534) 80 tcp4 ok may not").does_not_say("OPEN");
}

#[test]
fn services_that_lived_off_a_lowered_range_are_named() {
    let machine = Machine::with(|model| {
        model.sysctls.insert(HIGH.into(), "0".into());
        for (port, uid) in [(81, 80), (82, 53), (22, 0), (8080, 80)] {
            model.listeners.push(gts_bootstrap::host::Listener {
                user: format!("user{uid}"),
                uid: Some(uid),
                command: format!("server{port}"),
                pid: Some(900),
                address: None,
                ipv4: true,
                ipv6: true,
                port,
            });
        }
    });
    machine.write("/etc/sysctl.conf", "security.mac.portacl.rules=uid:53:tcp:82\n");
    machine
        .install_with(ANSWERS, &["--plan"])
        .exits(0)
        .says("server81 of the user user80 listens on port 81")
        .says("add uid:80:tcp:81")
        .does_not_say("server82")
        .does_not_say("server22")
        .does_not_say("server8080");
}
