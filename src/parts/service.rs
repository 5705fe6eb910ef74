//! The service: enabled at boot, started, and restarted only if something that it reads has changed.

use std::net::SocketAddr;

use super::{Refusal, folders, rc_script};
use crate::change::{Action, Readiness, ServiceStart, SetRcVariable, Step, StopService};
use crate::deployment::{Deployment, Layout, Mode};
use crate::gotosocial::commands;
use crate::host::{Observe, Owner};
use crate::sysconf::rc_conf;

/// The TCP ports that GoToSocial itself binds below 1024.
pub fn privileged_ports(deployment: &Deployment) -> Vec<u16> {
    let mut ports: Vec<u16> = deployment
        .letsencrypt_port()
        .into_iter()
        .chain([deployment.port()])
        .map(|port| port.get())
        .filter(|port| *port < 1024)
        .collect();
    ports.sort_unstable();
    ports
}

/// How to tell that this deployment is ready.
pub fn readiness(deployment: &Deployment, layout: &Layout) -> Readiness {
    let direct = deployment.exposure.mode == Mode::Direct;
    let address: SocketAddr = deployment.local_address();
    Readiness {
        host: deployment.host.to_string(),
        address,
        tls: direct,
        log: folders::log(layout),
        certificate: direct.then(|| layout.certs().join(deployment.host.to_string())),
    }
}

/// Environment of GoToSocial's own commands, as the rc.d script sets it for the service.
pub fn environment(layout: &Layout) -> Vec<(String, String)> {
    commands::environment(&layout.tmp(), &layout.wazero())
}

/// Plans the rc.conf(5) variables.
///
/// # Errors
/// They cannot be read.
pub fn variables(host: &dyn Observe, direct: bool, guard: bool) -> Result<Vec<Step>, Refusal> {
    let yes = |on: bool| if on { "YES" } else { "NO" };
    let mut steps = Vec::new();
    for (name, value) in [("gotosocial_enable", "YES"), ("gotosocial_direct", yes(direct))] {
        steps.extend(variable(host, "service", name, value)?);
    }
    if guard {
        steps.extend(rc_script::enable_guards(host, "service")?);
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
    let now = host.rc_variable(name)?;
    let differs = now.as_deref().is_none_or(|now| !rc_conf::means_the_same(now, value));
    let change = || SetRcVariable { name: name.to_owned(), value: Some(value.to_owned()) };
    Ok(differs.then(|| Step::new(part, Action::Set, change())))
}

/// The start; one that `migrates` the database is waited for without end.
pub fn start(service: Owner, ports: &[u16], readiness: &Readiness, migrates: bool) -> Step {
    let start = ServiceStart {
        name: rc_script::SERVICE.to_owned(),
        owner: service,
        ports: ports.to_vec(),
        readiness: readiness.clone(),
        migrates,
    };
    Step::new("service", Action::Start, start)
}

/// The stop before something that the running service reads is changed.
pub fn stop() -> Step {
    Step::new("service", Action::Stop, StopService { name: rc_script::SERVICE.to_owned() })
}
