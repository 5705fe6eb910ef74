//! How a command ends: the exit code, which is part of the contract with other programs, and why one ends early.

use crate::deployment::AnswerError;
use crate::error_code::{Coded, ErrorCode};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, and undone or explicitly not undone.
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

/// Why a command ends early: the exit code, the error code and the message.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// The error code, which names an entry of the documentation.
    pub code: ErrorCode,
    /// The message.
    pub why: String,
}

impl Stop {
    /// An error with this exit code.
    pub fn new(exit: Exit, code: ErrorCode, why: impl Into<String>) -> Self {
        Self { exit, code, why: why.into() }
    }

    /// The same error with a specific exit code.
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
    pub fn secrets(errors: Vec<AnswerError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::new(Exit::Usage, ErrorCode::Secrets, lines.join("\n"))
    }

    /// The command line does not fit the host.
    pub fn usage(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Usage, why)
    }
}

/// An error without a specific exit code.
impl<E: Coded + std::fmt::Display> From<E> for Stop {
    fn from(error: E) -> Self {
        let exit = if error.code() == ErrorCode::Locked { Exit::Busy } else { Exit::Failed };
        Self::with(exit, error)
    }
}
