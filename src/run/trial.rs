//! A switch on trial: the checks, again and again, until its time is over. If one fails everything is taken back.

use std::time::Duration;

use super::{Run, TrialView, transaction};
use crate::check::{Status, installation};
use crate::host::HostError;
use crate::parts::account;
use crate::parts::install::Wanted;

/// Time between two looks as long as something is amiss: until the checks pass for the first time, and to see whether a
/// failure was one of a moment.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two others, at the beginning and later. A look asks GoToSocial about ten times, and it answers 300 questions in
/// five minutes (`advanced-rate-limit-requests`), loopback included.
const OFTEN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(15);
/// Seconds after which it is looked less often.
const BEGINNING: u64 = 30;

/// What is on trial.
pub(super) struct OnTrial<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) wanted: &'a Wanted<'a>,
    /// How long it is watched.
    pub(super) length: Duration,
}

impl OnTrial<'_> {
    /// Watches until the time is over, or somebody wants to keep it. `stop` says why to give up.
    ///
    /// # Errors
    /// In words: why everything is to be taken back.
    pub(super) fn watch(&self, stop: &dyn Fn() -> Option<String>) -> Result<(), String> {
        let host = self.run.host;
        let began = host.now();
        let until = began + self.length.as_secs();
        let mut shown: Option<Box<dyn TrialView + '_>> = None;
        let mut failed_before = false;
        loop {
            let failed = self.failed().map_err(|error| error.to_string())?;
            if let Some(why) = stop() {
                return Err(why);
            }
            let now = host.now();
            if failed.is_empty() {
                failed_before = false;
                if now >= until {
                    return Ok(());
                }
                let shown = shown.get_or_insert_with(|| self.shown(until - now));
                let pause = if now < began + BEGINNING { OFTEN } else { SELDOM };
                if self.pause((now + pause.as_secs()).min(until), until, &**shown, stop)? {
                    return Ok(());
                }
                continue;
            }
            let told = failed.join("\n");
            match &shown {
                None if now >= until => {
                    return Err(format!("the checks did not pass within {} s:\n{told}", self.length.as_secs()));
                }
                Some(_) if failed_before => {
                    return Err(format!(
                        "the checks passed, but no longer {} s after the switch:\n{told}",
                        now - began
                    ));
                }
                // It may have been a moment's.
                Some(shown) => {
                    shown.say(&format!("a check failed, looking again in {} s:\n{told}", AGAIN.as_secs()));
                    failed_before = true;
                }
                None => {}
            }
            host.sleep(AGAIN);
        }
    }

    fn shown(&self, seconds: u64) -> Box<dyn TrialView + '_> {
        self.run.people.trial(self.wanted.deployment.exposure.mode, seconds, self.run.interactive())
    }

    /// The checks that fail.
    fn failed(&self) -> Result<Vec<String>, HostError> {
        let Wanted { deployment, layout, lock, .. } = *self.wanted;
        let host = self.run.observe();
        let Some(owner) = transaction::service_user(host)? else {
            return Ok(vec![format!("  the user {} is not there", account::NAME)]);
        };
        let findings = installation::check(host, deployment, layout, &lock.release.version, owner)?;
        let failed = findings.checks.iter().filter(|check| check.status == Status::Fail);
        Ok(failed.map(|check| format!("  {}: {}", check.name, check.detail)).collect())
    }

    /// Waits, and tells how long it still takes; gives whether somebody wants to keep it now.
    fn pause(
        &self,
        next: u64,
        until: u64,
        shown: &dyn TrialView,
        stop: &dyn Fn() -> Option<String>,
    ) -> Result<bool, String> {
        while self.run.host.now() < next {
            shown.left(until.saturating_sub(self.run.host.now()));
            self.run.host.sleep(Duration::from_secs(1));
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
