//! What periodic(8) does: each day the look at the certificate and the status of the installation, each week a backup.

use std::path::{Path, PathBuf};

use super::Refusal;
use super::managed_file::{self, ManagedFile, Planned};
use crate::change::Step;
use crate::host::{HostError, Observe, Owner};

/// `local_periodic` of periodic.conf(5), for what is done each day. Scripts run in the order of their numbers.
pub const SCRIPT: &str = "/usr/local/etc/periodic/daily/510.gts-bootstrap-certificate";
/// The status, among FreeBSD's own of the numbers 400 to 499, whose names begin alike.
pub const STATUS: &str = "/usr/local/etc/periodic/daily/495.status-gotosocial";

/// The backup of each week.
pub const BACKUP: &str = "/usr/local/etc/periodic/weekly/510.gotosocial-backup";

/// Plans the script of the certificate. It is there only where a front is, so it is switched on by itself; an administrator
/// switches it off with `daily_gts_bootstrap_certificate_enable="NO"` in /etc/periodic.conf.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_periodic(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let text = include_str!("../../templates/periodic/certificate");
    Ok(script(host, "certificate", SCRIPT, text)?.steps)
}

/// Plans the script of the status, which is there in every mode. It says nothing as long as all is well, so it is switched on by
/// itself, too; an administrator switches it off with `daily_status_gotosocial_enable="NO"`.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_status(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    Ok(script(host, "monitoring", STATUS, include_str!("../../templates/periodic/status"))?.steps)
}

/// Plans the script of the weekly backup. It stops the service for as long as the copy of a SQLite database takes, so it does
/// nothing until an administrator sets `weekly_gotosocial_backup_enable="YES"`.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_backup(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    Ok(script(host, "backup", BACKUP, include_str!("../../templates/periodic/backup"))?.steps)
}

fn script(host: &dyn Observe, part: &'static str, path: &str, text: &str) -> Result<Planned, Refusal> {
    let file = ManagedFile { part, path: Path::new(path), text: text.to_owned(), mode: 0o555, owner: Owner::ROOT };
    managed_file::plan(host, &file)
}

/// The script of the certificate and the copy of it, as far as they are there.
///
/// # Errors
/// The host cannot be read.
pub fn own_files(host: &dyn Observe) -> Result<Vec<PathBuf>, HostError> {
    let script = Path::new(SCRIPT);
    let mut there = Vec::new();
    for path in [managed_file::written(script), script.to_owned()] {
        if host.entry(&path)?.is_some() {
            there.push(path);
        }
    }
    Ok(there)
}
