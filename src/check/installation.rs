//! All checks of an installation, ordered so that each one explains the next.

use super::bind::{self, Row};
use super::health::{self, Expected};
use super::{Check, Matter, certificate, front, posture};
use crate::change::readiness::startup;
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::{HostError, Observe, Owner};
use crate::parts::{front as parts_front, service};

/// The results of the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Every check.
    pub checks: Vec<Check>,
    /// The bind check's matrix, for its table.
    pub matrix: Vec<Row>,
}

/// Checks an installation on the running system.
///
/// # Errors
/// The host could not be read, or a bind probe could not be run.
pub fn check(
    host: &dyn Observe,
    deployment: &Deployment,
    layout: &Layout,
    version: &semver::Version,
    owner: Owner,
) -> Result<Findings, HostError> {
    let ports = service::privileged_ports(deployment);
    let readiness = service::readiness(deployment, layout);
    let expected = Expected { readiness: &readiness, service: owner, ports: &ports, version };
    let program = deployment.exposure.mode.front();
    // Behind a web server the check proves the opposite: GoToSocial may bind neither port.
    let tried = if program.is_some() { &parts_front::PORTS[..] } else { &ports };
    let matrix = bind::matrix(host, owner, tried, &ports)?;
    let mut checks: Vec<Check> = matrix.iter().map(Row::check).collect();
    checks.extend(posture::checks(host, owner, &ports)?);
    let processes = health::processes(host, &expected)?;
    let up = !super::failed(&processes);
    checks.extend(processes);
    let mut is_served = true;
    if up && readiness.tls {
        let (certificate, served) = certificate::check(host, &readiness);
        let starts = if served { None } else { startup(host, &readiness) };
        checks.push(certificate.while_starting(starts));
        is_served = served;
    }
    checks.extend(match (up, is_served) {
        (false, _) => health::unanswered("the service does not listen"),
        (true, false) => health::without_certificate(host, &readiness),
        (true, true) => health::answers(host, &expected),
    });
    if let Some(program) = program {
        checks.extend(front::checks(host, deployment, program, owner)?);
    }
    Ok(Findings { checks, matrix })
}

/// The placeholder for the checks while they cannot pass before a reboot.
pub fn after_reboot() -> Vec<Check> {
    let later = "not tried: it is in force only after the reboot";
    ["bind", "service", "readyz"].map(|name| Matter(name, ErrorCode::Reboot).skip(later)).into()
}
