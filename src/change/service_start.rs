//! Starting GoToSocial: the proof beforehand, the start, and the wait until it is ready.
//!
//! A failed bind is a panic of GoToSocial in the middle of opening its database, so the ports are tried first, as the
//! service user. `service start` returns well whatever becomes of the program, so what counts is `/readyz`. A start is
//! never cut short for taking long: it may be migrating the database.

use std::net::IpAddr;
use std::time::Duration;

use super::executor::{Executor, Interruption, Reporter};
use super::{Readiness, ServiceStart};
use crate::gotosocial::readiness::{READYZ, message, ready_by_log};
use crate::host::{
    BindOutcome, BindProbe, Family, Host, HostError, Listener, Observe, ServiceAction, ServiceState, WebAnswer,
    WebFailure, WebRequest,
};
use crate::portacl::Protocol;

/// Time between two questions. GoToSocial's rate limiter allows 300 requests in five minutes, loopback included.
const INTERVAL: Duration = Duration::from_secs(2);
/// After this long the wait ends with a note; the service is left to go on.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A service that was seen dead this many times in a row will not come up.
const DEAD: u32 = 5;
/// Nor will one that came back with another pid this many times: daemon(8) restarts it again and again.
const RESTARTS: u32 = 2;
/// How much of the end of the log is looked at.
const TAIL: usize = 256 * 1024;

/// Proves that the ports can be had, starts the service, and waits until it is ready.
///
/// # Errors
/// In words: a port cannot be had, the start failed, or the program died.
pub(super) fn start(executor: &Executor<'_>, start: &ServiceStart) -> Result<Vec<String>, String> {
    let host = executor.host;
    let said = |error: HostError| error.to_string();
    // A supervisor that restarts a dying program again and again is "not running" and yet refuses a start.
    host.service_action(&start.name, ServiceAction::Stop).map_err(said)?;
    super::front::wait_for_release(host, &start.ports)?;
    for port in &start.ports {
        let tried = [prove(host, start, *port, Family::V4)?, prove(host, start, *port, Family::V6)?];
        if !tried.contains(&true) {
            return Err(format!("port {port} cannot be bound: this host has neither IPv4 nor IPv6"));
        }
    }
    let began = log_size(host, &start.readiness.log).map_err(said)?;
    host.service_action(&start.name, ServiceAction::Start).map_err(said)?;
    let patience = if start.migrates { None } else { Some(PATIENCE) };
    let ready = wait(executor, &start.name, &start.readiness, began, patience)?;
    Ok(if ready {
        Vec::new()
    } else if executor.reporter.decided() == Some(Interruption::Keep) {
        vec!["GoToSocial still starts and was left to go on; `gts-bootstrap check` tells when it is ready".to_owned()]
    } else {
        vec![format!(
            "GoToSocial still starts after {} minutes and was left to go on (it may be migrating its database: do not \
             stop it); `gts-bootstrap check` tells when it is ready",
            PATIENCE.as_secs() / 60
        )]
    })
}

/// Waits until a service that is running, or was started before, is ready; no time at all if it is. `false`: it still starts
/// after [`PATIENCE`], or somebody does not want to wait for it.
///
/// # Errors
/// In words: the program died.
pub(super) fn wait_until_ready(executor: &Executor<'_>, name: &str, readiness: &Readiness) -> Result<bool, String> {
    let host = executor.host;
    let began = log_size(host, &readiness.log).map_err(|error| error.to_string())?.saturating_sub(TAIL as u64);
    if is_ready(host, readiness, &log_since(host, &readiness.log, began)) {
        return Ok(true);
    }
    wait(executor, name, readiness, began, Some(PATIENCE))
}

/// Waits until a service that was started by somebody else, with whichever configuration, has finished its start; `false`: it
/// still starts after [`PATIENCE`].
///
/// # Errors
/// The host could not be asked.
pub(super) fn settles_down(
    host: &dyn Host,
    reporter: &dyn Reporter,
    name: &str,
    readiness: &Readiness,
) -> Result<bool, HostError> {
    let mut elapsed = Duration::ZERO;
    while host.service(name)?.is_running() {
        // It may listen elsewhere than the readiness says, but its log is the same.
        if log_says_ready(host, readiness) || is_ready(host, readiness, "") {
            return Ok(true);
        }
        if elapsed >= PATIENCE {
            return Ok(false);
        }
        host.sleep(INTERVAL);
        elapsed += INTERVAL;
        reporter.waiting("GoToSocial is starting, which is not interrupted", elapsed, None);
    }
    Ok(true)
}

