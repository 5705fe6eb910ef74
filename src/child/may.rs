//! What each role may.

use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::confinement::limit;

/// The largest file of a child that has none but its standard output and its standard error.
const SMALL: u64 = 64 * 1024;

/// What a role may have, besides what no child has, see [`Confinement`](super::Confinement). A lower limit of the
/// administrator's (limits(1)) stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct May {
    /// The largest file that it may write, in bytes. A pipe is none.
    largest_file: Option<u64>,
    /// How many descriptors it may have open.
    descriptors: Option<u64>,
    /// What it may start.
    starts: Starts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// Processes, and so programs.
    Processes,
    /// Threads of its own.
    Threads,
    /// Nothing.
    Nothing,
}

/// Becoming another program: what that needs is its own affair. psql(1), pg_dump(1) and GoToSocial start threads and
/// processes, and a dump has any size.
pub const ANOTHER_PROGRAM: May = May { largest_file: None, descriptors: None, starts: Starts::Processes };

/// Talking with others over the network (fetch, acme, web, resolve): it writes to a pipe. Descriptors are connections, what
/// its libraries look up, and certificate authorities. HTTP clients and the resolver make threads, and no processes.
pub const NETWORK: May = May { largest_file: Some(SMALL), descriptors: Some(256), starts: Starts::Threads };

/// Unpacking: its largest file is in its order. It has its folder, a file, and some descriptors for the system's libraries. Once
/// it has its one thread it gives up to start any more, see [`no_processes`].
pub const UNPACK: May = May { largest_file: None, descriptors: Some(16), starts: Starts::Threads };

/// Binding a port: one socket.
pub const BIND: May = May { largest_file: Some(SMALL), descriptors: Some(16), starts: Starts::Nothing };

/// Opening a database: its largest file is in its order. SQLite has the database, its log, its journal and temporary files open,
/// and needs no threads.
pub const EXAMINE: May = May { largest_file: None, descriptors: Some(32), starts: Starts::Nothing };

impl May {
    /// Gives up the rest for good; `largest_file` is the limit of the order.
    pub(super) fn enter(&self, largest_file: Option<u64>) -> nix::Result<()> {
        if let Some(largest) = self.largest_file.into_iter().chain(largest_file).min() {
            limit(Resource::RLIMIT_FSIZE, largest)?;
        }
        if let Some(most) = self.descriptors {
            limit(Resource::RLIMIT_NOFILE, most)?;
        }
        match self.starts {
            Starts::Processes => Ok(()),
            Starts::Threads => no_processes_but_threads(),
            Starts::Nothing => no_processes(),
        }
    }
}

/// Gives up to start processes. The limit counts those of the real uid, of which there is one: this. On FreeBSD 0 would be no
/// limit at all (`chglimit()` in `sys/kern/kern_resource.c`), and root is exempt.
///
/// # Errors
/// setrlimit(2) failed.
pub fn no_processes() -> nix::Result<()> {
    limit(Resource::RLIMIT_NPROC, 1)
}

/// The same where threads are no processes. On Linux, where rehearsals run, they count like these, and whoever needs them
/// cannot be kept from the others by this limit. The first thread tells which it is.
fn no_processes_but_threads() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    setrlimit(Resource::RLIMIT_NPROC, hard.min(1), hard)?;
    match thread::Builder::new().spawn(|| {}).map(thread::JoinHandle::join) {
        Ok(Ok(())) => no_processes(),
        _ => setrlimit(Resource::RLIMIT_NPROC, soft, hard),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::process::Command;

    use nix::unistd::geteuid;

    use super::super::{Confinement, Ids};
    use super::*;

    const WHICH: &str = "MAY_OF_A_ROLE";
    const ROLES: [(&str, May); 5] =
        [("program", ANOTHER_PROGRAM), ("network", NETWORK), ("unpack", UNPACK), ("bind", BIND), ("examine", EXAMINE)];

    #[test]
    fn each_role_has_what_it_may_and_no_more() {
        let told = |which: &str| {
            let test = ["--exact", "child::may::tests::a_role_in_a_process_of_its_own", "--ignored", "--nocapture"];
            let output = Command::new(std::env::current_exe().unwrap()).args(test).env(WHICH, which).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
            said.lines().find_map(|line| line.split_once("told: ")).map(|(_, told)| told.to_owned()).unwrap()
        };
        // Root is exempt from the limit of processes.
        let nobody = geteuid().is_root();
        for (which, file, descriptors, starts) in [
            ("program", "any", "any", "process thread"),
            ("network", "65536", "256", "thread"),
            ("unpack", "4096", "16", "thread"),
            ("bind", "4096", "16", ""),
            ("examine", "4096", "32", ""),
        ] {
            let told = told(which);
            let (limits, started) = told.split_once(" starts:").unwrap();
            assert_eq!(limits, format!("file {file} descriptors {descriptors}"), "{which}");
            if nobody {
                // Where threads count, who needs them may start processes.
                let counted = starts == "thread" && started.trim() == "process thread";
                assert!(started.trim() == starts || counted, "{which}: {started}");
            }
        }
    }

    #[test]
    #[ignore = "run by the other, in a process of its own"]
    fn a_role_in_a_process_of_its_own() {
        let Some(which) = std::env::var_os(WHICH) else { return };
        let (_, may) = ROLES.into_iter().find(|(name, _)| *which == **name).unwrap();
        let ids = geteuid().is_root().then(|| Ids { uid: 65534, gid: 65534, groups: Vec::new() });
        let largest_file = (may != ANOTHER_PROGRAM && may != NETWORK).then_some(4096);
        Confinement { largest_file, ..Confinement::of(ids) }.enter(&may).unwrap();
        let of = |resource| match getrlimit(resource).unwrap() {
            (soft, hard) if soft == hard && hard < 1 << 20 => hard.to_string(),
            _ => "any".to_owned(),
        };
        let (file, descriptors) = (of(Resource::RLIMIT_FSIZE), of(Resource::RLIMIT_NOFILE));
        let mut started = Vec::new();
        started.extend(Command::new("/bin/sh").args(["-c", ":"]).spawn().is_ok().then_some("process"));
        started.extend(thread::Builder::new().spawn(|| {}).is_ok().then_some("thread"));
        println!("told: file {file} descriptors {descriptors} starts:{}", started.join(" "));
    }
}
