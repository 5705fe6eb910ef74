//! `status` and `check --brief`, as an administrator and as monitoring read them.

use std::path::Path;

use gts_bootstrap::host::{Entry, ServiceAction};

use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, HOST, SERVICE, ensure};
use crate::snapshot::Snapshot;

/// The daily script.
const DAILY: &str = "/usr/local/etc/periodic/daily/495.status-gotosocial";

/// Sets the mode of a file as chmod(1) does.
fn chmod(bench: &Bench, path: &str, mode: u32) -> Result<(), String> {
    let host = bench.host()?;
    let path = Path::new(path);
    let Some(Entry::File { owner, .. }) = host.entry(path).map_err(said)? else {
        return Err(format!("{} is no file", path.display()));
    };
    let bytes = host.read(path).map_err(said)?.unwrap_or_default();
    host.write_file(path, &bytes, mode, owner).map_err(said)
}

/// One line and nothing else, and the exit status that monitoring goes by.
fn one_line(bench: &Bench, command: &str, code: i32, beginning: &str) -> Result<(), String> {
    let outcome = bench.run(&[command, "--brief"])?.exits(code)?;
    let (stdout, stderr) = (&outcome.stdout, &outcome.stderr);
    let is_so = stdout.lines().count() == 1 && stderr.is_empty() && stdout.starts_with(beginning);
    ensure(
        is_so,
        format!("{command} --brief does not begin with {beginning:?}, or is not one line: {stdout:?} {stderr:?}"),
    )
}

pub(super) fn nothing_installed(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    bench.run(&["status"])?.exits(3)?.says("nothing here is installed by gts-bootstrap")?;
    bench.run(&["backup", "--yes"])?.exits(1)?.says("there is nothing to back up")?;
    for command in ["status", "check"] {
        one_line(bench, command, 3, "FAIL: ")?;
    }
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn told_on_one_screen(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    let outcome =
        bench.run(&["status", "--offline"])?.exits(0)?.says("direct: GoToSocial itself faces the internet")?;
    let outcome = outcome.says("ready")?.says("none: all is as it was installed")?.says("last change install")?;
    ensure(outcome.stdout.lines().count() <= 24, "it is more than one screen")?;
    let json = bench.run(&["status", "--offline", "--json"])?.exits(0)?.json()?;
    ensure(json["verdict"] == "ok" && json["concerns"] == serde_json::json!([]), format!("not all is well: {json}"))?;
    ensure(json["host"] == HOST && json["ports"].as_array().is_some_and(|ports| ports.len() == 2), json.to_string())?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn drift_is_found(bench: &Bench) -> Result<(), String> {
    bench.add(CONFIG, "# mine\n")?;
    bench.run(&["status", "--offline", "--diff"])?.exits(0)?.says(&format!("{CONFIG} was edited"))?.says("+# mine")?;
    chmod(bench, CONFIG, 0o644)?;
    bench.run(&["status", "--offline"])?.exits(3)?.says(&format!("{CONFIG} has mode 0644, not 0640"))?;
    bench.remove(DAILY)?;
    bench.run(&["status", "--offline"])?.says(&format!("{DAILY} is gone"))?;
    bench.install(ANSWERS)?.exits(0)?;
    // The edit stays, and everything else is as it was.
    let json = bench.run(&["status", "--offline", "--json"])?.exits(0)?.json()?;
    let drift = json["drift"].as_array().cloned().unwrap_or_default();
    ensure(drift.len() == 1 && drift[0]["difference"] == "content", format!("this has drifted: {drift:?}"))
}

pub(super) fn fit_for_monitoring(bench: &Bench) -> Result<(), String> {
    one_line(bench, "status", 0, &format!("OK: {HOST} {}, direct, certificate ", bench.mirror.middle))?;
    // Whether this host trusts the certificate is a matter of where it is told.
    let checked = bench.run(&["check", "--brief"])?.exits(0)?;
    ensure(checked.stdout.lines().count() == 1, format!("not one line: {:?}", checked.stdout))?;
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    one_line(bench, "status", 3, "FAIL: gotosocial does not run")?;
    one_line(bench, "check", 3, "FAIL: service: gotosocial does not run")
}
