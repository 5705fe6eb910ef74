//! A variable of rc.conf(5).

use std::io;
use std::path::Path;

use crate::change::kind::prelude::*;
use crate::operation::advice;
use crate::sysconf::rc_conf::{FILES, assigned, entangled};

const EPERM: i32 = 1;

/// Sets a variable in rc.conf(5), or takes it out, sysrc(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRcVariable {
    /// Its name.
    pub name: String,
    /// The value; `None` takes the variable out.
    pub value: Option<String>,
}

/// Has sysrc(8) set a variable, or take it out, where that spoils nothing else in the files.
///
/// # Errors
/// It would, or sysrc(8) failed.
pub fn set_rc_variable(host: &dyn Host, name: &str, value: Option<&str>) -> Result<(), HostError> {
    let mut edited = FILES[0];
    for file in FILES {
        let text = text_of(host, file)?;
        if let Some((line, why)) = entangled(&text, name, value.is_none()) {
            let why = format!(
                "line {line} sets {name}, and {why}, which sysrc(8) would spoil; give it a line of its own and run this again"
            );
            return Err(HostError::file("edit", Path::new(file))(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        if text.lines().any(|line| assigned(line, name).is_some()) {
            edited = file;
        }
    }
    // sysrc(8) would put two lines into one.
    let text = text_of(host, edited)?;
    if value.is_some() && !text.is_empty() && !text.ends_with('\n') {
        host.append_file(Path::new(edited), b"\n")?;
    }
    host.set_rc_variable(name, value).map_err(|error| match error {
        HostError::Command { command, status, stderr } if stderr.contains("Operation not permitted") => {
            let stderr = stderr + advice(&io::Error::from_raw_os_error(EPERM));
            HostError::Command { command, status, stderr }
        }
        error => error,
    })
}

fn text_of(host: &dyn Host, file: &str) -> Result<String, HostError> {
    Ok(String::from_utf8_lossy(&host.read(Path::new(file))?.unwrap_or_default()).into_owned())
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
        set_rc_variable(host, name, self.value.as_deref())?;
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
