//! Checks: proof on the running system that never trusts what the executor says it did.

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

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Worth knowing; nothing is broken.
    Warn,
    /// Could not be asked.
    Skip,
}

/// One finding. Names are stable: other programs read them in `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was seen, and what to do about it.
    pub detail: String,
    /// Of what failed, where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

impl Check {
    fn new(name: impl Into<String>, status: Status, detail: impl Into<String>) -> Self {
        Self { name: name.into(), status, detail: detail.into(), code: None }
    }

    /// Something that is as it should be.
    pub fn pass(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Pass, detail)
    }

    /// Something that is not as it should be.
    pub fn fail(code: ErrorCode, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(name, Status::Fail, detail) }
    }

    /// Something worth knowing.
    pub fn warn(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, detail)
    }

    /// Something that could not be asked.
    pub fn skip(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Skip, detail)
    }
}

/// Whether any check failed.
#[must_use]
pub fn failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}
