//! What can go wrong at the boundary to the system.

use std::io;
use std::path::PathBuf;

use crate::error_code::{Coded, ErrorCode};
use crate::operation::advice;

/// A question or a change that the host refused. The text names what was tried, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file operation failed.
    #[error("cannot {action} {}: {}", path.display(), reason(source))]
    File {
        /// What was tried, as a verb: "read", "write", "remove".
        action: &'static str,
        /// The host's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The command line. Never holds a secret.
        command: String,
        /// Exit status or signal, in words.
        status: String,
        /// What it said on standard error (or output, where that was all it said), trimmed.
        stderr: String,
    },
    /// A command's output, or a file of the system, is not of the expected form.
    #[error("cannot understand {what}: {text}")]
    Unreadable {
        /// Where the text came from.
        what: String,
        /// The text, or the part in question.
        text: String,
    },
    /// A kernel variable could not be read or set.
    #[error("sysctl {name}: {source}")]
    Sysctl {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something is wrong with a database, or a copy of it.
    #[error("the database {what}: {why}")]
    Database {
        /// Which one: a path.
        what: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A service that was started again did not stay up.
    #[error("{service} was started again and died; its log says why")]
    Died {
        /// Its name.
        service: String,
    },
    /// Another run of the program holds the lock.
    #[error("another gts-bootstrap is at work ({holder}); wait until it has ended, then run this again")]
    Locked {
        /// What the other run wrote into the lock: pid, command, and since when.
        holder: String,
    },
    /// This program can change only a FreeBSD host.
    #[error(
        "this is not FreeBSD, so there is nothing here to install on; add --rehearse DIR to try everything in a folder"
    )]
    NotFreeBsd,
}

impl Coded for HostError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::File { .. } => ErrorCode::File,
            Self::Start { .. } | Self::Command { .. } => ErrorCode::Command,
            Self::Unreadable { .. } => ErrorCode::Unreadable,
            Self::Sysctl { .. } => ErrorCode::Kernel,
            Self::Database { .. } => ErrorCode::Database,
            Self::Died { .. } => ErrorCode::Service,
            Self::Locked { .. } => ErrorCode::Locked,
            Self::NotFreeBsd => ErrorCode::NotFreeBsd,
        }
    }
}

/// An error of the system in words, with the advice that belongs to it.
fn reason(error: &io::Error) -> String {
    format!("{error}{}", advice(error))
}

impl HostError {
    /// The error for a file operation, for use in `map_err`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// The errno behind the error, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } | Self::Sysctl { source, .. } => {
                source.raw_os_error()
            }
            _ => None,
        }
    }
}
