//! GoToSocial as a service: its start, with the proof beforehand and the wait until it is ready, and its stop.
//!
//! A failed bind is a panic of GoToSocial in the middle of opening its database, so the ports are tried first, as the
//! service user. `service start` returns well whatever becomes of the program, so what counts is `/readyz`. A start is
//! never cut short for taking long: it may be migrating the database.

use std::net::IpAddr;
use std::time::Duration;

use super::handover::LetGo;
use crate::change::front::wait_for_release;
use crate::change::kind::prelude::*;
use crate::change::listening::Rightful;
use crate::change::operator::{Interruption, Operator};
use crate::change::readiness::{
    PAGE_TIMEOUT, Readiness, TAIL, is_ready, last_lines, log_says_ready, log_since, log_size, startup_by_log,
};
use crate::gotosocial::phase::{Phase, Startup};
use crate::gotosocial::readiness::message;
use crate::host::{BindOutcome, BindProbe, Family, Listener, ServiceAction, ServiceState};
use crate::portacl::Protocol;
use crate::shown::Shown;

/// Time between two questions. GoToSocial's rate limiter allows 300 requests in five minutes, loopback included.
const INTERVAL: Duration = Duration::from_secs(2);
/// After this long the wait ends with a note; the service is left to go on.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A service that was seen dead this many times in a row will not come up.
const DEAD: u32 = 5;
/// Nor will one that came back with another pid this many times: daemon(8) restarts it again and again.
const RESTARTS: u32 = 2;

/// Starts GoToSocial: proves beforehand that it can have its ports, and waits until it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStart {
    /// rc.d script.
    pub name: String,
    /// The service user.
    pub owner: Owner,
    /// TCP ports that the service user must be able to bind, now.
    pub ports: Vec<u16>,
    /// How to tell when it is ready.
    pub readiness: Readiness,
    /// Whether to wait for as long as the program lives: it migrates the database, and nothing may go on before it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub migrates: bool,
    /// A web server that has the ports until the last moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<LetGo>,
}

/// Stops a service, and returns when it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopService {
    /// rc.d script.
    pub name: String,
    /// Only where the changes after this one are taken back: one of them stops it, and it is to run again when they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub when_undone: bool,
}

impl Kind for ServiceStart {
    named!(ErrorCode::Service, "service");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.name.clone()), Left::Unrecorded))
    }

    fn detail(&self) -> String {
        if self.ports.is_empty() {
            return "and wait until it is ready".to_owned();
        }
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let ports = ports.join(" and ");
        match &self.from {
            Some(from) => format!("{}; wait until it is ready", from.detail(&ports)),
            None => format!("once uid {} is seen to bind {ports}; wait until it is ready", self.owner.uid),
        }
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        // A supervisor that restarts a dying program again and again is "not running" and yet refuses a start.
        host.service_action(&self.name, ServiceAction::Stop)?;
        if self.from.is_none() {
            wait_for_release(host, &self.ports)?;
        }
        self.prove(host)?;
        let began = log_size(host, &self.readiness.log)?;
        match &self.from {
            Some(from) => self.take_from(host, from)?,
            None => host.service_action(&self.name, ServiceAction::Start)?,
        }
        let patience = (!self.migrates).then_some(PATIENCE);
        if wait(executor, &self.name, &self.readiness, (began, true), patience)? {
            return Ok(());
        }
        let state = if executor.operator.decided() == Some(Interruption::Keep) {
            "is still starting and was left running".to_owned()
        } else {
            let minutes = PATIENCE.as_secs() / 60;
            format!(
                "still starts after {minutes} minutes and was left running (it may be migrating its database: do not stop it)"
            )
        };
        executor.operator.note(&format!("GoToSocial {state}; `gts-bootstrap check` shows when it is ready"));
        Ok(())
    }

    /// It may have run before, behind the web server that gave it the ports.
    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        let was = if self.from.is_some() { &Prior::Absent } else { prior };
        Thing::Service(self.name.clone()).restore(host, was)
    }

    /// It may be migrating the database. It does not where it only takes ports over, and of that nobody knows how far it came.
    fn is_left_to_run(&self, _host: &dyn Host) -> Result<bool, HostError> {
        Ok(self.from.is_none())
    }
}

