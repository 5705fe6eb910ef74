//! The release: a folder for each version, an atomically swapped `current` link, and the command link into it.

use std::path::{Path, PathBuf};

use semver::Version;

use super::Refusal;
use crate::change::{Action, InstallRelease, MakeSymlink, Step};
use crate::deployment::Layout;
use crate::host::{Entry, Observe};
use crate::release::{self, LockedRelease};

/// What becomes of the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReleasePlan {
    /// While an older release still serves.
    pub(super) prepare: Option<Step>,
    /// The switch.
    pub(super) switch: Vec<Step>,
}

/// Refuses another version than the installed one: program and database have to change together.
///
/// # Errors
/// The lock is of an older or a newer version.
pub(super) fn stays(host: &dyn Observe, layout: &Layout, lock: &LockedRelease) -> Result<(), Refusal> {
    let wanted = lock.version.clone();
    match installed(host, layout)? {
        Some(installed) if installed > wanted => Err(Refusal::Downgrade { installed, wanted }),
        Some(installed) if installed < wanted => Err(Refusal::NeedsUpgrade { installed, wanted }),
        _ => Ok(()),
    }
}

/// Plans the release that the lock names.
///
/// # Errors
/// Something that is not ours stands in the way.
pub(super) fn plan(host: &dyn Observe, layout: &Layout, lock: &LockedRelease) -> Result<ReleasePlan, Refusal> {
    let directory = layout.release(&lock.version);
    let action = match host.entry(&directory)? {
        None => Some(Action::Install),
        Some(Entry::Directory { .. }) => (!intact(host, &directory, lock)).then_some(Action::Update),
        Some(other) => return Err(Refusal::wrong_kind(&directory, &other, "the release's folder")),
    };
    let install = |action| Step::new("release", action, InstallRelease { release: lock.clone(), directory });
    let current = link(host, &layout.current(), Path::new(&lock.version.to_string()))?;
    let switch = current.into_iter().chain(command_link(host, layout)?).collect();
    Ok(ReleasePlan { prepare: action.map(install), switch })
}

/// The command link, `/usr/local/bin/gotosocial`.
///
/// # Errors
/// Something other than a link stands there.
pub(super) fn command_link(host: &dyn Observe, layout: &Layout) -> Result<Option<Step>, Refusal> {
    link(host, &layout.command, &relative(&layout.command, &layout.program()))
}

/// The version that `current` points to.
///
/// # Errors
/// The link cannot be read.
pub fn installed(host: &dyn Observe, layout: &Layout) -> Result<Option<Version>, Refusal> {
    let Some(Entry::Symlink { target }) = host.entry(&layout.current())? else { return Ok(None) };
    Ok(target.file_name().and_then(|name| Version::parse(&name.to_string_lossy()).ok()))
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
        Some(other) => return Err(Refusal::wrong_kind(path, &other, "a link into the release")),
    };
    Ok(Some(Step::new("release", action, MakeSymlink { path: path.to_owned(), target: target.to_owned() })))
}

/// The path of `to` as seen from the folder of the link `from`. Relative links hold within a rehearsal folder, and in a jail as
/// seen from its host.
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
