//! The service under its rc.d script and daemon(8).

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gts_bootstrap::host::{Carried, Entry, Owner, ServiceAction, WebFailure, WebRequest};

use super::said;
use crate::bench::{ANSWERS, Bench, LOG, MODULE, RESERVED_HIGH, SERVICE, USER, ensure};
use crate::snapshot::Snapshot;
use crate::trouble::{Trouble, trouble};

/// The certificate that it orders.
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
/// The base system's log rotation, which no part of the program calls.
const NEWSYSLOG: &str = "/usr/sbin/newsyslog";
/// The supervisor's delay before it starts the program again is 5 s.
const PATIENCE: Duration = Duration::from_secs(60);

fn stop(bench: &Bench) -> Result<(), String> {
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)
}

/// Waits until something holds.
fn wait_for(what: &str, mut holds: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let began = Instant::now();
    while !holds()? {
        ensure(began.elapsed() < PATIENCE, format!("waited in vain: {what}"))?;
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

pub(super) fn stopped_is_started_again(bench: &Bench) -> Result<(), String> {
    stop(bench)?;
    bench.run(&["check"])?.exits(3)?.says("gotosocial does not run")?.says("nothing listens on port 80")?;
    bench.install(ANSWERS)?.exits(0)?.says("1 change made")?;
    bench.run(&["check"])?.exits(0)?.does_not_say("Asking for the first certificate").map(drop)
}

pub(super) fn only_what_it_reads_restarts_it(bench: &Bench) -> Result<(), String> {
    let pid = bench.pid()?;
    bench.remove("/usr/local/etc/newsyslog.conf.d/gotosocial.conf")?;
    bench.install(ANSWERS)?.exits(0)?.says("newsyslog.conf.d")?;
    ensure(bench.pid()? == pid, "it was restarted for a file that it does not read")?;
    bench.install(&format!("{ANSWERS}\n[config]\nlanding-page-user = \"alice\"\n"))?.exits(0)?;
    ensure(bench.pid()? != pid, "it was not restarted for its configuration")
}

pub(super) fn clean_stop(bench: &Bench) -> Result<(), String> {
    ensure(bench.exists("/var/db/gotosocial/sqlite.db-wal")?, "the database is not open while it runs")?;
    stop(bench)?;
    let log = bench.text(LOG)?;
    let last = log.lines().last().unwrap_or_default();
    ensure(last.contains("done! exiting..."), format!("the log ends with {last:?}"))?;
    ensure(!bench.exists("/var/db/gotosocial/sqlite.db-wal")?, "the database was left open")?;
    let listeners = bench.host()?.listeners().map_err(said)?;
    ensure(!listeners.iter().any(|listener| listener.uid == Some(209)), format!("{listeners:?}"))
}

pub(super) fn slow_start(bench: &Bench) -> Result<(), String> {
    stop(bench)?;
    trouble(bench, Trouble::SlowStart)?;
    let began = Instant::now();
    let outcome = bench.install(ANSWERS)?.exits(0)?.says("is up.")?;
    if bench.is_rehearsal() {
        return outcome.says("GoToSocial is starting (790 s)").map(drop);
    }
    ensure(began.elapsed() > Duration::from_secs(15), "it was not waited for")
}

pub(super) fn dying_service(bench: &Bench) -> Result<(), String> {
    trouble(bench, Trouble::Dies)?;
    let system = |bench: &Bench| -> Result<Snapshot, String> { Ok(Snapshot::take(bench)?.system().without_data()) };
    let before = system(bench)?;
    let outcome = bench
        .install(ANSWERS)?
        .exits(1)?
        .says("was started and died")?
        .says("gotosocial.log")?
        .says("timestamp=")?
        .says("the host is as it was")?
        .says("/var/db/gotosocial is not empty and stays")?;
    if !bench.is_rehearsal() {
        outcome.says("asked to die")?;
    }
    before.is_still(&system(bench)?)?;
    let host = bench.host()?;
    ensure(!host.module_loaded(MODULE).map_err(said)?, "the module is still loaded")?;
    ensure(host.user(USER).map_err(said)?.is_none(), "the account is still there")?;
    let high = bench.sysctl(RESERVED_HIGH)?;
    ensure(high == "1023", format!("{RESERVED_HIGH} is {high}"))
}

pub(super) fn killed_service(bench: &Bench) -> Result<(), String> {
    let pid = bench.pid()?;
    let killed = Command::new("/bin/kill").args(["-KILL", &pid.to_string()]).status();
    ensure(killed.is_ok_and(|status| status.success()), format!("pid {pid} could not be killed"))?;
    wait_for("the service to come back", || Ok(bench.pid().is_ok_and(|now| now != pid)))?;
    wait_for("the checks to pass", || Ok(bench.run(&["check"])?.code == Some(0)))
}

fn command(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), format!("{program} {}: {said}", arguments.join(" ")))?;
    Ok(said)
}

