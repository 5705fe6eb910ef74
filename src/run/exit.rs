//! Exit codes: part of the contract with other programs.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed and undone, or, said plainly, not undone.
    Failed = 1,
    /// Usage or bad answers.
    Usage = 2,
    /// A check failed.
    Check = 3,
    /// Not confirmed.
    NotConfirmed = 4,
    /// A reboot is needed.
    Reboot = 5,
    /// Another run holds the lock.
    Busy = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
