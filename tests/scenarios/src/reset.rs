//! Putting the machine back: everything that the program makes is removed, and the system's files are written back as
//! they were found.
//!
//! What was found is kept on disk, so that a run that was cut off, or a reboot, does not lose it.

use std::path::Path;

use gts_bootstrap::host::{Entry, Host, HostError, Owner, ServiceAction, ServiceState};
use serde_json::{Value, json};

use super::bench::{Bench, HTTPD, MODULE, NGINX, OWN_FOLDER, RESERVED_HIGH, RULES, SERVICE, USER, remove};
use super::snapshot::Snapshot;
use super::trouble::{Trouble, trouble};

/// Files of the system that the program or a story edits.
const EDITED: [&str; 7] = [
    "/boot/loader.conf",
    "/boot/loader.conf.local",
    "/etc/rc.conf",
    "/etc/sysctl.conf",
    "/etc/sysctl.conf.local",
    "/usr/local/etc/apache24/httpd.conf",
    "/usr/local/etc/nginx/nginx.conf",
];
/// What the program or a story makes.
const MADE: [&str; 34] = [
    ASIDE,
    LOADER_EXTRA,
    NGINX_SITE,
    HTTPD_SITE,
    "/usr/local/bin/gotosocial",
    "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf",
    "/usr/local/etc/apache24/gts-bootstrap",
    "/usr/local/etc/apache24/gts-bootstrap-candidate",
    "/usr/local/etc/apache24/gts-bootstrap-candidate.conf",
    "/usr/local/etc/gotosocial",
    "/usr/local/etc/gts-bootstrap",
    "/usr/local/etc/newsyslog.conf.d/gotosocial.conf",
    "/usr/local/etc/newsyslog.conf.d/gts-bootstrap-front.conf",
    "/usr/local/etc/nginx/gts-bootstrap",
    "/usr/local/etc/nginx/gts-bootstrap-candidate",
    "/usr/local/etc/nginx/gts-bootstrap-candidate.conf",
    "/usr/local/etc/periodic/daily/495.status-gotosocial",
    "/usr/local/etc/periodic/daily/510.gts-bootstrap-certificate",
    "/usr/local/etc/periodic/weekly/510.gotosocial-backup",
    "/usr/local/etc/rc.d/gotosocial",
    "/usr/local/etc/rc.d/gts_portacl_guard",
    "/usr/local/etc/rc.d/gts_portacl_guard_late",
    "/usr/local/libexec/gotosocial",
    "/usr/local/www/gts-bootstrap",
    "/var/backups/gotosocial",
    "/var/db/gotosocial",
    "/var/db/gts-bootstrap",
    "/var/db/gts-bootstrap.opened",
    "/var/log/gotosocial",
    "/var/log/httpd-gotosocial-access.log",
    "/var/log/httpd-gotosocial-error.log",
    "/var/log/nginx/gotosocial-access.log",
    "/var/log/nginx/gotosocial-error.log",
    "/var/run/gotosocial",
];
/// Where a story puts a release aside.
pub const ASIDE: &str = "/usr/local/libexec/gts-acceptance-aside";
/// A file for the loader, which some stories write.
pub const LOADER_EXTRA: &str = "/boot/loader.conf.d/gts-acceptance.conf";
/// A site of somebody else's, for nginx, which some stories write.
pub const NGINX_SITE: &str = "/usr/local/etc/nginx/gts-acceptance.conf";
/// The same for Apache.
pub const HTTPD_SITE: &str = "/usr/local/etc/apache24/Includes/gts-acceptance.conf";
/// Folders of the system that are made where they are missing, innermost first.
pub const FOLDERS: [&str; 10] = [
    "/boot/loader.conf.d",
    "/usr/local/www",
    "/usr/local/etc/newsyslog.conf.d",
    "/usr/local/etc/periodic/daily",
    "/usr/local/etc/periodic/weekly",
    "/usr/local/etc/periodic",
    "/usr/local/etc/rc.d",
    "/usr/local/etc",
    "/usr/local/bin",
    "/usr/local/libexec",
];
/// Accounts that stories make.
pub const STRANGER: &str = "gtsstranger";

fn said(error: HostError) -> String {
    error.to_string()
}

/// Where what was found is kept.
fn record() -> String {
    format!("{OWN_FOLDER}/found.json")
}

