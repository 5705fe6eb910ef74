//! The plan: what is going to be done, in order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::any::Change;

/// What a step does to its target, as it appears in `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It was not there.
    Create,
    /// It was there, and differs.
    Update,
    /// A value is set in the running kernel or in rc.conf.
    Set,
    /// A kernel module is loaded.
    Load,
    /// A release is downloaded, verified and unpacked.
    Install,
    /// Something is tried and leaves nothing behind.
    Test,
    /// A service is started.
    Start,
    /// A service is stopped.
    Stop,
    /// A service reads its configuration again.
    Reload,
    /// It is taken away.
    Remove,
}

/// The word that people see, which is that in `--json`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One change, and the part of the program that wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which part: `account`, `release`, `config`, `port-access`, …
    pub part: &'static str,
    /// What is done.
    pub action: Action,
    /// The change itself.
    pub change: Change,
}

impl Step {
    /// Puts the three together.
    pub fn new(part: &'static str, action: Action, change: impl Into<Change>) -> Self {
        Self { part, action, change: change.into() }
    }
}

/// What becomes of a plan of which a change fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Everything before it is taken back.
    #[default]
    TakeBack,
    /// What was made stays, and the rest is made all the same: for a plan that only takes away, of which as much as can be is
    /// to go. The next run goes on with what is left.
    GoOn {
        /// Parts whose steps rest on those before them: after a failure the rest of the part is left out.
        chained: &'static [&'static str],
        /// The part on which the whole plan rests: after a failure in it nothing more is done.
        decisive: &'static str,
    },
}

/// Everything that is going to be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
    /// What the administrator should know before saying yes.
    pub warnings: Vec<String>,
    /// Why the host must be rebooted before all of this is in force; empty if it need not.
    pub reboot: Vec<String>,
    /// What becomes of the rest if a change fails.
    pub on_failure: OnFailure,
    /// Whether the record of all runs is removed, too, once every change has been made: the very last thing of a plan that is to
    /// leave nothing.
    pub forget: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
