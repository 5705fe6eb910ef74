//! A switch on trial: the checks, again and again, until its time is over. If one fails everything is taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::check::{Status, installation};
use crate::cli::report::wrap;
use crate::cli::screen::{Level, Screen, Tone};
use crate::cli::surroundings::Surroundings;
use crate::host::{Host, HostError, Owner};
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
/// A line that comes sooner was typed before anybody could read what it would mean.
const TYPED_AHEAD: Duration = Duration::from_millis(200);

/// What is on trial.
pub(super) struct OnTrial<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) wanted: &'a Wanted<'a>,
    /// How long it is watched.
    pub(super) length: Duration,
    pub(super) screen: &'a Screen,
    /// Whether somebody at a terminal can end it early.
    pub(super) asks: bool,
}

impl OnTrial<'_> {
    /// Watches until the time is over, or somebody wants to keep it. `stop` says why to give up.
    ///
    /// # Errors
    /// In words: why everything is to be taken back.
    pub(super) fn watch(&self, stop: &dyn Fn() -> Option<String>) -> Result<(), String> {
        let (host, began) = (self.host, self.host.now());
        let until = began + self.length.as_secs();
        let mut shown: Option<Shown> = None;
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
                let shown = shown.get_or_insert_with(|| Shown::new(self, until - now));
                let pause = if now < began + BEGINNING { OFTEN } else { SELDOM };
                if self.pause((now + pause.as_secs()).min(until), until, shown, stop)? {
                    return Ok(());
                }
                continue;
            }
            let told = failed.join("\n");
            match &shown {
                None if now >= until => {
                    return Err(format!("not all was well after {} s:\n{told}", self.length.as_secs()));
                }
                Some(_) if failed_before => {
                    return Err(format!("all was well, and {} s after the switch no longer:\n{told}", now - began));
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

    /// The checks that fail.
    fn failed(&self) -> Result<Vec<String>, HostError> {
        let Wanted { deployment, layout, lock, .. } = *self.wanted;
        let Some(user) = self.host.user(account::NAME)? else {
            return Ok(vec![format!("  the user {} is not there", account::NAME)]);
        };
        let owner = Owner { uid: user.uid, gid: user.gid };
        let findings = installation::check(self.host.observe(), deployment, layout, &lock.release.version, owner)?;
        let failed = findings.checks.iter().filter(|check| check.status == Status::Fail);
        Ok(failed.map(|check| format!("  {}: {}", check.name, check.detail)).collect())
    }

    /// Waits, and tells how long it still takes; gives whether somebody wants to keep it now.
    fn pause(&self, next: u64, until: u64, shown: &Shown, stop: &dyn Fn() -> Option<String>) -> Result<bool, String> {
        while self.host.now() < next {
            shown.left(until.saturating_sub(self.host.now()));
            self.host.sleep(Duration::from_secs(1));
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

/// What somebody sees of the trial, and may say to it.
struct Shown<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    keep: Option<Arc<AtomicBool>>,
}

impl<'a> Shown<'a> {
    fn new(trial: &OnTrial<'a>, left: u64) -> Self {
        let front = trial.wanted.deployment.exposure.mode.front();
        let who = front.map_or("GoToSocial serves by itself".to_owned(), |front| format!("{} serves", front.name));
        let screen = trial.screen;
        screen.line(&wrap(
            &format!(
                "All checks pass: {who}. It is watched for {left} s more; if a check fails, everything goes back."
            ),
            0,
        ));
        let around = screen.around();
        let terminal = around.is_own && around.errors.size().is_some() && screen.says(Level::Normal);
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {msg}") {
            bar.set_style(style);
        }
        Self { screen, bar, keep: trial.asks.then(|| listen(Arc::clone(around))) }
    }

    fn left(&self, seconds: u64) {
        let keys = if self.keep.is_some() { "Enter keeps it now, Ctrl-C undoes it" } else { "Ctrl-C undoes it" };
        self.bar.set_message(format!("Watching for {seconds} s more. {keys}"));
        self.bar.tick();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| self.screen.attention(&self.screen.paint(Tone::Caution, text)));
    }

    fn keep(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.load(Ordering::Relaxed))
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Listens for Enter, as long as the program runs: a read from a terminal cannot be called back.
fn listen(around: Arc<Surroundings>) -> Arc<AtomicBool> {
    let keep = Arc::new(AtomicBool::new(false));
    let (told, began) = (Arc::clone(&keep), Instant::now());
    // Without a thread there is no Enter, and the time runs out.
    let _ = std::thread::Builder::new().name("keyboard".into()).spawn(move || {
        // The end of the input, or an error, is a terminal that has gone away: the trial goes on without.
        while let Ok(Some(_)) = around.line() {
            if began.elapsed() >= TYPED_AHEAD {
                told.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    keep
}
