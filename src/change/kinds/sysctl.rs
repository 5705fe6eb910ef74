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

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Sysctl(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Value(self.value.clone()))
    }

    fn detail(&self) -> String {
        format!("= {}", self.value)
    }

    /// Reads the value back: a rule list that the kernel took differently must not go unnoticed.
    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        let Self { name, value } = self;
        context.host.set_sysctl(name, value)?;
        match context.host.sysctl(name)? {
            Some(now) if now == *value => Ok(()),
            now => Err(format!(
                "{name} was set to `{value}` but reads back as `{}`; something else sets it too",
                now.unwrap_or_default()
            )
            .into()),
        }
    }
}
