//! Who may bind which port, on the kernel itself: everybody else's rules and lines stay, and the host stays closed.

use gts_bootstrap::host::ServiceAction;

use super::refusals::refused;
use super::said;
use crate::bench::{ANSWERS, Bench, MODULE, NOBODY, RESERVED_HIGH, RULES, SERVICE, ensure};
use crate::reset::{LOADER_EXTRA, reset};

/// A user of the base system who is given a rule of his own.
const WWW: u32 = 80;

/// Loads the module, with this list of rules.
fn load(bench: &Bench, rules: &str) -> Result<(), String> {
    let host = bench.host()?;
    host.load_module(MODULE).and_then(|()| host.set_sysctl(RULES, rules)).map_err(said)
}

fn set(bench: &Bench, name: &str, value: &str) -> Result<(), String> {
    bench.host()?.set_sysctl(name, value).map_err(said)
}

fn rules_are(bench: &Bench, wanted: &str) -> Result<(), String> {
    let rules = bench.sysctl(RULES)?;
    ensure(rules == wanted, format!("the rules are {rules:?}, not {wanted:?}"))
}

fn file_has(bench: &Bench, path: &str, text: &str) -> Result<(), String> {
    let all = bench.text(path)?;
    ensure(all.contains(text), format!("{text:?} is not in {path}:\n{all}"))
}

pub(super) fn foreign_rules_are_kept(bench: &Bench) -> Result<(), String> {
    let foreign = "# by hand\nsecurity.mac.portacl.rules=uid:80:tcp:81\n";
    bench.add("/etc/sysctl.conf", foreign)?;
    load(bench, "uid:80:tcp:81")?;
    bench.install(ANSWERS)?.exits(0)?;
    let wanted = "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443";
    rules_are(bench, wanted)?;
    bench.ports_are_guarded()?;
    bench.may_bind(WWW, 81, true)?;
    bench.may_bind(NOBODY, 81, false)?;
    file_has(bench, "/etc/sysctl.conf", &format!("# by hand\nsecurity.mac.portacl.rules={wanted}\n"))
}

pub(super) fn foreign_lines_stay(bench: &Bench) -> Result<(), String> {
    let loader = "# mine\nzfs_load=\"YES\"   # root on zfs\n\nautoboot_delay=\"3\"";
    let odd = "security.mac.portacl.rules=uid:80:tcp:8, # odd but mine\n";
    bench.write("/boot/loader.conf", loader)?;
    bench.write(
        "/etc/sysctl.conf",
        format!("# tuned by hand\nkern.ipc.somaxconn = 1024\n\n{odd}vfs.zfs.arc_max: 1G\n"),
    )?;
    bench.install(ANSWERS)?.exits(0)?;
    let after = bench.text("/boot/loader.conf")?;
    ensure(after.starts_with(loader) && after.ends_with("\nmac_portacl_load=\"YES\"\n"), &after)?;
    for line in [
        "# tuned by hand\n",
        "kern.ipc.somaxconn = 1024\n",
        "vfs.zfs.arc_max: 1G\n",
        "# odd but mine",
        "uid:80:tcp:8,uid:209:tcp:80,uid:209:tcp:443",
    ] {
        file_has(bench, "/etc/sysctl.conf", line)?;
    }
    Ok(())
}

pub(super) fn now_and_at_boot_are_kept_apart(bench: &Bench) -> Result<(), String> {
    set(bench, RULES, "uid:80:tcp:81")?;
    bench.write("/etc/sysctl.conf", "security.mac.portacl.rules=gid:53:udp:53\n")?;
    bench.install(ANSWERS)?.exits(0)?;
    rules_are(bench, "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443")?;
    file_has(bench, "/etc/sysctl.conf", "gid:53:udp:53,uid:209:tcp:80,uid:209:tcp:443\n")
}

pub(super) fn lowered_range_is_never_raised(bench: &Bench) -> Result<(), String> {
    set(bench, RESERVED_HIGH, "20")?;
    bench.write("/etc/sysctl.conf", "net.inet.ip.portrange.reservedhigh=20\n")?;
    bench.install(ANSWERS)?.exits(0)?;
    let high = bench.sysctl(RESERVED_HIGH)?;
    ensure(high == "20", format!("{RESERVED_HIGH} is {high}"))?;
    file_has(bench, "/etc/sysctl.conf", "reservedhigh=20\n")?;
    bench.ports_are_guarded()
}

pub(super) fn order_keeps_ports_closed(bench: &Bench) -> Result<(), String> {
    let plan = bench.install_with(ANSWERS, &["--plan", "--json"])?.exits(0)?.json()?;
    let changes = plan["changes"].as_array().cloned().unwrap_or_default();
    let at = |name: &str| {
        let place = changes.iter().position(|change| change["target"] == name);
        place.ok_or_else(|| format!("no change of {name} in {plan}"))
    };
    let (module, rules, high) = (at(MODULE)?, at(RULES)?, at(RESERVED_HIGH)?);
    let guard = at("/usr/local/etc/rc.d/gts_portacl_guard")?;
    ensure(module < rules && rules < high && guard < high, format!("{module}, {rules}, {high}, guard {guard}"))
}

