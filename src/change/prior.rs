//! What stood there before a change, recorded in the journal before the executor acts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{HostError, Observe, Owner};

/// The state that undoing a change goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "kebab-case")]
pub enum Prior {
    /// There was nothing: no file, no account, module not loaded, variable not set, service not running.
    Absent,
    /// It was there already, or ran already.
    Present,
    /// A file; its bytes are in the store under their digest.
    File {
        /// Digest of its bytes.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A folder.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A symbolic link.
    Symlink {
        /// Where it pointed.
        target: PathBuf,
    },
    /// A certificate and its key, by their digests. The bytes of a key are not put into the store: the pair is kept beside the
    /// new one.
    Pair {
        /// Of the certificate with its chain, and of the key; `None` for what was not there.
        digests: Box<[Option<String>; 2]>,
        /// Whether there was an account at the authority, or none was needed.
        account: bool,
    },
    /// A variable with this value.
    Value {
        /// The value.
        value: String,
    },
}

impl Prior {
    /// The state of a thing that is only there or not.
    pub fn present(is: bool) -> Self {
        if is { Self::Present } else { Self::Absent }
    }

    /// The state of a variable.
    pub fn value(value: Option<String>) -> Self {
        value.map_or(Self::Absent, |value| Self::Value { value })
    }

    /// The value of a variable, if it had one.
    pub fn as_value(&self) -> Option<&str> {
        if let Self::Value { value } = self { Some(value) } else { None }
    }

    /// Whether something stands at a path, of which nothing is kept.
    ///
    /// # Errors
    /// The path cannot be looked up.
    pub fn at(host: &dyn Observe, path: &Path) -> Result<Self, HostError> {
        Ok(Self::present(host.entry(path)?.is_some()))
    }
}
