//! [`Told`]: a value from the host, or the reason why it is unknown.

use serde::Serialize;

use crate::host::HostError;
use crate::parts::Refusal;

/// The reason for what only root may see.
const NEEDS_ROOT: &str = "only root can tell";
const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// Why a value is unknown, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

/// A value that was read from the host. In `--json` the value itself, or an object with the member `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Told<T> {
    /// The value.
    Known(T),
    /// It is unknown.
    Unknown {
        /// The reason, in words.
        unknown: String,
    },
}

impl<T> Told<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// Why it is unknown, unless root is needed for it.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Unknown { unknown } if unknown != NEEDS_ROOT => Some(unknown),
            _ => None,
        }
    }
}

impl Unknown {
    /// Only root may see the value.
    pub(super) fn needs_root() -> Self {
        Self(NEEDS_ROOT.to_owned())
    }
}

impl From<HostError> for Unknown {
    fn from(error: HostError) -> Self {
        match error.errno() {
            Some(EACCES | EPERM) => Self::needs_root(),
            _ => Self(error.to_string()),
        }
    }
}

impl From<Refusal> for Unknown {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Host(error) => error.into(),
            other => Self(other.to_string()),
        }
    }
}

impl<T, E: Into<Unknown>> From<Result<T, E>> for Told<T> {
    fn from(result: Result<T, E>) -> Self {
        match result.map_err(Into::into) {
            Ok(value) => Self::Known(value),
            Err(Unknown(unknown)) => Self::Unknown { unknown },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_only_root_may_see_is_no_trouble() {
        let error = |errno| HostError::file("read", "/x")(std::io::Error::from_raw_os_error(errno));
        for errno in [EPERM, EACCES] {
            let told: Told<u32> = Err(error(errno)).into();
            assert_eq!((told.trouble(), told.known()), (None, None), "{told:?}");
            assert_eq!(serde_json::to_string(&told).unwrap(), r#"{"unknown":"only root can tell"}"#);
        }
        let told: Told<u32> = Err(Refusal::Host(error(5))).into();
        assert!(told.trouble().is_some_and(|why| why.contains("/x")), "{told:?}");
        let told: Told<u32> = Ok::<_, HostError>(7).into();
        assert_eq!((told.known(), serde_json::to_string(&told).unwrap()), (Some(&7), "7".to_owned()));
    }
}
