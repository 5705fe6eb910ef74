//! `/etc/sysctl.conf` and `/etc/sysctl.conf.local` together, as the boot reads them: the second after the first. Before
//! both comes what rc.subr(8) sets for a module that it loads itself.

use std::path::Path;

use super::Refusal;
use super::port_access::{SYSCTL_CONF, SYSCTL_CONF_LOCAL, edit, edited};
use crate::change::Step;
use crate::host::{HostError, Observe};
use crate::portacl;
use crate::sysconf::sysctl_conf;

/// The files, with the text that each is to have.
pub(super) struct SysctlFiles(Vec<SysctlFile>);

struct SysctlFile {
    path: &'static str,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
}

impl SysctlFiles {
    /// Reads them. `for_module` is the file of `/etc/sysctl.kld.d`, where the rules are kept there.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(super) fn read(host: &dyn Observe, for_module: Option<&'static str>) -> Result<Self, HostError> {
        let file = |path: &'static str| -> Result<SysctlFile, HostError> {
            let old = host.read(Path::new(path))?;
            Ok(SysctlFile { path, new: old.clone().unwrap_or_default(), old })
        };
        let paths = [SYSCTL_CONF, SYSCTL_CONF_LOCAL].into_iter().chain(for_module);
        paths.map(file).collect::<Result<_, _>>().map(Self)
    }

    /// The file whose assignment counts. What is set nowhere belongs into sysctl.conf, or into the file of the module.
    fn at(&self, name: &str) -> usize {
        let sets =
            |index: &usize| self.0.get(*index).is_some_and(|file| sysctl_conf::FILE.get(&file.new, name).is_some());
        [1, 0, 2].into_iter().find(sets).unwrap_or(if self.0.len() > 2 { 2 } else { 0 })
    }

    /// The file that sets the variable, or is to set it.
    pub(super) fn place(&self, name: &str) -> &'static str {
        self.0[self.at(name)].path
    }

    /// The value that the boot ends up with; `None` if neither file sets it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        sysctl_conf::FILE.get(&self.0[self.at(name)].new, name)
    }

    /// The value as a number, as sysctl(8) reads it: 0x4f is 79.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(|value| portacl::number(&value)).map(i64::from)
    }

    /// Sets the variable where it counts. A line that is no longer needed, because `value` is the kernel's own `default`, goes
    /// if it reads as we write it, and is set to the default otherwise.
    ///
    /// # Errors
    /// The line would not be read back as it was meant.
    pub(super) fn set(&mut self, name: &str, value: &str, default: &str) -> Result<(), Refusal> {
        let at = self.at(name);
        let file = &mut self.0[at];
        let old = sysctl_conf::FILE.get(&file.new, name);
        if old.as_deref().unwrap_or(default) == value {
            return Ok(());
        }
        if let Some(old) = old.filter(|_| value == default) {
            let without = sysctl_conf::FILE.unset(&file.new, name, &old);
            if sysctl_conf::FILE.get(&without, name).is_none() {
                file.new = without;
                return Ok(());
            }
        }
        file.new = sysctl_conf::FILE.set(&file.new, name, value).map_err(edit(Path::new(file.path)))?;
        Ok(())
    }

    /// The steps that write what has changed.
    ///
    /// # Errors
    /// Something other than a file stands there.
    pub(super) fn steps(&self, host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        for file in &self.0 {
            steps.extend(edited(host, Path::new(file.path), file.old.as_deref(), &file.new)?);
        }
        Ok(steps)
    }
}
