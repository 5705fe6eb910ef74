//! An uninstallation among others: their edits, their rules, their sites; jails, securelevels, and hosts without a record.

use gts_bootstrap::change::{Action, Executor, Plan, Step, UnloadModule};
use gts_bootstrap::host::Jail;
use gts_bootstrap::host::rehearsal::{ChangeFault, Model, Rehearsal};

use super::service::Silent;
use super::uninstall::{LOGS, PURGE, UNINSTALL, answers, lived_in, same, with_nginx};
use crate::machine::{ANSWERS, Machine};

const RULES: &str = "security.mac.portacl.rules";
const HIGH: &str = "net.inet.ip.portrange.reservedhigh";
const SYSCTL_CONF: &str = "/etc/sysctl.conf";
const LOADER_CONF: &str = "/boot/loader.conf";
const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";

fn append(machine: &Machine, path: &str, text: &str) {
    machine.write(path, &format!("{}{text}", machine.read(path)));
}

fn high(machine: &Machine) -> String {
    machine.model().sysctls.get(HIGH).cloned().unwrap_or_else(|| "1023".to_owned())
}

/// Whether nginx has a site with our name.
fn serves_us(model: &Model) -> bool {
    let sites = &model.web_servers["nginx"].served.sites;
    sites.iter().any(|site| site.names.iter().any(|(_, name)| name == "social.example.org"))
}

#[test]
fn later_edits_of_others_stay_and_only_our_lines_go() {
    let machine = Machine::fresh();
    let (sysctl, loader, rc) = (machine.read(SYSCTL_CONF), machine.read(LOADER_CONF), machine.read("/etc/rc.conf"));
    machine.install(ANSWERS).exits(0);
    append(&machine, SYSCTL_CONF, "kern.mine=1\n");
    append(&machine, LOADER_CONF, "zfs_load=\"YES\"\n");
    append(&machine, "/etc/rc.conf", "sshd_enable=\"YES\"\n");
    machine.run(PURGE).exits(0);
    assert_eq!(machine.read(SYSCTL_CONF), format!("{sysctl}kern.mine=1\n"));
    assert_eq!(machine.read(LOADER_CONF), format!("{loader}zfs_load=\"YES\"\n"));
    assert_eq!(machine.read("/etc/rc.conf"), format!("{rc}sshd_enable=\"YES\"\n"));
    assert!(!machine.exists("/var/db/gts-bootstrap") && !machine.model().modules.contains("mac_portacl"));
}

#[test]
fn an_edit_between_two_runs_stays() {
    let machine = Machine::fresh();
    let sysctl = machine.read(SYSCTL_CONF);
    machine.install(ANSWERS).exits(0);
    append(&machine, SYSCTL_CONF, "kern.mine=1\n");
    machine.run(&["switch-to-proxy", "--yes"]).exits(0);
    machine.run(&["switch-to-direct", "--yes"]).exits(0);
    machine.run(UNINSTALL).exits(0);
    assert_eq!(machine.read(SYSCTL_CONF), format!("{sysctl}kern.mine=1\n"));
}

#[test]
fn an_edited_script_is_left_and_named_and_purged_only_with_the_data() {
    let machine = Machine::installed(ANSWERS);
    append(&machine, "/usr/local/etc/rc.d/gotosocial", "# mine\n");
    machine.write("/var/db/gotosocial/mine.txt", "mine\n");
    machine
        .run(UNINSTALL)
        .exits(0)
        .says("To be done by hand")
        .says("/usr/local/etc/rc.d/gotosocial was edited after gts-bootstrap wrote it, so it stays.");
    assert!(machine.exists("/usr/local/etc/rc.d/gotosocial"));
    let json = machine.run(&[PURGE, &["--json"]].concat()).exits(0).json();
    assert!(!machine.exists("/usr/local/etc/rc.d/gotosocial"));
    // What nobody knows by name is nobody's to remove; with it stays the user that has it.
    assert!(json["by_hand"][0].as_str().unwrap().contains("(mine.txt), so it stays"), "{json}");
    assert!(machine.exists("/var/db/gotosocial/mine.txt") && machine.read("/etc/passwd").contains("gotosocial"));
    assert!(machine.exists("/var/db/gts-bootstrap/receipts"), "the record stays while something is left");
    std::fs::remove_file(machine.path("/var/db/gotosocial/mine.txt")).unwrap();
    machine.run(&["uninstall", "--purge", "--yes"]).exits(0);
    assert!(!machine.exists("/var/db/gotosocial") && !machine.read("/etc/passwd").contains("gotosocial"));
    assert!(!machine.exists("/var/db/gts-bootstrap"));
}

