//! Folders and the log file.

use std::path::{Path, PathBuf};

use super::{Refusal, managed_file};
use crate::change::{Action, MakeDirectory, Step};
use crate::deployment::Layout;
use crate::host::{Entry, Observe, Owner};

/// Where the copies of what we wrote last are. Its parent is made by the journal, before the first change.
const WRITTEN: &str = "/var/db/gts-bootstrap/written";

/// A folder that has to be there.
struct Folder {
    path: PathBuf,
    mode: u32,
    owner: Owner,
    /// A folder of the system is made where it is missing, but left as it is where it is there.
    system: bool,
}

/// Plans every folder that the deployment needs, parents first.
///
/// # Errors
/// Something other than a folder stands in the way.
pub fn plan(host: &dyn Observe, layout: &Layout, service: Owner) -> Result<Vec<Step>, Refusal> {
    let ours = |path: PathBuf, mode, owner| Folder { path, mode, owner, system: false };
    let root_group = Owner { uid: 0, gid: service.gid };
    let folders = [
        // A fresh system has nothing below /usr/local; hier(7) has these.
        system("/usr/local"),
        system("/usr/local/bin"),
        system("/usr/local/etc"),
        system("/usr/local/etc/rc.d"),
        system("/usr/local/etc/newsyslog.conf.d"),
        system("/usr/local/etc/periodic"),
        system("/usr/local/etc/periodic/daily"),
        system("/usr/local/etc/periodic/weekly"),
        system("/usr/local/libexec"),
        ours(WRITTEN.into(), 0o700, Owner::ROOT),
        ours(layout.records.clone(), 0o755, Owner::ROOT),
        ours(layout.config_folder(), 0o750, root_group),
        ours(layout.releases.clone(), 0o755, Owner::ROOT),
        ours(layout.data.clone(), 0o750, service),
        ours(layout.storage(), 0o750, service),
        ours(layout.certs(), 0o750, service),
        ours(layout.tmp(), 0o750, service),
        ours(layout.wazero(), 0o750, service),
        ours(layout.logs.clone(), 0o750, root_group),
    ];
    let mut steps = missing(host, "folders", &folders)?;
    if host.entry(&log(layout))?.is_none() {
        let change = managed_file::whole(&log(layout), "", 0o640, root_group);
        steps.push(Step::new("folders", Action::Create, change));
    }
    Ok(steps)
}

/// Plans the folders that a rc.d script of ours needs on a host where nothing else is installed.
///
/// # Errors
/// Something other than a folder stands in the way.
pub fn for_scripts(host: &dyn Observe, part: &'static str) -> Result<Vec<Step>, Refusal> {
    let written = Folder { path: WRITTEN.into(), mode: 0o700, owner: Owner::ROOT, system: false };
    let folders = [system("/usr/local"), system("/usr/local/etc"), system("/usr/local/etc/rc.d"), written];
    missing(host, part, &folders)
}

fn system(path: &str) -> Folder {
    Folder { path: path.into(), mode: 0o755, owner: Owner::ROOT, system: true }
}

fn missing(host: &dyn Observe, part: &'static str, folders: &[Folder]) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for folder in folders {
        let change = MakeDirectory { path: folder.path.clone(), mode: folder.mode, owner: folder.owner };
        match host.entry(&folder.path)? {
            None => steps.push(Step::new(part, Action::Create, change)),
            Some(Entry::Directory { .. }) if folder.system => {}
            Some(Entry::Directory { mode, owner }) if (mode, owner) == (folder.mode, folder.owner) => {}
            Some(Entry::Directory { .. }) => steps.push(Step::new(part, Action::Update, change)),
            // An administrator may keep the data, or /usr/local, on another disk behind a link.
            Some(Entry::Symlink { .. }) if host.list(&folder.path).is_ok() => {}
            Some(Entry::Symlink { .. }) => return Err(wrong(&folder.path, "a symbolic link without a target")),
            Some(Entry::File { .. }) => return Err(wrong(&folder.path, "a file")),
            Some(Entry::Other) => return Err(wrong(&folder.path, "a device, socket or pipe")),
        }
    }
    Ok(steps)
}

fn wrong(path: &Path, found: &'static str) -> Refusal {
    Refusal::WrongKind { path: path.to_owned(), found, wanted: "a folder" }
}

/// GoToSocial's log, as the rc.d script names it.
pub fn log(layout: &Layout) -> PathBuf {
    layout.logs.join("gotosocial.log")
}
