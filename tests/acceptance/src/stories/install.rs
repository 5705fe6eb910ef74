//! The main stories: one command, then nothing to do, and everything kept that is somebody else's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use gts_bootstrap::host::WebRequest;

use crate::bench::{ANSWERS, Bench, CONFIG, HOST, RESERVED_HIGH, RULES, ensure};
use crate::snapshot::Snapshot;

const RELEASE: &str = "/usr/local/libexec/gotosocial/0.19.2";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";

pub(super) fn from_the_mirror(bench: &Bench) -> Result<(), String> {
    bench
        .install(ANSWERS)?
        .exits(0)?
        .says(&format!("https://{HOST} is up"))?
        .says("gotosocial (209) 80 tcp4 ok may bind (EADDRINUSE: it is in use)")?
        .says("nobody (65534) 443 tcp4 ok may not (EPERM: no mac_portacl rule)")?;
    let host = bench.host()?;
    for port in [80, 443] {
        let listeners = host.listeners().map_err(|error| error.to_string())?;
        let by_us = listeners.iter().any(|listener| listener.port == port && listener.uid == Some(209));
        ensure(by_us, format!("uid 209 does not listen on port {port}: {listeners:?}"))?;
    }
    bench.ports_are_guarded()?;
    let (rules, high) = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
    ensure(rules == "uid:209:tcp:80,uid:209:tcp:443", format!("the rules are {rules:?}"))?;
    ensure(high == "79", format!("{RESERVED_HIGH} is {high}"))?;
    let sysctl_conf = bench.text("/etc/sysctl.conf")?;
    ensure(sysctl_conf.contains("security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n"), &sysctl_conf)?;
    let check = bench.run(&["check", "--json"])?.exits(0)?;
    for name in ["port gates", "port access at boot", "boot guard", "service", "listens 80", "listens 443", "readyz"] {
        let status = check.check(name)?;
        ensure(status == "pass", format!("the check {name:?} says {status}"))?;
    }
    // The stand-in signs its certificate itself. In a rehearsal there is nobody to distrust it.
    let wanted = if bench.is_rehearsal() { "pass" } else { "warn" };
    let status = check.check("certificate")?;
    ensure(status == wanted, format!("the check of the certificate says {status}, not {wanted}"))
}

pub(super) fn the_server_answers(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let ask = |tls: bool, path: &str| {
        let request = WebRequest {
            tls,
            host: HOST.to_owned(),
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, if tls { 443 } else { 80 }))),
            path: path.to_owned(),
            verify: false,
            timeout: Duration::from_secs(30),
        };
        bench.host()?.web(&request).map_err(|why| format!("{path}: {why}"))
    };
    let nodeinfo = ask(true, "/nodeinfo/2.0")?;
    let text = String::from_utf8_lossy(&nodeinfo.body).into_owned();
    ensure(nodeinfo.status == 200 && text.contains("0.19.2"), format!("nodeinfo: {text}"))?;
    let names = nodeinfo.certificate.map(|certificate| certificate.names).unwrap_or_default();
    ensure(names == [HOST], format!("the certificate is for {names:?}"))?;
    let redirect = ask(false, "/livez")?;
    let to = redirect.location.unwrap_or_default();
    ensure(redirect.status == 307 && to == format!("https://{HOST}/livez"), format!("{} to {to}", redirect.status))
}

pub(super) fn second_run_changes_nothing(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let (before, pid) = (Snapshot::take(bench)?, bench.pid()?);
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    before.is_still(&Snapshot::take(bench)?)?;
    // Without the answers too, as the host keeps its own record.
    bench.run(&["install", "--yes"])?.exits(0)?.says("Nothing to change")?;
    before.is_still(&Snapshot::take(bench)?)?;
    ensure(bench.pid()? == pid, "the service was restarted")
}

