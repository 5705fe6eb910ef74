//! `/etc/sysctl.conf` and `/etc/sysctl.conf.local` together, as the boot reads them: the second after the first. The settings that
//! rc.subr(8) makes for a module that it loads itself come before both.

use std::path::Path;

use super::Refusal;
use super::port_settings::{SYSCTL_CONF, SYSCTL_CONF_LOCAL, edit, edited};
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
        let paths = [SYSCTL_CONF, SYSCTL_CONF_LOCAL].into_iter().chain(for_module);
        let file = |path| {
            let old = host.read(Path::new(path))?;
            Ok(SysctlFile { path, new: old.clone().unwrap_or_default(), old })
        };
        paths.map(file).collect::<Result<_, _>>().map(Self)
    }

    /// The file whose assignment counts. A new one belongs into the file of the module, or else into sysctl.conf.
    fn at(&self, name: &str) -> usize {
        let last = self.0.len() - 1;
        let sets = |index: &usize| sysctl_conf::FILE.get(&self.0[*index].new, name).is_some();
        [1, 0, last].into_iter().find(sets).unwrap_or(if last > 1 { last } else { 0 })
    }

    /// The file that sets the variable, or would.
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
        let SysctlFile { path, new, .. } = &mut self.0[at];
        let old = sysctl_conf::FILE.get(new, name);
        if old.as_deref().unwrap_or(default) == value {
            return Ok(());
        }
        let without = old.filter(|_| value == default).map(|old| sysctl_conf::FILE.unset(new, name, &old));
        *new = match without.filter(|without| sysctl_conf::FILE.get(without, name).is_none()) {
            Some(without) => without,
            None => sysctl_conf::FILE.set(new, name, value).map_err(edit(Path::new(path)))?,
        };
        Ok(())
    }

    /// The steps that write what has changed.
    ///
    /// # Errors
    /// Something other than a file stands there.
    pub(super) fn steps(&self, host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
        let step = |file: &SysctlFile| edited(host, Path::new(file.path), file.old.as_deref(), &file.new).transpose();
        self.0.iter().filter_map(step).collect()
    }
}