impl ServiceStart {
    /// Binds its ports as the service user, before anything is started: all of them in one child.
    fn prove(&self, host: &dyn Host) -> Result<(), Failure> {
        let Owner { uid, gid } = self.owner;
        let both = |port: &u16| [Family::V4, Family::V6].map(|family| (*port, family));
        let tried: Vec<(u16, Family)> = self.ports.iter().flat_map(both).collect();
        let probe = |&(port, family): &(u16, Family)| BindProbe {
            uid,
            gid,
            groups: Vec::new(),
            family,
            protocol: Protocol::Tcp,
            port,
        };
        let outcomes = host.binds(&tried.iter().map(probe).collect::<Vec<_>>())?;
        for (port, outcomes) in self.ports.iter().zip(outcomes.chunks(2)) {
            if outcomes.iter().all(|outcome| *outcome == BindOutcome::NoAddress) {
                refuse!("port {port} cannot be bound: this host has neither IPv4 nor IPv6");
            }
            for outcome in outcomes {
                self.judge(host, *port, *outcome)?;
            }
        }
        Ok(())
    }

    fn judge(&self, host: &dyn Host, port: u16, outcome: BindOutcome) -> Result<(), Failure> {
        let uid = self.owner.uid;
        match outcome {
            // Where the host does not have the address family, the other one counts.
            BindOutcome::Bound | BindOutcome::NoAddress => Ok(()),
            // Whoever hands the ports over still has them; nobody else has, or it is seen then.
            BindOutcome::InUse if self.from.is_some() => Ok(()),
            BindOutcome::InUse => Ok(in_use(port, self.readiness.address.ip(), &host.listeners()?)?),
            BindOutcome::NoRule => refuse!(
                "uid {uid} may not bind port {port} (EPERM): no mac_portacl rule allows it; see sysctl \
                 security.mac.portacl.rules"
            ),
            BindOutcome::Reserved => refuse!(
                "uid {uid} may not bind port {port} (EACCES): it is still reserved; see sysctl \
                 net.inet.ip.portrange.reservedhigh"
            ),
            BindOutcome::Other(errno) => refuse!("uid {uid} cannot bind port {port} (errno {errno})"),
        }
    }

    /// Starts it up to the moment before it binds, has a web server let go of the ports, and lets it go on.
    fn take_from(&self, host: &dyn Host, from: &LetGo) -> Result<(), Failure> {
        let name = &self.name;
        host.service_action(name, ServiceAction::StartHeld)?;
        let take = &mut || Ok(host.service_action(name, ServiceAction::Release)?);
        let taken = from.hand_over(host, &Rightful::service(self.owner.uid), &self.ports, take);
        if taken.is_err() {
            host.service_action(name, ServiceAction::Stop)?;
            host.service_action(name, ServiceAction::Release)?;
        }
        taken
    }
}

impl Kind for StopService {
    named!(ErrorCode::Service, "service");

    fn detail(&self) -> String {
        if self.when_undone { "only if what follows is undone" } else { "cleanly" }.to_owned()
    }

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.name.clone()), Left::Unrecorded))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, name) = (executor.host, &self.name);
        if self.when_undone {
            return Ok(());
        }
        host.service_action(name, ServiceAction::Stop)?;
        if host.service(name)?.is_running() {
            refuse!("the service {name} was stopped and still runs; see `service {name} status`");
        }
        Ok(())
    }

    /// Starts it again if it ran; whether it is enabled is another change's to put right. That the start returned proves nothing,
    /// so the service is looked at for a few seconds.
    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        const LOOKS: u32 = 3;
        if *prior != Prior::Present {
            return Ok(());
        }
        if host.service(&self.name)?.is_running() {
            return Ok(());
        }
        host.service_action(&self.name, ServiceAction::StartOnce)?;
        for _ in 0..LOOKS {
            host.sleep(Duration::from_secs(2));
            if !host.service(&self.name)?.is_running() {
                return Err(HostError::Died { service: self.name.clone() });
            }
        }
        Ok(())
    }

    /// A service that had been disabled before was to go: whoever has its ports by now, after a reboot, is to keep them.
    fn is_left_to_run(&self, host: &dyn Host) -> Result<bool, HostError> {
        Ok(self.when_undone || !host.rc_is_yes(&format!("{}_enable", self.name))?)
    }
}

/// Waits until a service that is running, or was started before, is ready; no time at all if it is. `false`: it still starts
/// after [`PATIENCE`], or somebody does not want to wait for it.
///
/// # Errors
/// In words: the program died.
pub(super) fn wait_until_ready(executor: &Executor<'_>, name: &str, readiness: &Readiness) -> Result<bool, Failure> {
    let host = executor.host;
    let began = log_size(host, &readiness.log)?.saturating_sub(TAIL as u64);
    if is_ready(host, readiness, &log_since(host, &readiness.log, began), PAGE_TIMEOUT) {
        return Ok(true);
    }
    wait(executor, name, readiness, (began, false), Some(PATIENCE))
}

