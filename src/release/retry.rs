//! How often and after what wait a failed attempt is repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Exponential backoff with jitter.
///
/// The wait doubles with each failure. Half of it is certain and half is chance, so that many hosts that lost the
/// same server do not all come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How many attempts are made in a row before giving up; 1 means no repetition. A download that got on by at
    /// least a mebibyte since the last failure starts counting anew.
    pub attempts: u32,
    /// The wait after the first failure.
    pub first_wait: Duration,
    /// The longest wait. A server that asks for more (`Retry-After`) is taken at its word: the run ends with that
    /// message instead of sitting there.
    pub longest_wait: Duration,
}

impl Default for Retry {
    /// 6 attempts, waiting 1 s at first and 30 s at most.
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(30) }
    }
}

impl Retry {
    /// How long to wait after the `failures`th failure in a row (from 1), or `None` to give up. `asked` is what the
    /// server asked for, if it did.
    pub(super) fn wait(&self, failures: u32, asked: Option<Duration>) -> Option<Duration> {
        if failures >= self.attempts || asked.is_some_and(|asked| asked > self.longest_wait) {
            return None;
        }
        // Without a source of chance the wait is the shortest one, which does no harm.
        let chance = getrandom::u32().unwrap_or_default();
        Some(self.backoff(failures, chance).max(asked.unwrap_or_default()))
    }

    fn backoff(&self, failures: u32, chance: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let half = self.first_wait.saturating_mul(doubled).min(self.longest_wait) / 2;
        half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RETRY: Retry =
        Retry { attempts: 4, first_wait: Duration::from_secs(2), longest_wait: Duration::from_secs(5) };

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let longest = |failures| RETRY.backoff(failures, u32::MAX);
        assert_eq!(longest(1), Duration::from_secs(2));
        assert_eq!(longest(2), Duration::from_secs(4));
        assert_eq!(longest(3), Duration::from_secs(5));
        assert_eq!(longest(u32::MAX), Duration::from_secs(5));
        assert_eq!(RETRY.backoff(1, 0), Duration::from_secs(1));
    }

    #[test]
    fn the_attempts_are_limited() {
        assert!(RETRY.wait(3, None).is_some());
        assert_eq!(RETRY.wait(4, None), None);
    }

    #[test]
    fn the_server_may_ask_for_more_but_not_for_ever() {
        assert_eq!(RETRY.wait(1, Some(Duration::from_secs(5))), Some(Duration::from_secs(5)));
        assert_eq!(RETRY.wait(1, Some(Duration::from_secs(6))), None);
    }

    proptest! {
        #[test]
        fn chance_stays_within_half_and_whole(failures in 1_u32..40, chance: u32) {
            let whole = RETRY.backoff(failures, u32::MAX);
            let wait = RETRY.backoff(failures, chance);
            prop_assert!(wait >= whole / 2 && wait <= whole);
        }
    }
}