#[test]
fn rules_that_have_come_in_since_stay_with_what_makes_them_safe() {
    let machine = Machine::fresh();
    let before = machine.copy();
    machine.install(ANSWERS).exits(0);
    machine.run(&["portacl", "grant", "bind", "53,53/udp", "--yes"]).exits(0);
    machine.run(PURGE).exits(0).says("rules that have come in since: uid:53:tcp:53, uid:53:udp:53");
    let model = machine.model();
    assert_eq!(model.sysctls[RULES], "uid:53:tcp:53,uid:53:udp:53");
    assert_eq!((high(&machine).as_str(), model.modules.contains("mac_portacl")), ("52", true));
    assert!(
        machine.read(LOADER_CONF).contains("mac_portacl_load")
            && machine.exists("/usr/local/etc/rc.d/gts_portacl_guard")
    );
    machine.run(&["portacl", "lint"]).exits(0);
    machine.run(&["rehearsal", "reboot"]).exits(0);
    assert_eq!(machine.model().sysctls[RULES], "uid:53:tcp:53,uid:53:udp:53");
    machine.run(&["portacl", "revoke", "bind", "53,53/udp", "--yes"]).exits(0);
    machine.run(&["uninstall", "--purge", "--yes"]).exits(0);
    for machine in [&machine, &before] {
        machine.run(&["rehearsal", "reboot"]).exits(0);
    }
    same(&before, &machine, LOGS, "once they have gone");
}

#[test]
fn a_grant_alone_is_taken_back_when_its_rule_has_gone() {
    let machine = Machine::fresh();
    let before = machine.copy();
    machine.run(&["portacl", "grant", "www", "80", "--yes"]).exits(0);
    machine.run(UNINSTALL).exits(0).says("uid:80:tcp:80");
    assert_eq!(high(&machine), "79");
    machine.run(&["portacl", "revoke", "www", "80", "--yes"]).exits(0);
    machine.run(&["uninstall", "--purge", "--yes"]).exits(0);
    same(&before, &machine, &[], "a grant");
}

#[test]
fn a_web_server_that_serves_others_by_now_goes_on() {
    let machine = Machine::fresh();
    machine.install(&answers("nginx")).exits(0);
    let conf = machine.read(NGINX_CONF);
    let end = conf.trim_end().strip_suffix('}').unwrap();
    machine.write(NGINX_CONF, &format!("{end}    server {{ listen 8081; server_name other.example.org; }}\n}}\n"));
    machine.run(PURGE).exits(0).says("has other sites or settings by now").says("pkg delete nginx");
    let model = machine.model();
    assert!(model.packages.contains_key("nginx") && model.services.contains_key("nginx"));
    let conf = machine.read(NGINX_CONF);
    assert!(conf.contains("other.example.org") && !conf.contains("gts-bootstrap"), "{conf}");
    assert!(!serves_us(&model));
    assert!(!machine.exists("/usr/local/etc/nginx/gts-bootstrap"));
}

#[test]
fn a_site_that_somebody_has_put_into_our_folder_is_theirs() {
    const THEIRS: &str = "/usr/local/etc/nginx/gts-bootstrap/other.conf";
    let machine = Machine::fresh();
    machine.install(&answers("nginx")).exits(0);
    machine.write(THEIRS, "server { listen 8081; server_name other.example.org; }\n");
    machine
        .run(PURGE)
        .exits(0)
        .says("has other sites or settings by now")
        .says(&format!("{THEIRS} is not gts-bootstrap's, and nginx includes it by the line that is removed"));
    let model = machine.model();
    assert!(model.packages.contains_key("nginx") && model.services.contains_key("nginx"));
    assert!(machine.exists(THEIRS));
}

