//! The trial period of a change: the checks run repeatedly until it is over. If one fails, everything is undone.

use std::time::Duration;

use super::{Run, TrialView};
use crate::check::{Check, Status};
use crate::deployment::Mode;
use crate::host::HostError;

/// Time between two rounds while a check fails: until all pass for the first time, and to see whether a failure was
/// momentary.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
/// Seconds between two other rounds, at the beginning and later. A round sends about ten requests to GoToSocial, which allows
/// 300 in five minutes (`advanced-rate-limit-requests`), loopback included.
const OFTEN: u64 = 5;
const SELDOM: u64 = 15;
/// Seconds after which the rounds become less frequent.
const BEGINNING: u64 = 30;

/// A change in its trial period.
pub(super) struct OnTrial<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) mode: Mode,
    /// Runs the checks, and returns those that fail.
    pub(super) failures: &'a dyn Fn() -> Result<Vec<String>, HostError>,
    /// Seconds within which all must pass for the first time.
    pub(super) patience: u64,
    /// The length in seconds; 0 if passing once is enough.
    pub(super) length: u64,
}

impl OnTrial<'_> {
    /// Watches until the time is over, or the user keeps the change. `stop` returns a reason to give up.
    ///
    /// # Errors
    /// Why everything must be undone, in words.
    pub(super) fn watch(&self, stop: &dyn Fn() -> Option<String>) -> Result<(), String> {
        let host = self.run.host;
        let began = host.now();
        let until = began + self.length;
        let mut shown: Option<Box<dyn TrialView + '_>> = None;
        let mut failed_before = false;
        loop {
            let failed = (self.failures)().map_err(|error| error.to_string())?;
            // A change of release is complete once its checks pass, whatever signal came meanwhile.
            if failed.is_empty() && self.length < self.patience {
                return Ok(());
            }
            if let Some(why) = stop() {
                return Err(why);
            }
            let now = host.now();
            if failed.is_empty() {
                failed_before = false;
                if now >= until {
                    return Ok(());
                }
                let view = || self.run.people.trial(self.mode, until - now, self.run.interactive());
                let pause = if now < began + BEGINNING { OFTEN } else { SELDOM };
                if self.pause((now + pause).min(until), until, &**shown.get_or_insert_with(view), stop)? {
                    return Ok(());
                }
                continue;
            }
            let failed = failed.join("\n");
            match &shown {
                None if now >= began + self.patience => {
                    return Err(format!("the checks did not pass within {} s:\n{failed}", self.patience));
                }
                Some(_) if failed_before => {
                    let passed = now - began;
                    return Err(format!("the checks passed, but no longer {passed} s after the switch:\n{failed}"));
                }
                // It may be momentary.
                Some(shown) => {
                    shown.say(&format!("a check failed, looking again in {} s:\n{failed}", AGAIN.as_secs()));
                    failed_before = true;
                }
                None => {}
            }
            host.sleep(AGAIN);
        }
    }

    /// Waits, and shows the time left. Returns whether the user keeps the change now.
    fn pause(
        &self,
        next: u64,
        until: u64,
        shown: &dyn TrialView,
        stop: &dyn Fn() -> Option<String>,
    ) -> Result<bool, String> {
        let host = self.run.host;
        while host.now() < next {
            shown.left(until.saturating_sub(host.now()));
            host.sleep(Duration::from_secs(1));
            if let Some(why) = stop() {
                return Err(why);
            }
            if shown.keep() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The checks that fail, one line each.
pub(super) fn failures(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| check.status == Status::Fail).map(line).collect()
}

/// A check as one line of a list.
pub(super) fn line(check: &Check) -> String {
    format!("  {}: {}", check.name, check.detail)
}
