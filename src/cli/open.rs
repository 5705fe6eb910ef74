//! Which host is meant: this FreeBSD, or a rehearsal.

use semver::Version;

use super::people::Attendants;
use super::screen::Screen;
use crate::certificate::CertificateAuthority;
use crate::certificate::acme::Internet;
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::host::rehearsal::Rehearsal;
use crate::release::Source;
use crate::run::{Exit, Manner, People, Releases, Stop};

/// What root is told.
const AS_ROOT: &str = "this rehearsal runs as root and needs no root. A mistake of the model would have root's rights on this \
                       machine: rehearse as another user, in a folder of that user.";

/// The variable with which somebody has taken note of that, as in a container that has no other user.
const ACCEPTED: &str = "GTSB_REHEARSE_AS_ROOT";

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
            Some(folder) => {
                let rehearsal = Rehearsal::open(screen.around.path(folder))
                    .map_err(|error| Stop::new(Exit::Usage, ErrorCode::Rehearsal, error.to_string()))?;
                if screen.around.is_root && screen.around.variable(ACCEPTED).is_empty() {
                    Attendants { screen, asks: false }.tell(Manner::Warning, AS_ROOT);
                }
                Ok(Self::Rehearsal(Box::new(rehearsal)))
            }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::ACCEPTED;
    use crate::cli::run_with;
    use crate::cli::surroundings::{Captured, Surroundings};

    #[test]
    fn root_is_warned_of_a_rehearsal_once_on_standard_error() {
        let folder = tempfile::tempdir().unwrap();
        for (is_root, accepted, times) in [(true, "", 1), (true, "yes", 0), (false, "", 0)] {
            for line in [
                "portacl show",
                "portacl show --json --quiet",
                "check",
                "rehearsal reboot",
                "filter list",
                "uninstall --yes",
            ] {
                let (output, errors) = (Captured::default(), Captured::default());
                let mut around = Surroundings::piped("", &output, &errors).at(folder.path());
                around.is_root = is_root;
                around.variables.insert(ACCEPTED.into(), accepted.into());
                run_with(format!("gts-bootstrap --rehearse root {line}").split(' '), around);
                let told = |captured: &Captured| captured.text().matches("rehearsal runs as root").count();
                assert_eq!((told(&output), told(&errors)), (0, times), "{line}: {}", errors.text());
            }
        }
    }
}
