//! Which host is meant: this FreeBSD, or a rehearsal.

use semver::Version;

use super::screen::Screen;
use crate::certificate::CertificateAuthority;
use crate::certificate::acme::Internet;
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::host::rehearsal::Rehearsal;
use crate::release::Source;
use crate::run::{Exit, Releases, Stop};

/// The host of a run.
pub enum Opened {
    /// A folder.
    Rehearsal(Box<Rehearsal>),
    /// This machine, and who issues certificates for it.
    Real(Box<dyn Host>, Internet),
}

impl Opened {
    /// Opens the host that the arguments name.
    ///
    /// # Errors
    /// The folder is no rehearsal, or this is not FreeBSD.
    pub(super) fn open(screen: &Screen) -> Result<Self, Stop> {
        match &screen.global.rehearse {
            Some(folder) => Rehearsal::open(screen.around.path(folder))
                .map(|rehearsal| Self::Rehearsal(Box::new(rehearsal)))
                .map_err(|error| Stop::new(Exit::Usage, ErrorCode::Rehearsal, error.to_string())),
            None => crate::host::this_machine()
                .and_then(|host| {
                    let stranger = host.stranger()?;
                    Ok(Self::Real(host, Internet::new(stranger)))
                })
                .map_err(|error| Stop::with(Exit::Usage, error)),
        }
    }

    /// The host itself.
    pub fn host(&self) -> &dyn Host {
        match self {
            Self::Rehearsal(rehearsal) => rehearsal.as_ref(),
            Self::Real(host, _) => host.as_ref(),
        }
    }

    /// Who issues certificates for it: the authorities of the internet, or a rehearsal's own.
    pub fn authority(&self) -> &dyn CertificateAuthority {
        match self {
            Self::Rehearsal(rehearsal) => rehearsal.as_ref(),
            Self::Real(_, internet) => internet,
        }
    }

    /// The rehearsal, if it is one.
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        if let Self::Rehearsal(rehearsal) = self { Some(rehearsal) } else { None }
    }
}

impl Releases for Opened {
    fn source(&self, versions: &[Version]) -> Result<Source, Stop> {
        let Self::Rehearsal(rehearsal) = self else { return Ok(Source::upstream()) };
        rehearsal.stand_in(versions).map_err(|error| {
            let why = format!("the rehearsal's stand-in release cannot be written: {error}");
            Stop::refused(ErrorCode::Rehearsal, why)
        })
    }

    fn are_rehearsed(&self) -> bool {
        self.rehearsal().is_some()
    }
}
