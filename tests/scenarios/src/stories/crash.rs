//! A run that is cut off, and a change that fails: repaired by the next run, or taken back.
//!
//! A real host has no faults on order, so a run is killed while it is watched, and changes fail for reasons that no
//! preflight can see. At every single change this is tried on a rehearsal alone, in `tests/rehearsal/crash.rs`.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{ANSWERS, Bench, ensure};
use crate::reset::reset;
use crate::snapshot::Snapshot;

const JOURNAL: &str = "/var/db/gts-bootstrap/journal";
/// After how many changes a run is killed, counted from the stop before. An installation has some forty.
const STOPS: [usize; 6] = [1, 4, 5, 8, 8, 6];
/// How often that is tried: a run may be at its end before it is hit.
pub(super) const TRIES: u32 = 10;
/// For a command whose parent was killed.
const ORPHAN: Duration = Duration::from_secs(5);
/// For one run.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many changes of the run that is going on are done; none while there is no journal but that of the run before.
fn done(journal: &Path, before: &[u8]) -> usize {
    let text = fs::read(journal).unwrap_or_default();
    if !before.is_empty() && text.starts_with(before) {
        return 0;
    }
    String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with("{\"done\"")).count()
}

fn install_and_kill(bench: &Bench, stop: usize) -> Result<Option<usize>, String> {
    let (file, mirror) = (bench.answers(ANSWERS)?, bench.mirror.place());
    run_and_kill(bench, &["install", "--yes", "--answers", &file, "--mirror", &mirror], stop)
}

/// Starts a command and kills it as soon as that many changes are done; how many were, or `None` if it had ended by then.
pub(super) fn run_and_kill(bench: &Bench, arguments: &[&str], stop: usize) -> Result<Option<usize>, String> {
    let journal = bench.local(JOURNAL)?;
    let before = fs::read(&journal).unwrap_or_default();
    let mut command = bench.command(arguments)?;
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| format!("the program cannot be run: {error}"))?;
    let watched = watch(&journal, &before, &mut child, stop);
    let killed = child.kill().and_then(|()| child.wait()).map_err(|error| format!("it cannot be killed: {error}"))?;
    watched?;
    if killed.code().is_some() {
        return Ok(None);
    }
    if !bench.is_rehearsal() {
        // A command of the base system that it had started is not killed with it, and ends by itself.
        thread::sleep(ORPHAN);
    }
    Ok(Some(done(&journal, &before)).filter(|count| *count > 0))
}

/// Waits until that many changes are done, or the run has ended.
fn watch(journal: &Path, before: &[u8], child: &mut Child, stop: usize) -> Result<(), String> {
    let began = Instant::now();
    while done(journal, before) < stop {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        ensure(began.elapsed() < PATIENCE, "the command takes too long")?;
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// The host as it is installed. What GoToSocial writes itself carries times and pids.
fn installed(bench: &Bench) -> Result<Snapshot, String> {
    Ok(Snapshot::take(bench)?.system().without_data())
}

/// One installation is killed again and again, each time some changes further on, and then goes to its end.
pub(super) fn killed_at_a_change(bench: &Bench) -> Result<(), String> {
    let uninterrupted = installed(bench)?;
    reset(bench)?;
    let mut hit = Vec::new();
    for stop in STOPS {
        let mut tries = 0..TRIES;
        let count = loop {
            ensure(tries.next().is_some(), format!("no run could be killed after {stop} changes, and {hit:?} before"))?;
            if let Some(count) = install_and_kill(bench, stop)? {
                break count;
            }
            // It came to its end before it was hit.
            reset(bench)?;
        };
        hit.push(count);
    }
    let told = |why: String| format!("killed after {hit:?} changes: {why}");
    bench.install(ANSWERS)?.exits(0).and_then(|run| run.says("An earlier `install` was interrupted")).map_err(told)?;
    uninterrupted.is_still(&installed(bench)?).map_err(told)?;
    bench.ports_are_guarded().map_err(told)?;
    bench.install(ANSWERS)?.exits(0).and_then(|run| run.says("Nothing to change")).map_err(told)?;
    println!("        killed after {hit:?} changes");
    Ok(())
}

pub(super) fn cut_off_and_taken_back(bench: &Bench) -> Result<(), String> {
    bench.run(&["recover"])?.exits(0)?.says("there is nothing to recover")?;
    let before = Snapshot::take(bench)?.system();
    let mut tries = 0..TRIES;
    while install_and_kill(bench, 20)?.is_none() {
        ensure(tries.next().is_some(), "no run could be killed after change 20")?;
        reset(bench)?;
    }
    let cut_off = installed(bench)?;
    bench.run(&["recover", "--plan"])?.exits(0)?.says("`install` of")?.says("was interrupted")?;
    bench.run(&["recover", "--undo"])?.exits(4)?.says("nothing was changed")?;
    cut_off.is_still(&installed(bench)?)?;
    bench.run(&["recover", "--undo", "--yes"])?.exits(0)?.says("the host is as it was before")?;
    before.without_data().is_still(&installed(bench)?)?;

    // Settled instead, it goes on.
    let mut tries = 0..TRIES;
    while install_and_kill(bench, 20)?.is_none() {
        ensure(tries.next().is_some(), "no run could be killed after change 20")?;
        reset(bench)?;
    }
    bench.run(&["recover", "--yes"])?.exits(0)?.says("run `gts-bootstrap install` again")?;
    bench.install(ANSWERS)?.exits(0)?.does_not_say("was interrupted")?;
    bench.ports_are_guarded()
}

pub(super) fn failing_last_change(bench: &Bench) -> Result<(), String> {
    let before = installed(bench)?;
    // TEST-NET-3 (RFC 5737): an address of nobody, as only the server finds out when it is started.
    let answers = format!("{ANSWERS}\n[config]\nbind-address = \"203.0.113.77\"\n");
    bench
        .install(&answers)?
        .exits(1)?
        .says("was started and died")?
        .says("assign requested address")?
        .says("the host is as it was")?;
    before.is_still(&installed(bench)?)?;
    // What is left of it is in nobody's way.
    bench.install(ANSWERS)?.exits(0)?;
    bench.ports_are_guarded()
}

pub(super) fn failing_change_in_between(bench: &Bench) -> Result<(), String> {
    // Where the program puts the bytes of files that it replaces: no part of the host that a preflight looks at.
    let kept = "/var/db/gts-bootstrap/replaced";
    bench.write(kept, "no folder\n")?;
    bench.add("/etc/sysctl.conf", "# by hand\n")?;
    let before = Snapshot::take(bench)?.system();
    bench.install(ANSWERS)?.exits(1)?.says(kept)?.says("undo user gotosocial")?.says("the host is as it was")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    ensure(bench.text(kept)? == "no folder\n", "what stood in the way is gone")
}
