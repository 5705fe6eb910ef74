//! GoToSocial and its supervisor, and the web server in front: do they run, and is GoToSocial ready?

use std::time::Duration;

use serde::Serialize;

use super::{Known, Told};
use crate::change::readiness::{has_certificate, log_says_ready};
use crate::host::{Entry, HostError, Observe, Supervision, WebFailure, WebRequest};
use crate::parts::{folders, rc_script, service as parts_service};

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
    #[must_use]
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
    let supervision = known.host.supervision(rc_script::SERVICE);
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
    let readiness = parts_service::readiness(deployment, known.layout);
    // A handshake without a certificate in the cache makes the server order one, and users other than root cannot see
    // that cache.
    if !has_certificate(known.host, &readiness) {
        return if known.root { Told::Known(log_says_ready(known.host, &readiness)) } else { Told::needs_root() };
    }
    let request = WebRequest {
        tls: readiness.tls,
        host: readiness.host.clone(),
        address: Some(readiness.address),
        path: "/readyz".to_owned(),
        verify: false,
        timeout: PATIENCE,
    };
    match known.host.web(&request) {
        Ok(answer) => Told::Known(answer.status == 200),
        Err(WebFailure::Tls(_)) => Told::Known(log_says_ready(known.host, &readiness)),
        Err(_) => Told::Known(false),
    }
}

fn unready_starts(host: &dyn Observe, known: &Known<'_>) -> Result<u32, HostError> {
    let log = folders::log(known.layout);
    let Some(Entry::File { size, .. }) = host.entry(&log)? else { return Ok(0) };
    let limit = usize::try_from(TAIL).unwrap_or(usize::MAX);
    let bytes = host.read_from(&log, size.saturating_sub(TAIL), limit)?.unwrap_or_default();
    Ok(in_a_row(&String::from_utf8_lossy(&bytes)))
}

/// Starts since the last one that completed. A start begins with that of the caches and ends with the recovery of
/// queued tasks (seen with 0.19.2 and 0.20.0-rc1). With a log level above info neither is logged.
fn in_a_row(log: &str) -> u32 {
    let since = log.rsplit_once("recovered queued tasks").map_or(log, |(_, since)| since);
    u32::try_from(since.matches("func=cache.(*Caches).Start ").count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_came_to_nothing_are_counted_from_the_last_good_one() {
        let start = "timestamp=\"22/11/2026 18:30:16.000\" func=cache.(*Caches).Start level=INFO msg=\"start: 0x1\"\n";
        let ready = "func=admin.(*Processor).FillWorkerQueues level=INFO msg=\"recovered queued tasks\"\n";
        for (log, count) in [
            (String::new(), 0),
            (format!("{start}{ready}"), 0),
            (format!("{start}{ready}{start}"), 1),
            (format!("{start}{start}{ready}{start}panic: x\n{start}panic: x\n"), 2),
        ] {
            assert_eq!(in_a_row(&log), count, "{log}");
        }
    }
}
