//! What service(8) and pkg(8) do not say: a service that is not enabled, a package that is deleted under its daemon.

use std::process::Command;

use gts_bootstrap::host::ServiceAction;

use super::front::{is_direct, is_in_front, to_direct};
use super::said;
use crate::bench::{Bench, NGINX, OWN_FOLDER, SERVICE, ensure};

/// Who listens on the ports of the web.
fn listening(bench: &Bench, command: &str) -> Result<bool, String> {
    let listeners = bench.host()?.listeners().map_err(said)?;
    Ok(listeners.iter().any(|there| [80, 443].contains(&there.port) && there.command == command))
}

/// `service nginx stop` of one that is not enabled says so, ends with 0 and has stopped nothing.
pub(super) fn not_enabled(bench: &Bench) -> Result<(), String> {
    for variable in ["nginx_enable", "gotosocial_enable"] {
        bench.host()?.set_rc_variable(variable, None).map_err(said)?;
    }
    ensure(listening(bench, NGINX.command)?, "nginx does not listen")?;
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    ensure(bench.pid().is_err(), "GoToSocial was not stopped")?;
    to_direct(bench)?.exits(0)?;
    ensure(!listening(bench, NGINX.command)?, "nginx was not stopped")?;
    is_direct(bench)
}

/// The daemon of a package that was deleted goes on and keeps its ports.
pub(super) fn deleted_package(bench: &Bench) -> Result<(), String> {
    let kept = bench.local(OWN_FOLDER)?.join("packages");
    if !bench.is_rehearsal() {
        pkg(&["create", "-q", "-o", &kept.to_string_lossy(), NGINX.service])?;
    }
    bench.host()?.delete_package(NGINX.service).map_err(said)?;
    let told = without_package(bench);
    // It belongs to the machine as it was found.
    if bench.is_rehearsal() {
        bench.host()?.install_package(NGINX.service).map_err(said)?;
    } else {
        let files = std::fs::read_dir(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        let names = files.filter_map(|entry| Some(entry.ok()?.path().to_string_lossy().into_owned()));
        for file in names.filter(|name| name.contains("/nginx-")) {
            pkg(&["add", "-q", &file])?;
        }
        std::fs::remove_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    }
    told?;
    is_in_front(bench, &NGINX)
}

fn without_package(bench: &Bench) -> Result<(), String> {
    ensure(listening(bench, NGINX.command)?, "the premise does not hold: nginx went with its package")?;
    bench.run(&["check"])?.exits(3)?.says("nginx")?;
    bench.run(&["status", "--offline"])?.says("nginx").map(drop)
}

fn pkg(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("/usr/sbin/pkg").args(arguments).output().map_err(|error| format!("pkg: {error}"))?;
    ensure(output.status.success(), format!("pkg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
