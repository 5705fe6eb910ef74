//! `portacl` where only a model can go: a failure at each change, securelevels, jails, a module that has gone.

use gts_bootstrap::host::Jail;
use gts_bootstrap::host::rehearsal::ChangeFault;

use crate::machine::{Machine, Outcome, differences};

const RULES: &str = "security.mac.portacl.rules";
const HIGH: &str = "net.inet.ip.portrange.reservedhigh";
const GRANT: &[&str] = &["portacl", "grant", "www", "80,443", "--yes"];
const REVOKE: &[&str] = &["portacl", "revoke", "www", "80,443", "--yes"];

fn fresh() -> Machine {
    Machine::fresh()
}

fn granted() -> Machine {
    let machine = Machine::fresh();
    machine.run(GRANT).exits(0);
    machine
}

fn fault(machine: &Machine, after: u32, takes_effect: bool, lasting: bool) {
    machine.edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }));
}

/// What is in force in the kernel, as far as port access goes.
fn kernel(machine: &Machine) -> (bool, Option<String>, Option<String>) {
    let model = machine.model();
    let value = |name: &str| model.sysctls.get(name).cloned().filter(|value| !value.is_empty() && value != "1023");
    (model.modules.contains("mac_portacl"), value(RULES), value(HIGH))
}

/// Nobody may bind port 80, now or after the next boot, whatever the moment.
fn is_closed(machine: &Machine, moment: &str) {
    let json = machine.run(&["portacl", "explain", "nobody", "80", "--json"]).exits(0).json();
    for when in ["now", "next_boot"] {
        assert_eq!(json["answers"][0][when]["allowed"], false, "{moment}, {when}: {json}");
    }
    machine.run(&["rehearsal", "reboot"]).exits(0);
    let json = machine.run(&["portacl", "explain", "nobody", "80", "--prove", "--json"]).exits(0).json();
    assert_eq!(json["answers"][0]["now"]["allowed"], false, "{moment}, after a reboot: {json}");
}

/// Runs `command` with a fault at each change in turn, until it meets none; `then` looks at what is left.
fn at_each_change(
    start: fn() -> Machine,
    command: &[&str],
    (takes_effect, lasting): (bool, bool),
    mut then: impl FnMut(&Machine, u32, Outcome),
) -> u32 {
    for after in 0.. {
        let machine = start();
        fault(&machine, after, takes_effect, lasting);
        let outcome = machine.run(command);
        if outcome.code == 0 {
            return after;
        }
        machine.edit(|model| model.faults.change = None);
        then(&machine, after, outcome);
    }
    unreachable!("the range has no end")
}

#[test]
fn a_failure_at_any_change_of_the_rules_is_taken_back() {
    for (start, command, least) in [(fresh as fn() -> Machine, GRANT, 20), (granted, REVOKE, 6)] {
        let machine = start();
        let before = (machine.system_files(), kernel(&machine));
        let stops = at_each_change(start, command, (false, false), |machine, after, outcome| {
            let outcome = outcome.exits(1);
            if outcome.said().contains("every change was made") {
                return;
            }
            let left = differences(&before.0, &machine.system_files());
            assert_eq!(left, Vec::<std::path::PathBuf>::new(), "{command:?} after {after}: {}", outcome.said());
            assert_eq!(kernel(machine), before.1, "{command:?} after {after}: {}", outcome.said());
        });
        assert!(stops >= least, "{command:?}: only {stops} places to fail at");
    }
}

#[test]
fn a_crash_at_any_change_of_the_rules_is_finished_by_the_next_run_and_opens_nothing() {
    for (start, command, least) in [(fresh as fn() -> Machine, GRANT, 20), (granted, REVOKE, 6)] {
        let machine = start();
        machine.run(command).exits(0);
        let wanted = (machine.system_files(), kernel(&machine));
        for takes_effect in [false, true] {
            let stops = at_each_change(start, command, (takes_effect, true), |machine, after, _| {
                let json = machine.run(&["portacl", "explain", "nobody", "80", "--prove", "--json"]).exits(0).json();
                assert_eq!(json["answers"][0]["now"]["allowed"], false, "{command:?} after {after}: {json}");
                machine.run(command).exits(0);
                let different = differences(&wanted.0, &machine.system_files());
                assert_eq!(different, Vec::<std::path::PathBuf>::new(), "{command:?} after {after}");
                assert_eq!(kernel(machine), wanted.1, "{command:?} after {after}");
                machine.run(command).exits(0).says("Nothing to change");
            });
            assert!(stops >= least, "{command:?}: only {stops} places to stop at");
            at_each_change(start, command, (takes_effect, true), |machine, after, _| {
                is_closed(machine, &format!("{command:?} after {after}"));
            });
        }
    }
}

