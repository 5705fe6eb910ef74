//! The deployment of this host, from the answers that an installation has left.

use super::{Exit, Stop};
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::{Refusal, answers};
use crate::shown::Shown;

/// The message for a host without an installation.
pub const NOT_INSTALLED: &str = "GoToSocial was not installed here by gts-bootstrap; run `gts-bootstrap install`";

/// Reads the deployment from the host. `failed` is the exit code if there is none, or it cannot be read.
///
/// # Errors
/// Nothing was installed here, or the answers cannot be used.
pub fn deployment(host: &dyn Observe, layout: &Layout, failed: Exit) -> Result<Deployment, Stop> {
    let found = answers::deployed(host, layout).map_err(|error| match error {
        Refusal::Host(error) if host.system().is_ok_and(|system| system.euid != 0) => {
            let why = format!("{error}; only root can read all that this needs: run it as root (doas or sudo)");
            Stop::new(failed, ErrorCode::NotRoot, why)
        }
        unusable @ Refusal::Answers(_) => Stop::with(Exit::Usage, unusable),
        error => Stop::with(failed, error),
    })?;
    found.ok_or_else(|| {
        let path = layout.answers();
        let why = format!("{} is missing; run `gts-bootstrap install --answers FILE`", path.shown());
        Stop::new(failed, ErrorCode::NotInstalled, why)
    })
}

/// The message for a host after an uninstallation.
pub fn uninstalled(name: &str) -> String {
    format!(
        "GoToSocial was uninstalled here; the data of {name} are kept, and `gts-bootstrap install` brings the instance back"
    )
}
