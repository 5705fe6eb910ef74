//! Ctrl-C, SIGTERM and a closed terminal while the release is downloaded: real signals to the real program, and a server that
//! sends half of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gts_bootstrap::host::rehearsal::stand_in_release::stand_in_archive;
use gts_bootstrap::release::{Arch, Sha256Digest, Variant};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use semver::Version;

use super::terminal::Terminal;
use crate::machine::{ANSWERS, Machine, Outcome, differences};
use crate::release::server::{Asked, Reply, Server};

const DOWNLOAD: &str = "/var/db/gts-bootstrap/download";
const JOURNAL: &str = "/var/db/gts-bootstrap/journal";
/// How much the server sends before it falls silent.
const HALF: usize = 9000;
/// The program's patience with a silent server is a minute, and it would try again: what ends sooner was interrupted.
const SOON: Duration = Duration::from_secs(20);

fn archive() -> Vec<u8> {
    stand_in_archive(&Version::new(0, 19, 2), Arch::Amd64, Variant::Default).unwrap()
}

/// What becomes of the first download.
#[derive(Clone)]
enum First {
    Silence,
    /// The rest comes later.
    Gate(Arc<AtomicBool>),
    /// It has to be tried again in a while.
    Busy,
}

/// A mirror whose first download is like that; those after it are whole.
fn mirror(first: First) -> Server {
    let downloads = AtomicBool::new(false);
    Server::start(move |asked: &Asked, _| {
        let archive = archive();
        if asked.target().ends_with("checksums.txt") {
            return Reply::status("404 Not Found").body(b"");
        }
        match (downloads.swap(true, Ordering::SeqCst), &first, asked.range_start()) {
            (false, First::Silence, _) => Reply::ok(&archive).cut(HALF).stalled(),
            (false, First::Gate(gate), _) => Reply::ok(&archive).gated(HALF, gate),
            (false, First::Busy, _) => Reply::status("503 Service Unavailable").header("Retry-After", "25").body(b""),
            (true, _, Some(start)) => Reply::partial(&archive, start),
            (true, _, None) => Reply::ok(&archive),
        }
    })
}

/// The parts of the archive that were asked for, by their start.
fn downloads(server: &Server) -> Vec<Option<usize>> {
    let requests = server.requests();
    requests.iter().filter(|asked| asked.target().ends_with(".tar.gz")).map(Asked::range_start).collect()
}

fn machine() -> Machine {
    let machine = Machine::fresh();
    fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
    machine
}

fn arguments(server: &Server, more: &[&str]) -> Vec<String> {
    let (url, digest) = (server.url(), Sha256Digest::of(&archive()).to_string());
    let own = ["install", "--answers", "answers.toml", "--yes", "--mirror", &url, "--sha256", &digest];
    own.iter().chain(more).map(|&word| word.to_owned()).collect()
}

fn start(machine: &Machine, arguments: &[String]) -> Child {
    // A job in the background ignores SIGINT, one under nohup(1) SIGHUP, and a child inherits that; one that is caught is a
    // child's default again.
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        signal_hook::flag::register(signal as i32, std::sync::Arc::default()).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .arg("--rehearse")
        .arg(machine.root())
        .args(arguments)
        .current_dir(machine.root().parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "not in a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// How much of the archive is there.
fn kept(machine: &Machine) -> Option<usize> {
    let mut names = fs::read_dir(machine.path(DOWNLOAD)).ok()?;
    Some(fs::metadata(names.next()?.unwrap().path()).ok()?.len().try_into().unwrap())
}

/// Signals the program when `is_so`, and waits for its end, which has to come soon.
fn interrupted(child: Child, signal: Signal, what: &str, is_so: impl Fn() -> bool) -> Outcome {
    until(what, is_so);
    let began = Instant::now();
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < SOON, "it ended only {:?} after the signal", began.elapsed());
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Interrupts the download when half of it is there.
fn half_way(machine: &Machine, server: &Server, signal: Signal, more: &[&str]) -> Outcome {
    let child = start(machine, &arguments(server, more));
    interrupted(child, signal, "half of the archive", || kept(machine) == Some(HALF))
}

#[test]
fn each_signal_ends_a_download_that_hangs_and_takes_the_run_back() {
    for (signal, told) in [
        (Signal::SIGINT, "interrupted (SIGINT)"),
        (Signal::SIGTERM, "interrupted (SIGTERM)"),
        (Signal::SIGHUP, "the terminal was closed (SIGHUP)"),
    ] {
        let (machine, server) = (machine(), mirror(First::Silence));
        let before = machine.system_files();
        half_way(&machine, &server, signal, &[]).exits(1).says(told).says("All changes were undone");
        assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new(), "{told}");
        assert!(!machine.exists(DOWNLOAD) && !machine.exists(JOURNAL), "{told}");
    }
}

#[test]
fn what_was_downloaded_is_kept_and_the_next_run_goes_on_with_it() {
    let (machine, server) = (machine(), mirror(First::Silence));
    half_way(&machine, &server, Signal::SIGTERM, &["--on-interrupt", "keep"])
        .exits(1)
        .says("interrupted (SIGTERM)")
        .says("the changes are kept, and the same command continues from there");
    assert_eq!(kept(&machine), Some(HALF));
    assert!(!machine.exists(JOURNAL));
    assert!(!machine.exists("/usr/local/libexec/gotosocial/0.19.2"));
    let leftovers = fs::read_dir(machine.path("/usr/local/libexec/gotosocial")).unwrap().count();
    assert_eq!(leftovers, 0, "nothing half-unpacked stays");
    assert!(machine.read("/var/db/gts-bootstrap/receipts/0001-install.jsonl").contains("\"interrupted\""));
    machine.run(&["recover"]).exits(0).says("there is nothing to recover");
    assert_eq!(kept(&machine), Some(HALF));

    let again: Vec<String> = arguments(&server, &[]);
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    machine.run(&again).exits(0).says("are there from an interrupted run").does_not_say("was interrupted");
    assert_eq!(downloads(&server), [None, Some(HALF)]);
    assert!(!machine.exists(DOWNLOAD));
    machine.run(&["check"]).exits(0);
}

#[test]
fn what_was_kept_goes_with_an_uninstallation() {
    let (machine, server) = (machine(), mirror(First::Silence));
    half_way(&machine, &server, Signal::SIGINT, &["--on-interrupt", "keep"]).exits(1);
    assert!(machine.exists(DOWNLOAD) && machine.exists("/usr/local/libexec/gotosocial"));
    machine.run(&["uninstall", "--yes"]).exits(0);
    assert!(!machine.exists(DOWNLOAD) && !machine.exists("/usr/local/libexec/gotosocial"));
}

#[test]
fn waiting_for_the_next_attempt_is_interrupted_too() {
    let (machine, server) = (machine(), mirror(First::Busy));
    let child = start(&machine, &arguments(&server, &[]));
    let waits = || !downloads(&server).is_empty();
    interrupted(child, Signal::SIGTERM, "an attempt", waits).exits(1).says("interrupted (SIGTERM)");
    assert!(!machine.exists(DOWNLOAD) && !machine.exists(JOURNAL));
}

#[test]
fn before_the_plan_a_signal_ends_the_program_at_once_and_nothing_was_changed() {
    let machine = machine();
    let before = machine.snapshot();
    let server = Server::start(|_, _| Reply::status("200 OK").stalled());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let asked = server.requests().len();
        let child = start(&machine, &arguments(&server, &[]));
        let outcome = interrupted(child, signal, "a question", || server.requests().len() > asked);
        assert_ne!(outcome.code, 0);
        let after = machine.snapshot();
        let different = differences(&before, &after);
        assert!(different.iter().all(|path| path.starts_with(".rehearsal")), "{different:?}");
    }
}

