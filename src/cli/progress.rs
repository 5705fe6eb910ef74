//! What people see while changes are made: a line a change, a bar for downloads.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plan_view::kind;
use super::screen::{Level, Screen, Tone};
use crate::change::{Reporter, Step};
use crate::release;

/// Tells the executor's progress on a screen.
pub struct Progress<'a> {
    screen: &'a Screen,
    download: Download,
    /// Seconds of waiting at which a line was last written, where there is no terminal to redraw.
    told: Cell<u64>,
}

impl<'a> Progress<'a> {
    /// Progress on this screen.
    #[must_use]
    pub fn new(screen: &'a Screen) -> Self {
        let quiet = !screen.says(Level::Normal);
        Self { screen, download: Download { quiet, bar: RefCell::new(None) }, told: Cell::new(0) }
    }
}

impl Reporter for Progress<'_> {
    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.told.set(0);
        let width = of.to_string().len();
        self.screen.line(&format!(
            "  [{number:>width$}/{of}] {} {} {}",
            step.action.word(),
            kind(step),
            step.change.target()
        ));
    }

    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        // Every ten seconds, and at once when there is something to read.
        let seconds = elapsed.as_secs();
        if seconds < self.told.get() + 10 {
            return;
        }
        self.told.set(seconds);
        let line = log_line.map(|line| format!(": {line}")).unwrap_or_default();
        self.screen.line(&self.screen.paint(Tone::Dim, &format!("        {what} ({seconds} s){line}")));
    }

    fn note(&self, text: &str) {
        self.screen.line_at(Level::Quiet, &format!("  {} {text}", self.screen.paint(Tone::Caution, "note:")));
    }

    fn undoing(&self, step: &Step) {
        self.screen.line(&format!("  undo {} {}", step.change.kind(), step.change.target()));
    }

    fn password(&self, username: &str, password: &str) {
        self.screen.attention(&format!(
            "\n  {}\n    user name  {username}\n    password   {password}\n  \
             It is shown this once and kept nowhere. It stood on a command line for a moment, where every user\n  \
             of this host could see it: change it at the first login (Settings, Account).\n",
            self.screen.paint(Tone::Heading, "The administrator's account")
        ));
    }

    fn progress(&self) -> &dyn release::Progress {
        &self.download
    }
}

/// A bar on a terminal; without one, a line at the beginning and for each retry.
struct Download {
    quiet: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl release::Progress for Download {
    fn begin(&self, what: &str, total: Option<u64>) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if self.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = if total.is_some() {
            "        {msg}  [{bar:24}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta}"
        } else {
            "        {msg}  {bytes}  {bytes_per_sec}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        *self.bar.borrow_mut() = Some(bar);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar.borrow().as_ref() {
            bar.inc(bytes);
        }
    }

    fn retry(&self, reason: &str, wait: Duration) {
        if let Some(bar) = self.bar.borrow().as_ref() {
            let text = format!("        {reason}; trying again in {} s", wait.as_secs().max(1));
            bar.suspend(|| {
                if !self.quiet {
                    // A terminal that has gone away is no reason to stop half-way.
                    let _ = writeln!(std::io::stderr(), "{text}");
                }
            });
        }
    }

    fn done(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}
