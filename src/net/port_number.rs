//! [`PortNumber`]: a TCP port that can be listened on or connected to.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A TCP port from 1 to 65535. Zero is none: it asks the kernel for any free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortNumber(NonZeroU16);

/// Why a number or text is not a [`PortNumber`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{given:?} is not a port. Write a whole number from 1 to 65535")]
pub struct PortNumberError {
    /// What was given.
    pub given: String,
}

impl PortNumber {
    /// HTTP, where the ACME http-01 challenge and the redirect to https are answered.
    pub const HTTP: Self = Self::known(80);
    /// HTTPS, where other servers look for an instance.
    pub const HTTPS: Self = Self::known(443);
    /// Where `GoToSocial` listens behind a web server (upstream's default and the port in its proxy guides).
    pub const BEHIND_PROXY: Self = Self::known(8080);
    /// `PostgreSQL`.
    pub const POSTGRES: Self = Self::known(5432);

    /// A port of this file's own constants, checked when the program is compiled.
    const fn known(number: u16) -> Self {
        match NonZeroU16::new(number) {
            Some(number) => Self(number),
            None => panic!("a known port is not zero"),
        }
    }

    /// The port as the kernel takes it.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<i64> for PortNumber {
    type Error = PortNumberError;

    fn try_from(number: i64) -> Result<Self, PortNumberError> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or_else(|| PortNumberError { given: number.to_string() })
    }
}

impl FromStr for PortNumber {
    type Err = PortNumberError;

    fn from_str(text: &str) -> Result<Self, PortNumberError> {
        let wrong = || PortNumberError { given: text.to_owned() };
        // Digits only: the number parser would let "+80" through.
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_whole_range_and_no_more() {
        for number in [1_u16, 80, 443, 65535] {
            assert_eq!(PortNumber::try_from(i64::from(number)).unwrap().get(), number);
            assert_eq!(number.to_string().parse::<PortNumber>().unwrap().get(), number);
        }
        for number in [0_i64, -1, 65536, i64::MAX] {
            assert_eq!(PortNumber::try_from(number).unwrap_err(), PortNumberError { given: number.to_string() });
        }
        for text in ["", "0", "65536", "+80", " 80", "8O", "-1"] {
            assert_eq!(text.parse::<PortNumber>().unwrap_err(), PortNumberError { given: text.to_owned() });
        }
        assert!(serde_json::from_str::<PortNumber>("0").is_err());
        assert_eq!(serde_json::to_string(&PortNumber::HTTPS).unwrap(), "443");
    }
}