#[test]
fn a_run_that_was_cut_off_is_settled_by_whatever_command_comes_next() {
    let machine = fresh();
    fault(&machine, 12, true, true);
    machine.run(GRANT).exits(1);
    machine.edit(|model| model.faults.change = None);
    machine.run(&["portacl", "grant", "bind", "53", "--plan"]).exits(0).says("An earlier run was interrupted");
    machine
        .run(&["portacl", "grant", "bind", "53", "--yes"])
        .exits(0)
        .says("An earlier `portacl grant` was interrupted")
        .says("this run continues from there");
    machine.run(&["portacl", "lint"]).exits(0);
}

#[test]
fn at_a_raised_securelevel_a_grant_waits_for_the_reboot() {
    let machine = Machine::with(|model| model.securelevel = 1);
    machine.run(GRANT).exits(5).says("cannot be loaded at securelevel 1").says("A reboot is needed");
    machine.run(&["portacl", "explain", "www", "80"]).exits(0).says("now no EACCES").says("after a boot yes rule 1");
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "explain", "www", "80,443", "--prove"]).exits(0).says("now yes rule 1");
    machine.run(&["portacl", "lint"]).exits(0);
    // The rules can be written at that level, the range cannot.
    machine.edit(|model| model.securelevel = 1);
    machine.run(REVOKE).exits(5).says("the next boot sets it to 1023");
    assert_eq!(kernel(&machine), (true, None, Some("79".into())));
    is_closed(&machine, "revoked at securelevel 1");
}

#[test]
fn a_grant_comes_back_after_a_reboot() {
    let machine = granted();
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "explain", "www", "80,443", "--prove"]).exits(0).says("now yes rule 1, uid:80:tcp:80");
    machine.run(&["portacl", "lint"]).exits(0);
    // And without the module the guard closes what sysctl.conf has opened.
    std::fs::remove_file(machine.path("/boot/kernel/mac_portacl.ko")).unwrap();
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "explain", "nobody", "80", "--prove"]).exits(0).says("now no EACCES");
    machine.run(&["portacl", "lint"]).exits(3).does_not_say("ALARM");
}

