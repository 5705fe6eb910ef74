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

    fn thing(&self) -> Option<Thing> {
        Some(Thing::RcVariable(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(self.value.clone().map_or(Left::Absent, Left::Value))
    }

    fn detail(&self) -> String {
        self.value.as_ref().map_or_else(|| "taken out".to_owned(), |value| format!("= {value}"))
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        let (name, value) = (&self.name, self.value.as_deref());
        context.host.set_rc_variable(name, value)?;
        match context.host.rc_variable(name)? {
            // One that was taken out may have a default.
            now if value.is_none() || now.as_deref() == value => Ok(()),
            now => Err(format!(
                "{name} was set to `{}` but rc(8) sees `{}`; look for it in /etc/rc.conf.local and /etc/rc.conf.d",
                value.unwrap_or_default(),
                now.unwrap_or_default()
            )
            .into()),
        }
    }
}
