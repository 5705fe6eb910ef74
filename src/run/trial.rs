//! A change on trial: the checks, again and again, until its time is over. If one fails everything is taken back.

use std::time::Duration;

use super::{Run, TrialView};
use crate::check::{Check, Status};
use crate::deployment::Mode;
use crate::host::HostError;

/// Time between two looks as long as something is amiss: until the checks pass for the first time, and to see whether a
/// failure was one of a moment.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
/// Seconds between two others, at the beginning and later. A look asks GoToSocial about ten times, and it answers 300
/// questions in five minutes (`advanced-rate-limit-requests`), loopback included.
const OFTEN: u64 = 5;
const SELDOM: u64 = 15;
/// Seconds after which it is looked less often.
const BEGINNING: u64 = 30;

/// What is on trial.
pub(super) struct OnTrial<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) mode: Mode,
    /// Says which checks fail.
    pub(super) failures: &'a dyn Fn() -> Result<Vec<String>, HostError>,
    /// Seconds within which they must pass for the first time.
    pub(super) patience: u64,
    /// Seconds from the beginning until which they must pass; 0 if once is enough.
    pub(super) length: u64,
}

impl OnTrial<'_> {
    /// Watches until the time is over, or somebody wants to keep it. `stop` says why to give up.
    ///
    /// # Errors
    /// In words: why everything is to be taken back.
    pub(super) fn watch(&self, stop: &dyn Fn() -> Option<String>) -> Result<(), String> {
        let host = self.run.host;
        let began = host.now();
        let until = began + self.length;
        let mut shown: Option<Box<dyn TrialView + '_>> = None;
        let mut failed_before = false;
        loop {
            let failed = (self.failures)().map_err(|error| error.to_string())?;
            if failed.is_empty() && self.length == 0 {
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
                // It may have been a moment's.
                Some(shown) => {
                    shown.say(&format!("a check failed, looking again in {} s:\n{failed}", AGAIN.as_secs()));
                    failed_before = true;
                }
                None => {}
            }
            host.sleep(AGAIN);
        }
    }

    /// Waits, and tells how long it still takes; gives whether somebody wants to keep it now.
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

/// The checks that fail, a line each.
pub(super) fn failures(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| check.status == Status::Fail).map(line).collect()
}

/// A check as a line below others.
pub(super) fn line(check: &Check) -> String {
    format!("  {}: {}", check.name, check.detail)
}