/// Makes the machine ready: what an earlier run has left is put back, else what is found is written down. A machine on
/// which GoToSocial is installed, or whose ports are in use, is refused.
pub fn prepare(bench: &Bench) -> Result<(), String> {
    if bench.exists(&record())? {
        return reset(bench);
    }
    let host = bench.host()?;
    let mut reasons: Vec<String> = Vec::new();
    for path in MADE {
        if host.entry(Path::new(path)).map_err(said)?.is_some() {
            reasons.push(format!("there is {path}"));
        }
    }
    if host.user(USER).map_err(said)?.is_some() || host.group(USER).map_err(said)?.is_some() {
        reasons.push(format!("there is an account {USER}"));
    }
    if host.module_loaded(MODULE).map_err(said)? {
        reasons.push(format!("{MODULE} is in the kernel already"));
    }
    for listener in host.listeners().map_err(said)?.iter().filter(|listener| [80, 443].contains(&listener.port)) {
        reasons.push(format!("{} listens on port {}", listener.command, listener.port));
    }
    if !reasons.is_empty() {
        return Err(format!("this is no fresh machine, so nothing was done:\n  {}", reasons.join("\n  ")));
    }
    host.make_directory(Path::new(OWN_FOLDER), 0o700, Owner::ROOT).map_err(said)?;
    let mut files = serde_json::Map::new();
    for path in EDITED {
        files.insert(path.to_owned(), found_file(host.as_ref(), path)?);
    }
    let mut folders = Vec::new();
    for path in FOLDERS {
        if host.entry(Path::new(path)).map_err(said)?.is_some() {
            folders.push(path);
        }
    }
    let found = json!({ "files": files, "folders": folders, RESERVED_HIGH: bench.sysctl(RESERVED_HIGH)? });
    host.write_file(Path::new(&record()), found.to_string().as_bytes(), 0o600, Owner::ROOT).map_err(said)?;
    bench.mirror.give_certificate(bench)
}

fn found_file(host: &dyn Host, path: &str) -> Result<Value, String> {
    Ok(match host.entry(Path::new(path)).map_err(said)? {
        None => Value::Null,
        Some(Entry::File { mode, owner, .. }) => {
            let bytes = host.read(Path::new(path)).map_err(said)?.unwrap_or_default();
            json!({ "mode": mode, "uid": owner.uid, "gid": owner.gid, "bytes": bytes })
        }
        Some(_) => return Err(format!("{path} is not a plain file, so it could not be put back")),
    })
}

/// Puts the machine back, as far as that can be done; what could not be is told.
pub fn reset(bench: &Bench) -> Result<(), String> {
    let found: Value =
        serde_json::from_str(&bench.text(&record())?).map_err(|error| format!("{}: {error}", record()))?;
    if bench.is_rehearsal() {
        // On a real machine rc.conf is written back, which is where trouble comes from there.
        trouble(bench, Trouble::Over)?;
    }
    let host = bench.host()?;
    let mut left: Vec<String> = Vec::new();
    let mut attempt = |what: &str, result: Result<(), HostError>| {
        if let Err(error) = result {
            left.push(format!("{what}: {error}"));
        }
    };
    for service in [SERVICE, NGINX.service, HTTPD.service] {
        let script = format!("/usr/local/etc/rc.d/{service}");
        let is_there = host.entry(Path::new(&script)).map_err(said)?.is_some();
        if is_there && host.service(service).map_err(said)? != ServiceState::Missing {
            attempt(&format!("stop {service}"), host.service_action(service, ServiceAction::Stop));
        }
    }
    // Closed first, and only then the rules out.
    if let Some(high) = found[RESERVED_HIGH].as_str() {
        attempt(RESERVED_HIGH, host.set_sysctl(RESERVED_HIGH, high));
    }
    if host.module_loaded(MODULE).map_err(said)? {
        attempt(RULES, host.set_sysctl(RULES, ""));
        attempt("unload the module", host.unload_module(MODULE));
    }
    for (path, file) in found["files"].as_object().into_iter().flatten() {
        attempt(path, write_back(host.as_ref(), path, file));
    }
    for path in MADE {
        attempt(path, remove(host.as_ref(), path));
    }
    for path in FOLDERS {
        let was_there = found["folders"].as_array().is_some_and(|folders| folders.iter().any(|one| one == path));
        if !was_there && host.list(Path::new(path)).map_err(said)?.is_empty() {
            attempt(path, host.remove(Path::new(path)));
        }
    }
    for name in [USER, STRANGER] {
        if host.user(name).map_err(said)?.is_some() {
            attempt(name, host.delete_user(name));
        }
        if host.group(name).map_err(said)?.is_some() {
            attempt(name, host.delete_group(name));
        }
    }
    if left.is_empty() { bench.mirror.give_certificate(bench) } else { Err(left.join("\n")) }
}

fn write_back(host: &dyn Host, path: &str, file: &Value) -> Result<(), HostError> {
    let number = |key: &str| file[key].as_u64().and_then(|number| u32::try_from(number).ok());
    let path = Path::new(path);
    let Some(((mode, uid), gid)) = number("mode").zip(number("uid")).zip(number("gid")) else {
        return host.remove(path);
    };
    let bytes: Vec<u8> = file["bytes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
        .collect();
    if host.read(path)?.as_deref() == Some(&bytes) {
        return Ok(());
    }
    host.write_file(path, &bytes, mode, Owner { uid, gid })
}

/// The state that a machine is found in and has to be left in: all but times, and the clock of a model.
pub fn state(bench: &Bench) -> Result<Snapshot, String> {
    Ok(Snapshot::take(bench)?.without_times().without("/.rehearsal"))
}
