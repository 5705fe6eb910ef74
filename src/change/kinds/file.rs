//! A file.

use std::path::PathBuf;

use crate::change::kind::prelude::*;
use crate::host::Whose;
use crate::shown::Shown;

/// Puts a file with this content, mode and owner in place, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFile {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
}

impl WriteFile {
    /// A file of these bytes.
    pub fn new(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>, mode: u32, owner: Owner) -> Self {
        Self { path: path.into(), content: Content::new(bytes), mode, owner }
    }
}

impl Kind for WriteFile {
    named!(ErrorCode::File, "file");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((
            Thing::Path(self.path.clone()),
            Left::File { content: self.content.clone(), mode: self.mode, owner: self.owner },
        ))
    }

    fn detail(&self) -> String {
        format!("{} bytes, mode {:04o}, {}", self.content.size(), self.mode, owned_by(self.owner))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        Ok(executor.host.write_file(&self.path, self.content.bytes(), self.mode, self.owner)?)
    }

    fn stays(&self, host: &dyn Host, prior: &Prior) -> Result<Option<String>, HostError> {
        let now = if *prior == Prior::Absent { host.read_of(&self.path, Whose::of(self.owner))? } else { None };
        let edited = now.is_some_and(|bytes| digest(&bytes) != self.content.sha256());
        Ok(edited.then(|| format!("{} has been written to since and stays", self.path.shown())))
    }
}
