//! What a second run does: nothing, unless something is missing or wanted otherwise.

use std::path::Path;

use gts_bootstrap::host::ServiceAction;

use super::said;
use crate::bench::{ANSWERS, Bench, HOST, SERVICE, ensure};
use crate::reset::reset;
use crate::snapshot::Snapshot;

const RELEASES: &str = "/usr/local/libexec/gotosocial";
const RELEASE: &str = "/usr/local/libexec/gotosocial/0.19.2";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const LOCK: &str = "/usr/local/etc/gts-bootstrap/deployment.lock";

pub(super) fn changes_nothing(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let (before, pid) = (Snapshot::take(bench)?, bench.pid()?);
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    before.is_still(&Snapshot::take(bench)?)?;
    let json = bench.install_with(ANSWERS, &["--yes", "--json"])?.exits(0)?.json()?;
    ensure(json["changed"] == false && json["changes"] == serde_json::json!([]), json.to_string())?;
    // Without the answers too, as the host keeps its own record.
    bench.run(&["install", "--yes"])?.exits(0)?.says("Nothing to change")?;
    before.is_still(&Snapshot::take(bench)?)?;
    ensure(bench.pid()? == pid, "the service was restarted")
}

pub(super) fn damage_is_put_right(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let template = format!("{RELEASE}/web/template/index.tmpl");
    bench.write(&template, "defaced\n")?;
    bench.remove("/usr/local/etc/rc.d/gts_portacl_guard")?;
    bench.run(&["check"])?.exits(3)?.says("boot guard")?;
    bench.install(ANSWERS)?.exits(0)?.says("update release")?.says("stop service gotosocial")?;
    ensure(bench.text(&template)? != "defaced\n", "the template is still damaged")?;
    ensure(!bench.exists(&format!("{RELEASES}/.replaced-0.19.2"))?, "the damaged release is still there")?;
    bench.run(&["check"])?.exits(0)?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn reinstall_keeps_the_data(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    // While it runs a part of it is in the log beside it.
    let (database, certificate) = (bench.text("/var/db/gotosocial/sqlite.db")?, bench.text(CERTIFICATE)?);
    for path in [
        RELEASE,
        "/usr/local/etc/gotosocial",
        "/usr/local/etc/gts-bootstrap",
        "/var/db/gts-bootstrap",
        // What it has no record of having written is somebody else's by now.
        "/usr/local/etc/rc.d/gotosocial",
        "/usr/local/etc/rc.d/gts_portacl_guard",
        "/usr/local/etc/rc.d/gts_portacl_guard_late",
        "/usr/local/etc/newsyslog.conf.d/gotosocial.conf",
    ] {
        bench.remove(path)?;
    }
    bench.install(ANSWERS)?.exits(0)?;
    ensure(bench.text("/var/db/gotosocial/sqlite.db")? == database, "the database is another one")?;
    bench.run(&["certificate", "status"])?.exits(0)?.says("GoToSocial itself")?;
    bench.run(&["certificate", "renew", "--yes"])?.exits(0)?.says("renews its certificate itself")?;
    ensure(bench.text(CERTIFICATE)? == certificate, "the certificate is another one")
}

pub(super) fn the_lock_decides_what_latest_is(bench: &Bench) -> Result<(), String> {
    let latest = ANSWERS.replace("\"0.19.2\"", "\"latest\"");
    bench.install(&latest)?.exits(0)?;
    ensure(bench.exists(RELEASE)?, "latest is not 0.19.2")?;
    reset(bench)?;
    bench.install(&ANSWERS.replace("0.19.2", "0.19.1"))?.exits(0)?;
    let lock = bench.text(LOCK)?;
    reset(bench)?;
    bench.write(LOCK, &lock)?;
    bench.install(&latest)?.exits(0)?;
    ensure(bench.exists(&format!("{RELEASES}/0.19.1/gotosocial"))?, "what was locked is not installed")?;
    ensure(!bench.exists(RELEASE)?, "something else than what was locked is installed")?;
    ensure(bench.text(LOCK)? == lock, "the lock is another one")
}

pub(super) fn upgrade(bench: &Bench) -> Result<(), String> {
    let older = ANSWERS.replace("0.19.2", "0.19.1");
    bench.install(&older)?.exits(0)?;
    bench.install(ANSWERS)?.exits(1)?.says("gts-bootstrap upgrade --release 0.19.2")?;
    let mirror = bench.mirror.display().to_string();
    bench.run(&["upgrade", "--mirror", &mirror, "--yes"])?.exits(0)?;
    let current = std::fs::read_link(bench.local(RELEASES)?.join("current"));
    ensure(current.as_deref().is_ok_and(|to| to == Path::new("0.19.2")), format!("current is {current:?}"))?;
    bench.run(&["check"])?.exits(0)?.says("gotosocial 0.19.2")?;
    let before = Snapshot::take(bench)?;
    bench.install(&older)?.exits(1)?.says("0.19.1 is older")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn identity_stays(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    let before = Snapshot::take(bench)?;
    bench
        .install(&ANSWERS.replace(HOST, "other.example.org"))?
        .exits(1)?
        .says(&format!("this host runs GoToSocial as {HOST}"))?
        .says("can never be changed")?;
    let with_domain = ANSWERS.replace("\n\n[tls]", "\naccount-domain = \"example.org\"\n\n[tls]");
    bench.install(&with_domain)?.exits(1)?.says("account-domain")?.says("can never be changed")?;
    before.is_still(&Snapshot::take(bench)?)
}
