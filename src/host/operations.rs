//! Commands that run on a host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::gotosocial::commands::{self, Command};

/// An action of `service(8)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// Start it, if it is enabled.
    Start,
    /// Start it, whether it is enabled or not.
    StartOnce,
    /// Stop it, and return only when it is gone.
    Stop,
    /// Make it read its configuration again.
    Reload,
    /// The same for a web server at once, by the signal alone: its configuration has been tested, and nothing waits for
    /// scripts that test it once more. Where its first process is not certain, the same as [`Self::Reload`].
    ReloadNow,
    /// Start it, if it is enabled, up to the point at which it would become GoToSocial: there it waits for [`Self::Release`].
    StartHeld,
    /// End that wait.
    Release,
}

impl ServiceAction {
    /// The argument of service(8). The forms with `one` also work for a service that is not enabled.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Start | Self::StartHeld => "start",
            Self::StartOnce => "onestart",
            Self::Stop => "onestop",
            Self::Reload => "onereload",
            Self::ReloadNow => "reload by signal",
            Self::Release => "release",
        }
    }
}

/// A program to run as an unprivileged user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The host's path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables in addition to the clean environment (`PATH`, `LC_ALL=C`, `HOME=/nonexistent`).
    pub environment: Vec<(String, String)>,
    /// The user that runs it.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
    /// Index of an argument that must not appear in any message.
    pub secret_argument: Option<usize>,
    /// How long it may take. `None` where nobody can say, so that only [`super::Host::run_as`] ends it, or where killing it would
    /// do damage.
    pub limit: Option<Duration>,
}

impl Invocation {
    /// One of GoToSocial's commands, by a release's program.
    pub fn of(program: &Path, command: Command, owner: Owner, directory: &Path) -> Self {
        let Command { arguments, secret_argument, .. } = command;
        let (program, directory, limit) = (program.to_owned(), directory.to_owned(), Some(commands::LIMIT));
        Self { program, arguments, environment: Vec::new(), owner, directory, secret_argument, limit }
    }
}

/// The result of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// What the program gives as the reason of a failure: its standard error, or its output if that is all.
    pub fn reason(&self) -> &str {
        let errors = self.stderr.trim();
        if errors.is_empty() { self.stdout.trim() } else { errors }
    }
}
