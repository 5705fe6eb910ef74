//! Bind probes: may this user bind that port?
//!
//! Only the kernel knows. So a child process, which is this program again, switches to the user's ids for good and
//! calls bind(2). It does not listen, so nothing can connect to it. It does not set `SO_REUSEADDR`, so a port in use is
//! reported as such. mac_portacl(4) decides before the protocol does, see [`BindOutcome`].

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::{env, io};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, setsockopt, socket, sockopt::Ipv6V6Only,
};

use super::other_user::{Unable, take_on_ids};
use crate::host::{BindOutcome, BindProbe, Family, HostError};
use crate::portacl::Protocol;

/// The hidden first argument that makes this program the child of a bind probe.
pub const BIND_PROBE_ARGUMENT: &str = "bind-probe-child";

/// Runs a probe in a child process.
pub(super) fn run(probe: &BindProbe) -> Result<BindOutcome, HostError> {
    let program =
        env::current_exe().map_err(|source| HostError::Start { command: BIND_PROBE_ARGUMENT.to_owned(), source })?;
    let (command, output) = ask(&program, &[BIND_PROBE_ARGUMENT], probe)?;
    answer(&command, &output)
}

/// The child's command line, and its output.
fn ask(program: &Path, first: &[&str], probe: &BindProbe) -> Result<(String, Output), HostError> {
    let arguments = arguments(probe);
    let command = format!("{} {} {}", program.display(), first.join(" "), arguments.join(" "));
    let output = Command::new(program)
        .args(first)
        .args(&arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| HostError::Start { command: command.clone(), source })?;
    Ok((command, output))
}

/// The child's arguments after the hidden one: uid, gid, groups, family, protocol, port.
fn arguments(probe: &BindProbe) -> Vec<String> {
    let groups: Vec<String> = probe.groups.iter().map(u32::to_string).collect();
    let family = match probe.family {
        Family::V4 => "4",
        Family::V6 => "6",
    };
    vec![
        probe.uid.to_string(),
        probe.gid.to_string(),
        format!("groups={}", groups.join(",")),
        family.to_owned(),
        probe.protocol.to_string(),
        probe.port.to_string(),
    ]
}

fn parsed(arguments: &[String]) -> Option<BindProbe> {
    let [uid, gid, groups, family, protocol, port] = arguments else { return None };
    let groups = match groups.strip_prefix("groups=")? {
        "" => Vec::new(),
        list => list.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
    };
    let family = match family.as_str() {
        "4" => Family::V4,
        "6" => Family::V6,
        _ => return None,
    };
    let protocol = match protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let (uid, gid, port) = (uid.parse().ok()?, gid.parse().ok()?, port.parse().ok()?);
    Some(BindProbe { uid, gid, groups, family, protocol, port })
}

/// The result in the child's one line.
fn answer(command: &str, output: &Output) -> Result<BindOutcome, HostError> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let failed = |words: &str| {
        Err(HostError::Command {
            command: command.to_owned(),
            status: output.status.to_string(),
            stderr: words.trim().to_owned(),
        })
    };
    if !output.status.success() {
        return failed(&String::from_utf8_lossy(&output.stderr));
    }
    let line = stdout.trim_end();
    if line == "bound" {
        return Ok(BindOutcome::Bound);
    }
    match line.strip_prefix("errno ").map(str::parse) {
        Some(Ok(errno)) => Ok(outcome(errno)),
        _ => failed(&format!("cannot understand its answer: {line}")),
    }
}

/// The meaning of an errno of bind(2). The numbers are those of the system that this runs on.
fn outcome(errno: i32) -> BindOutcome {
    match Errno::from_raw(errno) {
        Errno::EADDRINUSE => BindOutcome::InUse,
        Errno::EPERM => BindOutcome::NoRule,
        Errno::EACCES => BindOutcome::Reserved,
        Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT => BindOutcome::NoAddress,
        _ => BindOutcome::Other(errno),
    }
}

