//! A variable of the running kernel.

use crate::change::kind::prelude::*;

/// Sets a variable of the running kernel, sysctl(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSysctl {
    /// Its name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Kind for SetSysctl {
    named!(ErrorCode::Kernel, "sysctl");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Sysctl(self.name.clone()), Left::Value(self.value.clone())))
    }

    fn detail(&self) -> String {
        format!("= {}", self.value)
    }

    /// Reads the value back: a rule list that the kernel took differently must not go unnoticed.
    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let Self { name, value } = self;
        executor.host.set_sysctl(name, value)?;
        let now = executor.host.sysctl(name)?;
        if now.as_ref() != Some(value) {
            let now = now.unwrap_or_default();
            refuse!("{name} was set to `{value}` but reads back as `{now}`; something else sets it too");
        }
        Ok(())
    }
}
