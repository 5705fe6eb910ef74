//! Which host is meant: this FreeBSD, or a rehearsal.

use std::cell::RefCell;

use semver::Version;

use super::global::Global;
use super::screen::Screen;
use crate::certificate::CertificateAuthority;
use crate::certificate::acme::Internet;
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::host::rehearsal::Rehearsal;
use crate::host::rehearsal::stand_in_release::StandIn;
use crate::release::Source;
use crate::run::{Exit, Releases, Stop};

/// The host of a run.
pub enum Opened {
    /// A folder, and what serves its releases as long as it is open.
    Rehearsal(Box<Rehearsal>, RefCell<Vec<StandIn>>),
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
                .map(|rehearsal| Self::Rehearsal(Box::new(rehearsal), RefCell::default()))
                .map_err(|error| Stop::new(Exit::Usage, ErrorCode::Rehearsal, error.to_string())),
            None => crate::host::this_machine().map(Self::Real).map_err(|error| Stop::with(Exit::Usage, error)),
        }
    }

    /// The host itself.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        match self {
            Self::Rehearsal(rehearsal, _) => rehearsal.as_ref(),
            Self::Real(host) => host.as_ref(),
        }
    }

    /// Who issues certificates for it: the authorities of the internet, or a rehearsal's own.
    #[must_use]
    pub fn authority(&self) -> &dyn CertificateAuthority {
        match self {
            Self::Rehearsal(rehearsal, _) => rehearsal.as_ref(),
            Self::Real(_) => &Internet,
        }
    }

    /// The rehearsal, if it is one.
    #[must_use]
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        match self {
            Self::Rehearsal(rehearsal, _) => Some(rehearsal),
            Self::Real(_) => None,
        }
    }
}

impl Releases for Opened {
    fn source(&self, versions: &[Version]) -> Result<Source, Stop> {
        let Self::Rehearsal(_, serving) = self else { return Ok(Source::upstream()) };
        let stand_in = StandIn::start(versions).map_err(|error| {
            let why = format!("the rehearsal's stand-in release cannot be served on loopback: {error}");
            Stop::refused(ErrorCode::Rehearsal, why)
        })?;
        let source = stand_in.source().map_err(Stop::failed)?;
        serving.borrow_mut().push(stand_in);
        Ok(source)
    }

    fn are_rehearsed(&self) -> bool {
        self.rehearsal().is_some()
    }
}
