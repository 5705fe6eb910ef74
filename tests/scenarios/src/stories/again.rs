//! What a second run does: nothing, unless something is missing or wanted otherwise.

use std::path::Path;

use gts_bootstrap::host::ServiceAction;

use super::said;
use crate::bench::{ANSWERS, Bench, HOST, LOG, MIDDLE, OLDEST, SERVICE, ensure};
use crate::mirror::{Mirror, in_releases};
use crate::reset::reset;
use crate::snapshot::Snapshot;

const RELEASES: &str = "/usr/local/libexec/gotosocial";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const LOCK: &str = "/usr/local/etc/gts-bootstrap/deployment.lock";

pub(super) fn changes_nothing(bench: &Bench) -> Result<(), String> {
    // The server itself writes down that somebody does not trust its certificate.
    let look = || Snapshot::take(bench).map(|taken| taken.without(LOG));
    let (before, pid) = (look()?, bench.pid()?);
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    before.is_still(&look()?)?;
    let json = bench.install_with(ANSWERS, &["--yes", "--json"])?.exits(0)?.json()?;
    ensure(json["changed"] == false && json["changes"] == serde_json::json!([]), json.to_string())?;
    // Without the answers too, as the host keeps its own record.
    bench.run(&["install", "--yes"])?.exits(0)?.says("Nothing to change")?;
    before.is_still(&look()?)?;
    ensure(bench.pid()? == pid, "the service was restarted")
}

pub(super) fn damage_is_put_right(bench: &Bench) -> Result<(), String> {
    let version = &bench.mirror.middle;
    let template = format!("{}/web/template/index.tmpl", in_releases(version));
    bench.write(&template, "defaced\n")?;
    bench.remove("/usr/local/etc/rc.d/gts_portacl_guard")?;
    bench.run(&["check"])?.exits(3)?.says("boot guard")?;
    bench.install(ANSWERS)?.exits(0)?.says("update release")?.says("stop service gotosocial")?;
    ensure(bench.text(&template)? != "defaced\n", "the template is still damaged")?;
    ensure(!bench.exists(&format!("{RELEASES}/.replaced-{version}"))?, "the damaged release is still there")?;
    bench.run(&["check"])?.exits(0)?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn reinstall_keeps_the_data(bench: &Bench) -> Result<(), String> {
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    // While it runs a part of it is in the log beside it.
    let (database, certificate) = (bench.text("/var/db/gotosocial/sqlite.db")?, bench.text(CERTIFICATE)?);
    for path in [
        &in_releases(&bench.mirror.middle),
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
    let Mirror { oldest, newest, latest: is_latest, .. } = &bench.mirror;
    let latest = ANSWERS.replace(MIDDLE, "latest");
    let planned = bench.install_with(&latest, &["--plan"])?.exits(0)?.says(&format!("gotosocial_{is_latest}_"))?;
    if newest != is_latest {
        planned.does_not_say(newest)?;
    }
    bench.install(&ANSWERS.replace(MIDDLE, OLDEST))?.exits(0)?;
    let lock = bench.text(LOCK)?;
    reset(bench)?;
    bench.write(LOCK, &lock)?;
    bench.install(&latest)?.exits(0)?;
    ensure(bench.exists(&format!("{RELEASES}/{oldest}/gotosocial"))?, "what was locked is not installed")?;
    ensure(!bench.exists(&in_releases(is_latest))?, "something else than what was locked is installed")?;
    ensure(bench.text(LOCK)? == lock, "the lock is another one")
}

pub(super) fn upgrade(bench: &Bench) -> Result<(), String> {
    let Mirror { oldest, middle, latest, .. } = &bench.mirror;
    let older = ANSWERS.replace(MIDDLE, OLDEST);
    bench.install(&older)?.exits(0)?;
    bench.install(ANSWERS)?.exits(1)?.says(&format!("gts-bootstrap upgrade --release {middle}"))?;
    let mirror = bench.mirror.place();
    bench.run(&["upgrade", "--mirror", &mirror, "--yes"])?.exits(0)?;
    let current = std::fs::read_link(bench.local(RELEASES)?.join("current"));
    ensure(current.as_deref().is_ok_and(|to| to == Path::new(latest)), format!("current is {current:?}"))?;
    bench.run(&["check"])?.exits(0)?.says(&format!("gotosocial {latest}"))?;
    let before = Snapshot::take(bench)?;
    bench.install(&older)?.exits(1)?.says(&format!("{oldest} is older"))?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn identity_stays(bench: &Bench) -> Result<(), String> {
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
