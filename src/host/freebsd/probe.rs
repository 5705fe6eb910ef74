//! Questions that a child answers with another user's rights: may this user bind that port, and what is in that database?
//!
//! Only the kernel knows who may bind. The child does not listen, so nothing can connect to it. It does not set
//! `SO_REUSEADDR`, so a port in use is reported as such. mac_portacl(4) decides before the protocol does, see
//! [`BindOutcome`]. A database is opened without root's rights because a program that faces the internet wrote it, and
//! SQLite is much code to trust.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::Ipv6V6Only;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::child::{self, Confinement, Conversation, Ids, Role};
use crate::host::database::{DatabaseExamination, examine};
use crate::host::{Ask, BindOutcome, BindProbe, DatabaseState, Family, HostError, NEVER, Owner, go_on};
use crate::portacl::Protocol;
use crate::shown::Shown;

/// Binds the port of a [`BindProbe`]; its answer is a [`BindOutcome`].
pub const BIND: Role = ("bind", child::BIND, |task| reply(task, |probe: &BindProbe| Ok(outcome(try_to_bind(probe)))));

/// Opens the database of a [`DatabaseExamination`]; its answer is a [`DatabaseState`].
pub const EXAMINE: Role = ("examine", child::EXAMINE, |task| {
    reply(task, |asked: &DatabaseExamination| examine(&asked.path, asked.thorough).map_err(|error| error.to_string()))
});

/// How long a bind may take. It is one system call; what takes long is the start of a process on a busy machine.
const BIND_LIMIT: Duration = Duration::from_secs(60);

/// How long an examination may take: a thorough one reads all of the database.
const EXAMINATION_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Has a child bind a port.
pub(super) fn bind_as(probe: &BindProbe) -> Result<BindOutcome, HostError> {
    let BindProbe { uid, gid, groups, protocol, port, .. } = probe;
    let ids = Ids { uid: *uid, gid: *gid, groups: groups.clone() };
    let what = format!("bind {protocol} port {port} as uid {uid}");
    ask(BIND.0, what, &Confinement::of(Some(ids)), probe, BIND_LIMIT, NEVER)
}

/// What a database can grow by besides what its log and its journal hold, in bytes.
const MARGIN: u64 = 64 << 20;

/// Has a child open a database. It sees nothing but the folder of the database. It can reach the network, as its user can
/// anyway: SQLite opens files by name, which capability mode does not allow.
pub(super) fn examine_as(asked: &DatabaseExamination, stop: Ask<'_>) -> Result<DatabaseState, HostError> {
    let Owner { uid, gid } = asked.owner;
    let what = format!("open the database {}", asked.path.shown());
    let mut confinement = Confinement::of(Some(Ids { uid, gid, groups: Vec::new() }));
    confinement.root = asked.path.parent().map(Path::to_owned);
    let name = asked.path.file_name().unwrap_or_default();
    let beside = ["", "-wal", "-journal"].map(|ending| {
        let mut name = name.to_owned();
        name.push(ending);
        fs::symlink_metadata(asked.path.with_file_name(name)).map_or(0, |file| file.len())
    });
    confinement.largest_file = Some(beside.into_iter().fold(MARGIN, u64::saturating_add));
    let inside = DatabaseExamination { path: Path::new("/").join(name), ..asked.clone() };
    ask(EXAMINE.0, what, &confinement, &inside, EXAMINATION_LIMIT, stop)
}

/// Asks a child, which is killed if `stop` has a reason.
fn ask<A: DeserializeOwned>(
    role: &str,
    what: String,
    confinement: &Confinement,
    task: &impl Serialize,
    limit: Duration,
    stop: Ask<'_>,
) -> Result<A, HostError> {
    let child = Conversation::begin(role, confinement, task, &[], limit);
    let answer = child.and_then(|mut child| child.hear_unless(&mut || go_on(stop)));
    answer.map_err(|source| HostError::Child { what, source })
}

/// The child's side: prints the answer.
pub(super) fn reply<T: DeserializeOwned, A: Serialize>(
    task: Value,
    answer: impl FnOnce(&T) -> Result<A, String>,
) -> Result<(), String> {
    let task = serde_json::from_value(task).map_err(|error| error.to_string())?;
    let answer = serde_json::to_string(&answer(&task)?).map_err(|error| error.to_string())?;
    writeln!(io::stdout(), "{answer}").map_err(|error| error.to_string())
}

/// The meaning of what bind(2) returned.
fn outcome(tried: Result<(), Errno>) -> BindOutcome {
    match tried {
        Ok(()) => BindOutcome::Bound,
        Err(Errno::EADDRINUSE) => BindOutcome::InUse,
        Err(Errno::EPERM) => BindOutcome::NoRule,
        Err(Errno::EACCES) => BindOutcome::Reserved,
        Err(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => BindOutcome::NoAddress,
        Err(errno) => BindOutcome::Other(errno as i32),
    }
}

fn try_to_bind(probe: &BindProbe) -> Result<(), Errno> {
    let kind = match probe.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let (family, address) = match probe.family {
        Family::V4 => (AddressFamily::Inet, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (AddressFamily::Inet6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if probe.family == Family::V6 {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, probe.port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_has_its_meaning() {
        let cases = [
            (Errno::EADDRINUSE, BindOutcome::InUse),
            (Errno::EPERM, BindOutcome::NoRule),
            (Errno::EACCES, BindOutcome::Reserved),
            (Errno::EADDRNOTAVAIL, BindOutcome::NoAddress),
            (Errno::EAFNOSUPPORT, BindOutcome::NoAddress),
            (Errno::EPROTONOSUPPORT, BindOutcome::NoAddress),
            (Errno::EINVAL, BindOutcome::Other(Errno::EINVAL as i32)),
        ];
        for (errno, expected) in cases {
            assert_eq!(outcome(Err(errno)), expected);
        }
    }
}
