//! Putting an installation back as it was before a story, file by file: far cheaper than installing it again.
//!
//! It is proved by a snapshot, like a machine that is put back as a whole. Whatever this cannot put back is an error, and
//! the whole machine is put back instead: accounts, and files that are too large to be kept.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gts_bootstrap::host::{Host, HostError, ServiceAction};

use super::bench::{Bench, HTTPD, MODULE, NGINX, RESERVED_HIGH, RULES, SERVICE, remove};
use super::snapshot::Snapshot;
use super::trouble::{Trouble, trouble};

/// What the running service has read: after a change there it is started anew.
const READ_BY_THE_SERVICE: [&str; 6] = [
    "/etc/rc.conf",
    "/usr/local/bin/gotosocial",
    "/usr/local/etc/gotosocial",
    "/usr/local/etc/rc.d/gotosocial",
    "/usr/local/libexec/gotosocial",
    "/var/db/gotosocial",
];
/// The database, and the log beside it.
const DATABASE: [&str; 2] = ["/var/db/gotosocial/sqlite.db", "/var/db/gotosocial/sqlite.db-wal"];
/// What tells those who have it open where they are.
const SHARED: &str = "/var/db/gotosocial/sqlite.db-shm";
/// What servers write themselves while they run.
const WRITTEN_BY_SERVERS: [&str; 6] =
    [DATABASE[0], DATABASE[1], "/var/db/gotosocial/tmp", "/var/db/gotosocial/wazero", "/var/log", "/var/run"];
/// For a service to listen again.
const PATIENCE: Duration = Duration::from_secs(300);

fn said(error: HostError) -> String {
    error.to_string()
}

/// The state of an installation that the next story begins with: all but times, logs, and what a server writes as it likes.
pub fn state(bench: &Bench) -> Result<Snapshot, String> {
    let taken = Snapshot::take(bench)?.without_times().without("/.rehearsal").with_listeners(bench)?;
    Ok(WRITTEN_BY_SERVERS.into_iter().fold(taken, Snapshot::without))
}

/// The database of a server that has nothing to do: it is read until it has stood still.
pub fn data(bench: &Bench) -> Result<Snapshot, String> {
    let take = || Ok::<_, String>(Snapshot::take(bench)?.without_times().only(&DATABASE));
    let mut last = take()?;
    for _ in 0..10 {
        let next = take()?;
        if last.is_still(&next).is_ok() {
            return Ok(next);
        }
        last = next;
        thread::sleep(Duration::from_secs(1));
    }
    Err("the server keeps writing to its database".to_owned())
}

/// Puts the installation back, with its data if a story has changed them, and proves it.
pub fn restore(bench: &Bench, before: &Snapshot, data: Option<&Snapshot>) -> Result<(), String> {
    let now = state(bench)?;
    if before.is_still(&now).is_ok() && data.is_none() {
        return Ok(());
    }
    if bench.is_rehearsal() {
        trouble(bench, Trouble::Over)?;
    }
    let different = before.different(&now);
    let host = bench.host()?;
    let restart = data.is_some()
        || before.listeners() != now.listeners()
        || different.iter().any(|path| READ_BY_THE_SERVICE.iter().any(|read| path.starts_with(read)));
    let fronts = [&NGINX, &HTTPD].into_iter().filter(|front| {
        before.listeners() != now.listeners()
            && [before, &now].into_iter().any(|state| state.has_listener(front.command))
    });
    let fronts: Vec<_> = fronts.collect();
    if restart {
        for front in &fronts {
            host.service_action(front.service, ServiceAction::Stop).map_err(said)?;
        }
        host.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    }
    before.write_back(host.as_ref(), &now)?;
    if let Some(data) = data {
        remove(host.as_ref(), SHARED).map_err(said)?;
        data.write_back(host.as_ref(), &Snapshot::take(bench)?.without_times().only(&DATABASE))?;
    }
    ports(bench, host.as_ref(), before)?;
    if restart {
        host.service_action(SERVICE, ServiceAction::Start).map_err(said)?;
        for front in fronts.into_iter().filter(|front| before.has_listener(front.command)) {
            host.service_action(front.service, ServiceAction::Start).map_err(said)?;
        }
    }
    drop(host);
    let began = Instant::now();
    loop {
        let proved = before.is_still(&state(bench)?);
        if proved.is_ok() || !restart || bench.is_rehearsal() || began.elapsed() > PATIENCE {
            return proved.and_then(|()| bench.pid().map(drop));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Closed first, then the rules, then open as far as before.
fn ports(bench: &Bench, host: &dyn Host, before: &Snapshot) -> Result<(), String> {
    let wanted = [RULES, RESERVED_HIGH].map(|name| before.kernel(name).unwrap_or_default().to_owned());
    let is_loaded = host.module_loaded(MODULE).map_err(said)?;
    if is_loaded && [bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?] == wanted {
        return Ok(());
    }
    host.set_sysctl(RESERVED_HIGH, "1023").map_err(said)?;
    if !is_loaded {
        host.load_module(MODULE).map_err(said)?;
    }
    let [rules, high] = wanted;
    host.set_sysctl(RULES, &rules).and_then(|()| host.set_sysctl(RESERVED_HIGH, &high)).map_err(said)
}

/// Whether a path belongs to the accounts, which only pw(8) may change.
pub fn is_an_account(path: &Path) -> bool {
    ["/etc/group", "/etc/master.passwd", "/etc/passwd"].iter().any(|file| path == Path::new(file))
}
