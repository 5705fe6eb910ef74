//! GoToSocial and its supervisor, and the web server in front: do they run, and is GoToSocial ready?

use std::time::Duration;

use serde::Serialize;

use super::{Known, Told, Unknown};
use crate::change::readiness::{has_certificate, is_ready, log_since, startup_by_log};
use crate::gotosocial::phase::{Phase, Startup};
use crate::gotosocial::{SERVICE, readiness};
use crate::host::{Entry, Supervision, Whose};
use crate::parts::{folders, service as parts_service};

/// The time-out of `/readyz`.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of the end of the log is read, in bytes.
const TAIL: usize = 256 * 1024;

/// GoToSocial and its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Whether it runs.
    pub supervision: Told<Supervision>,
    /// Whether it is ready to serve.
    pub ready: Told<bool>,
    /// How far it has come, while it is starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
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
    let ready = match &supervision {
        Err(_) | Ok(Supervision::Hidden) => Err(Unknown::needs_root()),
        Ok(Supervision::Running { .. } | Supervision::Orphan { .. }) => ready(known),
        Ok(_) => Ok(false),
    };
    let wanted = || Some(parts_service::readiness(known.deployment().ok()?, known.layout));
    let startup = match (&supervision, &ready) {
        // What it says of itself over http is known by now; the log says the rest.
        (Ok(Supervision::Running { seconds, .. }), Ok(ready)) => wanted()
            .and_then(|wanted| startup_by_log(known.host, &wanted, &log_since(known.host, &wanted.log, 0), *seconds))
            .filter(|startup| !ready || startup.phase == Phase::Certificate),
        _ => None,
    };
    let unready_starts = unready_starts(known).into();
    Service { supervision: supervision.into(), ready: ready.into(), startup, unready_starts }
}

/// Reads the state of the web server in front, if there is one.
pub(super) fn front(known: &Known<'_>) -> Option<FrontService> {
    let front = known.mode.as_ref().ok()?.front()?;
    let running = known.sees_others().and_then(|()| Ok(known.host.service(front.service)?.is_running()));
    Some(FrontService { service: front.service, name: front.name, running: running.into() })
}

/// Checks in the same way as the executor after a start: see "The server" in `docs/decisions.md`.
fn ready(known: &Known<'_>) -> Result<bool, Unknown> {
    let wanted = parts_service::readiness(known.deployment()?, known.layout);
    // A handshake without a certificate in the cache makes the server order one, and users other than root cannot see
    // that cache.
    if !known.root && !has_certificate(known.host, &wanted) {
        return Err(Unknown::needs_root());
    }
    Ok(is_ready(known.host, &wanted, &log_since(known.host, &wanted.log, 0), PATIENCE))
}

fn unready_starts(known: &Known<'_>) -> Result<u32, Unknown> {
    let log = folders::log(known.layout);
    let Some(Entry::File { size, .. }) = known.host.entry(&log)? else { return Ok(0) };
    let bytes = known.host.read_from(&log, Whose::ROOT, size.saturating_sub(TAIL as u64), TAIL)?.unwrap_or_default();
    Ok(readiness::unready_starts(&String::from_utf8_lossy(&bytes)))
}
