//! A variable of rc.conf(5).

use crate::change::kind::prelude::*;

/// Sets a variable in rc.conf(5), or takes it out, sysrc(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRcVariable {
    /// Its name.
    pub name: String,
    /// The value; `None` takes the variable out.
    pub value: Option<String>,
}

impl Kind for SetRcVariable {
    named!(ErrorCode::RcConf, "rc-variable", "rc.conf");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::RcVariable(self.name.clone()), self.value.clone().map_or(Left::Absent, Left::Value)))
    }

    fn detail(&self) -> String {
        self.value.as_ref().map_or_else(|| "taken out".to_owned(), |value| format!("= {value}"))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, name) = (executor.host, &self.name);
        host.set_rc_variable(name, self.value.as_deref())?;
        // One that was taken out may have a default.
        let Some(value) = &self.value else { return Ok(()) };
        let now = host.rc_variable(name)?;
        if now.as_ref() != Some(value) {
            let now = now.unwrap_or_default();
            refuse!(
                "{name} was set to `{value}` but rc(8) sees `{now}`; look for it in /etc/rc.conf.local and /etc/rc.conf.d"
            );
        }
        Ok(())
    }
}