/// At a terminal, half of the archive being there, after a Ctrl-C.
fn asked(machine: &Machine, server: &Server) -> Terminal {
    let arguments = arguments(server, &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut terminal = Terminal::start(machine, &arguments);
    until("half of the archive", || kept(machine) == Some(HALF));
    terminal.signal(Signal::SIGINT);
    terminal.expect("[u]ndo what was done, [k]eep it for the next run, [c]ontinue");
    terminal
}

#[test]
fn ctrl_c_asks_during_a_download_and_each_answer_is_obeyed() {
    let (one, server) = (machine(), mirror(First::Silence));
    let before = one.system_files();
    let mut terminal = asked(&one, &server);
    terminal.enter("u");
    terminal.expect("were undone");
    terminal.exits(1);
    assert_eq!(differences(&before, &one.system_files()), Vec::<std::path::PathBuf>::new());
    assert!(!one.exists(DOWNLOAD));

    let (one, server) = (machine(), mirror(First::Silence));
    let mut terminal = asked(&one, &server);
    terminal.enter("k");
    terminal.expect("are kept");
    terminal.exits(1);
    assert_eq!(kept(&one), Some(HALF));

    let gate = Arc::new(AtomicBool::new(false));
    let (one, server) = (machine(), mirror(First::Gate(Arc::clone(&gate))));
    let mut terminal = asked(&one, &server);
    terminal.enter("c");
    gate.store(true, Ordering::SeqCst);
    terminal.expect("changes made");
    terminal.exits(0);
    assert_eq!(downloads(&server), [None], "it went on where it was");
    assert!(!one.exists(DOWNLOAD));

    // And one more Ctrl-C is asked about again.
    let gate = Arc::new(AtomicBool::new(false));
    let (one, server) = (machine(), mirror(First::Gate(Arc::clone(&gate))));
    let mut terminal = asked(&one, &server);
    terminal.enter("c");
    terminal.signal(Signal::SIGINT);
    terminal.expect("[u]ndo what was done");
    terminal.enter("u");
    terminal.expect("were undone");
    gate.store(true, Ordering::SeqCst);
    terminal.exits(1);
}

#[test]
fn a_second_ctrl_c_and_a_terminal_that_goes_away_mean_undo_here_too() {
    let (one, server) = (machine(), mirror(First::Silence));
    let before = one.system_files();
    asked(&one, &server).hang_up();
    assert_eq!(differences(&before, &one.system_files()), Vec::<std::path::PathBuf>::new());
    assert!(!one.exists(DOWNLOAD) && !one.exists(JOURNAL));

    let (one, server) = (machine(), mirror(First::Silence));
    let mut terminal = asked(&one, &server);
    terminal.press_until("\u{3}", "were undone");
    terminal.exits(1);
    assert!(!Path::new(&one.path(DOWNLOAD)).exists());
}
