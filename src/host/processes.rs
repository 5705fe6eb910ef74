//! What runs on a host: processes, and the sockets that they listen on.

use super::{HostError, Listeners};

/// A process, as ps(1) shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// That of its parent.
    pub parent: u32,
    /// Its effective, real and saved uid.
    pub uids: [u32; 3],
    /// The jail that it runs in; 0: none.
    pub jail: u32,
    /// How long it has been running, if the kernel tells.
    pub seconds: Option<u64>,
    /// Its command line, which it may have chosen itself.
    pub command: String,
}

/// The processes of a host, as far as the caller may see them. On a rehearsal there are none: its model answers itself.
pub type Processes = Vec<Process>;

/// Whether users other than root see neither the processes nor the sockets of others, security(7).
///
/// # Errors
/// The kernel cannot be asked.
pub fn hides_others(sysctl: &dyn Fn(&str) -> Result<Option<String>, HostError>) -> Result<bool, HostError> {
    let is_off = |name| Ok(sysctl(name)?.as_deref() == Some("0"));
    Ok(is_off("security.bsd.see_other_uids")? || is_off("security.bsd.see_other_gids")?)
}

/// Everything that can be told of what runs, seen at one time.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// Every TCP socket that listens.
    pub listeners: Listeners,
    /// The processes, looked at just after the sockets.
    pub processes: Processes,
}
