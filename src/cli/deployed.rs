//! What is deployed here, by the answers that an installation has left.

use super::exit::Exit;
use super::transaction::Stop;
use crate::deployment::{Deployment, Layout};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::answers::{self, DeployedError};

/// Reads the deployment from the host. `failed` is the exit code where there is none, or it cannot be read.
///
/// # Errors
/// Nothing was installed here, or the answers cannot be used.
pub(super) fn deployment(host: &dyn Observe, layout: &Layout, failed: Exit) -> Result<Deployment, Stop> {
    let found = answers::deployed(host, layout).map_err(|error| match error {
        DeployedError::Host(error) => Stop::with(failed, error),
        unusable @ DeployedError::Answers(_) => Stop::with(Exit::Usage, unusable),
    })?;
    found.ok_or_else(|| {
        let path = layout.answers();
        Stop::new(
            failed,
            ErrorCode::NotInstalled,
            format!("{} is missing; run `gts-bootstrap install --answers FILE`", path.display()),
        )
    })
}
