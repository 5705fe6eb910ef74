//! The bytes of a file in a change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::release::Sha256Digest;

/// Bytes of a file. In the journal only their digest and length appear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    #[serde(skip)]
    bytes: Arc<[u8]>,
    sha256: String,
    size: u64,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes, {})", self.size, self.sha256)
    }
}

impl Content {
    /// Takes the bytes and their digest.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { sha256: digest(&bytes), size: bytes.len() as u64, bytes: bytes.into() }
    }

    /// The bytes. Empty for a content that was read back from a journal.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256, as 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How many bytes there are, also where they are not at hand.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// SHA-256 of some bytes, as 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256Digest::of(bytes).to_string()
}
