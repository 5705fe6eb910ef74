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
    named!(ErrorCode::Kernel, "module");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Module(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Present)
    }

    fn detail(&self) -> String {
        "into the running kernel".to_owned()
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        context.host.load_module(&self.name)?;
        if context.host.module_loaded(&self.name)? {
            return Ok(());
        }
        Err(format!("the kernel took the module {} and yet does not list it", self.name).into())
    }
}

impl Kind for UnloadModule {
    named!(ErrorCode::Kernel, "module");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Module(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Absent)
    }

    fn detail(&self) -> String {
        format!("out of the running kernel, once ports up to {} are root's", self.reserved)
    }

    /// Refused where ports would be open to everybody without the module.
    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        let (host, Self { name, reserved }) = (context.host, self);
        let now = host.sysctl(RESERVED_HIGH)?.unwrap_or_default();
        if now.trim().parse::<i64>().ok() != Some(*reserved) {
            return Err(format!(
                "{RESERVED_HIGH} is {now} and not {reserved}, so that without {name} every user could bind the ports above; \
                 the module stays"
            )
            .into());
        }
        if host.module_loaded(name)? {
            host.unload_module(name)?;
        }
        Ok(())
    }
}