/// Waits until a service that was started by somebody else, with whichever configuration, has finished its start; `false`: it
/// still starts after [`PATIENCE`].
///
/// # Errors
/// The host could not be asked.
pub(in crate::change) fn settles_down(
    host: &dyn Host,
    operator: &dyn Operator,
    name: &str,
    readiness: &Readiness,
) -> Result<bool, HostError> {
    let mut elapsed = Duration::ZERO;
    while host.service(name)?.is_running() {
        // It may listen elsewhere than the readiness says, but its log is the same.
        if log_says_ready(host, readiness) || is_ready(host, readiness, "", PAGE_TIMEOUT) {
            return Ok(true);
        }
        if elapsed >= PATIENCE {
            return Ok(false);
        }
        host.sleep(INTERVAL);
        elapsed += INTERVAL;
        let what = waits_for(host, readiness, &log_since(host, &readiness.log, 0), None);
        operator.waiting(&format!("{what}, which is not interrupted"), elapsed, None);
    }
    Ok(true)
}

/// Waits for a service whose log counts from `began` on; `is_new`: it was started just now.
fn wait(
    executor: &Executor<'_>,
    name: &str,
    readiness: &Readiness,
    (began, is_new): (u64, bool),
    patience: Option<Duration>,
) -> Result<bool, Failure> {
    let (host, log) = (executor.host, &readiness.log);
    let mut elapsed = Duration::ZERO;
    let (mut dead, mut restarts, mut last_pid, mut told) = (0, 0, None, false);
    loop {
        host.sleep(INTERVAL);
        elapsed += INTERVAL;
        if (executor.stop)().is_some() {
            match executor.operator.interrupted() {
                Interruption::Keep => return Ok(false),
                Interruption::Undo if !told => {
                    executor.operator.note(
                        "GoToSocial may be migrating its database, which must not be interrupted: the changes are undone as \
                         soon as it is ready",
                    );
                    told = true;
                }
                Interruption::Undo | Interruption::Continue => {}
            }
        }
        let tail = log_since(host, log, began);
        if let ServiceState::Running { pid } = host.service(name)? {
            restarts += u32::from(last_pid.is_some() && pid.is_some() && pid != last_pid);
            last_pid = pid.or(last_pid);
            dead = 0;
            // After a restart the marks of readiness in the log may be those of a program that has died since.
            if is_ready(host, readiness, if restarts == 0 { &tail } else { "" }, PAGE_TIMEOUT) {
                return Ok(true);
            }
        } else {
            dead += 1;
        }
        if dead >= DEAD || restarts >= RESTARTS {
            let (log, tail) = (log.shown(), last_lines(&tail, 12));
            refuse!("{name} was started and died. The last lines of {log}:\n{tail}");
        }
        let newest = tail.lines().last().map(message);
        let age = (is_new && restarts == 0).then_some(elapsed.as_secs());
        executor.operator.waiting(&waits_for(host, readiness, &tail, age), elapsed, newest.as_deref());
        if patience.is_some_and(|patience| elapsed >= patience) {
            return Ok(false);
        }
    }
}

/// What a server does that is not ready, and for how long if its age is known.
fn waits_for(host: &dyn Host, readiness: &Readiness, log: &str, age: Option<u64>) -> String {
    // The whole time is told anyway, and so is the newest line.
    let told = |startup: Startup| Startup {
        silent_seconds: None,
        seconds: startup.seconds.filter(|_| startup.phase != Phase::Starting),
        ..startup
    };
    let startup = startup_by_log(host, readiness, log, age).map(told);
    startup.map_or_else(|| "GoToSocial is starting".to_owned(), |startup| format!("GoToSocial is {startup}"))
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
    Err(format!("port {port} is taken by {by}; stop it and run this again"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            jail: None,
        };
        let everywhere = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(in_use(443, everywhere, &[listener(80)]), Ok(()), "connections of a stopped service that wind down");
        let taken = in_use(443, everywhere, &[listener(80), listener(443)]).err().unwrap_or_default();
        assert!(taken.contains("nginx (user www, uid 80, pid 7)"), "{taken}");
        let elsewhere = Listener { address: Some(IpAddr::from([203, 0, 113, 99])), ..listener(443) };
        assert_eq!(in_use(443, IpAddr::from([203, 0, 113, 10]), &[elsewhere]), Ok(()));
    }
}
