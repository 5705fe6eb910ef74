//! Checks of the running system. They do not trust what the executor reports.

pub mod bind;
pub mod certificate;
pub mod front;
pub mod health;
pub mod installation;
pub mod permission;
pub mod posture;
pub mod preflight;
pub mod profile;

use serde::Serialize;

use crate::error_code::ErrorCode;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Correct.
    Pass,
    /// Wrong.
    Fail,
    /// Worth knowing; nothing is broken.
    Warn,
    /// Could not be checked.
    Skip,
}

/// One finding. Names are stable: other programs read them in `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The subject.
    pub name: String,
    /// The result.
    pub status: Status,
    /// What was observed, and what to do about it.
    pub detail: String,
    /// The error code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

impl Check {
    fn new(name: impl Into<String>, status: Status, detail: impl Into<String>) -> Self {
        Self { name: name.into(), status, detail: detail.into(), code: None }
    }

    /// A correct result.
    pub fn pass(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Pass, detail)
    }

    /// A failure.
    pub fn fail(code: ErrorCode, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(name, Status::Fail, detail) }
    }

    /// A warning.
    pub fn warn(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, detail)
    }

    /// A check that could not be made.
    pub fn skip(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Skip, detail)
    }
}

/// Whether any check failed.
pub fn failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}