fn wait(
    executor: &Executor<'_>,
    name: &str,
    readiness: &Readiness,
    began: u64,
    patience: Option<Duration>,
) -> Result<bool, String> {
    let (host, log) = (executor.host, &readiness.log);
    let mut elapsed = Duration::ZERO;
    let (mut dead, mut restarts, mut last_pid) = (0, 0, None);
    let mut told = false;
    loop {
        host.sleep(INTERVAL);
        elapsed += INTERVAL;
        if (executor.stop)().is_some() {
            match executor.reporter.interrupted() {
                Interruption::Keep => return Ok(false),
                Interruption::Undo if !told => {
                    executor.reporter.note(
                        "GoToSocial may be migrating its database, which must not be interrupted: what was done is taken back as \
                         soon as it is ready",
                    );
                    told = true;
                }
                Interruption::Undo | Interruption::Continue => {}
            }
        }
        let tail = log_since(host, log, began);
        let running = match host.service(name).map_err(|error| error.to_string())? {
            ServiceState::Running { pid } => {
                restarts += u32::from(last_pid.is_some() && pid.is_some() && pid != last_pid);
                last_pid = pid.or(last_pid);
                dead = 0;
                true
            }
            ServiceState::Stopped | ServiceState::Missing => {
                dead += 1;
                false
            }
        };
        // After a restart the marks of readiness in the log may be those of a program that has died since.
        let log_counts = dead == 0 && restarts == 0;
        if running && is_ready(host, readiness, if log_counts { &tail } else { "" }) {
            return Ok(true);
        }
        if dead >= DEAD || restarts >= RESTARTS {
            return Err(format!(
                "{name} was started and died. The last lines of {}:\n{}",
                log.display(),
                last_lines(&tail, 12)
            ));
        }
        let newest = tail.lines().last().map(message);
        executor.reporter.waiting("GoToSocial is starting", elapsed, newest.as_deref());
        if patience.is_some_and(|patience| elapsed >= patience) {
            return Ok(false);
        }
    }
}

fn log_size(host: &dyn Observe, log: &std::path::Path) -> Result<u64, HostError> {
    Ok(match host.entry(log)? {
        Some(crate::host::Entry::File { size, .. }) => size,
        _ => 0,
    })
}

/// One bind as the service user, before anything is started; `false` where the host does not have the address family.
fn prove(host: &dyn Host, start: &ServiceStart, port: u16, family: Family) -> Result<bool, String> {
    let probe = BindProbe {
        uid: start.owner.uid,
        gid: start.owner.gid,
        groups: Vec::new(),
        family,
        protocol: Protocol::Tcp,
        port,
    };
    let user = format!("uid {}", start.owner.uid);
    match host.bind(&probe).map_err(|error| error.to_string())? {
        BindOutcome::Bound => Ok(true),
        BindOutcome::NoAddress => Ok(false),
        BindOutcome::InUse => {
            let listeners = host.listeners().map_err(|error| error.to_string())?;
            in_use(port, start.readiness.address.ip(), &listeners).map(|()| true)
        }
        BindOutcome::NoRule => Err(format!(
            "{user} may not bind port {port} (EPERM): no mac_portacl rule allows it; see sysctl security.mac.portacl.rules"
        )),
        BindOutcome::Reserved => Err(format!(
            "{user} may not bind port {port} (EACCES): it is still reserved; see sysctl net.inet.ip.portrange.reservedhigh"
        )),
        BindOutcome::Other(errno) => Err(format!("{user} cannot bind port {port} (errno {errno})")),
    }
}

/// What EADDRINUSE comes to. The probe does not set `SO_REUSEADDR`, so on FreeBSD the closed connections of the service
/// that has just been stopped (TIME_WAIT) keep the port from it for a minute (`in_pcbbind()` in `sys/netinet/in_pcb.c`). They do
/// not keep it from GoToSocial, which sets that option as every Go program does: only a listener on the same address does.
/// `address` is where GoToSocial is reached from this host: loopback if it listens on every address.
fn in_use(port: u16, address: IpAddr, listeners: &[Listener]) -> Result<(), String> {
    let same = |listener: &&Listener| {
        listener.port == port && (address.is_loopback() || listener.address.is_none_or(|other| other == address))
    };
    let Some(by) = listeners.iter().find(same) else { return Ok(()) };
    let pid = by.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    Err(format!("port {port} is taken by {} (user {}, pid {pid}); stop it and run this again", by.command, by.user))
}

