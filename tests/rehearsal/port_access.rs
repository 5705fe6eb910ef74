//! Port access on machines that are otherwise: at a raised securelevel, in a jail, without the module, with ports in use.

use gts_bootstrap::host::Jail;

use crate::machine::{ANSWERS, Machine};

const RULES: &str = "security.mac.portacl.rules";
const HIGH: &str = "net.inet.ip.portrange.reservedhigh";

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
fn a_boot_without_the_module_is_closed_by_the_guard() {
    let machine = Machine::installed(ANSWERS);
    std::fs::remove_file(machine.path("/boot/kernel/mac_portacl.ko")).unwrap();
    machine.run(&["rehearsal", "reboot"]).exits(0);
    let model = machine.model();
    assert_eq!(model.sysctls.get(HIGH).map_or("1023", String::as_str), "1023");
    machine.run(&["check"]).exits(3).says("nobody (65534) 80 tcp4 ok may not").does_not_say("OPEN");
}

/// The module is in the running kernel, and its file is gone: a kernel update, for example.
#[test]
fn a_boot_that_cannot_load_the_module_is_seen_before_it_comes() {
    const WHERE: &str = "there is no mac_portacl.ko in /boot/kernel, /boot/modules";
    let machine = Machine::installed(ANSWERS);
    std::fs::remove_file(machine.path("/boot/kernel/mac_portacl.ko")).unwrap();
    machine.run(&["check"]).exits(3).says("port access at boot").says(WHERE).says("nobody (65534) 80 tcp4 ok may not");
    machine.run(&["status"]).exits(3).says(WHERE);
    machine.run(&["portacl", "lint"]).exits(3).says(WHERE).says("freebsd-update install");
    // The rules of the boot have a sign of their own, and it sets none.
    machine.run(&["portacl", "show"]).exits(0).says("- pass proto tcp port 80 (http) user gotosocial");
    // In a folder of its own, or built in, it is there.
    machine.write("/boot/modules/mac_portacl.ko", "");
    machine.run(&["check"]).exits(0);
    std::fs::remove_file(machine.path("/boot/modules/mac_portacl.ko")).unwrap();
    machine.edit(|model| {
        model.compiled_in.insert("mac_portacl".into());
    });
    machine.run(&["check"]).exits(0);

    let fresh = Machine::fresh();
    std::fs::remove_file(fresh.path("/boot/kernel/mac_portacl.ko")).unwrap();
    fresh.install(ANSWERS).exits(1).says(WHERE).says("nothing can give GoToSocial its ports");
    assert!(!fresh.exists("/usr/local/etc/gotosocial"));
    // Behind a front nothing needs it.
    fresh.install(&format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n")).does_not_say(WHERE);
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
                jail: None,
            });
        }
    });
    machine.write("/etc/sysctl.conf", "security.mac.portacl.rules=uid:53:tcp:82\n");
    machine
        .install_with(ANSWERS, &["--plan"])
        .exits(0)
        .says("server81 (user user80, uid 80, pid")
        .says("`gts-bootstrap portacl grant uid:80 81`")
        .does_not_say("server82")
        .does_not_say("server22")
        .does_not_say("server8080");
}
