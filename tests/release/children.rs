//! The children that take a release apart: what they have, and how they end.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gts_bootstrap::child::Ids;
use gts_bootstrap::release::{Error, Limits, Progress, Source, Target, fetch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::archives::honest;
use super::places::{fetcher_as, lock, soon};
use super::server::{Reply, Server, read_request};

/// Nobody, whose uid and gid are the same on FreeBSD and Debian.
const NOBODY: u32 = 65534;

/// Looks at the children of this thread whenever it is asked whether to stop, and stops the process of each once.
struct Looks<'a> {
    see: &'a dyn Fn(&str) -> bool,
    stopped: Cell<u32>,
    seen: Cell<bool>,
}

impl Looks<'_> {
    fn look(&self) {
        // Only Linux has this file.
        let Ok(children) = fs::read_to_string("/proc/thread-self/children") else { return };
        for child in children.split_whitespace() {
            let pid: u32 = child.parse().unwrap();
            if self.stopped.replace(pid) != pid {
                kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGSTOP).unwrap();
            }
            self.seen.set(self.seen.get() || (self.see)(child));
        }
    }
}

impl Progress for Looks<'_> {
    fn stops(&self) -> bool {
        self.look();
        false
    }
}

fn has_proc() -> bool {
    fs::exists("/proc/thread-self/children").unwrap()
}

/// Somebody else where this is root; and how the kernel shows that.
fn stranger() -> (Option<Ids>, String) {
    match nix::unistd::geteuid() {
        root if root.is_root() => {
            (Some(Ids { uid: NOBODY, gid: NOBODY, groups: Vec::new() }), format!("Uid:\t{NOBODY}"))
        }
        own => (None, format!("Uid:\t{own}")),
    }
}

/// What the kernel says of a process; empty when it has gone.
fn told(child: &str, file: &str) -> String {
    fs::read_to_string(format!("/proc/{child}/{file}")).unwrap_or_default()
}

fn limits_are(child: &str, limits: &[(&str, u64)]) -> bool {
    let told = told(child, "limits");
    let is = |(what, limit): &(&str, u64)| {
        let line = told.lines().find_map(|line| line.strip_prefix(what));
        line.is_some_and(|line| line.split_whitespace().take(2).all(|number| number == limit.to_string()))
    };
    limits.iter().all(is)
}

#[test]
fn whoever_fetches_is_nobody_and_can_write_no_file() {
    let (ids, uid) = stranger();
    let server = Server::start(|_, _| Reply::ok(&honest()));
    let see = |child: &str| {
        told(child, "status").contains(&uid)
            && limits_are(child, &[("Max file size", 64 * 1024), ("Max open files", 256), ("Max core file size", 0)])
            && !told(child, "environ").contains("PATH=")
    };
    let looks = Looks { see: &see, stopped: Cell::new(0), seen: Cell::new(false) };
    let place = tempfile::tempdir().unwrap();
    let target = Target { directory: &place.path().join("0.19.2"), partial: &place.path().join("download") };
    let source = Source::mirror(&server.url()).unwrap();
    fetch(&lock(&honest()), &source, target, &Limits::default(), &fetcher_as(ids, soon(1), &looks)).unwrap();
    assert_eq!(looks.seen.get(), has_proc());
}

#[test]
fn whoever_unpacks_has_an_empty_folder_and_nothing_else() {
    let (ids, uid) = stranger();
    let (_mirror, source) = super::places::mirror(&honest());
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(".staging-0.19.2/release");
    // Others of the same uid cannot get in.
    let is_closed = || {
        let mode = fs::metadata(folder.parent().unwrap())
            .map(|above| std::os::unix::fs::PermissionsExt::mode(&above.permissions()));
        mode.is_ok_and(|mode| mode & 0o777 == 0o700)
    };
    let see = |child: &str| {
        let link = if uid.ends_with("65534") { "root" } else { "cwd" };
        let is_confined = || {
            fs::read_link(format!("/proc/{child}/{link}")).is_ok_and(|link| link == folder)
                && told(child, "status").contains(&uid)
                && limits_are(child, &[("Max open files", 16), ("Max processes", 1), ("Max file size", 512 << 20)])
                && told(child, "environ").is_empty()
        };
        // It has read nothing of the archive before this returns for the first time.
        let patience = Instant::now() + Duration::from_secs(10);
        while !is_confined() && fs::exists(format!("/proc/{child}/cwd")).unwrap_or(false) && Instant::now() < patience {
            // It was stopped in passing.
            kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGCONT).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        is_confined() && is_closed()
    };
    let looks = Looks { see: &see, stopped: Cell::new(0), seen: Cell::new(false) };
    let target = Target { directory: &place.path().join("0.19.2"), partial: &place.path().join("download") };
    fetch(&lock(&honest()), &source, target, &Limits::default(), &fetcher_as(ids, soon(1), &looks)).unwrap();
    assert_eq!(looks.seen.get(), has_proc());
}

#[test]
fn a_child_that_is_killed_is_an_error_and_leaves_nothing() {
    if !has_proc() {
        return;
    }
    let kills = |child: &str| kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).is_ok();
    let server = Server::start(|_, _| Reply::status("200 OK").stalled());
    let (_mirror, folder) = super::places::mirror(&honest());
    for (source, does) in [(Source::mirror(&server.url()).unwrap(), "fetches"), (folder, "unpacks")] {
        let looks = Looks { see: &kills, stopped: Cell::new(0), seen: Cell::new(false) };
        let place = tempfile::tempdir().unwrap();
        let target = Target { directory: &place.path().join("0.19.2"), partial: &place.path().join("download") };
        let error = fetch(&lock(&honest()), &source, target, &Limits::default(), &fetcher_as(None, soon(1), &looks));
        let error = error.unwrap_err();
        assert!(matches!(&error, Error::Child(told, why) if *told == does && why.contains("signal")), "{error}");
        assert_eq!(super::places::names_in(place.path()), Vec::<String>::new());
    }
}

#[test]
fn whoever_fetches_ends_with_the_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let answers: PathBuf = folder.path().join("answers.toml");
    fs::write(&answers, crate::machine::ANSWERS).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut program = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["--rehearse", "root", "install", "--answers", "answers.toml", "--yes", "--mirror", &url, "--sha256"])
        .arg("0".repeat(64))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut connection, _) = listener.accept().unwrap();
    read_request(&connection);
    connection.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
    // SIGKILL: it can tell nobody.
    program.kill().unwrap();
    program.wait().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The end of the connection, or its breaking off: not the time-out.
    let end = connection.read(&mut [0]);
    let is_late = end.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!is_late && !matches!(end, Ok(1..)), "{end:?}");
}
