//! Errors at the boundary to the system.

use std::io;
use std::path::PathBuf;

use crate::error_code::{Coded, ErrorCode};
use crate::operation::advice;
use crate::shown::Shown;

/// A read or a change that the host refused. The text names what was attempted, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file operation failed.
    #[error("cannot {action} {}: {}", path.shown(), reason(source))]
    File {
        /// What was attempted, as a verb: "read", "write", "remove".
        action: &'static str,
        /// The host's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A command could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// A process with less than this one's rights could not do what it was started for.
    #[error("cannot {what}: {source}")]
    Child {
        /// What that is, as a verb and its object.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The command line. Never contains a secret.
        command: String,
        /// Exit status or signal, in words.
        status: String,
        /// Its standard error (or its output, if that was all), trimmed.
        stderr: String,
    },
    /// A command's output, or a file of the system, does not have the expected form.
    #[error("cannot understand {what}: {text}")]
    Unreadable {
        /// The source of the text.
        what: String,
        /// The text, or the part in question.
        text: String,
    },
    /// A name could not be looked up, which says nothing of its addresses.
    #[error("the name {name} could not be looked up: {why}")]
    Lookup {
        /// The name.
        name: String,
        /// The resolver's words, or what became of the process that asks it.
        why: String,
    },
    /// Somebody wants a program to end.
    #[error("{0}")]
    Interrupted(String),
    /// A kernel variable could not be read or set.
    #[error("sysctl {name}: {source}")]
    Sysctl {
        /// Its name.
        name: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// A database, or a copy of it, is damaged or unusable.
    #[error("the database {what}: {why}")]
    Database {
        /// The path.
        what: String,
        /// The problem, and what to do.
        why: String,
    },
    /// A service that was started again did not stay up.
    #[error("{service} was started again and died; its log says why")]
    Died {
        /// Its name.
        service: String,
    },
    /// The server is at something that must not be interrupted.
    #[error(
        "{service} still starts, and may be migrating its database, which must never be interrupted; nothing was undone. \
         Wait until `gts-bootstrap check` says that it is ready, then run this again"
    )]
    Starting {
        /// Its name.
        service: String,
    },
    /// Another run of the program holds the lock.
    #[error("another gts-bootstrap is running ({holder}); wait until it has ended, then run this again")]
    Locked {
        /// What the other run wrote into the lock: pid, command, and start time.
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
            Self::Start { .. } | Self::Child { .. } | Self::Command { .. } => ErrorCode::Command,
            Self::Unreadable { .. } => ErrorCode::Unreadable,
            Self::Lookup { .. } => ErrorCode::NameLookup,
            Self::Interrupted(_) => ErrorCode::Interrupted,
            Self::Sysctl { .. } => ErrorCode::Kernel,
            Self::Database { .. } => ErrorCode::Database,
            Self::Died { .. } => ErrorCode::Service,
            Self::Starting { .. } => ErrorCode::NotReady,
            Self::Locked { .. } => ErrorCode::Locked,
            Self::NotFreeBsd => ErrorCode::NotFreeBsd,
        }
    }
}

/// A system error in words, with the matching advice.
fn reason(error: &io::Error) -> String {
    format!("{error}{}", advice(error))
}

impl HostError {
    /// The error for a file operation, for use in `map_err`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// The error for a text that does not have the expected form.
    pub fn unreadable(what: impl std::fmt::Display, text: impl Into<String>) -> Self {
        Self::Unreadable { what: what.to_string(), text: text.into() }
    }

    /// Why a file is not read that somebody may have put there, or taken away, on purpose; `None` if the system failed.
    pub fn refusal(&self) -> Option<String> {
        const ENOTDIR: i32 = 20;
        const EISDIR: i32 = 21;
        match self {
            Self::File { source, .. } if matches!(source.raw_os_error(), None | Some(ENOTDIR | EISDIR)) => {
                Some(source.to_string())
            }
            _ => None,
        }
    }

    /// The errno of the error, if it has one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } | Self::Sysctl { source, .. } => {
                source.raw_os_error()
            }
            _ => None,
        }
    }
}