#[test]
fn a_site_of_ours_leaves_a_web_server_that_was_there_before() {
    let machine = with_nginx();
    machine.install(&answers("nginx")).exits(0);
    machine.run(UNINSTALL).exits(0).says("nginx continues with its other sites");
    let model = machine.model();
    assert!(model.services.contains_key("nginx"), "{model:?}");
    assert!(!serves_us(&model));
}

#[test]
fn at_a_raised_securelevel_the_rest_waits_for_the_reboot() {
    for rebooted in [false, true] {
        let machine = lived_in();
        machine.edit(|model| {
            model.modules.clear();
            model.sysctls.clear();
        });
        machine.write(SYSCTL_CONF, "# nothing\n");
        machine.write(LOADER_CONF, "");
        machine.write("/etc/rc.conf", "hostname=\"x\"\n");
        let before = machine.copy();
        if rebooted {
            machine.edit(|model| model.securelevel = 1);
            machine.install(ANSWERS).exits(5);
            machine.run(&["rehearsal", "reboot"]).exits(0);
            machine.install(ANSWERS).exits(0);
        } else {
            machine.install(ANSWERS).exits(0);
        }
        machine.edit(|model| model.securelevel = 1);
        machine.run(PURGE).exits(5).says("the next boot").says("A reboot is needed");
        assert_eq!(machine.read(SYSCTL_CONF), "# nothing\n");
        assert_eq!(machine.model().sysctls.get(RULES).map(String::as_str), Some(""), "closed until then");
        machine.run(&["rehearsal", "reboot"]).exits(0);
        before.run(&["rehearsal", "reboot"]).exits(0);
        machine.edit(|model| model.securelevel = -1);
        same(&before, &machine, LOGS, &format!("rebooted: {rebooted}"));
    }
}

#[test]
fn in_a_jail_the_host_is_told_what_to_do() {
    for jail in [Jail::Shared, Jail::Vnet] {
        let machine = Machine::with(|model| {
            model.jail = jail;
            model.modules.insert("mac_portacl".into());
            model.sysctls.insert(RULES.into(), "uid:209:tcp:80,uid:209:tcp:443".into());
            if jail == Jail::Shared {
                model.sysctls.insert(HIGH.into(), "79".into());
            }
        });
        let before = machine.copy();
        machine.install(ANSWERS).exits(0);
        machine.run(PURGE).exits(0).says("On the host, as root").says("gts-bootstrap portacl revoke uid:209 80,443");
        assert!(!machine.exists("/usr/local/etc/rc.d/gotosocial") && !machine.exists("/var/db/gotosocial"));
        // As somebody on the host does then.
        for machine in [&machine, &before] {
            machine.edit(|model| {
                model.sysctls.insert(RULES.into(), String::new());
                if jail == Jail::Shared {
                    model.sysctls.insert(HIGH.into(), "1023".into());
                }
            });
        }
        machine.run(&["uninstall", "--purge", "--yes"]).exits(0);
        same(&before, &machine, LOGS, &format!("{jail:?}"));
    }
}

#[test]
fn variables_of_portacl_rc_go_back_too() {
    let machine = Machine::with(|model| {
        model.packages.insert("portacl-rc".into(), "1.0".into());
        model.modules.insert("mac_portacl".into());
    });
    machine.write("/usr/local/etc/rc.d/portacl", "#!/bin/sh\n");
    let script = machine.path("/usr/local/etc/rc.d/portacl");
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    append(&machine, "/etc/rc.conf", "portacl_enable=\"YES\"\nportacl_users=\"www\"\nportacl_user_www_tcp=\"81\"\n");
    append(&machine, LOADER_CONF, "mac_portacl_load=\"YES\"\n");
    machine.run(&["rehearsal", "reboot"]).exits(0);
    let before = machine.copy();
    machine.install(ANSWERS).exits(0);
    assert!(machine.read("/etc/rc.conf").contains("portacl_user_gotosocial_tcp"));
    machine.run(PURGE).exits(0);
    same(&before, &machine, LOGS, "portacl-rc");
}

