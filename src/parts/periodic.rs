//! The daily look at the certificate, by periodic(8).

use std::path::{Path, PathBuf};

use super::Refusal;
use super::managed_file::{self, ManagedFile};
use crate::change::{Action, Change, Step};
use crate::host::{HostError, Observe, Owner};

const PART: &str = "certificate";
/// `local_periodic` of periodic.conf(5), for what is done each day. Scripts run in the order of their numbers.
pub const SCRIPT: &str = "/usr/local/etc/periodic/daily/510.gts-bootstrap-certificate";
/// The folders above it, outermost first.
pub(super) const FOLDERS: [&str; 2] = ["/usr/local/etc/periodic", "/usr/local/etc/periodic/daily"];

/// Plans the script. It is there only where a front is, so it is switched on by itself; an administrator switches it off with
/// `daily_gts_bootstrap_certificate_enable="NO"` in /etc/periodic.conf.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_periodic(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    // hier(7) has these; a host on which nothing is installed has not.
    for folder in FOLDERS {
        if host.entry(Path::new(folder))?.is_none() {
            let change = Change::Directory { path: folder.into(), mode: 0o755, owner: Owner::ROOT };
            steps.push(Step::new(PART, Action::Create, change));
        }
    }
    let text = include_str!("../../templates/periodic/certificate").to_owned();
    let file = ManagedFile { part: PART, path: Path::new(SCRIPT), text, mode: 0o555, owner: Owner::ROOT };
    steps.extend(managed_file::plan(host, &file)?.steps);
    Ok(steps)
}

/// The script and the copy of it, as far as they are there.
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
