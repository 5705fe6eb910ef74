//! Why a change failed.

use std::path::PathBuf;

use crate::backup::BackupError;
use crate::certificate::BundleError;
use crate::certificate::acme::AcmeError;
use crate::error_code::{Coded, ErrorCode};
use crate::front::ConfigError;
use crate::host::HostError;
use crate::release;

/// Why a change failed. The error that caused it keeps its type, so that its code reaches the administrator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A release could not be fetched or unpacked.
    #[error(transparent)]
    Release(Box<release::Error>),
    /// The certificate authority refused, or could not be reached.
    #[error(transparent)]
    Acme(Box<AcmeError>),
    /// The authority issued something that cannot be used.
    #[error("what the authority issued cannot be used: {0}")]
    Issued(#[from] BundleError),
    /// A backup cannot be read.
    #[error("{}: {cause}", file.display())]
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
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Host(error) => {
                Some(error.code()).filter(|code| !matches!(code, ErrorCode::Command | ErrorCode::Unreadable))
            }
            Self::Release(error) => Some(error.code()),
            Self::Acme(_) | Self::Issued(_) => Some(ErrorCode::Acme),
            // What is read may be the place that it is unpacked to.
            Self::Backup { cause: BackupError::Read(_), .. } => None,
            Self::Backup { .. } => Some(ErrorCode::BackupUnusable),
            Self::FrontConfig(_) => Some(ErrorCode::FrontConfig),
            Self::Interrupted(_) => Some(ErrorCode::Interrupted),
            Self::Refused(_) => None,
            Self::Told { cause, .. } => cause.code(),
        }
    }

    /// The same failure, with what follows from it.
    #[must_use]
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

impl From<release::Error> for Failure {
    fn from(error: release::Error) -> Self {
        Self::Release(Box::new(error))
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        Self::Acme(Box::new(error))
    }
}
