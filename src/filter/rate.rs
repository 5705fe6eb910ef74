//! [`Rate`]: how often one client may ask.

use std::fmt;
use std::str::FromStr;

/// Requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// The number of requests, at least 1.
    pub(crate) count: u32,
    /// The time that they are for: 1 or 60.
    seconds: u32,
}

impl Rate {
    /// The largest number, in either time.
    const MOST: u32 = 100_000;
    /// The largest burst.
    pub const MOST_BURST: u32 = 1_000_000;

    /// The time that the number is for: `s` or `m`.
    pub(crate) fn unit(&self) -> char {
        if self.seconds == 1 { 's' } else { 'm' }
    }

    /// After how many seconds, at least 1, the next request passes once the burst is used up.
    pub(crate) fn wait(&self) -> u32 {
        self.seconds.div_ceil(self.count)
    }

    /// Whether it is less than one a second.
    pub(super) fn is_slow(&self) -> bool {
        self.count < self.seconds
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit())
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = match text.split_once('/') {
            Some((digits, "s")) => number(digits).zip(Some(1)),
            Some((digits, "m")) => number(digits).zip(Some(60)),
            _ => None,
        };
        match read {
            Some((0, _)) => Err(format!(
                "{text} would block every client. To restrict a path to some networks write: protect PATH from NETWORK"
            )),
            Some((count, seconds)) if count <= Self::MOST => Ok(Self { count, seconds }),
            _ => {
                Err(format!("{text} is not a rate. Write it like 10/s or 30/m, with a number from 1 to {}", Self::MOST))
            }
        }
    }
}

/// A plain decimal number: no sign, no leading zero.
pub(super) fn number<T: FromStr>(digits: &str) -> Option<T> {
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
            assert!(text.parse::<Rate>().unwrap_err().contains("is not a rate. Write it like 10/s"), "{text}");
        }
        assert!("0/s".parse::<Rate>().unwrap_err().starts_with("0/s would block every client"));
    }

    #[test]
    fn the_wait_is_that_of_one_request() {
        for (text, wait, slow) in [("10/s", 1, false), ("30/m", 2, true), ("1/m", 60, true), ("90/m", 1, false)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.wait(), rate.is_slow()), (wait, slow), "{text}");
        }
    }
}
