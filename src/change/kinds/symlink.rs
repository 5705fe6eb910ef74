//! A symbolic link.

use std::path::PathBuf;

use crate::change::kind::prelude::*;
use crate::shown::Shown;

/// Makes a symbolic link, or swaps one atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeSymlink {
    /// Where.
    pub path: PathBuf,
    /// Where it points.
    pub target: PathBuf,
}

impl Kind for MakeSymlink {
    named!(ErrorCode::File, "symlink", "link");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.path.clone()), Left::Symlink { target: self.target.clone() }))
    }

    fn detail(&self) -> String {
        format!("-> {}", self.target.shown())
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        Ok(executor.host.make_symlink(&self.path, &self.target)?)
    }
}
