//! config.yaml on the host: rendered, merged with the administrator's edits, and tried before it goes live.

use super::managed_file::{self, FilePlan};
use super::{Instance, Refusal, config};
use crate::change::{Action, ConfigTest, Content, Step};
use crate::deployment::Secrets;
use crate::host::Owner;

/// Plans config.yaml, and the trial with the release while the old configuration still serves. There is a trial if the text
/// changes, and also if another release is going to read it (`new_reader`).
///
/// # Errors
/// It cannot be rendered, or the administrator's edits conflict with it.
pub fn plan(
    wanted: Instance<'_>,
    secrets: &Secrets,
    version: &semver::Version,
    service: Owner,
    new_reader: bool,
) -> Result<(FilePlan, Option<Step>), Refusal> {
    let Instance { host, layout, deployment } = wanted;
    let text =
        config::render(deployment, secrets, layout, version).map_err(|error| Refusal::Render(error.to_string()))?;
    let owner = Owner { uid: 0, gid: service.gid };
    let planned = managed_file::plan(host, "config", &layout.config, text, 0o640, owner)?;
    let test = (planned.differs || new_reader).then(|| {
        let test = ConfigTest {
            // The release that is about to be used: `current` may still point to an older one.
            program: layout.release(version).join("gotosocial"),
            candidate: layout.config_folder().join("candidate.yaml"),
            keys: config::rendered_keys(&planned.text),
            content: Content::new(planned.text.as_str()),
            host: deployment.host.to_string(),
            owner: service,
            directory: layout.data.clone(),
        };
        Step::new("config", Action::Test, test)
    });
    Ok((planned, test))
}