/// The log from where it was when the service was started.
fn log_since(host: &dyn Observe, log: &std::path::Path, began: u64) -> String {
    let size = match host.entry(log) {
        Ok(Some(crate::host::Entry::File { size, .. })) => size,
        _ => return String::new(),
    };
    // A log that is shorter than it was has been rotated meanwhile.
    let from = if size < began { 0 } else { began.max(size.saturating_sub(TAIL as u64)) };
    host.read_from(log, from, TAIL)
        .ok()
        .flatten()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Whether it is ready, or is so as far as its log tells and cannot be asked.
fn is_ready(host: &dyn Observe, readiness: &Readiness, log: &str) -> bool {
    // Each TLS connection without a certificate in the cache has the server order one; a certificate authority counts
    // failed orders and shuts its door after a few. So the log is asked until there is a certificate, or no need of one.
    if !has_certificate(host, readiness) {
        return ready_by_log(log);
    }
    match ask(host, readiness, READYZ) {
        Ok(answer) => answer.status == 200,
        Err(WebFailure::Tls(_)) => ready_by_log(log),
        Err(_) => false,
    }
}

/// Whether the server can be asked over TLS without ordering a certificate: it has one in its cache that has not expired, or
/// needs none.
pub fn has_certificate(host: &dyn Observe, readiness: &Readiness) -> bool {
    let Some(path) = &readiness.certificate else { return true };
    let Ok(Some(pem)) = host.read(path) else { return false };
    // What is no certificate GoToSocial replaces at the next handshake, like one that has expired.
    x509_parser::pem::Pem::iter_from_buffer(&pem)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .find_map(|block| block.parse_x509().ok().map(|leaf| leaf.validity().not_after.timestamp()))
        .is_some_and(|end| end >= i64::try_from(host.now()).unwrap_or(i64::MAX))
}

/// Whether the log says of the newest start that it was finished.
pub fn log_says_ready(host: &dyn Observe, readiness: &Readiness) -> bool {
    ready_by_log(&log_since(host, &readiness.log, 0))
}

/// One request to the service on this host.
///
/// # Errors
/// There was no answer.
pub fn ask(host: &dyn Observe, readiness: &Readiness, path: &str) -> Result<WebAnswer, WebFailure> {
    host.web(&WebRequest {
        tls: readiness.tls,
        host: readiness.host.clone(),
        address: Some(readiness.address),
        path: path.to_owned(),
        verify: false,
        timeout: Duration::from_secs(30),
    })
}

/// The last lines of a log, indented.
pub(super) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Owner;
    use crate::host::rehearsal::Rehearsal;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn an_expired_certificate_is_none() {
        // Valid until 2124.
        const PEM: &[u8] = include_bytes!("../../tests/release/fixtures/loopback-cert.pem");
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let mut readiness = Readiness {
            host: "a.example".into(),
            address: "127.0.0.1:443".parse().unwrap(),
            tls: true,
            log: "/var/log/gotosocial/gotosocial.log".into(),
            certificate: Some("/var/db/certificate".into()),
        };
        assert!(!has_certificate(&host, &readiness), "there is none");
        host.write_file("/var/db/certificate".as_ref(), b"nonsense", 0o600, Owner::ROOT).unwrap();
        assert!(!has_certificate(&host, &readiness), "that is none");
        host.write_file("/var/db/certificate".as_ref(), PEM, 0o600, Owner::ROOT).unwrap();
        assert!(has_certificate(&host, &readiness));
        host.edit(|model| model.clock = 5_000_000_000).unwrap();
        assert!(!has_certificate(&host, &readiness), "in 2128");
        readiness.certificate = None;
        assert!(has_certificate(&host, &readiness), "it needs none");
    }

    #[test]
    fn only_a_listener_keeps_a_port_from_the_service() {
        let listener = |port| Listener {
            user: "www".into(),
            uid: Some(80),
            command: "nginx".into(),
            pid: Some(7),
            address: None,
            ipv4: true,
            ipv6: true,
            port,
        };
        let everywhere = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(in_use(443, everywhere, &[listener(80)]), Ok(()), "connections of a stopped service that wind down");
        let taken = in_use(443, everywhere, &[listener(80), listener(443)]).err().unwrap_or_default();
        assert!(taken.contains("nginx (user www, pid 7)"), "{taken}");
        let elsewhere = Listener { address: Some(IpAddr::from([203, 0, 113, 99])), ..listener(443) };
        assert_eq!(in_use(443, IpAddr::from([203, 0, 113, 10]), &[elsewhere]), Ok(()));
    }
}