/// The server has a session of its own without a terminal, and the script's questions to the account are answered.
pub(super) fn no_terminal(bench: &Bench) -> Result<(), String> {
    let pid = bench.pid()?.to_string();
    let terminal = command("/bin/ps", &["-o", "tty=", "-p", &pid])?;
    ensure(["-", "?", "??"].contains(&terminal.trim()), format!("the server has the terminal {terminal}"))?;
    let said = command("/usr/sbin/service", &[SERVICE, "configtest"])?;
    ensure(said.contains("is read, host is"), said)?;
    wait_for("the server to be ready", || {
        Ok(command("/usr/sbin/service", &[SERVICE, "health"]).is_ok_and(|said| said.contains("is ready")))
    })
}

/// Another daemon(8) of root's, with the supervisor's title and ids, but not in its pid file.
pub(super) fn borrowed_title(bench: &Bench) -> Result<(), String> {
    command("/usr/sbin/daemon", &["-f", "-r", "-t", SERVICE, "/bin/sleep", "600"])?;
    let titled = || command("/usr/bin/pgrep", &["-f", &format!("^daemon: {SERVICE}\\[")]).unwrap_or_default();
    wait_for("the borrowed title", || Ok(titled().lines().count() == 2))?;
    stop(bench)?;
    let left = titled();
    let started = bench.host()?.service_action(SERVICE, ServiceAction::Start).map_err(said);
    let running = wait_for("the service to run", || Ok(bench.pid().is_ok()));
    command("/bin/kill", &["-TERM", left.trim()])?;
    ensure(left.lines().count() == 1, format!("stop has left these supervisors: {left:?}"))?;
    started.and(running)
}

pub(super) fn no_certificate(bench: &Bench) -> Result<(), String> {
    for (why, words) in [(Trouble::RateLimited, "rate limit"), (Trouble::Unreachable, "cannot reach Let's Encrypt")] {
        stop(bench)?;
        bench.remove(CERTIFICATE)?;
        trouble(bench, why)?;
        bench
            .install(ANSWERS)?
            .exits(3)?
            .says("Asking for the first certificate")?
            .says(words)?
            .says("The installation is in place")?;
        // The other half: the authority comes back. A real server has the trouble in its environment until it ends.
        trouble(bench, Trouble::Over)?;
        if bench.is_rehearsal() {
            bench.run(&["check"])?.exits(0)?.says("certificate: for social.example.org")?;
        }
        stop(bench)?;
        bench.install(ANSWERS)?.exits(0)?;
    }
    Ok(())
}

pub(super) fn log_rotation(bench: &Bench) -> Result<(), String> {
    let pid = bench.pid()?;
    let conf = "/usr/local/etc/newsyslog.conf.d/gotosocial.conf";
    let rotated = Command::new(NEWSYSLOG).args(["-F", "-f", conf]).output();
    let rotated = rotated.map_err(|error| format!("{NEWSYSLOG}: {error}"))?;
    ensure(rotated.status.success(), format!("{NEWSYSLOG}: {}", String::from_utf8_lossy(&rotated.stderr)))?;
    let archived = bench.host()?.list(std::path::Path::new("/var/log/gotosocial")).map_err(said)?;
    ensure(archived.iter().any(|name| name.starts_with("gotosocial.log.0")), format!("there is only {archived:?}"))?;
    // A handshake with a wrong name is logged, and has to go into the new file.
    let request = WebRequest {
        tls: true,
        host: "after-the-rotation.example.org".to_owned(),
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 443))),
        path: "/".to_owned(),
        carries: Carried::default(),
        verify: false,
        timeout: Duration::from_secs(30),
    };
    let answered = bench.host()?.web(&request);
    ensure(matches!(answered, Err(WebFailure::Tls(_) | WebFailure::Other(_))), format!("{answered:?}"))?;
    wait_for("the new log", || Ok(bench.text(LOG)?.contains("after-the-rotation.example.org")))?;
    ensure(bench.pid()? == pid, "the service was restarted")?;
    match bench.host()?.entry(std::path::Path::new(LOG)).map_err(said)? {
        Some(Entry::File { mode: 0o640, owner: Owner { uid: 0, gid: 209 }, .. }) => Ok(()),
        other => Err(format!("the new log is {other:?}")),
    }
}
