//! Why a change failed.

use std::path::PathBuf;

use crate::backup::BackupError;
use crate::certificate::BundleError;
use crate::certificate::acme::AcmeError;
use crate::error_code::{Coded, ErrorCode};
use crate::front::ConfigError;
use crate::host::HostError;
use crate::release;
use crate::shown::Shown;

/// Why a change failed. The error that caused it keeps its type, so that its code reaches the administrator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A release could not be fetched or unpacked.
    #[error(transparent)]
    Release(#[from] release::Error),
    /// The certificate authority refused, or could not be reached.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The authority issued something that cannot be used.
    #[error("what the authority issued cannot be used: {0}")]
    Issued(#[from] BundleError),
    /// A backup cannot be read.
    #[error("{}: {cause}", file.shown())]
    Backup {
        /// Its file.
        file: PathBuf,
        /// Why not.
        cause: BackupError,
    },
    /// The configuration of a web server cannot be read or edited.
    #[error(transparent)]
    FrontConfig(#[from] ConfigError),
    /// Somebody interrupted the run.
    #[error("{0}")]
    Interrupted(String),
    /// The result is not what it should be.
    #[error("{0}")]
    Refused(String),
    /// One of the above, and what follows from it.
    #[error("{cause}{more}")]
    Told {
        /// The cause.
        cause: Box<Failure>,
        /// What follows, with the punctuation before it.
        more: String,
    },
}

impl Failure {
    /// The code of the cause, where it says more than the code of the kind of change. A command that failed does not: what it
    /// was run for matters more.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Host(
                HostError::Start { .. }
                | HostError::Child { .. }
                | HostError::Command { .. }
                | HostError::Unreadable { .. },
            ) => None,
            Self::Host(error) => Some(error.code()),
            Self::Release(error) => Some(error.code()),
            Self::Acme(_) | Self::Issued(_) => Some(ErrorCode::Acme),
            // What is read may be the place that it is unpacked to.
            Self::Backup { cause: BackupError::Read(_), .. } | Self::Refused(_) => None,
            Self::Backup { .. } => Some(ErrorCode::BackupUnusable),
            Self::FrontConfig(_) => Some(ErrorCode::FrontConfig),
            Self::Interrupted(_) => Some(ErrorCode::Interrupted),
            Self::Told { cause, .. } => cause.code(),
        }
    }

    /// The same failure, with what follows from it.
    pub fn and(self, more: impl Into<String>) -> Self {
        Self::Told { cause: Box::new(self), more: more.into() }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Refused(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }
}

/// Returns with a failure in words, as `format!` takes them.
macro_rules! refuse {
    ($($words:tt)+) => {
        return Err($crate::change::Failure::Refused(format!($($words)+)))
    };
}

pub(super) use refuse;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_cause_counts_where_it_says_more_than_the_kind() {
        let full = || HostError::file("write", "/f")(std::io::Error::from_raw_os_error(28));
        assert_eq!(Failure::from(full()).code(), Some(ErrorCode::File));
        assert_eq!(Failure::from(full()).and(", and more").code(), Some(ErrorCode::File));
        let closed = AcmeError::Unreachable("https://ca.example/dir".into(), "timed out".into());
        assert_eq!(Failure::from(closed).code(), Some(ErrorCode::Acme));
        assert_eq!(Failure::from(release::Error::Stopped).code(), Some(ErrorCode::Interrupted));
        // That pw(8) failed says less than that no account was made.
        let command = HostError::Command { command: "pw".into(), status: "1".into(), stderr: String::new() };
        assert_eq!(Failure::from(command).code(), None);
        assert_eq!(Failure::from("it reads back as something else").code(), None);
        // The disk that a backup is unpacked to may be full.
        let backup = |cause| Failure::Backup { file: "/b".into(), cause };
        assert_eq!(backup(BackupError::Read(std::io::Error::from_raw_os_error(28))).code(), None);
        assert_eq!(backup(BackupError::Newer { schema: 9 }).code(), Some(ErrorCode::BackupUnusable));
    }

    #[test]
    fn what_follows_stands_behind_the_cause() {
        let failure = Failure::from("the front does not reload").and("; the old certificate is in service again");
        assert_eq!(failure.to_string(), "the front does not reload; the old certificate is in service again");
    }
}