/// The child's side, for `main`: `arguments` are those after [`BIND_PROBE_ARGUMENT`]. It prints `bound` or
/// `errno NUMBER` and exits with 0. If it could not try, it reports why on standard error and exits with 1.
pub fn bind_probe_child(arguments: &[String]) -> ExitCode {
    let tried = match parsed(arguments) {
        Some(probe) => take_on_ids(probe.uid, probe.gid, &probe.groups).map(|()| try_to_bind(&probe)),
        None => Err(Unable("this argument is for the program's own use only".to_owned())),
    };
    let told = match tried {
        Ok(Ok(())) => writeln!(io::stdout(), "bound"),
        Ok(Err(errno)) => writeln!(io::stdout(), "errno {}", errno as i32),
        Err(unable) => {
            // If this fails too, there is nobody left to report to.
            let _ = writeln!(io::stderr(), "{unable}");
            return ExitCode::FAILURE;
        }
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn try_to_bind(probe: &BindProbe) -> Result<(), Errno> {
    let kind = match probe.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let new_socket = |family| socket(family, kind, SockFlag::SOCK_CLOEXEC, None);
    match probe.family {
        Family::V4 => {
            let socket = new_socket(AddressFamily::Inet)?;
            let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, probe.port);
            bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrIn::from(address))
        }
        Family::V6 => {
            let socket = new_socket(AddressFamily::Inet6)?;
            setsockopt(&socket, Ipv6V6Only, &true)?;
            let address = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, probe.port, 0, 0);
            bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrIn6::from(address))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    const NOBODY: u32 = 65534;

    fn probe(family: Family, port: u16) -> BindProbe {
        let groups = vec![8080, 9090];
        BindProbe { uid: NOBODY, gid: NOBODY, groups, family, protocol: Protocol::Tcp, port }
    }

    /// If the tests are the program itself, this is its `main`.
    #[test]
    fn child() {
        let arguments: Vec<String> = env::args().collect();
        if let Some(first) = arguments.iter().position(|argument| argument == BIND_PROBE_ARGUMENT) {
            println!();
            let code = bind_probe_child(&arguments[first + 1..]);
            std::process::exit(i32::from(code != ExitCode::SUCCESS));
        }
    }

    /// Runs the probe with the test above as the child; the test harness prints its own lines before the answer.
    fn run_here(probe: &BindProbe) -> Result<BindOutcome, HostError> {
        let name = concat!(module_path!(), "::child");
        let name = name.split_once("::").unwrap().1;
        let first = ["--exact", "--nocapture", "--test-threads=1", name, "--skip", BIND_PROBE_ARGUMENT];
        let (command, mut output) = ask(&env::current_exe().unwrap(), &first, probe)?;
        let last_line = String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().to_owned();
        output.stdout = last_line.into_bytes();
        answer(&command, &output)
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
        assert_eq!(run_here(&probe(Family::V4, port)).unwrap(), BindOutcome::InUse);
        let datagrams = BindProbe { protocol: Protocol::Udp, ..probe(Family::V4, port) };
        assert_eq!(run_here(&datagrams).unwrap(), BindOutcome::Bound, "a port of TCP is another one than that of UDP");
        drop(taken);
        assert_eq!(run_here(&probe(Family::V4, port)).unwrap(), BindOutcome::Bound);
        let six = run_here(&probe(Family::V6, port)).unwrap();
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
        assert_eq!(run_here(&probe(Family::V4, 1)).unwrap(), BindOutcome::Reserved);
        let root = BindProbe { uid: 0, gid: 0, groups: Vec::new(), ..probe(Family::V4, 1) };
        assert!(run_here(&root).unwrap().permitted());
    }

    #[test]
    fn arguments_come_back_as_they_went() {
        for probe in [
            probe(Family::V6, 443),
            BindProbe {
                uid: 0,
                gid: 4_294_967_294,
                groups: Vec::new(),
                protocol: Protocol::Udp,
                ..probe(Family::V4, 65535)
            },
        ] {
            assert_eq!(parsed(&arguments(&probe)), Some(probe));
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for wrong in [
            "",
            "1 2 groups= 4 tcp",
            "1 2 groups= 4 80",
            "x 2 groups= 4 tcp 80",
            "1 2 3 4 tcp 80",
            "1 2 groups=x 4 tcp 80",
            "1 2 groups= 5 tcp 80",
            "1 2 groups= 4 sctp 80",
        ] {
            assert_eq!(parsed(&words(wrong)), None, "{wrong}");
            assert_eq!(bind_probe_child(&words(wrong)), ExitCode::FAILURE);
        }
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
            assert_eq!(outcome(errno as i32), expected);
        }
    }

    #[test]
    fn only_a_clear_answer_counts() {
        let output = |status, stdout: &str| Output {
            status: ExitStatus::from_raw(status << 8),
            stdout: stdout.as_bytes().to_vec(),
            stderr: b"why".to_vec(),
        };
        assert_eq!(answer("x", &output(0, "bound\n")).unwrap(), BindOutcome::Bound);
        for (status, stdout) in [(0, "bound or so\n"), (0, "errno x\n"), (0, ""), (1, "bound\n")] {
            assert!(matches!(answer("x", &output(status, stdout)), Err(HostError::Command { .. })), "{stdout}");
        }
        assert!(answer("x", &output(1, "")).unwrap_err().to_string().ends_with("why"));
    }

    #[test]
    fn a_child_that_cannot_take_on_the_ids_is_an_error() {
        let tools = StandIns::new();
        let error = ask(&tools.path("missing"), &[], &probe(Family::V4, 80)).unwrap_err();
        assert!(matches!(error, HostError::Start { .. }));
        tools.add("child", "echo 'cannot take on uid 65534: Operation not permitted' >&2; exit 1");
        let (command, output) = ask(&tools.path("child"), &[], &probe(Family::V4, 80)).unwrap();
        let error = answer(&command, &output).unwrap_err().to_string();
        assert!(error.contains("cannot take on uid 65534"), "{error}");
    }
}
