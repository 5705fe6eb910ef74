//! How a command ends: the exit code, which is part of the contract with other programs, and why one ends early.

use std::process::ExitCode;

use crate::deployment::SecretsError;
use crate::error_code::{Coded, ErrorCode};

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

/// Why a command ends early: the exit code, the error code and the message.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// Where to read more.
    pub code: ErrorCode,
    /// The message.
    pub why: String,
}

impl Stop {
    /// An error with this exit code.
    pub fn new(exit: Exit, code: ErrorCode, why: impl Into<String>) -> Self {
        Self { exit, code, why: why.into() }
    }

    /// The same error with an exit code of its own.
    pub fn with(exit: Exit, error: impl Coded + std::fmt::Display) -> Self {
        Self::new(exit, error.code(), error.to_string())
    }

    /// Refused, with nothing changed.
    pub fn refused(code: ErrorCode, why: impl Into<String>) -> Self {
        Self::new(Exit::Failed, code, why)
    }

    /// Not confirmed, with nothing changed.
    pub fn unconfirmed(code: ErrorCode, why: impl Into<String>) -> Self {
        Self::new(Exit::NotConfirmed, code, why)
    }

    /// The answers cannot be used.
    pub fn answers(why: impl ToString) -> Self {
        Self::new(Exit::Usage, ErrorCode::Answers, why.to_string())
    }

    /// The secrets cannot be used.
    pub fn secrets(errors: Vec<SecretsError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::new(Exit::Usage, ErrorCode::Secrets, lines.join("\n"))
    }

    /// What was found cannot be written as JSON.
    pub fn unwritable(error: serde_json::Error) -> Self {
        Self::refused(ErrorCode::Unreadable, error.to_string())
    }

    /// The command line asks for what does not fit.
    pub fn usage(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Usage, why)
    }
}

/// An error that ends a command with no exit code of its own.
impl<E: Coded + std::fmt::Display> From<E> for Stop {
    fn from(error: E) -> Self {
        let exit = if error.code() == ErrorCode::Locked { Exit::Busy } else { Exit::Failed };
        Self::with(exit, error)
    }
}
