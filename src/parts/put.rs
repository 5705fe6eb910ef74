//! Steps that make one path what it should be; none where it is that already.

use std::path::PathBuf;

use super::Refusal;
use crate::change::{Action, MakeDirectory, Step, WriteFile};
use crate::host::{Entry, HostError, Observe, Owner, Whose};

/// A file with exactly these bytes, mode and owner. Whatever else stands there is replaced.
pub(super) fn file(host: &dyn Observe, part: &'static str, file: WriteFile) -> Result<Option<Step>, HostError> {
    let action = match host.entry(&file.path)? {
        None => Action::Create,
        Some(Entry::File { mode, owner, .. })
            if (mode, owner) == (file.mode, file.owner)
                && host.read_of(&file.path, Whose::of(file.owner))?.as_deref() == Some(file.content.bytes()) =>
        {
            return Ok(None);
        }
        Some(_) => Action::Update,
    };
    Ok(Some(Step::new(part, action, file)))
}

/// A folder with this mode and owner.
///
/// # Errors
/// Something else stands there.
pub(super) fn folder(host: &dyn Observe, part: &'static str, folder: MakeDirectory) -> Result<Option<Step>, Refusal> {
    let action = match host.entry(&folder.path)? {
        None => Action::Create,
        Some(Entry::Directory { mode, owner }) if (mode, owner) == (folder.mode, folder.owner) => return Ok(None),
        Some(Entry::Directory { .. }) => Action::Update,
        Some(other) => return Err(Refusal::wrong_kind(&folder.path, &other, "a folder")),
    };
    Ok(Some(Step::new(part, action, folder)))
}

/// A folder that has to be there, and stays as it is if something is.
pub(super) fn missing_folder(
    host: &dyn Observe,
    part: &'static str,
    folder: MakeDirectory,
) -> Result<Option<Step>, HostError> {
    Ok(host.entry(&folder.path)?.is_none().then(|| Step::new(part, Action::Create, folder)))
}

/// A folder of root's.
pub(super) fn root_folder(path: impl Into<PathBuf>, mode: u32) -> MakeDirectory {
    MakeDirectory { path: path.into(), mode, owner: Owner::ROOT }
}

/// Those of the paths at which something stands.
pub(super) fn there(host: &dyn Observe, paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<PathBuf>, HostError> {
    let it = |path: PathBuf| host.entry(&path).map(|entry| entry.map(|_| path)).transpose();
    paths.into_iter().filter_map(it).collect()
}