#[test]
fn a_server_that_does_not_stop_loses_nothing() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.system_files();
    // Of the changes before it there are the record's folders and the journal.
    let mut after = 0;
    loop {
        let machine = machine.copy();
        machine.edit(|model| {
            model.faults.change = Some(ChangeFault { after, takes_effect: false, lasting: false, errno: 5 });
        });
        let outcome = machine.run(UNINSTALL);
        if outcome.said().contains("stop service gotosocial:") {
            outcome.exits(1).says("not everything could be done");
            assert_eq!(before, machine.system_files());
            assert!(machine.model().gotosocial.is_some());
            machine.run(UNINSTALL).exits(0);
            return;
        }
        after += 1;
        assert!(after < 20, "the stop is not reached");
    }
}

#[test]
fn what_keeps_ports_closed_stays_until_the_range_is_up_again() {
    let machine = Machine::installed(ANSWERS);
    let mut found = 0;
    for after in 0..60 {
        let machine = machine.copy();
        machine.edit(|model| {
            model.faults.change = Some(ChangeFault { after, takes_effect: false, lasting: false, errno: 5 });
        });
        let said = machine.run(UNINSTALL).said();
        if said.contains("remove module mac_portacl: left out") {
            found += 1;
            assert!(machine.exists("/usr/local/etc/rc.d/gts_portacl_guard"), "{said}");
            assert!(machine.read("/etc/rc.conf").contains("gts_portacl_guard_enable"), "{said}");
            assert!(machine.read(LOADER_CONF).contains("mac_portacl_load"), "{said}");
            assert!(machine.model().modules.contains("mac_portacl"), "{said}");
        }
    }
    assert!(found >= 3, "range, rules and sysctl.conf: only {found}");
}

#[test]
fn an_edited_range_keeps_what_closes_the_ports_at_the_next_boot() {
    const LINE: &str = "net.inet.ip.portrange.reservedhigh=79";
    for (range, loader) in [("0", ""), ("50", ""), ("0", "mac_portacl_load=\"YES\" # me too\n")] {
        let machine = Machine::installed(ANSWERS);
        let conf = machine.read("/etc/sysctl.conf");
        let edited = format!("net.inet.ip.portrange.reservedhigh={range}");
        machine.write("/etc/sysctl.conf", &conf.replace(LINE, &edited));
        append(&machine, LOADER_CONF, loader);
        machine.run(UNINSTALL).exits(0).says("any user could bind the ports from").says(&edited);
        assert_eq!(high(&machine), "1023");
        assert!(machine.read("/etc/sysctl.conf").contains(&edited), "an edit stays");
        assert!(machine.read(LOADER_CONF).contains("mac_portacl_load"));
        assert!(machine.exists("/usr/local/etc/rc.d/gts_portacl_guard"));
        let closed = |machine: &Machine| {
            machine.run(&["rehearsal", "reboot"]).exits(0);
            let host = Rehearsal::open(machine.root()).unwrap();
            let now = gts_bootstrap::parts::portacl_boot::now(&host).unwrap();
            assert_eq!(gts_bootstrap::portacl::open_ports(&now.policy), None, "{range}");
        };
        closed(&machine.copy());
        // Done by hand, and what is left goes.
        machine.write("/etc/sysctl.conf", &machine.read("/etc/sysctl.conf").replace(&format!("{edited}\n"), ""));
        machine.run(UNINSTALL).exits(0).does_not_say("any user could bind");
        assert!(!machine.exists("/usr/local/etc/rc.d/gts_portacl_guard"), "{range}");
        assert_eq!(machine.read(LOADER_CONF).contains("mac_portacl_load"), !loader.is_empty(), "{range}");
        closed(&machine);
    }
}

#[test]
fn a_range_that_others_have_lowered_in_a_file_of_theirs_counts_too_and_one_from_before_does_not() {
    const LOCAL: &str = "/etc/sysctl.conf.local";
    const LINE: &str = "net.inet.ip.portrange.reservedhigh=0\n";
    let machine = Machine::installed(ANSWERS);
    machine.write(LOCAL, LINE);
    machine.run(UNINSTALL).exits(0).says("any user could bind the ports from 1 to 1023").says(LOCAL);
    assert!(machine.exists("/usr/local/etc/rc.d/gts_portacl_guard"));

    let machine = Machine::fresh();
    machine.write(LOCAL, LINE);
    machine.run(&["rehearsal", "reboot"]).exits(0);
    let before = machine.copy();
    machine.install(ANSWERS).exits(0);
    machine.run(PURGE).exits(0).does_not_say("any user could bind");
    same(&before, &machine, LOGS, "it was open before");
}

