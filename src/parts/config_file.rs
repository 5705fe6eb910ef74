//! config.yaml on the host: rendered, merged with the administrator's edits, and tried before it goes live.

use super::managed_file::{self, ManagedFile};
use super::{Refusal, config};
use crate::change::{Action, ConfigTest, Content, Step};
use crate::deployment::{Deployment, Layout, Secrets};
use crate::host::{Observe, Owner};

/// What is to be done for config.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The trial with the release, while the old configuration still serves.
    pub test: Option<Step>,
    /// The file itself.
    pub steps: Vec<Step>,
    /// Whether its text changes.
    pub differs: bool,
}

/// What stands in the way of config.yaml whatever is going to be in it.
///
/// # Errors
/// Something other than a file, or a file that we did not write, stands there.
pub fn obstacle(host: &dyn Observe, layout: &Layout) -> Result<(), Refusal> {
    managed_file::obstacle(host, &layout.config)
}

/// Plans config.yaml. It is tried if its text changes, and also if another release is going to read it (`new_reader`).
///
/// # Errors
/// It cannot be rendered, or the administrator's edits conflict with it.
pub fn plan(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    secrets: &Secrets,
    version: &semver::Version,
    service: Owner,
    new_reader: bool,
) -> Result<Planned, Refusal> {
    let text =
        config::render(deployment, secrets, layout, version).map_err(|error| Refusal::Render(error.to_string()))?;
    let file = ManagedFile {
        part: "config",
        path: &layout.config,
        text,
        mode: 0o640,
        owner: Owner { uid: 0, gid: service.gid },
    };
    let planned = managed_file::plan(host, &file)?;
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
    Ok(Planned { test, steps: planned.steps, differs: planned.differs })
}
