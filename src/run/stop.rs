//! Why a command ends early.

use super::exit::Exit;
use crate::deployment::AnswerError;
use crate::error_code::{Coded, ErrorCode};
use crate::host::HostError;

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

    /// Failed before anything was changed.
    pub fn failed(error: impl Coded + std::fmt::Display) -> Self {
        Self::with(Exit::Failed, error)
    }

    /// Refused, with nothing changed.
    pub fn refused(code: ErrorCode, why: impl Into<String>) -> Self {
        Self::new(Exit::Failed, code, why)
    }

    /// The answers cannot be used.
    pub fn answers(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Answers, why)
    }

    /// The secrets cannot be used.
    pub fn secrets(errors: Vec<AnswerError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::new(Exit::Usage, ErrorCode::Secrets, lines.join("\n"))
    }

    /// What was found cannot be written as JSON.
    pub fn unwritable(error: serde_json::Error) -> Self {
        Self::refused(ErrorCode::Unreadable, error.to_string())
    }

    /// A signal cannot be caught.
    pub fn uncatchable(why: String) -> Self {
        Self::refused(ErrorCode::Kernel, why)
    }

    /// The command line asks for what does not fit.
    pub fn usage(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, ErrorCode::Usage, why)
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        let exit = if matches!(error, HostError::Locked { .. }) { Exit::Busy } else { Exit::Failed };
        Self::with(exit, error)
    }
}
