//! Folders and the log file.

use std::path::PathBuf;

use super::{Refusal, put};
use crate::change::{Action, MakeDirectory, Step, WriteFile};
use crate::deployment::Layout;
use crate::host::{Entry, Observe, Owner};

/// The copies of what we wrote last. The journal makes the parent before the first change.
const WRITTEN: &str = "/var/db/gts-bootstrap/written";

/// Folders of hier(7), of which a fresh system has none. They are made where they are missing, and otherwise left as they are.
const SYSTEM: [&str; 9] = [
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/etc/rc.d",
    "/usr/local/etc/newsyslog.conf.d",
    "/usr/local/etc/periodic",
    "/usr/local/etc/periodic/daily",
    "/usr/local/etc/periodic/weekly",
    "/usr/local/libexec",
];

/// Plans every folder that the deployment needs, parents first.
///
/// # Errors
/// Something other than a folder stands in the way.
pub(super) fn plan(host: &dyn Observe, layout: &Layout, service: Owner) -> Result<Vec<Step>, Refusal> {
    let root_group = Owner { uid: 0, gid: service.gid };
    let ours = [
        (WRITTEN.into(), 0o700, Owner::ROOT),
        (layout.records.clone(), 0o755, Owner::ROOT),
        (layout.config_folder(), 0o750, root_group),
        (layout.releases.clone(), 0o755, Owner::ROOT),
        (layout.data.clone(), 0o750, service),
        (layout.storage(), 0o750, service),
        (layout.certs(), 0o750, service),
        (layout.tmp(), 0o750, service),
        (layout.wazero(), 0o750, service),
        (layout.logs.clone(), 0o750, root_group),
    ];
    let ours = ours.map(|(path, mode, owner)| MakeDirectory { path, mode, owner });
    let mut steps = missing(host, "folders", &SYSTEM, ours)?;
    let log = log(layout);
    if host.entry(&log)?.is_none() {
        steps.push(Step::new("folders", Action::Create, WriteFile::new(log, "", 0o640, root_group)));
    }
    Ok(steps)
}

/// Plans the folders that an rc.d script of ours needs on a host where nothing else is installed.
///
/// # Errors
/// Something other than a folder stands in the way.
pub(super) fn for_scripts(host: &dyn Observe, part: &'static str) -> Result<Vec<Step>, Refusal> {
    let system = ["/usr/local", "/usr/local/etc", "/usr/local/etc/rc.d"];
    missing(host, part, &system, [put::root_folder(WRITTEN, 0o700)])
}

fn missing(
    host: &dyn Observe,
    part: &'static str,
    system: &[&str],
    ours: impl IntoIterator<Item = MakeDirectory>,
) -> Result<Vec<Step>, Refusal> {
    let system = system.iter().map(|path| (put::root_folder(path, 0o755), true));
    let mut steps = Vec::new();
    for (folder, is_systems) in system.chain(ours.into_iter().map(|folder| (folder, false))) {
        let path = folder.path.clone();
        match host.entry(&path)? {
            Some(Entry::Directory { .. }) if is_systems => {}
            // An administrator may keep the data, or /usr/local, on another disk behind a link.
            Some(Entry::Symlink { .. }) if host.list(&path).is_ok() => {}
            Some(Entry::Symlink { .. }) => {
                return Err(Refusal::WrongKind { path, found: "a symbolic link without a target", wanted: "a folder" });
            }
            _ => steps.extend(put::folder(host, part, folder)?),
        }
    }
    Ok(steps)
}

/// GoToSocial's log, as the rc.d script names it.
pub fn log(layout: &Layout) -> PathBuf {
    layout.logs.join("gotosocial.log")
}
