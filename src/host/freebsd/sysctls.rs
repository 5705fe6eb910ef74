//! Kernel variables, through the `sysctl` crate.

use std::io;

use nix::errno::Errno;
use sysctl::{Ctl, CtlType, CtlValue, Sysctl, SysctlError};

use crate::host::HostError;

/// How often a value is read if its length changes between the query for the length and the query for the value.
const READ_ATTEMPTS: u32 = 3;

/// The value as text; `None` if the kernel does not know the name.
pub(super) fn value(name: &str) -> Result<Option<String>, HostError> {
    let control = match Ctl::new(name) {
        Ok(control) => control,
        Err(SysctlError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(failed(name, error)),
    };
    let mut attempt = 1;
    let value = loop {
        match control.value() {
            Err(SysctlError::ShortRead { .. }) if attempt < READ_ATTEMPTS => attempt += 1,
            read => break read.map_err(|error| failed(name, error))?,
        }
    };
    match value {
        CtlValue::Node(_) | CtlValue::Struct(_) | CtlValue::None => {
            Err(failed(name, io::Error::new(io::ErrorKind::InvalidData, "it is not a number or a text").into()))
        }
        plain => Ok(Some(plain.to_string())),
    }
}

/// The value of a variable that every supported release has.
pub(super) fn required(name: &str) -> Result<String, HostError> {
    value(name)?.ok_or_else(|| failed(name, SysctlError::NotFound(name.to_owned())))
}

/// The value of a variable that every supported release has, as a number.
pub(super) fn number<N: std::str::FromStr>(name: &str) -> Result<N, HostError> {
    let text = required(name)?;
    text.parse().map_err(|_| HostError::Unreadable { what: format!("sysctl {name}"), text })
}

/// Sets a variable, as text or as a number, as the kernel declares it.
pub(super) fn set(name: &str, value: &str) -> Result<(), HostError> {
    let set = Ctl::new(name).and_then(|control| {
        let value = typed(control.value_type()?, value)?;
        match control.set_value(value) {
            // The crate reads the value back: by then it has been set.
            Ok(_) | Err(SysctlError::ShortRead { .. } | SysctlError::NoReadAccess) => Ok(()),
            Err(error) => Err(error),
        }
    });
    set.map_err(|error| failed(name, error))
}

/// A value of the kernel's type. The crate panics if the types do not match, and cannot set other types.
fn typed(kind: CtlType, value: &str) -> Result<CtlValue, SysctlError> {
    let not_a_number = |_| SysctlError::ParseError;
    match kind {
        CtlType::String => Ok(CtlValue::String(value.to_owned())),
        CtlType::Int => value.parse().map(CtlValue::Int).map_err(not_a_number),
        CtlType::Uint => value.parse().map(CtlValue::Uint).map_err(not_a_number),
        CtlType::Ulong => value.parse().map(CtlValue::Ulong).map_err(not_a_number),
        CtlType::U8 => value.parse().map(CtlValue::U8).map_err(not_a_number),
        _ => Err(SysctlError::MissingImplementation),
    }
}

fn failed(name: &str, error: SysctlError) -> HostError {
    let source = match error {
        SysctlError::IoError(source) => source,
        SysctlError::NotFound(_) => Errno::ENOENT.into(),
        SysctlError::NoWriteAccess => io::Error::new(io::ErrorKind::PermissionDenied, "it can only be read"),
        SysctlError::ParseError => {
            io::Error::new(io::ErrorKind::InvalidInput, "the value is not a number that fits this variable")
        }
        SysctlError::MissingImplementation => {
            io::Error::new(io::ErrorKind::Unsupported, "variables of this kind cannot be set by this program")
        }
        other => io::Error::other(other.to_string()),
    };
    HostError::Sysctl { name: name.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_none_and_cannot_be_set() {
        assert_eq!(value("security.mac.no_such_policy.rules").unwrap(), None);
        let error = set("security.mac.no_such_policy.rules", "").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOENT as i32));
        assert!(error.to_string().contains("security.mac.no_such_policy.rules"), "{error}");
        assert!(required("security.mac.no_such_policy.rules").is_err());
    }

    #[test]
    fn values_take_the_kind_of_the_variable() {
        assert_eq!(typed(CtlType::Int, "-1").unwrap(), CtlValue::Int(-1));
        assert_eq!(typed(CtlType::Uint, "79").unwrap(), CtlValue::Uint(79));
        assert_eq!(typed(CtlType::Ulong, "5000000000").unwrap(), CtlValue::Ulong(5_000_000_000));
        assert_eq!(typed(CtlType::U8, "1").unwrap(), CtlValue::U8(1));
        let rules = "uid:209:tcp:80";
        assert_eq!(typed(CtlType::String, rules).unwrap(), CtlValue::String(rules.to_owned()));
        for (kind, text) in [(CtlType::Int, "many"), (CtlType::Uint, "-1"), (CtlType::U8, "256")] {
            let error = failed("some.name", typed(kind, text).unwrap_err()).to_string();
            assert!(error.contains("not a number that fits"), "{error}");
        }
        let error = failed("some.name", typed(CtlType::Struct, "x").unwrap_err()).to_string();
        assert!(error.contains("cannot be set"), "{error}");
    }
}
