//! The release: a folder a version, a `current` link swapped atomically, and the command link into it.

use std::path::{Path, PathBuf};

use semver::Version;

use super::Refusal;
use crate::change::{Action, InstallRelease, MakeSymlink, Step};
use crate::deployment::Layout;
use crate::host::{Entry, Observe};
use crate::release::{self, LockedRelease};

/// What is to be done for the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Changes that can be made while an older release still serves.
    pub prepare: Vec<Step>,
    /// The switch.
    pub switch: Vec<Step>,
}

/// Refuses another version than the one that is installed: program and database have to change together.
///
/// # Errors
/// The lock is of an older or a newer version than the one that is installed.
pub fn stays(host: &dyn Observe, layout: &Layout, lock: &LockedRelease) -> Result<(), Refusal> {
    let (installed, wanted) = match installed(host, layout)? {
        Some(installed) if installed != lock.version => (installed, lock.version.clone()),
        _ => return Ok(()),
    };
    if installed > wanted {
        return Err(Refusal::Downgrade { installed, wanted });
    }
    Err(Refusal::NeedsUpgrade { installed, wanted })
}

/// Plans the release that the lock names.
///
/// # Errors
/// Something that is not ours stands in the way.
pub fn plan(host: &dyn Observe, layout: &Layout, lock: &LockedRelease) -> Result<Planned, Refusal> {
    let directory = layout.release(&lock.version);
    let mut prepare = Vec::new();
    let action = match host.entry(&directory)? {
        None => Some(Action::Install),
        Some(Entry::Directory { .. }) if intact(host, &directory, lock) => None,
        Some(Entry::Directory { .. }) => Some(Action::Update),
        Some(_) => {
            return Err(Refusal::WrongKind { path: directory, found: "not a folder", wanted: "the release's folder" });
        }
    };
    if let Some(action) = action {
        let change = InstallRelease { release: lock.clone(), directory };
        prepare.push(Step::new("release", action, change));
    }
    let mut switch = Vec::new();
    switch.extend(link(host, &layout.current(), Path::new(&lock.version.to_string()))?);
    switch.extend(command_link(host, layout)?);
    Ok(Planned { prepare, switch })
}

/// The command link, `/usr/local/bin/gotosocial`.
///
/// # Errors
/// Something other than a link stands there.
pub fn command_link(host: &dyn Observe, layout: &Layout) -> Result<Option<Step>, Refusal> {
    link(host, &layout.command, &relative(&layout.command, &layout.program()))
}

/// The version that `current` points to.
///
/// # Errors
/// The link cannot be read.
pub fn installed(host: &dyn Observe, layout: &Layout) -> Result<Option<Version>, Refusal> {
    Ok(match host.entry(&layout.current())? {
        Some(Entry::Symlink { target }) => {
            target.file_name().and_then(|name| Version::parse(&name.to_string_lossy()).ok())
        }
        _ => None,
    })
}

/// Whether every file of the release in `directory` is as it was unpacked, from the archive that the lock names.
pub fn intact(host: &dyn Observe, directory: &Path, lock: &LockedRelease) -> bool {
    release::verify(&host.local_path(directory)).is_ok_and(|found| found.archive == lock.sha256 && found.is_intact())
}

fn link(host: &dyn Observe, path: &Path, target: &Path) -> Result<Option<Step>, Refusal> {
    let action = match host.entry(path)? {
        None => Action::Create,
        Some(Entry::Symlink { target: now }) if now == target => return Ok(None),
        Some(Entry::Symlink { .. }) => Action::Update,
        Some(_) => {
            return Err(Refusal::WrongKind {
                path: path.to_owned(),
                found: "not a symbolic link",
                wanted: "a link into the release",
            });
        }
    };
    let change = MakeSymlink { path: path.to_owned(), target: target.to_owned() };
    Ok(Some(Step::new("release", action, change)))
}

/// The path of `to` as seen from the folder of the link `from`: links are relative, so that they hold within a rehearsal
/// folder and in a jail seen from its host.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let folder = from.parent().unwrap_or(Path::new("/"));
    let shared = folder.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().count() - shared;
    std::iter::repeat_n(Path::new("..").as_os_str(), up)
        .chain(to.components().skip(shared).map(std::path::Component::as_os_str))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative() {
        let link = relative(
            Path::new("/usr/local/bin/gotosocial"),
            Path::new("/usr/local/libexec/gotosocial/current/gotosocial"),
        );
        assert_eq!(link, Path::new("../libexec/gotosocial/current/gotosocial"));
        assert_eq!(relative(Path::new("/a/b"), Path::new("/a/c")), Path::new("c"));
    }
}
