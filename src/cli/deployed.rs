//! What is deployed here, by the answers that an installation has left.

use std::path::Path;

use super::exit::Exit;
use super::transaction::Stop;
use crate::deployment::{Answers, Deployment, Layout, Secrets};
use crate::host::Observe;

/// Reads the deployment from the host. `failed` is the exit code where there is none, or it cannot be read.
///
/// # Errors
/// Nothing was installed here, or the answers cannot be used.
pub(super) fn deployment(host: &dyn Observe, layout: &Layout, failed: Exit) -> Result<Deployment, Stop> {
    let read = |path: &Path| -> Result<Option<String>, Stop> {
        let bytes = host.read(path).map_err(|error| Stop::new(failed, error.to_string()))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let usage = |errors: Vec<String>| Stop::new(Exit::Usage, errors.join("\n"));
    let path = layout.answers();
    let text = read(&path)?.ok_or_else(|| {
        Stop::new(failed, format!("{} is missing; run `gts-bootstrap install --answers FILE`", path.display()))
    })?;
    let secrets = match read(&layout.secrets())? {
        Some(text) => Secrets::parse(&text, &layout.secrets().display().to_string())
            .map_err(|errors| usage(errors.iter().map(ToString::to_string).collect()))?,
        None => Secrets::default(),
    };
    Answers::parse(&text, &path.display().to_string())
        .map_err(|error| vec![error])
        .and_then(|answers| answers.deployment(&secrets))
        .map_err(|errors| usage(errors.iter().map(ToString::to_string).collect()))
}
