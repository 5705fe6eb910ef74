//! loader(8): what it hands to the kernel, and which modules it loads.

use std::path::Path;

use super::super::{Entry, HostError};
use super::kernel;
use super::machine::Machine;
use crate::sysconf::loader_files;

/// Reads the configuration and loads the modules; what is set is left for the kernel.
pub(super) fn run(machine: &mut Machine) -> Result<(), HostError> {
    let text = |path: &Path| match machine.files.entry(&machine.resolve(path)) {
        Ok(Some(Entry::File { .. })) => machine.files.read(path),
        _ => Ok(None),
    };
    let files = loader_files::read(text, |folder| machine.files.list(folder))?;
    let mut environment = loader_files::variables(&files);
    environment.remove("loader_conf_files");
    machine.model.kernel_environment.extend(environment);
    for module in machine.model.compiled_in.clone() {
        kernel::take_tunables(&mut machine.model, &module);
    }
    for module in loader_files::modules(&files) {
        if machine.model.modules_available.contains(&module) {
            kernel::attach_module(&mut machine.model, &module);
        }
    }
    Ok(())
}
