//! The service: enabled at boot, started, and restarted only if something that it reads has changed.

use super::{Refusal, folders, front, rc_script};
use crate::change::listening::Rightful;
use crate::change::{Action, LetGo, Readiness, ServiceStart, SetRcVariable, Step, StopService};
use crate::deployment::{Deployment, Layout, Mode};
use crate::gotosocial::commands;
use crate::host::{HostError, Observe, Owner};
use crate::sysconf::rc_conf;

const PART: &str = "service";
/// The rc.conf(5) variable that starts the service at boot.
pub(super) const ENABLE: &str = "gotosocial_enable";

/// The TCP ports below 1024 that GoToSocial itself binds.
pub fn privileged_ports(deployment: &Deployment) -> Vec<u16> {
    let ports = deployment.letsencrypt_port().into_iter().chain([deployment.port()]).map(|port| port.get());
    let mut ports: Vec<u16> = ports.filter(|port| *port < 1024).collect();
    ports.sort_unstable();
    ports
}

/// Whether the running service has a port that belongs to a web server in front.
///
/// # Errors
/// The sockets cannot be listed.
pub(super) fn holds_ports(host: &dyn Observe, owner: Owner) -> Result<bool, HostError> {
    let service = Rightful::service(owner.uid);
    Ok(host.listeners()?.iter().any(|socket| front::PORTS.contains(&socket.port) && service.have(socket)))
}

/// How to tell that this deployment is ready.
pub fn readiness(deployment: &Deployment, layout: &Layout) -> Readiness {
    let direct = deployment.exposure.mode == Mode::Direct;
    Readiness {
        host: deployment.host.to_string(),
        address: deployment.local_address(),
        tls: direct,
        log: folders::log(layout),
        certificate: direct.then(|| layout.certs().join(deployment.host.to_string())),
    }
}

/// Environment of GoToSocial's own commands, as the rc.d script sets it for the service.
pub(super) fn environment(layout: &Layout) -> Vec<(String, String)> {
    commands::environment(&layout.tmp(), &layout.wazero())
}

/// Plans the rc.conf(5) variables.
///
/// # Errors
/// They cannot be read.
pub(super) fn variables(host: &dyn Observe, direct: bool, guard: bool) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    steps.extend(variable(host, PART, ENABLE, "YES")?);
    steps.extend(variable(host, PART, "gotosocial_direct", if direct { "YES" } else { "NO" })?);
    if guard {
        steps.extend(variable(host, PART, rc_script::GUARD_ENABLE, "YES")?);
    }
    Ok(steps)
}

/// Plans one rc.conf(5) variable.
///
/// # Errors
/// It cannot be read.
pub(super) fn variable(
    host: &dyn Observe,
    part: &'static str,
    name: &str,
    value: &str,
) -> Result<Option<Step>, Refusal> {
    let is_set = host.rc_variable(name)?.is_some_and(|now| rc_conf::means_the_same(&now, value));
    Ok((!is_set).then(|| set(part, name, value)))
}

/// Whether the service starts at boot.
pub(super) fn enable(yes: bool) -> Step {
    set(PART, ENABLE, if yes { "YES" } else { "NO" })
}

fn set(part: &'static str, name: &str, value: &str) -> Step {
    Step::new(part, Action::Set, SetRcVariable { name: name.to_owned(), value: Some(value.to_owned()) })
}

/// The start. One that `migrates` the database has no time limit; one that takes its ports `from` a web server has them at once.
pub(super) fn start(
    deployment: &Deployment,
    layout: &Layout,
    owner: Owner,
    migrates: bool,
    from: Option<LetGo>,
) -> Step {
    let start = ServiceStart {
        name: rc_script::SERVICE.to_owned(),
        owner,
        ports: privileged_ports(deployment),
        readiness: readiness(deployment, layout),
        migrates,
        from,
    };
    Step::new(PART, Action::Start, start)
}

/// The stop before something that the running service reads is changed.
pub(super) fn stop() -> Step {
    Step::new(PART, Action::Stop, stop_of(rc_script::SERVICE))
}

/// The stop of a service.
pub(super) fn stop_of(name: &str) -> StopService {
    StopService { name: name.to_owned(), when_undone: false }
}

/// What has the service run again where the changes after this one are taken back.
pub(super) fn runs_when_undone(part: &'static str, name: &str) -> Step {
    Step::new(part, Action::Start, StopService { when_undone: true, ..stop_of(name) })
}
