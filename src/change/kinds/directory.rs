//! A folder.

use std::path::PathBuf;

use crate::change::kind::prelude::*;
use crate::shown::Shown;

/// Makes a folder with this mode and owner; its parent exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeDirectory {
    /// Where.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
}

impl Kind for MakeDirectory {
    named!(ErrorCode::File, "directory", "folder");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.path.clone()), Left::Directory { mode: self.mode, owner: self.owner }))
    }

    fn detail(&self) -> String {
        format!("mode {:04o}, {}", self.mode, owned_by(self.owner))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        Ok(executor.host.make_directory(&self.path, self.mode, self.owner)?)
    }

    fn stays(&self, host: &dyn Host, prior: &Prior) -> Result<Option<String>, HostError> {
        let stays = *prior == Prior::Absent && !host.list(&self.path)?.is_empty();
        Ok(stays.then(|| format!("{} is not empty and stays", self.path.shown())))
    }
}
