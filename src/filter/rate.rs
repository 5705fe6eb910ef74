//! [`Rate`]: how often one client may ask.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    count: u32,
    per: Per,
}

/// The time that a rate is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    /// Not understood.
    #[error("{text} is not a rate. Write it like 10/s or 30/m, with a number from 1 to {}", Rate::MOST)]
    Form {
        /// What was given.
        text: String,
    },
    /// None at all.
    #[error("{text} would block every client. To restrict a path to some networks write: protect PATH from NETWORK")]
    Nothing {
        /// What was given.
        text: String,
    },
}

impl Rate {
    /// The largest number, in either time.
    pub const MOST: u32 = 100_000;

    /// The number of requests.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The time they are for.
    pub fn per(&self) -> Per {
        self.per
    }

    /// After how many seconds, at least 1, the next request passes once the burst is used up.
    pub fn wait(&self) -> u32 {
        match self.per {
            Per::Second => 1,
            Per::Minute => 60_u32.div_ceil(self.count),
        }
    }

    /// How many requests may come at once: what a rule says, or else as many as the rate has in its time.
    pub fn burst(&self, burst: Option<u32>) -> u32 {
        burst.unwrap_or(self.count)
    }

    /// Whether it is less than one a second.
    pub fn is_slow(&self) -> bool {
        self.per == Per::Minute && self.count < 60
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "s",
            Self::Minute => "m",
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || RateError::Form { text: text.to_owned() };
        let (digits, per) = text.split_once('/').ok_or_else(bad)?;
        let per = match per {
            "s" => Per::Second,
            "m" => Per::Minute,
            _ => return Err(bad()),
        };
        match number(digits) {
            Some(0) => Err(RateError::Nothing { text: text.to_owned() }),
            Some(count) if count <= Self::MOST => Ok(Self { count, per }),
            _ => Err(bad()),
        }
    }
}

/// A plain decimal number: no sign, no leading zero.
pub(super) fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        for text in ["1/s", "100000/s", "30/m"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "1", "/s", "+1/s", "01/s", "1/h", "1 /s", "100001/s", "1.5/s", "99999999999/s"] {
            assert!(matches!(text.parse::<Rate>(), Err(RateError::Form { .. })), "{text}");
        }
        assert!(matches!("0/s".parse::<Rate>(), Err(RateError::Nothing { .. })));
    }

    #[test]
    fn the_wait_is_that_of_one_request() {
        for (text, wait, slow) in [("10/s", 1, false), ("30/m", 2, true), ("1/m", 60, true), ("90/m", 1, false)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.wait(), rate.is_slow()), (wait, slow), "{text}");
        }
    }
}
