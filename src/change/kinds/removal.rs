//! The removal of a path.

use std::path::{Path, PathBuf};

use crate::change::kind::prelude::*;
use crate::host::Entry;

/// Removes a file, a link or an empty folder. A folder with something in it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// Where.
    pub path: PathBuf,
}

/// Removes a folder with all that is in it, or a file of which nothing is kept. Nobody can take that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveTree {
    /// Where.
    pub path: PathBuf,
}

/// Removes a folder of ours that nobody needs any more: an old release, or a copy of a database. It cannot be had back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discard {
    /// The folder.
    pub path: PathBuf,
}

impl Kind for Remove {
    named!(ErrorCode::File, "removal", "", "file");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.path.clone()), Left::Absent))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        let is_folder = matches!(host.entry(&self.path)?, Some(Entry::Directory { .. }));
        if is_folder && !host.list(&self.path)?.is_empty() {
            return Ok(());
        }
        Ok(host.remove(&self.path)?)
    }
}

impl Kind for RemoveTree {
    named!(ErrorCode::File, "removal", "", "file"; "for good");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.path.clone()), Left::Absent))
    }

    /// A tree cannot be kept in the store.
    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        Prior::at(host, &self.path)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let removed = executor.unless_broken_off(|stop| executor.host.remove_tree_until(&self.path, stop));
        removed.map_err(|failure| match failure {
            Failure::Interrupted(why) => Failure::Interrupted(format!(
                "{why}; what was removed is gone for good, and the changes after it were not started"
            )),
            failure => failure,
        })
    }

    fn gone_for_good(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

impl Discard {
    /// The name under which the folder goes, so that nobody takes what is left of it for the whole.
    fn leaving(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".discarded-{name}"))
    }
}

impl Kind for Discard {
    named!(ErrorCode::File, "discard", "", "file"; "no longer needed");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.path.clone()), Left::Absent))
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        Prior::at(host, &self.path)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, leaving) = (executor.host, self.leaving());
        host.remove_tree(&leaving)?;
        if host.entry(&self.path)?.is_some() {
            host.rename(&self.path, &leaving)?;
        }
        Ok(host.remove_tree(&leaving)?)
    }

    /// A folder that has begun to go is of no use to anybody.
    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        host.remove_tree(&self.leaving())
    }
}