#[test]
fn in_a_jail_rules_are_read_and_its_host_is_told_what_to_run() {
    for jail in [Jail::Shared, Jail::Vnet] {
        let machine = Machine::with(|model| {
            model.jail = jail;
            model.modules.insert("mac_portacl".into());
            model.sysctls.insert(RULES.into(), "uid:80:tcp:80".into());
            model.sysctls.insert(HIGH.into(), "79".into());
        });
        let before = machine.snapshot();
        machine.run(&["portacl", "show"]).exits(0).says("pass proto tcp port 80 (http) user www (80)");
        machine.run(&["portacl", "explain", "www", "80", "--prove"]).exits(0).says("now yes rule 1");
        machine
            .run(&["portacl", "grant", "www", "443", "--yes"])
            .exits(1)
            .says("gts-bootstrap portacl grant --allow-unknown uid:80 443")
            .says("echo 'security.mac.portacl.rules=uid:80:tcp:80,uid:80:tcp:443' >> /etc/sysctl.conf");
        machine
            .run(&["portacl", "revoke", "www", "80", "--yes"])
            .exits(1)
            .says("gts-bootstrap portacl revoke uid:80 80");
        assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn others_than_root_read_but_do_not_change() {
    let machine = granted();
    machine.edit(|model| model.euid = 1001);
    machine.run(&["portacl", "show"]).exits(0).says("user www (80)");
    machine.run(&["portacl", "explain", "www", "80"]).exits(0);
    machine.run(&["portacl", "lint"]).exits(0);
    machine.run(&["portacl", "explain", "www", "80", "--prove"]).exits(1).says("run it as root");
    machine.run(GRANT).exits(1).says("run it as root");
}

#[test]
fn a_port_that_a_server_listens_on_is_named_before_it_is_taken() {
    let machine = Machine::installed(crate::machine::ANSWERS);
    machine
        .run(&["portacl", "revoke", "gotosocial", "443", "--plan"])
        .exits(0)
        .says("gotosocial (user gotosocial, uid 209, pid");
    machine.run(&["portacl", "revoke", "www", "443", "--plan"]).exits(0).does_not_say("listens on port");
}

#[test]
fn a_disagreement_of_prediction_and_kernel_is_told_as_a_bug() {
    let machine = granted();
    machine.edit(|model| model.faults.bind_probes = Some(false));
    machine
        .run(&["portacl", "explain", "www", "80", "--prove"])
        .exits(3)
        .says("NOT AS PREDICTED")
        .says("That is a bug of gts-bootstrap");
}

fn append(machine: &Machine, path: &str, text: &str) {
    let old = machine.read(path);
    machine.write(path, &format!("{old}{text}"));
}

/// A host on which portacl-rc sets the rules: for www by number, for bind by name, and for the group www.
fn with_portacl_rc() -> Machine {
    let machine = Machine::fresh();
    let script = machine.path("/usr/local/etc/rc.d/portacl");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    append(
        &machine,
        "/etc/rc.conf",
        "portacl_enable=\"YES\"\nportacl_users=\"80 bind\"\nportacl_user_80_tcp=\"http https\"\n\
         portacl_user_bind_udp=\"domain\"\nportacl_groups=\"www\"\nportacl_group_www_tcp=\"8 80\"\n",
    );
    machine
}

#[test]
fn portacl_rcs_users_by_number_and_its_groups_are_revoked() {
    let machine = with_portacl_rc();
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "revoke", "www", "80", "--yes"]).exits(0);
    machine.run(&["portacl", "revoke", "@www", "8,80", "--yes"]).exits(0);
    let text = machine.read("/etc/rc.conf");
    for line in ["portacl_users=\"80 bind\"", "portacl_user_80_tcp=\"https\"", "portacl_groups=\"\""] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    machine.run(&["portacl", "lint"]).exits(0);
    // What it grants already, by whatever word, is not granted a second time.
    machine.run(&["portacl", "grant", "www", "443", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn a_script_that_rc_would_pass_over_is_in_charge_of_nothing() {
    let machine = with_portacl_rc();
    let script = machine.path("/usr/local/etc/rc.d/portacl");
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    machine.run(&["portacl", "show"]).exits(0).does_not_say("bind");
    machine.run(&["portacl", "grant", "www", "443", "--yes"]).exits(0);
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "explain", "www", "443", "--prove"]).exits(0).says("now yes");
}

#[test]
fn with_the_module_come_the_rules_that_a_file_has_for_the_next_boot() {
    let machine = granted();
    machine.edit(|model| {
        model.modules.remove("mac_portacl");
        model.sysctls.clear();
    });
    let shown = machine.run(&["portacl", "show"]).exits(0).stdout;
    let file = machine.beside("rules");
    std::fs::write(&file, format!("{shown}pass proto tcp port 81 user www\n")).unwrap();
    machine.run(&["portacl", "apply", &file.to_string_lossy(), "--yes"]).exits(0);
    assert_eq!(kernel(&machine).1, Some("uid:80:tcp:80,uid:80:tcp:443,uid:80:tcp:81".into()));
    machine.run(&["portacl", "lint"]).exits(0);
}

#[test]
fn with_the_module_come_all_the_rules_of_portacl_rc() {
    let machine = with_portacl_rc();
    machine.run(&["portacl", "grant", "www", "81", "--yes"]).exits(0);
    machine.run(&["portacl", "explain", "bind", "53/udp", "--prove"]).exits(0).says("now yes");
    machine.run(&["portacl", "explain", "nobody", "81", "--prove"]).exits(0).says("now no EPERM");
    machine.run(&["portacl", "lint"]).exits(0);
}

#[test]
fn with_the_module_come_the_rules_of_others_with_their_effect() {
    let machine = fresh();
    append(&machine, "/etc/sysctl.conf", &format!("{RULES}=uid:53:udp:53,uid:4711:tcp:100\n{HIGH}=52\n"));
    machine.run(&["portacl", "grant", "www", "80", "--yes"]).exits(0);
    assert_eq!(
        kernel(&machine),
        (true, Some("uid:53:udp:53,uid:4711:tcp:100,uid:80:tcp:80".into()), Some("52".into()))
    );
    // The id that nobody has was there before. It is no reason to refuse.
    machine.run(&["portacl", "lint"]).exits(3).says("no account has uid 4711").does_not_say("it has no effect");
}

#[test]
fn what_others_have_wrong_does_not_stand_in_the_way_when_lines_move() {
    let machine = granted();
    append(&machine, "/etc/sysctl.conf", "security.mac.portacl.port_high=abc\n");
    machine.run(REVOKE).exits(0);
    assert!(machine.read("/etc/sysctl.conf").ends_with("security.mac.portacl.port_high=abc\n"));
}

#[test]
fn a_revocation_closes_a_kernel_that_has_lost_its_module_or_its_rules() {
    for unloaded in [true, false] {
        let machine = granted();
        machine.edit(|model| {
            if unloaded {
                model.modules.remove("mac_portacl");
            }
            model.sysctls.remove(RULES);
        });
        machine.run(REVOKE).exits(0);
        assert_eq!(kernel(&machine), (!unloaded, None, None));
        is_closed(&machine, "revoked");
    }
}

#[test]
fn what_lint_flags_is_refused_at_a_securelevel_too() {
    let machine = Machine::with(|model| model.securelevel = 1);
    machine.run(&["portacl", "grant", "uid:4711", "80", "--yes"]).exits(1).says("no account has uid 4711");
    machine.run(&["portacl", "explain", "uid:4711", "80"]).exits(0).says("grant --allow-unknown uid:4711 80");
    machine.run(&["portacl", "grant", "--allow-unknown", "uid:4711", "80", "--yes"]).exits(5);
}

#[test]
fn a_bound_in_hexadecimal_is_not_raised() {
    let machine = fresh();
    append(&machine, "/etc/sysctl.conf", &format!("{HIGH}=0x4f\n"));
    machine.run(&["portacl", "grant", "www", "443", "--yes"]).exits(0);
    assert!(machine.read("/etc/sysctl.conf").contains(&format!("{HIGH}=0x4f\n")));
    append(&machine, "/etc/sysctl.conf", "security.mac.portacl.enabled=0x0\n");
    machine.run(&["portacl", "grant", "www", "444", "--yes"]).exits(1).says("sets security.mac.portacl.enabled to 0");
}

#[test]
fn a_vnet_jail_takes_back_its_range_after_its_host_has_taken_the_rules() {
    let machine = Machine::with(|model| {
        model.jail = Jail::Vnet;
        model.modules.insert("mac_portacl".into());
        model.sysctls.insert(RULES.into(), "uid:80:tcp:80,uid:80:tcp:443".into());
    });
    machine.run(GRANT).exits(0);
    assert_eq!(kernel(&machine).2, Some("79".into()));
    machine.edit(|model| {
        model.sysctls.insert(RULES.into(), String::new());
    });
    machine.run(REVOKE).exits(0);
    assert_eq!(kernel(&machine).2, None);
    assert!(!machine.read("/etc/sysctl.conf").contains(HIGH));
}

#[test]
fn what_is_kept_for_kld_lists_module_is_changed_there() {
    const KLD: &str = "/etc/sysctl.kld.d/mac_portacl.conf";
    let machine = fresh();
    append(&machine, "/etc/rc.conf", "kld_list=\"mac_portacl\"\n");
    std::fs::create_dir_all(machine.path(KLD).parent().unwrap()).unwrap();
    machine.write(KLD, &format!("# mine\n{RULES}=uid:53:udp:53\n{HIGH}=52\n"));
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(GRANT).exits(0);
    let list = "uid:53:udp:53,uid:80:tcp:80,uid:80:tcp:443";
    assert_eq!(machine.read(KLD), format!("# mine\n{RULES}={list}\n{HIGH}=52\n"));
    machine.run(&["portacl", "lint"]).exits(0);
    machine.run(&["rehearsal", "reboot"]).exits(0);
    assert_eq!(kernel(&machine), (true, Some(list.into()), Some("52".into())));
    machine.run(&["portacl", "revoke", "bind", "53/udp", "--yes"]).exits(0);
    machine.run(&["portacl", "lint"]).exits(0);
    machine.run(REVOKE).exits(0);
    assert_eq!(machine.read(KLD), "# mine\n");
    is_closed(&machine, "revoked");
}

#[test]
fn what_portacl_rc_leaves_out_stays_and_is_in_nobodys_way() {
    let machine = with_portacl_rc();
    append(&machine, "/etc/rc.conf", "portacl_additional_rules=\"uid:99999:tcp:25, uid:1:tcp:1,gid:53:tcp:53\"\n");
    machine.run(&["rehearsal", "reboot"]).exits(0);
    machine.run(&["portacl", "revoke", "@bind", "53", "--yes"]).exits(0);
    machine.run(&["portacl", "grant", "@bind", "54", "--yes"]).exits(0);
    assert!(
        machine
            .read("/etc/rc.conf")
            .contains("portacl_additional_rules=\"uid:99999:tcp:25, uid:1:tcp:1,gid:53:tcp:54\"")
    );
    machine.run(&["portacl", "lint"]).exits(3).says("take it out of portacl_additional_rules in rc.conf");
}
