//! GoToSocial's configuration on the modelled machine: who reads which file.

use std::path::Path;

use super::super::Owner;
use super::machine::{Access, ENOENT, Machine};
use crate::gotosocial::loading::{Failure, Settings, Sources};

/// A call of the program, as far as its configuration goes.
pub(super) struct Caller<'a> {
    /// The account that it runs as.
    pub(super) who: Owner,
    /// `--config-path`.
    pub(super) file: Option<&'a Path>,
    /// The environment.
    pub(super) environment: &'a [(String, String)],
    /// Flags, without their dashes.
    pub(super) flags: &'a [(String, String)],
}

/// The values in force for it.
pub(super) fn load(machine: &Machine, version: &str, caller: &Caller<'_>) -> Result<Settings, Failure> {
    let read = |path: &Path| {
        machine.may(caller.who, path, Access::Read).map_err(|errno| {
            let why = if errno == ENOENT { "no such file or directory" } else { "permission denied" };
            format!("open {}: {why}", path.display())
        })?;
        machine.text(path).map_err(|error| error.to_string())
    };
    let Caller { file, environment, flags, .. } = *caller;
    Settings::load(version, Sources { file, environment, flags, read: &read })
}
