//! Who may listen on a port that the instance is served on.
//!
//! The uid tells, which only root can lend: a process gives itself any name. A socket that stays open keeps its port even if
//! the rule is gone with which it was bound, and one that is bound to a single address comes before those for every address.
//! So each socket on the port counts, on whatever address.

use std::net::SocketAddr;

use super::failure::{Failure, refuse};
use super::front::HostFiles;
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{HostError, Listener, Listeners, Observe};

/// Those who may have a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rightful {
    /// What people call them.
    pub name: &'static str,
    uids: Vec<u32>,
    /// Their command: behind the right uid it can be believed.
    command: Option<&'static str>,
}

impl Rightful {
    /// GoToSocial itself.
    pub fn service(uid: u32) -> Self {
        Self { name: SERVICE, uids: vec![uid], command: None }
    }

    /// A web server: root, who opens its sockets, and the account of those of its processes that serve, which inherit them.
    /// Never the service's account.
    ///
    /// # Errors
    /// The user database cannot be read.
    pub fn front(host: &dyn Observe, front: Front) -> Result<Self, HostError> {
        let configured = (front.configured_account)(&front.main_file(), &HostFiles(host));
        let account = configured.as_deref().unwrap_or(front.account);
        let worker = match account.strip_prefix('#') {
            Some(number) => number.parse().ok(),
            None => host.user(account)?.map(|user| user.uid),
        };
        let service = host.user(SERVICE)?.map(|user| user.uid);
        let uids = [0].into_iter().chain(worker.filter(|_| worker != service)).collect();
        Ok(Self { name: front.name, uids, command: Some(front.command) })
    }

    /// Whether a socket is theirs. In a jail root is somebody else, too. A process that has just ended has no name any more.
    pub fn have(&self, socket: &Listener) -> bool {
        socket.jail.is_none()
            && socket.uid.is_some_and(|uid| self.uids.contains(&uid))
            && self.command.is_none_or(|command| command == socket.command || socket.command.starts_with('?'))
    }

    /// The first socket on a port that is not theirs, on whatever address.
    pub fn stranger<'l>(&self, listeners: &'l [Listener], port: u16) -> Option<&'l Listener> {
        listeners.iter().find(|socket| socket.port == port && !self.have(socket))
    }

    /// The first socket that could get what is sent to this address, and is not theirs.
    pub fn stranger_to<'l>(&self, listeners: &'l [Listener], to: SocketAddr) -> Option<&'l Listener> {
        let gets = |socket: &Listener| {
            socket.address.is_none_or(|it| it.is_unspecified() || it.to_canonical() == to.ip().to_canonical())
        };
        listeners.iter().find(|socket| socket.port == to.port() && gets(socket) && !self.have(socket))
    }

    /// That a socket is not theirs, and how to end that.
    pub fn not(&self, stranger: &Listener) -> String {
        format!("{}, not {}; {}", listens(stranger), self.name, to_end(stranger))
    }

    /// Proves that nobody else has a socket on these ports.
    ///
    /// # Errors
    /// In words: somebody has, or it cannot be told.
    pub(super) fn are_alone(&self, host: &dyn Observe, ports: &[u16]) -> Result<(), Failure> {
        let listeners = host.listeners()?;
        if let Some(unreadable) = unreadable(&listeners) {
            refuse!("{unreadable}. Run this again once that is known");
        }
        match ports.iter().find_map(|port| self.stranger(&listeners, *port)) {
            Some(stranger) => refuse!("{}, and run this again", self.not(stranger)),
            None => Ok(()),
        }
    }
}

/// What listens where.
fn listens(socket: &Listener) -> String {
    let address = socket.address.map(|address| format!(" of {address}")).unwrap_or_default();
    format!("{socket} listens on port {}{address}", socket.port)
}

/// How to close a socket.
fn to_end(socket: &Listener) -> String {
    match socket.pid {
        Some(pid) => format!("end it with `kill {pid}`"),
        None => {
            format!("`sockstat -46l -p {}` may name its process by now; a restart of the host ends it", socket.port)
        }
    }
}

/// That somebody may not have the port that he has, and how to end that.
pub fn may_not(socket: &Listener) -> String {
    format!("{} and may not; {}", listens(socket), to_end(socket))
}

/// How many sockets are not known at all, if any.
pub fn unreadable(listeners: &Listeners) -> Option<String> {
    let Listeners { unreadable, .. } = *listeners;
    let rows = if unreadable == 1 { "1 row".to_owned() } else { format!("{unreadable} rows") };
    (unreadable > 0).then(|| format!("{rows} of sockstat(1) could not be read, so anybody may listen there"))
}
