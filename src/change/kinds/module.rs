//! A kernel module.

use crate::change::kind::prelude::*;

const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";

/// Loads a kernel module, kldload(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadModule {
    /// Its name.
    pub name: String,
}

/// Unloads a kernel module, kldunload(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnloadModule {
    /// Its name.
    pub name: String,
    /// What the reserved range has to be by then (`net.inet.ip.portrange.reservedhigh`): without the module everybody may
    /// bind the ports above it.
    pub reserved: i64,
}

impl Kind for LoadModule {
    named!(ErrorCode::Kernel, "module"; "into the running kernel");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Module(self.name.clone()), Left::Present))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        executor.host.load_module(&self.name)?;
        if !executor.host.module_loaded(&self.name)? {
            refuse!("the kernel took the module {} and yet does not list it", self.name);
        }
        Ok(())
    }
}

impl Kind for UnloadModule {
    named!(ErrorCode::Kernel, "module");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Module(self.name.clone()), Left::Absent))
    }

    fn detail(&self) -> String {
        format!("out of the running kernel, once ports up to {} are root's", self.reserved)
    }

    /// Refused where ports would be open to everybody without the module.
    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, Self { name, reserved }) = (executor.host, self);
        let now = host.sysctl(RESERVED_HIGH)?.unwrap_or_default();
        if now.trim().parse::<i64>().ok() != Some(*reserved) {
            refuse!(
                "{RESERVED_HIGH} is {now} and not {reserved}, so that without {name} every user could bind the ports above; \
                 the module stays"
            );
        }
        if host.module_loaded(name)? {
            host.unload_module(name)?;
        }
        Ok(())
    }
}
