//! Who may bind which port, on the kernel itself.

use gts_bootstrap::host::ServiceAction;

use crate::bench::{ANSWERS, Bench, MODULE, NOBODY, RESERVED_HIGH, RULES, SERVICE, ensure};

/// A user of the base system who is given a rule of his own.
const WWW: u32 = 80;

fn said(error: gts_bootstrap::host::HostError) -> String {
    error.to_string()
}

pub(super) fn foreign_rules_are_kept(bench: &Bench) -> Result<(), String> {
    let foreign = "# by hand\nsecurity.mac.portacl.rules=uid:80:tcp:81\n";
    bench.add("/etc/sysctl.conf", foreign)?;
    bench.add("/boot/loader.conf", "# by hand\nautoboot_delay=\"3\"\n")?;
    let host = bench.host()?;
    host.load_module(MODULE).map_err(said)?;
    host.set_sysctl(RULES, "uid:80:tcp:81").map_err(said)?;
    drop(host);
    bench.install(ANSWERS)?.exits(0)?;
    let rules = bench.sysctl(RULES)?;
    let wanted = "uid:80:tcp:81,uid:209:tcp:80,uid:209:tcp:443";
    ensure(rules == wanted, format!("the rules are {rules:?}"))?;
    bench.ports_are_guarded()?;
    bench.may_bind(WWW, 81, true)?;
    bench.may_bind(NOBODY, 81, false)?;
    let (sysctl, loader) = (bench.text("/etc/sysctl.conf")?, bench.text("/boot/loader.conf")?);
    ensure(sysctl.contains(&format!("# by hand\nsecurity.mac.portacl.rules={wanted}\n")), &sysctl)?;
    ensure(
        loader.contains("# by hand\nautoboot_delay=\"3\"\n") && loader.contains("mac_portacl_load=\"YES\"\n"),
        &loader,
    )
}

pub(super) fn open_ports_are_told(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
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
    bench.install(ANSWERS)?.exits(0)?;
    let host = bench.host()?;
    host.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    host.unload_module(MODULE).map_err(said)?;
    bench.may_bind(NOBODY, 443, true).map_err(|why| format!("the story's own premise does not hold: {why}"))?;
    host.service_action("gts_portacl_guard", ServiceAction::Start).map_err(said)?;
    drop(host);
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
    for (name, value) in [("portacl_enable", "YES"), ("portacl_users", "www"), ("portacl_user_www_tcp", "81")] {
        host.set_rc_variable(name, Some(value)).map_err(said)?;
    }
    host.load_module(MODULE).map_err(said)?;
    host.service_action("portacl", ServiceAction::Start).map_err(said)?;
    drop(host);
    bench.install(ANSWERS)?.exits(0)?.says("portacl-rc is enabled and owns")?;
    bench.ports_are_guarded()?;
    bench.may_bind(WWW, 81, true)?;
    let rc = bench.text("/etc/rc.conf")?;
    ensure(rc.contains("portacl_users=\"www gotosocial\""), &rc)?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}
