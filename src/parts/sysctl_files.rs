//! `/etc/sysctl.conf` and `/etc/sysctl.conf.local` together, as the boot reads them: the second after the first.

use std::path::Path;

use super::port_access::{SYSCTL_CONF, SYSCTL_CONF_LOCAL, edit, edited};
use super::{Refusal, sysctl_conf};
use crate::change::Step;
use crate::host::{HostError, Observe};
use crate::portacl;

/// Both files, with the text that each is to have.
pub(super) struct SysctlFiles([SysctlFile; 2]);

struct SysctlFile {
    path: &'static str,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
}

impl SysctlFiles {
    /// Reads both.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(super) fn read(host: &dyn Observe) -> Result<Self, HostError> {
        let file = |path: &'static str| -> Result<SysctlFile, HostError> {
            let old = host.read(Path::new(path))?;
            Ok(SysctlFile { path, new: old.clone().unwrap_or_default(), old })
        };
        Ok(Self([file(SYSCTL_CONF)?, file(SYSCTL_CONF_LOCAL)?]))
    }

    /// The file whose assignment counts: the second one only where it has one.
    fn at(&self, name: &str) -> usize {
        usize::from(sysctl_conf::get(&self.0[1].new, name).is_some())
    }

    /// The file that sets the variable, or is to set it.
    pub(super) fn place(&self, name: &str) -> &'static str {
        self.0[self.at(name)].path
    }

    /// The value that the boot ends up with; `None` if neither file sets it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        sysctl_conf::get(&self.0[self.at(name)].new, name)
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
        let old = sysctl_conf::get(&file.new, name);
        if old.as_deref().unwrap_or(default) == value {
            return Ok(());
        }
        if let Some(old) = old.filter(|_| value == default) {
            let without = sysctl_conf::unset(&file.new, name, &old);
            if sysctl_conf::get(&without, name).is_none() {
                file.new = without;
                return Ok(());
            }
        }
        file.new = sysctl_conf::set(&file.new, name, value).map_err(edit(Path::new(file.path)))?;
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
