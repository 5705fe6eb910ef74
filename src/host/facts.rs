//! Facts about a host.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::shown::Shown;

/// Release, CPU, privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `kern.osrelease`, for example `14.1-RELEASE`.
    pub release: String,
    /// `kern.osreldate`, for example 1401000.
    pub osreldate: u32,
    /// `hw.machine_arch`: `amd64`, `aarch64`, …
    pub machine_arch: String,
    /// Whether the CPU has SSE4.1 (always false on other than amd64).
    pub sse4_1: bool,
    /// Effective uid of this process.
    pub euid: u32,
    /// `kern.securelevel`, -1 to 3.
    pub securelevel: i32,
    /// Jailed or not, see jail(8).
    pub jail: Jail,
    /// `hw.physmem`, bytes.
    pub memory: u64,
}

/// Whether the host is a jail, by `security.jail.jailed` and `security.jail.vnet`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jail {
    /// Not a jail.
    #[default]
    No,
    /// A jail that shares the network stack of its host.
    Shared,
    /// A jail with its own network stack, VNET(9).
    Vnet,
}

/// Owner of a file, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// root:wheel.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// The object at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Permission bits, 0 to 0o7777.
        mode: u32,
        /// Its owner.
        owner: Owner,
    },
    /// A folder.
    Directory {
        /// Permission bits, 0 to 0o7777.
        mode: u32,
        /// Its owner.
        owner: Owner,
    },
    /// A symbolic link.
    Symlink {
        /// Its target, as written in it.
        target: PathBuf,
    },
    /// A device, a socket, a pipe.
    Other,
}

/// A line of the user database, passwd(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Full name ("gecos").
    pub gecos: String,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// A line of the group database, group(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
}

/// The state of a service, as its rc.d script reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    /// There is no such script in `/etc/rc.d` or `/usr/local/etc/rc.d`.
    Missing,
    /// Not running.
    Stopped,
    /// Running.
    Running {
        /// Process id of the program itself, if the script reports it.
        pid: Option<u32>,
    },
}

impl ServiceState {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// The state of GoToSocial and of its supervisor, daemon(8), as the rc.d script reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Supervision {
    /// There is no such script.
    Missing,
    /// Neither runs.
    Stopped,
    /// Both run.
    Running {
        /// Process id of the program.
        pid: Option<u32>,
        /// How long it has been running, seconds.
        seconds: Option<u64>,
    },
    /// The program runs without its supervisor: nothing restarts it when it dies, and its output is lost.
    Orphan {
        /// Process id of the program.
        pid: Option<u32>,
    },
    /// The program died, and its supervisor is about to restart it.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// This user may not see it: the kernel hides the processes of others.
    Hidden,
}

/// The TCP sockets that listen, or the UDP sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners {
    /// Those of which at least the port is known.
    pub sockets: Vec<Listener>,
    /// How many more there are, of which not even the port could be read.
    pub unreadable: usize,
}

impl Deref for Listeners {
    type Target = [Listener];

    fn deref(&self) -> &[Listener] {
        &self.sockets
    }
}

/// A TCP socket that listens, or a UDP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Login name of its owner; the number if there is no name, `?` if the owner is not known.
    pub user: String,
    /// Uid of its owner; `None` if the kernel does not report it (`?` in sockstat(1)), or its row cannot be read.
    pub uid: Option<u32>,
    /// Command, as sockstat(1) shows it (truncated to ten characters on older systems).
    pub command: String,
    /// Process id.
    pub pid: Option<u32>,
    /// Local address; `None` is the wildcard.
    pub address: Option<IpAddr>,
    /// Whether it accepts IPv4.
    pub ipv4: bool,
    /// Whether it accepts IPv6.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// The id of the jail that its process is in, if that is another than this program's: then not even root's uid says that it
    /// is the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<u32>,
}

impl fmt::Display for Listener {
    /// Its process in words: a name that it gave itself, and what only root could have given it. The name cannot end the
    /// line, nor the clause, which is as far as the shortest reports go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, command) = (&self.user, command_in_words(&self.command));
        let jail = self.jail.map(|jail| format!(", jail {jail}")).unwrap_or_default();
        let pid = pid_in_words(self.pid) + &jail;
        match self.uid {
            Some(uid) if *user == uid.to_string() => write!(f, "{command} (uid {uid}, {pid})"),
            Some(uid) => write!(f, "{command} (user {user}, uid {uid}, {pid})"),
            None => write!(f, "{command} (owner unknown, {pid})"),
        }
    }
}

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUser {
    /// Login name of its owner, of which fstat(1) shows the first eight characters; the number if there is no name.
    pub user: String,
    /// Command.
    pub command: String,
    /// Process id; `None` if it cannot be read.
    pub pid: Option<u32>,
}

impl fmt::Display for FileUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (user {}, {})", command_in_words(&self.command), self.user.shown(), pid_in_words(self.pid))
    }
}

/// A name that a process gave itself: it cannot end the line, nor the clause.
fn command_in_words(command: &str) -> String {
    command.shown().replace(';', "\\u{3b}")
}

fn pid_in_words(pid: Option<u32>) -> String {
    pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
}
