//! Checks of the running system. They do not trust what the executor reports.

mod authorities;
pub mod bind;
pub mod certificate;
pub mod front;
pub mod hard_links;
pub mod health;
pub mod installation;
pub mod posture;
pub mod preflight;

use serde::Serialize;

use crate::change::listening::Rightful;
use crate::error_code::ErrorCode;
use crate::gotosocial::phase::{Phase, Startup};
use crate::host::Listener;

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
    /// How far a server has come that is starting.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
}

impl Check {
    /// The same finding of a server that is starting. What it does comes first, unless that is what has just failed.
    fn while_starting(mut self, startup: Option<Startup>) -> Self {
        self.detail = match startup {
            None => return self,
            Some(startup) if startup.phase == Phase::Certificate => format!("{}; {startup}", self.detail),
            Some(startup) => format!("{startup}; {}", self.detail),
        };
        self.startup = startup;
        self
    }
}

/// What a check is about: its name, and the error code of its failure.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'a>(pub &'a str, pub ErrorCode);

impl Matter<'_> {
    fn check(self, status: Status, detail: impl Into<String>) -> Check {
        let code = Some(self.1).filter(|_| status == Status::Fail);
        Check { name: self.0.to_owned(), status, detail: detail.into(), code, startup: None }
    }

    /// A correct result.
    pub fn pass(self, detail: impl Into<String>) -> Check {
        self.check(Status::Pass, detail)
    }

    /// A failure.
    pub fn fail(self, detail: impl Into<String>) -> Check {
        self.check(Status::Fail, detail)
    }

    /// A warning.
    pub fn warn(self, detail: impl Into<String>) -> Check {
        self.check(Status::Warn, detail)
    }

    /// A check that could not be made.
    pub fn skip(self, detail: impl Into<String>) -> Check {
        self.check(Status::Skip, detail)
    }
}

/// Whether any check failed.
pub fn failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}

/// Checks that on a port somebody listens, and only those who may. `then` is what to do once a stranger is gone; `right` describes
/// the right one.
fn listens(
    code: ErrorCode,
    (listeners, port): (&[Listener], u16),
    rightful: &Rightful,
    then: &str,
    right: &dyn Fn(&Listener) -> String,
) -> Check {
    let name = format!("listens {port}");
    let matter = Matter(&name, code);
    let Some(first) = listeners.iter().find(|listener| listener.port == port) else {
        return matter.fail(format!("nothing listens on port {port}"));
    };
    match rightful.stranger(listeners, port) {
        Some(stranger) => matter.fail(format!("{}{then}", rightful.not(stranger))),
        None => matter.pass(right(first)),
    }
}