pub(super) fn plan_touches_nothing(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    bench.install_with(ANSWERS, &["--plan"])?.exits(0)?.says("create user gotosocial")?.says("nothing was changed")?;
    bench.install_with(ANSWERS, &[])?.exits(4)?.says("--yes")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn edits_are_kept(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    bench.add(CONFIG, "\n# by hand\nlog-level: \"debug\"\n")?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    let answers = ANSWERS.replace("admin@example.org", "ops@example.org");
    bench.install(&answers)?.exits(0)?;
    let merged = bench.text(CONFIG)?;
    ensure(merged.contains("# by hand\nlog-level: \"debug\"\n") && merged.contains("ops@example.org"), &merged)?;
    bench.write(CONFIG, &merged.replace("ops@example.org", "mine@example.org"))?;
    let before = Snapshot::take(bench)?;
    bench
        .install(&answers.replace("ops@example.org", "third@example.org"))?
        .exits(1)?
        .says("was edited by hand")?
        .says("mine@example.org")?
        .says("third@example.org")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn damage_is_put_right(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let template = format!("{RELEASE}/web/template/index.tmpl");
    bench.write(&template, "defaced\n")?;
    let script = Path::new("/usr/local/etc/rc.d/gts_portacl_guard");
    bench.host()?.remove(script).map_err(|error| error.to_string())?;
    bench.run(&["check"])?.exits(3)?.says("boot guard")?;
    bench.install(ANSWERS)?.exits(0)?;
    ensure(bench.text(&template)? != "defaced\n", "the template is still damaged")?;
    bench.run(&["check"])?.exits(0)?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn reinstall_keeps_the_data(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let (database, certificate) = (bench.text("/var/db/gotosocial/sqlite.db")?, bench.text(CERTIFICATE)?);
    let host = bench.host()?;
    let stop = host.service_action(crate::bench::SERVICE, gts_bootstrap::host::ServiceAction::Stop);
    stop.map_err(|error| error.to_string())?;
    for folder in [RELEASE, "/usr/local/etc/gotosocial", "/usr/local/etc/gts-bootstrap", "/var/db/gts-bootstrap"] {
        host.remove_tree(Path::new(folder)).map_err(|error| error.to_string())?;
    }
    // What it has no record of having written is somebody else's by now.
    for file in [
        "/usr/local/etc/rc.d/gotosocial",
        "/usr/local/etc/rc.d/gts_portacl_guard",
        "/usr/local/etc/rc.d/gts_portacl_guard_late",
        "/usr/local/etc/newsyslog.conf.d/gotosocial.conf",
    ] {
        host.remove(Path::new(file)).map_err(|error| error.to_string())?;
    }
    drop(host);
    bench.install(ANSWERS)?.exits(0)?;
    ensure(bench.text("/var/db/gotosocial/sqlite.db")? == database, "the database is another one")?;
    ensure(bench.text(CERTIFICATE)? == certificate, "the certificate is another one")
}

pub(super) fn first_account(bench: &Bench) -> Result<(), String> {
    let answers = format!("{ANSWERS}\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n");
    bench.install(&answers)?.exits(0)?.says("user name alice")?.says("change it at the first login")?;
    let database = bench.text("/var/db/gotosocial/sqlite.db")?;
    ensure(database.contains("alice@example.org"), &database)?;
    bench.install(&answers)?.exits(0)?.says("Nothing to change")?.does_not_say("password").map(drop)
}

pub(super) fn upgrade(bench: &Bench) -> Result<(), String> {
    let older = ANSWERS.replace("0.19.2", "0.19.1");
    bench.install(&older)?.exits(0)?;
    bench.install(ANSWERS)?.exits(0)?.says("migrates the database")?;
    bench.run(&["check"])?.exits(0)?.says("gotosocial 0.19.2")?;
    let before = Snapshot::take(bench)?;
    bench.install(&older)?.exits(1)?.says("0.19.1 is older")?;
    before.is_still(&Snapshot::take(bench)?)
}
