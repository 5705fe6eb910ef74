//! Which host is meant: this FreeBSD, or a rehearsal.

use semver::Version;

use super::Global;
use super::exit::Exit;
use super::screen::Screen;
use super::transaction::Stop;
use crate::certificate::CertificateAuthority;
use crate::certificate::acme::Internet;
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::host::rehearsal::Rehearsal;
use crate::release::{Error, Source};

/// The host of this run.
pub enum Opened {
    /// A folder.
    Rehearsal(Box<Rehearsal>),
    /// This machine.
    Real(Box<dyn Host>),
}

impl Opened {
    /// Opens the host that the arguments name.
    ///
    /// # Errors
    /// The folder is no rehearsal, or this is not FreeBSD.
    pub(super) fn open(global: &Global, screen: &Screen) -> Result<Self, Stop> {
        match &global.rehearse {
            Some(folder) => Rehearsal::open(screen.around().path(folder))
                .map(|rehearsal| Self::Rehearsal(Box::new(rehearsal)))
                .map_err(|error| Stop::new(Exit::Usage, ErrorCode::Rehearsal, error.to_string())),
            None => crate::host::this_machine().map(Self::Real).map_err(|error| Stop::with(Exit::Usage, error)),
        }
    }

    /// The host itself.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        match self {
            Self::Rehearsal(rehearsal) => rehearsal.as_ref(),
            Self::Real(host) => host.as_ref(),
        }
    }

    /// The stand-in release, with these versions besides its own; `None` on a real host.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn stand_in(&self, asked_for: &[Version]) -> Option<Result<Source, Error>> {
        match self {
            Self::Rehearsal(rehearsal) => Some(rehearsal.stand_in(asked_for)),
            Self::Real(_) => None,
        }
    }

    /// Who issues certificates for it: the authorities of the internet, or a rehearsal's own.
    #[must_use]
    pub fn authority(&self) -> &dyn CertificateAuthority {
        match self {
            Self::Rehearsal(rehearsal) => rehearsal.as_ref(),
            Self::Real(_) => &Internet,
        }
    }

    /// Whether it is a rehearsal.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        matches!(self, Self::Rehearsal(_))
    }
}
