//! The scripts for periodic(8): each day the certificate and the status of the installation, each week a backup.

use std::path::{Path, PathBuf};

use super::{Refusal, managed_file, put};
use crate::change::Step;
use crate::host::{HostError, Observe, Owner};

/// The certificate, in `local_periodic` of periodic.conf(5). Scripts run in the order of their numbers.
pub const SCRIPT: &str = "/usr/local/etc/periodic/daily/510.gts-bootstrap-certificate";
/// The status, among FreeBSD's own of the numbers 400 to 499, whose names begin alike.
pub const STATUS: &str = "/usr/local/etc/periodic/daily/495.status-gotosocial";
/// The weekly backup.
pub const BACKUP: &str = "/usr/local/etc/periodic/weekly/510.gotosocial-backup";

/// Plans the script of the certificate, which exists only behind a front and is enabled by default. An administrator disables it
/// with `daily_gts_bootstrap_certificate_enable="NO"` in /etc/periodic.conf.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_periodic(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    script(host, "certificate", SCRIPT, include_str!("../../templates/periodic/certificate"))
}

/// Plans the script of the status, which exists in every mode. It is silent while all is well, so it is enabled by default, too.
/// An administrator disables it with `daily_status_gotosocial_enable="NO"`.
///
/// # Errors
/// See [`managed_file::plan`].
pub(super) fn plan_status(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    script(host, "monitoring", STATUS, include_str!("../../templates/periodic/status"))
}

/// Plans the script of the weekly backup. It stops the service while a SQLite database is copied, so it does nothing until an
/// administrator sets `weekly_gotosocial_backup_enable="YES"`.
///
/// # Errors
/// See [`managed_file::plan`].
pub(super) fn plan_backup(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    script(host, "backup", BACKUP, include_str!("../../templates/periodic/backup"))
}

fn script(host: &dyn Observe, part: &'static str, path: &str, text: &str) -> Result<Vec<Step>, Refusal> {
    Ok(managed_file::plan(host, part, Path::new(path), text, 0o555, Owner::ROOT)?.steps)
}

/// The script of the certificate and its copy, as far as they exist.
///
/// # Errors
/// The host cannot be read.
pub(super) fn own_files(host: &dyn Observe) -> Result<Vec<PathBuf>, HostError> {
    put::there(host, [managed_file::written(Path::new(SCRIPT)), SCRIPT.into()])
}
