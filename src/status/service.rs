//! GoToSocial and its supervisor, and the web server in front: do they run, and is GoToSocial ready?

use std::time::Duration;

use serde::Serialize;

use super::{Known, Told};
use crate::change::readiness::{has_certificate, log_says_ready};
use crate::gotosocial::{SERVICE, readiness};
use crate::host::{Entry, HostError, Observe, Supervision, WebFailure, WebRequest};
use crate::parts::{folders, service as parts_service};

/// The time-out of `/readyz`.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of the end of the log is read, in bytes.
const TAIL: u64 = 256 * 1024;

/// GoToSocial and its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Whether it runs.
    pub supervision: Told<Supervision>,
    /// Whether it is ready to serve.
    pub ready: Told<bool>,
    /// How many starts in a row, including the newest, did not become ready, according to the end of the log.
    pub unready_starts: Told<u32>,
}

impl Service {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.supervision.known(), Some(Supervision::Running { .. } | Supervision::Orphan { .. }))
    }
}

/// The web server in front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrontService {
    /// Its rc.d script.
    pub service: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it runs.
    pub running: Told<bool>,
}

/// Reads the state of GoToSocial.
pub(super) fn look(known: &Known<'_>) -> Service {
    let supervision = known.host.supervision(SERVICE);
    let mut service = Service {
        supervision: supervision.into(),
        ready: Told::Known(false),
        unready_starts: unready_starts(known.host, known).into(),
    };
    match service.supervision.known() {
        None | Some(Supervision::Hidden) => service.ready = Told::needs_root(),
        Some(Supervision::Running { .. } | Supervision::Orphan { .. }) => service.ready = ready(known),
        Some(_) => {}
    }
    service
}

/// Reads the state of the web server in front, if there is one.
pub(super) fn front(known: &Known<'_>) -> Option<FrontService> {
    let front = known.mode.known()?.front()?;
    let running = known.host.service(front.service).map(|state| state.is_running());
    Some(FrontService { service: front.service, name: front.name, running: running.into() })
}

/// Checks in the same way as the executor after a start: see "The server" in `docs/decisions.md`.
fn ready(known: &Known<'_>) -> Told<bool> {
    let deployment = match &known.deployment {
        Told::Known(deployment) => deployment,
        Told::Unknown { unknown } => return Told::unknown(unknown.clone()),
    };
    let wanted = parts_service::readiness(deployment, known.layout);
    // A handshake without a certificate in the cache makes the server order one, and users other than root cannot see
    // that cache.
    if !has_certificate(known.host, &wanted) {
        return if known.root { Told::Known(log_says_ready(known.host, &wanted)) } else { Told::needs_root() };
    }
    let request = WebRequest {
        tls: wanted.tls,
        host: wanted.host.clone(),
        address: Some(wanted.address),
        path: readiness::READYZ.to_owned(),
        verify: false,
        timeout: PATIENCE,
    };
    match known.host.web(&request) {
        Ok(answer) => Told::Known(answer.status == 200),
        Err(WebFailure::Tls(_)) => Told::Known(log_says_ready(known.host, &wanted)),
        Err(_) => Told::Known(false),
    }
}

fn unready_starts(host: &dyn Observe, known: &Known<'_>) -> Result<u32, HostError> {
    let log = folders::log(known.layout);
    let Some(Entry::File { size, .. }) = host.entry(&log)? else { return Ok(0) };
    let limit = usize::try_from(TAIL).unwrap_or(usize::MAX);
    let bytes = host.read_from(&log, size.saturating_sub(TAIL), limit)?.unwrap_or_default();
    Ok(readiness::unready_starts(&String::from_utf8_lossy(&bytes)))
}
