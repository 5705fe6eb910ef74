//! What a child gives up before it does anything else.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::stat::{Mode, mode_t, umask};
use nix::unistd::{chdir, chroot, close, setsid};
use serde::{Deserialize, Serialize};

use super::Ids;
use super::may::May;
use crate::shown::Shown;

/// Where a list of the open descriptors cannot be had, those up to this number are closed.
const HIGHEST_DESCRIPTOR: u64 = 16 * 1024;

/// What a child has. Always: a session of its own and so no terminal, no descriptors but the standard ones, no core dumps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Who it is; `None`: whoever starts it.
    pub ids: Option<Ids>,
    /// The folder that becomes its root (chroot(2)), so that it can name nothing outside; `None`: the system's.
    pub root: Option<PathBuf>,
    /// Its working folder, as seen from its root. It needs the right to enter it.
    pub directory: PathBuf,
    /// The permission bits that its files do not get.
    pub umask: u32,
    /// The largest file that it may write, in bytes, if that is less than its role may.
    pub largest_file: Option<u64>,
}

impl Confinement {
    /// A child with these ids in the system's root folder, whose files are its own.
    pub fn of(ids: Option<Ids>) -> Self {
        Self { ids, root: None, directory: "/".into(), umask: 0o077, largest_file: None }
    }

    /// Gives up everything else, for good, and what the role may not have.
    ///
    /// # Errors
    /// In words: something could not be given up.
    pub(super) fn enter(&self, may: &May) -> Result<(), String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |errno: nix::errno::Errno| format!("cannot {what}: {}", errno.desc())
        };
        setsid().map_err(failed("leave the terminal"))?;
        close_inherited();
        umask(Mode::from_bits_truncate(mode_t::try_from(self.umask).unwrap_or(0o077)));
        limit(Resource::RLIMIT_CORE, 0).map_err(failed("switch off core dumps"))?;
        if let Some(root) = &self.root {
            chroot(root).map_err(failed(&format!("make {} the root folder", root.shown())))?;
            chdir("/").map_err(failed("enter the new root folder"))?;
        }
        if let Some(ids) = &self.ids {
            ids.take_on()?;
        }
        // Whose processes count is known now.
        may.enter(self.largest_file).map_err(failed("limit files, descriptors and processes"))?;
        chdir(&self.directory).map_err(failed(&format!("enter {}", self.directory.shown())))
    }
}

/// Sets a limit for good, unless there is a lower one: only root could raise that, and it is the administrator's.
#[allow(clippy::useless_conversion, reason = "limits have a sign on FreeBSD")]
pub(super) fn limit(resource: Resource, most: u64) -> nix::Result<()> {
    let most = rlim_t::try_from(most).unwrap_or(rlim_t::MAX);
    let most = most.min(getrlimit(resource)?.1);
    setrlimit(resource, most, most)
}

/// Closes what the process that started this program left open. The program's own descriptors are never inherited.
fn close_inherited() {
    for descriptor in listed().unwrap_or_else(every).into_iter().filter(|descriptor| *descriptor > 2) {
        // Most of them are not open.
        let _ = close(descriptor);
    }
}

/// The open descriptors, if this system lists them: FreeBSD does so only where fdescfs(5) is mounted, and shows the
/// standard ones alone elsewhere.
fn listed() -> Option<Vec<i32>> {
    let example = File::open("/dev/null").ok()?;
    let names = fs::read_dir(Path::new("/dev/fd")).ok()?;
    let listed: Vec<i32> = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    listed.contains(&example.as_raw_fd()).then_some(listed)
}

#[allow(clippy::useless_conversion, reason = "limits have a sign on FreeBSD")]
fn every() -> Vec<i32> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(soft, _)| u64::try_from(soft).ok());
    let limit = limit.unwrap_or(HIGHEST_DESCRIPTOR).min(HIGHEST_DESCRIPTOR);
    (3..i32::try_from(limit).unwrap_or(3)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_stays() {
        // It is the test's own from now on, which needs no core dumps.
        limit(Resource::RLIMIT_CORE, 0).unwrap();
        limit(Resource::RLIMIT_CORE, 4096).unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    }
}
