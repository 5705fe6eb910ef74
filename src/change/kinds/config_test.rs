//! The test of a new configuration with the release itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::change::kind::prelude::*;
use crate::deployment::nearest;
use crate::gotosocial::commands;
use crate::gotosocial::{config_keys, debug_config};
use crate::host::Invocation;

/// Tests a new configuration before it goes live: `PROGRAM --config-path CANDIDATE debug config`, as the service user. Changes
/// nothing that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigTest {
    /// The release's program.
    pub program: PathBuf,
    /// Where the candidate stands while it is tested. Must end in `.yaml`: GoToSocial goes by the ending.
    pub candidate: PathBuf,
    /// The new configuration.
    pub content: Content,
    /// Host name that must come back: the exit status proves nothing.
    pub host: String,
    /// Keys of ours; one that the release does not print back would be ignored in silence.
    pub keys: BTreeSet<String>,
    /// The service user.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
}

impl Kind for ConfigTest {
    named!(ErrorCode::ConfigTest, "config-test", "configuration", "config"; "with the release itself, as the service user");

    fn target(&self) -> String {
        "config.yaml".to_owned()
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        host.write_file(&self.candidate, self.content.bytes(), 0o640, Owner { uid: 0, gid: self.owner.gid })?;
        let command = commands::debug_config(&self.candidate);
        let invocation = Invocation::of(&self.program, command, self.owner, &self.directory);
        let output = executor.unless_broken_off(|stop| host.run_as(&invocation, stop));
        host.remove(&self.candidate)?;
        let output = output?;
        if !debug_config::echoes_host(&output.stdout, &self.host) {
            let words = output.stderr.trim();
            refuse!(
                "GoToSocial does not read its new configuration: `debug config` does not give back host \"{}\"{}{words}. \
                 Look at the [config] table of the answers and at what was edited in config.yaml; the old configuration \
                 is still in place",
                self.host,
                if words.is_empty() { "" } else { ". It says: " },
            );
        }
        let known = debug_config::printed_keys(&output.stdout)?;
        for key in self.keys.difference(&known) {
            let meant = || Some(format!("did you mean `{}`?", nearest(key, known.iter().map(String::as_str))?));
            let hint = config_keys::successor(key).map(str::to_owned).or_else(meant);
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            executor
                .operator
                .note(&format!("this version of GoToSocial does not know `{key}` and will ignore it{hint}"));
        }
        Ok(())
    }

    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        host.remove(&self.candidate)
    }

    fn folders(&self) -> Vec<PathBuf> {
        above(&self.candidate)
    }
}
