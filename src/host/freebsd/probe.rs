//! Work as another user: may this user bind that port, and what is in that database?
//!
//! A child process, which is this program again, switches to the user's ids for good before it does anything else.
//!
//! Only the kernel knows who may bind. The child does not listen, so nothing can connect to it. It does not set
//! `SO_REUSEADDR`, so a port in use is reported as such. mac_portacl(4) decides before the protocol does, see
//! [`BindOutcome`]. A database is opened without root's rights because a program that faces the internet wrote it, and
//! SQLite is much code to trust.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use nix::errno::Errno;
use nix::sys::socket::sockopt::Ipv6V6Only;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::other_user::take_on_ids;
use crate::host::database::{DatabaseExamination, examine};
use crate::host::{BindOutcome, BindProbe, Family, HostError};
use crate::portacl::Protocol;
use crate::shown::Shown;

/// The hidden first argument that makes this program the child of a probe.
pub const PROBE_ARGUMENT: &str = "probe-child";

/// What the child does.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Probe {
    /// Binds a port; its answer is a [`BindOutcome`].
    Bind(BindProbe),
    /// Opens a database; its answer is a [`DatabaseState`](crate::host::DatabaseState).
    Database(DatabaseExamination),
}

/// Runs a probe in a child process and returns its answer.
pub(super) fn run<A: DeserializeOwned>(probe: &Probe) -> Result<A, HostError> {
    let program = env::current_exe().map_err(|source| cannot_start(PROBE_ARGUMENT, source))?;
    ask(&program, &[PROBE_ARGUMENT], probe)
}

fn cannot_start(command: &str, source: io::Error) -> HostError {
    HostError::Start { command: command.to_owned(), source }
}

fn ask<A: DeserializeOwned>(program: &Path, first: &[&str], probe: &Probe) -> Result<A, HostError> {
    let command = match probe {
        Probe::Bind(BindProbe { uid, protocol, port, .. }) => format!("bind {protocol} port {port} as uid {uid}"),
        Probe::Database(DatabaseExamination { path, .. }) => format!("open the database {}", path.shown()),
    };
    let output = serde_json::to_string(probe).map_err(io::Error::from).and_then(|probe| {
        Command::new(program).args(first).arg(probe).env_clear().current_dir("/").stdin(Stdio::null()).output()
    });
    let output = output.map_err(|source| cannot_start(&command, source))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(HostError::Command { command, status: output.status.to_string(), stderr });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| HostError::Unreadable { what: command, text: line.to_owned() })
}

