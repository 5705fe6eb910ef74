//! What runs as somebody else, on a real machine: there is no ps(1) in a model.

use std::fs::{self, File};
use std::process::{Child, Command};

use gts_bootstrap::host::{Invocation, NEVER, Owner};

use super::said;
use crate::bench::{ANSWERS, Bench, NOBODY, OWN_FOLDER, ensure};
use crate::http_mirror::Silent;

/// Session, process and terminal as ps(1) has them, whether there is a terminal, the groups, and the limit for core dumps.
const LOOK: &str = "ps -o sid= -o pid= -o tty= -p $$; if (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi; \
                    id -G; ulimit -c";

pub(super) fn have_no_terminal(bench: &Bench) -> Result<(), String> {
    let look = Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), LOOK.into()],
        environment: Vec::new(),
        owner: Owner { uid: NOBODY, gid: NOBODY },
        directory: "/".into(),
        secret_argument: None,
        limit: None,
    };
    let output = bench.host()?.run_as(&look, NEVER).map_err(said)?;
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let [session, pid, terminal, opened, group, core] = words[..] else {
        return Err(format!("a child says {:?} and {:?}", output.stdout, output.stderr));
    };
    ensure(session == pid, format!("the child {pid} is in session {session}"))?;
    ensure(["-", "?", "??"].contains(&terminal), format!("the child has the terminal {terminal}"))?;
    ensure(opened == "none", "the child can open /dev/tty")?;
    ensure(group == NOBODY.to_string(), format!("the child is in group {group}"))?;
    ensure(core == "0", format!("the child may leave a core dump of {core} blocks"))
}

/// The children of a process, by ps(1): each is nobody's, in a session of its own, without a terminal.
fn belong_to_nobody(parent: &Child) -> Result<(), String> {
    // One -o each: what follows a "=" is the heading of that column, with all its commas.
    let columns = ["ppid=", "pid=", "sid=", "uid=", "tty="].into_iter().flat_map(|column| ["-o", column]);
    let output = Command::new("/bin/ps").arg("-ax").args(columns).output();
    let output = output.map_err(|error| format!("/bin/ps: {error}"))?;
    ensure(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    let (table, parent) = (String::from_utf8_lossy(&output.stdout).into_owned(), parent.id().to_string());
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let children: Vec<&Vec<&str>> = rows.iter().filter(|row| row.first() == Some(&parent.as_str())).collect();
    ensure(!children.is_empty(), format!("the process {parent} asks by itself:\n{table}"))?;
    for child in children {
        let [_, pid, session, uid, terminal] = child[..] else { return Err(format!("ps(1) says {child:?}")) };
        let is_apart = session == pid && uid == NOBODY.to_string() && ["-", "?", "??"].contains(&terminal);
        ensure(
            is_apart,
            format!("a child is process {pid} in session {session}, of uid {uid}, with terminal {terminal}"),
        )?;
    }
    Ok(())
}

/// Runs the program until it waits for the answer of a server, and looks at who waits.
fn wait_as_nobody(bench: &Bench, server: &Silent, arguments: &[&str]) -> Result<(), String> {
    let place = bench.local(OWN_FOLDER)?.join("told");
    let told = File::create(&place).and_then(|file| Ok([file.try_clone()?, file]));
    let [stdout, stderr] = told.map_err(|error| format!("{}: {error}", place.display()))?;
    let mut command = bench.command(arguments)?;
    let child = command.stdout(stdout).stderr(stderr).spawn();
    let mut child = child.map_err(|error| format!("the program cannot be run: {error}"))?;
    let looked = server.accept().and_then(|_connection| belong_to_nobody(&child));
    child.kill().and_then(|()| child.wait()).map_err(|error| format!("it cannot be killed: {error}"))?;
    // It may have ended before it asked anybody.
    let told = || fs::read_to_string(&place).unwrap_or_default();
    looked.map_err(|why| format!("`gts-bootstrap {}`: {why}\n{}", arguments.join(" "), told()))
}

pub(super) fn fetch(bench: &Bench) -> Result<(), String> {
    let server = Silent::start()?;
    let (file, mirror, digest) = (bench.answers(ANSWERS)?, format!("http://{}", server.address), "0".repeat(64));
    let arguments = ["install", "--yes", "--answers", &file, "--mirror", &mirror, "--sha256", &digest];
    wait_as_nobody(bench, &server, &arguments)
}

pub(super) fn order(bench: &Bench) -> Result<(), String> {
    let server = Silent::start()?;
    let directory = format!("https://{}/directory", server.address);
    wait_as_nobody(bench, &server, &["certificate", "renew", "--yes", "--force", "--acme-directory", &directory])
}