#[test]
fn the_module_stays_while_ports_would_be_open_without_it() {
    let machine = Machine::installed(ANSWERS);
    let host = Rehearsal::open(machine.root()).unwrap();
    let change = UnloadModule { name: "mac_portacl".into(), reserved: 1023 };
    let plan = Plan { steps: vec![Step::new("x", Action::Remove, change)], ..Plan::default() };
    let executor =
        Executor { host: &host, source: None, authority: None, operator: &Silent, stop: &|| None, trial: None };
    let why = executor.apply("test", &plan).unwrap_err().to_string();
    assert!(
        why.contains("reservedhigh is 79 and not 1023, so that without mac_portacl every user could bind"),
        "{why}"
    );
    assert!(machine.model().modules.contains("mac_portacl"));
}

#[test]
fn without_a_record_nothing_is_guessed() {
    let machine = Machine::installed(ANSWERS);
    std::fs::remove_dir_all(machine.path("/var/db/gts-bootstrap")).unwrap();
    let before = machine.snapshot();
    machine
        .run(UNINSTALL)
        .exits(1)
        .says("there are no receipts in /var/db/gts-bootstrap/receipts")
        .says("sysrc -x gotosocial_enable gotosocial_direct")
        .says("gts-bootstrap portacl revoke gotosocial 80,443")
        .says("rm -r /usr/local/libexec/gotosocial")
        .says("rm /usr/local/etc/periodic/daily/495.status-gotosocial")
        .says("rm /usr/local/etc/periodic/weekly/510.gotosocial-backup");
    assert!(before == machine.snapshot());
    Machine::fresh().run(UNINSTALL).exits(0).says("gts-bootstrap has done nothing here");
}

#[test]
fn a_receipt_of_a_newer_program_is_refused_by_name() {
    let machine = Machine::installed(ANSWERS);
    machine.write(
        "/var/db/gts-bootstrap/receipts/0002-install.jsonl",
        "{\"begin\":{\"schema\":99,\"command\":\"install\",\"program\":\"9.0.0\",\"time\":0}}\n{\"something\":{\"else\":1}}\n",
    );
    machine
        .run(UNINSTALL)
        .exits(1)
        .says("receipts/0002-install.jsonl")
        .says("it was written by a newer gts-bootstrap (schema 99); use that one");
}

#[test]
fn what_is_meant_has_to_be_said() {
    let machine = Machine::installed(ANSWERS);
    let before = machine.snapshot();
    machine.run(&["uninstall", "--purge", "--yes"]).exits(2).says("add --host-name social.example.org");
    machine
        .run(&["uninstall", "--purge", "--yes", "--host-name", "other.example.org"])
        .exits(2)
        .says("is social.example.org, not other.example.org");
    machine.run(&["uninstall", "--host-name", "social.example.org"]).exits(2);
    machine.run(&["uninstall", "--with-backups"]).exits(2);
    machine.run(&["uninstall"]).exits(4);
    machine.run(&["uninstall", "--plan"]).exits(0).says("nothing was changed");
    machine
        .run(&["uninstall", "--purge", "--plan"])
        .exits(0)
        .says("Other servers have cached them")
        .says("social.example.org can never be used again");
    assert!(before == machine.snapshot());
    machine.edit(|model| model.euid = 1001);
    machine.run(UNINSTALL).exits(1).says("run it as root");
}

#[test]
fn a_database_elsewhere_is_told_of_and_a_large_one_goes_too() {
    let machine = Machine::installed(ANSWERS);
    // More than a file that is replaced may have, and nothing of it may end up among the replaced.
    let database = std::fs::OpenOptions::new().write(true).open(machine.path("/var/db/gotosocial/sqlite.db")).unwrap();
    database.set_len(65 << 20).unwrap();
    append(&machine, "/usr/local/etc/gotosocial/config.yaml", "db-type: \"postgres\"\n");
    machine.run(PURGE).exits(0).says("dropdb(1)");
    assert!(!machine.exists("/var/db/gotosocial"));
}
