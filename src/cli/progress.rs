//! What people see while changes are made: a line a change, a bar for downloads, a spinner for what takes its time.
//!
//! Bar and spinner are redrawn, so they are for terminals that can move their cursor. Elsewhere plain lines come instead.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt;
use super::screen::{Level, Screen, Tone, moves_cursor};
use crate::change::{Interruption, Operator, Step};
use crate::release;

/// How often a spinner turns by itself.
const TURN: Duration = Duration::from_millis(150);
/// How often a plain line tells that something still goes on, in seconds.
const PLAIN_INTERVAL: u64 = 10;

/// Tells the executor's progress on a screen.
pub struct Progress<'a> {
    screen: &'a Screen,
    download: Download<'a>,
    waiting: Waiting<'a>,
}

impl<'a> Progress<'a> {
    /// Progress on this screen.
    pub fn new(screen: &'a Screen) -> Self {
        Self { screen, download: Download { screen, bar: RefCell::default() }, waiting: Waiting::new(screen) }
    }

    /// Does something that needs the screen for itself, as asking a question does.
    fn aside<T>(&self, what: impl FnOnce() -> T) -> T {
        self.waiting.end();
        // Not borrowed meanwhile: whatever is said ends with this bar, too.
        let bar = self.download.bar.borrow().clone();
        match bar {
            Some(bar) => bar.suspend(what),
            None => what(),
        }
    }
}

impl Operator for Progress<'_> {
    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        self.waiting.tell(what, elapsed, log_line);
    }

    fn note(&self, text: &str) {
        self.waiting.end();
        self.screen.line_at(Level::Quiet, &format!("  {} {text}", self.screen.paint(Tone::Caution, "note:")));
    }

    fn password(&self, username: &str, password: &str) {
        self.waiting.end();
        self.screen.attention(&format!(
            "\n  {}\n    user name  {username}\n    password   {password}\n  \
             It is stored nowhere. It was on a command line for a moment, where\n  \
             every user of this host could see it: change it at the first login\n  \
             (Settings, Account).\n",
            self.screen.paint(Tone::Heading, "The administrator's account")
        ));
    }

    fn interrupted(&self) -> Interruption {
        let around = self.screen.around();
        // It is asked at a terminal, after Ctrl-C, and only if `--on-interrupt` has not said it.
        match self.screen.on_interrupt() {
            Some(said) => said.into(),
            None if around.can_ask() && around.signals.only_ctrl_c() => self.aside(|| interrupt::ask(self.screen)),
            None => Interruption::Undo,
        }
    }

    fn progress(&self) -> &dyn release::Progress {
        &self.download
    }

    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.waiting.end();
        let width = of.to_string().len();
        self.screen.line(&format!(
            "  [{number:>width$}/{of}] {} {} {}",
            step.action,
            step.change.kind().noun(),
            step.change.kind().target()
        ));
    }

    fn done(&self, _: &Step) {
        self.waiting.end();
    }

    fn undoing(&self, step: &Step) {
        self.waiting.end();
        // A download that failed leaves its bar.
        if let Some(bar) = self.download.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
        self.screen.line(&format!("  undo {} {}", step.change.kind().name(), step.change.kind().target()));
    }
}

/// Something that takes its time: a spinner with the time and the newest line of the log, or now and then a plain line.
#[must_use = "it ends when it is dropped"]
struct Waiting<'a> {
    screen: &'a Screen,
    spinner: RefCell<Option<ProgressBar>>,
    /// Seconds of waiting at which a line was last written, where nothing can be redrawn.
    told: Cell<u64>,
}

impl<'a> Waiting<'a> {
    fn new(screen: &'a Screen) -> Self {
        Self { screen, spinner: RefCell::default(), told: Cell::new(0) }
    }

    fn tell(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        if !self.screen.says(Level::Normal) {
            return;
        }
        if moves_cursor(self.screen.around()) {
            let mut spinner = self.spinner.borrow_mut();
            let spinner = spinner.get_or_insert_with(|| spinning(elapsed));
            spinner.set_message(waiting_text(what, log_line));
            return;
        }
        let seconds = elapsed.as_secs();
        if seconds >= self.told.get() + PLAIN_INTERVAL {
            self.told.set(seconds);
            let text = waiting_text(&format!("{what} ({seconds} s)"), log_line);
            self.screen.line(&self.screen.paint(Tone::Dim, &format!("        {text}")));
        }
    }

    fn end(&self) {
        self.told.set(0);
        if let Some(spinner) = self.spinner.borrow_mut().take() {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Waiting<'_> {
    /// A failure leaves no half-drawn line.
    fn drop(&mut self) {
        self.end();
    }
}

/// A spinner that has been turning for this long.
fn spinning(elapsed: Duration) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(elapsed);
    if let Ok(style) = ProgressStyle::with_template("        {spinner} {elapsed}  {wide_msg}") {
        // The last one is for the end, which is never shown.
        spinner.set_style(style.tick_chars("|/-\\ "));
    }
    spinner.enable_steady_tick(TURN);
    spinner
}

/// What is waited for, and the newest line of the log; without anything that a terminal would obey.
fn waiting_text(what: &str, log_line: Option<&str>) -> String {
    let line = log_line.map(str::trim).filter(|line| !line.is_empty()).map(|line| format!(": {line}"));
    format!("{what}{}", line.unwrap_or_default()).chars().filter(|character| !character.is_control()).collect()
}

/// A bar with bytes, speed and remaining time; where it cannot be drawn, a line at the beginning and at the end.
struct Download<'a> {
    screen: &'a Screen,
    bar: RefCell<Option<ProgressBar>>,
}

impl Download<'_> {
    fn plain(&self, text: &str) {
        self.screen.line(&format!("        {text}"));
    }
}

impl release::Progress for Download<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        if !self.screen.says(Level::Normal) {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if !moves_cursor(self.screen.around()) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            self.plain(&match total {
                Some(total) => format!("downloading {what}, {}", HumanBytes(total)),
                None => format!("downloading {what}"),
            });
        }
        let template = if total.is_some() {
            "        [{bar:20}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}"
        } else {
            "        {bytes}  {bytes_per_sec}  {wide_msg}"
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
        if !self.screen.says(Level::Normal) {
            return;
        }
        let text = format!("        {reason}; trying again in {} s", wait.as_secs().max(1));
        match self.bar.borrow().as_ref() {
            Some(bar) => bar.suspend(|| self.screen.attention(&text)),
            // The list of releases or the checksums: no download has begun.
            None => self.screen.attention(&text),
        }
    }

    fn resumes(&self, bytes: u64) {
        if !self.screen.says(Level::Normal) {
            return;
        }
        let text = format!("{} of it are there from an interrupted run", HumanBytes(bytes));
        match self.bar.borrow().as_ref() {
            Some(bar) => bar.suspend(|| self.plain(&text)),
            None => self.plain(&text),
        }
    }

    fn done(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            let hidden = bar.is_hidden();
            let (bytes, time) = (bar.position(), bar.elapsed());
            bar.finish_and_clear();
            // Of what was there in a moment it has been said that it was begun.
            if hidden && time >= Duration::from_secs(PLAIN_INTERVAL) {
                self.plain(&format!("{} in {} s", HumanBytes(bytes), time.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_cannot_speak_to_the_terminal() {
        assert_eq!(waiting_text("starting", Some("\u{1b}[2Jdone\r\n")), "starting: [2Jdone");
        assert_eq!(waiting_text("starting", Some("  ")), "starting");
        assert_eq!(waiting_text("starting", None), "starting");
    }
}
