//! Commands that a host is asked to run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Owner;

/// What `service(8)` is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// Start it, if it is enabled.
    Start,
    /// Start it, be it enabled or not.
    StartOnce,
    /// Stop it, and return only when it is gone.
    Stop,
    /// Have it read its configuration again.
    Reload,
}

impl ServiceAction {
    /// What service(8) is told. The forms with `one` obey also for a service that is not enabled.
    #[must_use]
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::StartOnce => "onestart",
            Self::Stop => "onestop",
            Self::Reload => "onereload",
        }
    }
}

/// A program to be run as an unprivileged user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The host's path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables on top of the clean environment (`PATH`, `LC_ALL=C`, `HOME=/nonexistent`).
    pub environment: Vec<(String, String)>,
    /// Whom to run it as.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
    /// Index of an argument that must not appear in any message.
    pub secret_argument: Option<usize>,
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}