/// The child's side, for `main`: `arguments` are those after [`PROBE_ARGUMENT`]. It prints its answer as one line of
/// JSON and exits with 0. If it has none, it reports why on standard error and exits with 1.
pub fn probe_child(arguments: &[String]) -> ExitCode {
    let told = match answer(arguments) {
        Ok(line) => writeln!(io::stdout(), "{line}"),
        // If this fails too, there is nobody left to report to.
        Err(why) => writeln!(io::stderr(), "{why}").and(Err(io::ErrorKind::Other.into())),
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(arguments: &[String]) -> Result<String, String> {
    let probe = arguments.first().and_then(|text| serde_json::from_str(text).ok());
    let answer = match probe.ok_or("this argument is for the program's own use only")? {
        Probe::Bind(probe) => {
            take_on_ids(probe.uid, probe.gid, &probe.groups)?;
            serde_json::to_string(&outcome(try_to_bind(&probe)))
        }
        Probe::Database(DatabaseExamination { path, owner, thorough }) => {
            take_on_ids(owner.uid, owner.gid, &[])?;
            serde_json::to_string(&examine(&path, thorough).map_err(|error| error.to_string())?)
        }
    };
    answer.map_err(|error| error.to_string())
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::super::stand_in::StandIns;
    use super::*;
    use crate::host::{DatabaseState, Owner};

    const NOBODY: u32 = 65534;

    fn probe(family: Family, port: u16) -> BindProbe {
        let groups = vec![8080, 9090];
        BindProbe { uid: NOBODY, gid: NOBODY, groups, family, protocol: Protocol::Tcp, port }
    }

    /// If the tests are the program itself, this is its `main`.
    #[test]
    fn child() {
        let arguments: Vec<String> = env::args().collect();
        if let Some(first) = arguments.iter().position(|argument| argument == PROBE_ARGUMENT) {
            // The test harness prints its own lines before the answer.
            println!();
            let code = probe_child(&arguments[first + 1..]);
            std::process::exit(i32::from(code != ExitCode::SUCCESS));
        }
    }

    /// Runs the probe with the test above as the child.
    fn run_here<A: DeserializeOwned>(probe: Probe) -> Result<A, HostError> {
        let name = concat!(module_path!(), "::child");
        let name = name.split_once("::").unwrap().1;
        let first = ["--exact", "--nocapture", "--test-threads=1", name, "--skip", PROBE_ARGUMENT];
        ask(&env::current_exe().unwrap(), &first, &probe)
    }

    fn bind_here(probe: BindProbe) -> BindOutcome {
        run_here(Probe::Bind(probe)).unwrap()
    }

    fn can_try() -> bool {
        nix::unistd::geteuid().is_root()
    }

    #[test]
    fn an_unprivileged_user_binds_a_free_port_and_not_a_taken_one() {
        if !can_try() {
            return;
        }
        let _turn = StandIns::new();
        let taken = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(bind_here(probe(Family::V4, port)), BindOutcome::InUse);
        let datagrams = BindProbe { protocol: Protocol::Udp, ..probe(Family::V4, port) };
        assert_eq!(bind_here(datagrams), BindOutcome::Bound, "a port of TCP is another one than that of UDP");
        drop(taken);
        assert_eq!(bind_here(probe(Family::V4, port)), BindOutcome::Bound);
        let six = bind_here(probe(Family::V6, port));
        assert!(matches!(six, BindOutcome::Bound | BindOutcome::NoAddress), "{six:?}");
    }

    #[test]
    fn what_the_kernel_reserves_is_refused() {
        // Only Linux has this file. Without it the reserved ports are unknown.
        let Ok(first_free) = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start") else { return };
        if !can_try() || first_free.trim().parse::<u16>().unwrap() <= 1 {
            return;
        }
        let _turn = StandIns::new();
        assert_eq!(bind_here(probe(Family::V4, 1)), BindOutcome::Reserved);
        let root = BindProbe { uid: 0, gid: 0, groups: Vec::new(), ..probe(Family::V4, 1) };
        assert!(bind_here(root).permitted());
    }

    #[test]
    fn a_probe_comes_back_as_it_went_and_nonsense_is_refused() {
        for probe in [
            Probe::Bind(probe(Family::V6, 443)),
            Probe::Bind(BindProbe { groups: Vec::new(), protocol: Protocol::Udp, ..probe(Family::V4, 65535) }),
            Probe::Database(DatabaseExamination {
                path: "/a b".into(),
                owner: Owner { uid: 0, gid: 4_294_967_294 },
                thorough: true,
            }),
        ] {
            let text = serde_json::to_string(&probe).unwrap();
            assert_eq!(serde_json::from_str::<Probe>(&text).unwrap(), probe);
            for wrong in ["65536", "\"80\"", "-1"] {
                let wrong = text.replace("443", wrong).replace("65535", wrong).replace("true", wrong);
                assert_eq!(probe_child(&[wrong]), ExitCode::FAILURE);
            }
        }
        assert_eq!(probe_child(&[]), ExitCode::FAILURE);
        assert_eq!(probe_child(&["{\"Bind\":{\"port\":80}}".to_owned()]), ExitCode::FAILURE);
    }

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

    #[test]
    fn only_a_clear_answer_counts() {
        let tools = StandIns::new();
        let asked = |script: &str| -> Result<BindOutcome, HostError> {
            tools.add("child", script);
            ask(&tools.path("child"), &[], &Probe::Bind(probe(Family::V4, 80)))
        };
        assert_eq!(asked("echo '\"Bound\"'").unwrap(), BindOutcome::Bound);
        assert_eq!(asked("echo '{\"Other\":5}'").unwrap(), BindOutcome::Other(5));
        for unclear in ["echo '\"Bound\" or so'", "echo bound", "true"] {
            assert!(matches!(asked(unclear), Err(HostError::Unreadable { .. })), "{unclear}");
        }
        assert!(matches!(asked("echo '\"Bound\"'; exit 1"), Err(HostError::Command { .. })));
        let error = asked("echo 'cannot take on uid 65534: Operation not permitted' >&2; exit 1").unwrap_err();
        assert!(error.to_string().contains("cannot take on uid 65534"), "{error}");
        std::fs::remove_file(tools.path("child")).unwrap();
        let error = ask::<BindOutcome>(&tools.path("child"), &[], &Probe::Bind(probe(Family::V4, 80))).unwrap_err();
        assert!(matches!(error, HostError::Start { .. }));
    }

    fn examine_here(path: &Path) -> Result<DatabaseState, HostError> {
        let owner = Owner { uid: NOBODY, gid: NOBODY };
        let _turn = StandIns::new();
        run_here(Probe::Database(DatabaseExamination { path: path.to_path_buf(), owner, thorough: true }))
    }

    #[test]
    fn the_child_opens_what_its_user_may_open_and_nothing_else() {
        if !can_try() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let theirs = folder.path().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        let path = theirs.join("sqlite.db");
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE bun_migrations (name); INSERT INTO bun_migrations VALUES ('1');")
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = examine_here(&path).unwrap_err().to_string();
        assert!(refused.contains("open the database") && refused.contains("unable to open"), "{refused}");
        for path in [&theirs, &path] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        assert_eq!(examine_here(&path).unwrap().migrations, 1);
        std::fs::write(&path, "a letter that is long enough to be looked at as if it were the header of a file, with a hundred bytes or more of it").unwrap();
        let refused = examine_here(&path).unwrap_err().to_string();
        assert!(refused.contains("file is not a database"), "{refused}");
    }
}
