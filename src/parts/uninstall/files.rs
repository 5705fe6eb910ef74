//! What becomes of one file, link or folder: removed, put back, merged, or left to the administrator.

use std::path::Path;

use super::ledger::Trace;
use super::{Record, UninstallPlan, back};
use crate::change::{Change, Left, MakeDirectory, MakeSymlink, Prior, Remove, RemoveTree, WriteFile, digest, store};
use crate::host::{Entry, HostError, Whose};
use crate::parts::managed_file::written;
use crate::parts::secrets::hide_in_line;
use crate::shown::Shown;

/// What becomes of a path.
enum Fate {
    /// It is as it was before, or somebody has taken it over or away.
    Nothing,
    /// It is removed or put back.
    Change(Change),
    /// It was edited so that only the administrator can tell what is to stay: what is to be done by hand.
    Left(String),
}

impl Record<'_> {
    /// Plans what becomes of a path that was touched. A purge removes what was not there before us, even if it was edited.
    ///
    /// # Errors
    /// The host cannot be read.
    pub(super) fn take_back(
        self,
        part: &'static str,
        path: &Path,
        trace: &Trace,
        planned: &mut UninstallPlan,
    ) -> Result<(), HostError> {
        match self.fate(path, trace)? {
            Fate::Nothing => {}
            Fate::Change(change) => planned.step(back(part, change)),
            Fate::Left(why) => planned.by_hand.push(why),
        }
        Ok(())
    }

    fn fate(self, path: &Path, trace: &Trace) -> Result<Fate, HostError> {
        Ok(match (&trace.origin, &trace.left, self.host.entry(path)?) {
            (Prior::Absent, _, Some(now)) => return self.fate_of_new(path, trace, &now),
            (Prior::File { sha256, mode, owner }, ..) => {
                let theirs = self.host.read_of(path, Whose::Folder)?;
                if theirs.as_deref().is_some_and(|bytes| digest(bytes) == *sha256) {
                    return Ok(Fate::Nothing);
                }
                let Ok(before) = store::recall(self.host, sha256) else {
                    return Ok(Fate::Left(format!(
                        "{}: what stood there before is not in {} any more; look through the file yourself",
                        path.shown(),
                        store::FOLDER
                    )));
                };
                let bytes = match theirs {
                    _ if trace.unbroken && self.is_unedited(path, trace)? => before,
                    Some(theirs) => match self.merged(path, trace, &theirs, &before)? {
                        Some(merged) if merged == theirs => return Ok(Fate::Nothing),
                        Some(merged) => merged,
                        None => return Ok(Fate::Left(by_hand(path, &theirs, &before))),
                    },
                    // Somebody has taken it away since.
                    None => return Ok(Fate::Nothing),
                };
                Fate::Change(WriteFile::new(path, bytes, *mode, *owner).into())
            }
            (Prior::Symlink { target }, Left::Symlink { target: ours }, Some(Entry::Symlink { target: now }))
                if now == *ours && now != *target =>
            {
                Fate::Change(MakeSymlink { path: path.to_owned(), target: target.clone() }.into())
            }
            (
                Prior::Directory { mode, owner },
                Left::Directory { mode: our_mode, owner: our_owner },
                Some(Entry::Directory { mode: now_mode, owner: now_owner }),
            ) if (now_mode, now_owner) == (*our_mode, *our_owner) && (now_mode, now_owner) != (*mode, *owner) => {
                Fate::Change(MakeDirectory { path: path.to_owned(), mode: *mode, owner: *owner }.into())
            }
            _ => Fate::Nothing,
        })
    }

    /// What becomes of something that was not there before us. Folders are not decided here: they go if they are empty then.
    fn fate_of_new(self, path: &Path, trace: &Trace, now: &Entry) -> Result<Fate, HostError> {
        let all = self.extent.purge;
        let shown = path.shown();
        let path = path.to_owned();
        Ok(match (&trace.left, now) {
            (Left::Tree, Entry::Directory { .. }) => Fate::Change(RemoveTree { path }.into()),
            (Left::File { .. }, Entry::File { .. }) if !all && !self.is_unedited(&path, trace)? => Fate::Left(format!(
                "{shown} was edited after gts-bootstrap wrote it, so it stays. Keep what you need of it, then: rm {shown}"
            )),
            (Left::Symlink { target: ours }, Entry::Symlink { target }) if !all && ours != target => Fate::Left(
                format!("{shown} now points to {}, so it stays. If it is not needed: rm {shown}", target.shown()),
            ),
            (Left::File { .. } | Left::Edited, Entry::File { .. }) | (Left::Symlink { .. }, Entry::Symlink { .. }) => {
                Fate::Change(Remove { path }.into())
            }
            // If we removed it ourselves, what stands there is somebody else's.
            _ => Fate::Nothing,
        })
    }

    /// Whether a file is as we wrote it last.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn is_unedited(self, path: &Path, trace: &Trace) -> Result<bool, HostError> {
        let Left::File { content, .. } = &trace.left else { return Ok(false) };
        Ok(matches!(self.host.entry(path)?, Some(Entry::File { .. }))
            && self.host.read_of(path, Whose::Folder)?.is_some_and(|bytes| digest(&bytes) == content.sha256()))
    }

    /// The change that makes a file what it was before us; `None` if its bytes are not kept, or it was no file.
    pub(super) fn former_file(self, path: &Path, trace: &Trace) -> Option<Change> {
        match &trace.origin {
            Prior::Absent => Some(Remove { path: path.to_owned() }.into()),
            Prior::File { sha256, mode, owner } => {
                let bytes = store::recall(self.host, sha256).ok()?;
                Some(WriteFile::new(path, bytes, *mode, *owner).into())
            }
            _ => None,
        }
    }

    /// The file without our lines and with everything else; `None` if these cannot be told apart.
    fn merged(self, path: &Path, trace: &Trace, theirs: &[u8], before: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        // With edits between two of our changes no one text tells theirs from ours.
        let (Left::File { content, .. }, true) = (&trace.left, trace.unbroken) else { return Ok(None) };
        let sha256 = content.sha256();
        let copy = self.host.read(&written(path))?.filter(|bytes| digest(bytes) == sha256);
        let base = copy.or_else(|| store::recall(self.host, sha256).ok());
        Ok(base.and_then(|base| diffy::merge_bytes(&base, theirs, before).ok()))
    }
}

/// The lines that differ from what stood there before, for somebody who has to sort them out.
fn by_hand(path: &Path, theirs: &[u8], before: &[u8]) -> String {
    const MOST: usize = 20;
    let (before, theirs) = (String::from_utf8_lossy(before), String::from_utf8_lossy(theirs));
    let patch = diffy::create_patch(&before, &theirs);
    let lines = patch.hunks().iter().flat_map(diffy::Hunk::lines);
    let added = lines.filter_map(|line| match line {
        diffy::Line::Insert(text) => Some(format!("\n    {}", hide_in_line(text.trim_end_matches('\n')))),
        _ => None,
    });
    format!(
        "{} was edited where gts-bootstrap had edited it, so it stays as it is. These lines have come into it since, of which those \
         for GoToSocial may go:{}",
        path.shown(),
        added.take(MOST).collect::<String>()
    )
}
