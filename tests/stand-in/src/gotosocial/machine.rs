//! The files of this machine, as the configuration's reader asks for them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::Owner;

/// `ENOENT`, the same number on every system.
pub(super) const ENOENT: i32 = 2;
/// `EIO`, for errors without a number.
const EIO: i32 = 5;

/// What somebody wants to do with a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Read it.
    Read,
}

/// This machine.
#[derive(Debug)]
pub(super) struct Machine;

impl Machine {
    /// Whether a file can be opened; else the errno.
    pub(super) fn may(&self, _who: Owner, path: &Path, access: Access) -> Result<(), i32> {
        let opened = match access {
            Access::Read => File::open(path),
        };
        opened.map(drop).map_err(|error| error.raw_os_error().unwrap_or(EIO))
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}
