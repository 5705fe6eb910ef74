//! What `uninstall` leaves: nothing but the data, and with `--purge` nothing at all.

use gts_bootstrap::host::ServiceState;

use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, HOST, MODULE, NGINX, RESERVED_HIGH, RULES, SERVICE, USER, ensure};
use crate::snapshot::Snapshot;

const DATABASE: &str = "/var/db/gotosocial/sqlite.db";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const PURGE: &[&str] = &["uninstall", "--purge", "--yes", "--host-name", HOST];

fn with_admin() -> String {
    format!("{ANSWERS}\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n")
}

/// Neither module nor rules nor a lowered range, and no service.
fn is_gone(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    ensure(!host.module_loaded(MODULE).map_err(said)?, format!("{MODULE} is still in the kernel"))?;
    ensure(bench.sysctl(RESERVED_HIGH)? == "1023", "the reserved range is still lowered")?;
    let state = host.service(SERVICE).map_err(said)?;
    ensure(state == ServiceState::Missing, format!("the service is still there: {state:?}"))?;
    for path in ["/usr/local/bin/gotosocial", "/usr/local/libexec/gotosocial", "/usr/local/etc/rc.d/gts_portacl_guard"]
    {
        ensure(!bench.exists(path)?, format!("{path} is still there"))?;
    }
    for port in [80, 443] {
        bench.may_bind(crate::bench::NOBODY, port, false)?;
    }
    Ok(())
}

/// The machine is as it was found. A certificate that a server was given beforehand has gone with the data.
fn is_as_found(bench: &Bench) -> Result<(), String> {
    let system = |taken: Snapshot| taken.system().without_data().without("/var/log").without("/var/run");
    system(bench.found()?).is_still(&system(Snapshot::take(bench)?))
}

pub(super) fn the_data_stay(bench: &Bench) -> Result<(), String> {
    bench.install(&with_admin())?.exits(0)?;
    let config = bench.text(CONFIG)?;
    let certificate = bench.text(CERTIFICATE)?;
    bench.run(&["uninstall"])?.exits(4)?;
    bench.pid()?;
    let planned = bench.run(&["uninstall", "--plan"])?.exits(0)?;
    planned.says("nothing was changed")?.says("the database, with the keys that other servers know this one by")?;
    let told = bench.run(&["uninstall", "--yes"])?.exits(0)?;
    told.says("`gts-bootstrap install` brings the same instance back")?;
    is_gone(bench)?;
    ensure(bench.text(CONFIG)? == config && bench.text(CERTIFICATE)? == certificate, "the data have changed")?;
    ensure(bench.host()?.user(USER).map_err(said)?.is_some(), "the user of what is kept has gone")?;
    bench.run(&["uninstall", "--yes"])?.exits(0)?.says("Nothing to undo")?;

    // The same instance again, and nobody is asked for anything.
    let again = bench.install(&with_admin())?.exits(0)?;
    // The account is in the database already.
    again.does_not_say("user name alice")?;
    bench.pid()?;
    ensure(bench.text(DATABASE)?.contains("alice@example.org"), "it is another database")?;
    ensure(bench.text(CERTIFICATE)? == certificate, "a new certificate was ordered")?;
    bench.run(&["check"])?.exits(0)?;
    bench.install(&with_admin())?.exits(0)?.says("Nothing to change")?;

    bench.run(&["uninstall", "--purge", "--yes"])?.exits(2)?.says(&format!("add --host-name {HOST}"))?;
    bench.run(PURGE)?.exits(0)?.says("can never be used again")?;
    is_gone(bench)?;
    is_as_found(bench)?;
    for path in ["/var/db/gotosocial", "/var/db/gts-bootstrap", "/var/log/gotosocial", "/var/run/gotosocial"] {
        ensure(!bench.exists(path)?, format!("{path} is still there"))?;
    }
    bench.run(PURGE)?.exits(0)?.says("Nothing to undo").map(drop)
}

pub(super) fn edits_of_others_stay(bench: &Bench) -> Result<(), String> {
    let files = ["/etc/sysctl.conf", "/boot/loader.conf", "/etc/rc.conf"];
    let mine = ["kern.ipc.somaxconn=1024\n", "autoboot_delay=\"5\"\n", "gts_acceptance_mine=\"YES\"\n"];
    let found = bench.found()?;
    for (file, line) in files.iter().zip(mine) {
        bench.add(file, line)?;
    }
    bench.run(&["portacl", "grant", "uid:53", "53", "--allow-unknown", "--yes"])?.exits(0)?;
    bench.run(&["uninstall", "--yes"])?.exits(0)?.says("rules that have come in since: uid:53:tcp:53")?;
    ensure(bench.sysctl(RULES)? == "uid:53:tcp:53", format!("the rules are {}", bench.sysctl(RULES)?))?;
    ensure(bench.sysctl(RESERVED_HIGH)? == "52", "the range does not fit the rule that is left")?;
    bench.may_bind(53, 53, true)?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    bench.run(&["portacl", "revoke", "uid:53", "53", "--allow-unknown", "--yes"])?.exits(0)?;
    bench.run(PURGE)?.exits(0)?;
    is_gone(bench)?;
    for (file, line) in files.iter().zip(mine) {
        let text = bench.text(file)?;
        ensure(text == found.text(file) + line, format!("{file} is now:\n{text}"))?;
    }
    Ok(())
}

pub(super) fn behind_nginx(bench: &Bench) -> Result<(), String> {
    bench.run(PURGE)?.exits(0)?.says("stop service nginx")?;
    is_gone(bench)?;
    let state = bench.host()?.service(NGINX.service).map_err(said)?;
    ensure(state == ServiceState::Stopped, format!("nginx was stopped, and now is {state:?}"))?;
    is_as_found(bench)
}
