//! What becomes of one file, link or folder: removed, put back, merged, or left to the administrator.

use std::path::Path;

use super::ledger::Trace;
use crate::change::{
    Action, Change, Content, Left, MakeDirectory, MakeSymlink, Prior, Remove, RemoveTree, WriteFile, digest, store,
};
use crate::host::{Entry, HostError, Observe};
use crate::parts::managed_file::written;

/// What becomes of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it was before, or somebody has taken it over or away.
    Nothing,
    /// It is taken away or put back.
    Change(Action, Change),
    /// It was edited so that nobody but the administrator can tell what is to stay: what is to be done by hand.
    Left(String),
}

/// What becomes of a path that was touched. `all` takes away also what was edited since, of files that were not there before
/// us.
///
/// # Errors
/// The host cannot be read.
pub(super) fn fate(host: &dyn Observe, path: &Path, trace: &Trace, all: bool) -> Result<Fate, HostError> {
    let now = host.entry(path)?;
    match (&trace.origin, &trace.left) {
        (Prior::Absent, _) => taken_away(host, path, trace, now.as_ref(), all),
        (Prior::File { sha256, mode, owner }, _) => {
            let is_ours = is_unedited(host, path, trace)?;
            let theirs = host.read(path)?;
            if theirs.as_deref().is_some_and(|bytes| digest(bytes) == *sha256) {
                return Ok(Fate::Nothing);
            }
            let Ok(before) = store::recall(host, sha256) else {
                return Ok(Fate::Left(format!(
                    "{}: what stood there before is not in {} any more; look through the file yourself",
                    path.display(),
                    store::FOLDER
                )));
            };
            let bytes = match theirs {
                _ if is_ours && trace.unbroken => before,
                Some(theirs) => match merged(host, path, trace, &theirs, &before)? {
                    Some(merged) if merged == theirs => return Ok(Fate::Nothing),
                    Some(merged) => merged,
                    None => return Ok(Fate::Left(by_hand(path, &theirs, &before))),
                },
                // Somebody has taken it away since.
                None => return Ok(Fate::Nothing),
            };
            let change = Change::File(WriteFile {
                path: path.to_owned(),
                content: Content::new(bytes),
                mode: *mode,
                owner: *owner,
            });
            Ok(Fate::Change(Action::Update, change))
        }
        (Prior::Symlink { target }, Left::Symlink { target: ours }) => Ok(match now {
            Some(Entry::Symlink { target: now }) if now == *ours && now != *target => Fate::Change(
                Action::Update,
                Change::Symlink(MakeSymlink { path: path.to_owned(), target: target.clone() }),
            ),
            _ => Fate::Nothing,
        }),
        (Prior::Directory { mode, owner }, Left::Directory { mode: our_mode, owner: our_owner }) => Ok(match now {
            Some(Entry::Directory { mode: now_mode, owner: now_owner })
                if (now_mode, now_owner) == (*our_mode, *our_owner) && (now_mode, now_owner) != (*mode, *owner) =>
            {
                let change = MakeDirectory { path: path.to_owned(), mode: *mode, owner: *owner };
                Fate::Change(Action::Update, change.into())
            }
            _ => Fate::Nothing,
        }),
        _ => Ok(Fate::Nothing),
    }
}

/// What becomes of something that was not there before us. Folders are not decided here: they go if they are empty then.
fn taken_away(
    host: &dyn Observe,
    path: &Path,
    trace: &Trace,
    now: Option<&Entry>,
    all: bool,
) -> Result<Fate, HostError> {
    let remove = || Fate::Change(Action::Remove, Change::Removal(Remove { path: path.to_owned() }));
    Ok(match (&trace.left, now) {
        // We have taken it away ourselves: what stands there is somebody else's.
        (_, None) | (Left::Absent, _) => Fate::Nothing,
        (Left::Tree, Some(Entry::Directory { .. })) => {
            Fate::Change(Action::Remove, Change::TreeRemoval(RemoveTree { path: path.to_owned() }))
        }
        (Left::File { .. }, Some(Entry::File { .. })) => {
            if all || is_unedited(host, path, trace)? {
                remove()
            } else {
                Fate::Left(format!(
                    "{0} was edited after gts-bootstrap wrote it, so it stays. Keep what you need of it, then: rm {0}",
                    path.display()
                ))
            }
        }
        (Left::Symlink { target: ours }, Some(Entry::Symlink { target })) if all || ours == target => remove(),
        (Left::Symlink { .. }, Some(Entry::Symlink { target })) => Fate::Left(format!(
            "{0} now points to {1}, so it stays. If it is not needed: rm {0}",
            path.display(),
            target.display()
        )),
        (Left::Edited, Some(Entry::File { .. })) => remove(),
        _ => Fate::Nothing,
    })
}

/// Whether a file is as we wrote it last.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_unedited(host: &dyn Observe, path: &Path, trace: &Trace) -> Result<bool, HostError> {
    let Left::File { content, .. } = &trace.left else { return Ok(false) };
    if !matches!(host.entry(path)?, Some(Entry::File { .. })) {
        return Ok(false);
    }
    Ok(host.read(path)?.is_some_and(|bytes| digest(&bytes) == content.sha256()))
}

/// The file with our lines taken out of it and everything else kept; `None` where these cannot be told apart.
fn merged(
    host: &dyn Observe,
    path: &Path,
    trace: &Trace,
    theirs: &[u8],
    before: &[u8],
) -> Result<Option<Vec<u8>>, HostError> {
    // With edits between two of our changes there is no one text to tell theirs from ours by.
    let (Left::File { content, .. }, true) = (&trace.left, trace.unbroken) else { return Ok(None) };
    let sha256 = content.sha256();
    let copy = host.read(&written(path))?.filter(|bytes| digest(bytes) == sha256);
    let Some(base) = copy.or_else(|| store::recall(host, sha256).ok()) else { return Ok(None) };
    Ok(diffy::merge_bytes(&base, theirs, before).ok())
}

/// The lines that differ from what stood there before, for somebody who has to sort them out.
fn by_hand(path: &Path, theirs: &[u8], before: &[u8]) -> String {
    const MOST: usize = 20;
    let (before, theirs) = (String::from_utf8_lossy(before), String::from_utf8_lossy(theirs));
    let patch = diffy::create_patch(&before, &theirs);
    let added: Vec<String> = patch
        .hunks()
        .iter()
        .flat_map(diffy::Hunk::lines)
        .filter_map(|line| match line {
            diffy::Line::Insert(text) => Some(crate::parts::secrets::hide_in_line(text.trim_end_matches('\n'))),
            _ => None,
        })
        .take(MOST)
        .map(|line| format!("\n    {line}"))
        .collect();
    format!(
        "{} was edited where gts-bootstrap had edited it, so it stays as it is. These lines have come into it since, of which those \
         for GoToSocial may go:{}",
        path.display(),
        added.concat()
    )
}
