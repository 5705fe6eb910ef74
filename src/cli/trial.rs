//! A switch on trial, as somebody sees it and may end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::wrap;
use super::screen::{Level, Screen, Tone};
use super::surroundings::Surroundings;
use crate::deployment::Mode;
use crate::run::TrialView;

/// A line that comes sooner was typed before anybody could read what it would mean.
const TYPED_AHEAD: Duration = Duration::from_millis(200);

/// What somebody sees of the trial, and may say to it.
#[must_use = "it ends when it is dropped"]
pub(super) struct Shown<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    keep: Option<Arc<AtomicBool>>,
}

impl<'a> Shown<'a> {
    /// Tells that it has begun. With `can_keep` it listens for Enter.
    pub(super) fn new(screen: &'a Screen, mode: Mode, left: u64, can_keep: bool) -> Self {
        let front = mode.front();
        let who = front.map_or("GoToSocial serves by itself".to_owned(), |front| format!("{} serves", front.name));
        screen.line(&wrap(
            &format!(
                "All checks pass: {who}. It is watched for {left} s more; if a check fails, everything is undone."
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
        Self { screen, bar, keep: can_keep.then(|| listen(Arc::clone(around))) }
    }
}

impl TrialView for Shown<'_> {
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