pub(super) fn open_settings_are_refused(bench: &Bench) -> Result<(), String> {
    for (file, line, words) in [
        ("/etc/sysctl.conf", "security.mac.portacl.enabled=0\n", "enabled to 0"),
        ("/etc/sysctl.conf.local", "security.mac.portacl.port_high=100\n", "below 1023"),
        ("/boot/loader.conf.local", "mac_portacl_load=\"NO\"\n", "prevents mac_portacl from being loaded"),
        (LOADER_EXTRA, "mac_portacl_load=\"NO\"\n", "gts-acceptance.conf prevents mac_portacl"),
    ] {
        bench.add(file, line)?;
        refused(bench, ANSWERS, &[words])?;
        reset(bench)?;
    }
    load(bench, "")?;
    bench.host()?.set_sysctl("security.mac.portacl.enabled", "0").map_err(said)?;
    refused(bench, ANSWERS, &["enforces nothing"])
}

pub(super) fn full_or_broken_list_is_refused(bench: &Bench) -> Result<(), String> {
    let long: Vec<String> = (0..61).map(|number| format!("uid:{}:tcp:80", 1000 + number)).collect();
    bench.add("/etc/sysctl.conf", &format!("security.mac.portacl.rules={}\n", long.join(",")))?;
    refused(bench, ANSWERS, &["/etc/sysctl.conf", "996"])?;
    reset(bench)?;
    bench.add("/etc/sysctl.conf", "security.mac.portacl.rules=uid:www:tcp:80\n")?;
    refused(bench, ANSWERS, &["uid:www:tcp:80"])
}

pub(super) fn open_ports_are_told(bench: &Bench) -> Result<(), String> {
    bench.host()?.unload_module(MODULE).map_err(said)?;
    bench.may_bind(NOBODY, 80, true).map_err(|why| format!("the story's own premise does not hold: {why}"))?;
    bench
        .run(&["check"])?
        .exits(3)?
        .says("ANY user of this host may bind the ports from 80 to 1023")?
        .says("nobody (65534) 80 tcp4 OPEN")?;
    bench.install(ANSWERS)?.exits(0)?;
    bench.ports_are_guarded()?;
    bench.run(&["check"])?.exits(0).map(drop)
}

pub(super) fn guard_closes_the_ports(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    host.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    host.unload_module(MODULE).map_err(said)?;
    drop(host);
    bench.may_bind(NOBODY, 443, true).map_err(|why| format!("the story's own premise does not hold: {why}"))?;
    bench.host()?.service_action("gts_portacl_guard", ServiceAction::Start).map_err(said)?;
    let high = bench.sysctl(RESERVED_HIGH)?;
    ensure(high == "1023", format!("{RESERVED_HIGH} is {high}"))?;
    for uid in [209, NOBODY] {
        for port in [80, 443, 1023] {
            bench.may_bind(uid, port, false)?;
        }
    }
    bench.install(ANSWERS)?.exits(0)?;
    bench.ports_are_guarded()
}

pub(super) fn portacl_rc_owns_the_rules(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    for (name, value) in [
        ("portacl_enable", "YES"),
        ("portacl_users", "www"),
        ("portacl_user_www_tcp", "81"),
        ("portacl_user_gotosocial_tcp", "http"),
    ] {
        host.set_rc_variable(name, Some(value)).map_err(said)?;
    }
    if bench.is_rehearsal() {
        // It runs no scripts; this is what that of portacl-rc would set.
        host.load_module(MODULE).and_then(|()| host.set_sysctl(RULES, "uid:80:tcp:81")).map_err(said)?;
    } else {
        host.load_module(MODULE).and_then(|()| host.service_action("portacl", ServiceAction::Start)).map_err(said)?;
    }
    drop(host);
    let sysctl = bench.text("/etc/sysctl.conf")?;
    bench.install(ANSWERS)?.exits(0)?.says("portacl-rc is enabled and owns")?;
    bench.ports_are_guarded()?;
    bench.may_bind(WWW, 81, true)?;
    rules_are(bench, "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443")?;
    file_has(bench, "/etc/rc.conf", "portacl_users=\"www gotosocial\"")?;
    file_has(bench, "/etc/rc.conf", "portacl_user_gotosocial_tcp=\"http 443\"")?;
    ensure(bench.text("/etc/sysctl.conf")? == sysctl, "portacl-rc's rules do not go into sysctl.conf")?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn portacl_rc_alone_sets_the_rules(bench: &Bench) -> Result<(), String> {
    bench.host()?.set_rc_variable("portacl_enable", Some("YES")).map_err(said)?;
    bench.add("/etc/sysctl.conf", "security.mac.portacl.rules=uid:80:tcp:81\n")?;
    refused(bench, ANSWERS, &["undoes what portacl-rc has set"])
}
