//! What people see while changes are made: a line for each change, a bar for downloads, a spinner for what takes long, and the
//! trial of a switch.
//!
//! Bar and spinner are redrawn, so they are for terminals that can move their cursor. Elsewhere plain lines appear instead.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::dialogue::conversation::Console;
use super::global::OnInterrupt;
use super::report::wrap;
use super::screen::{Level, Screen, Tone, indented, moves_cursor};
use super::surroundings::Surroundings;
use crate::change::{Interruption, Operator, Step};
use crate::deployment::Mode;
use crate::release;
use crate::run::TrialView;
use crate::shown::Shown;

/// How often a spinner turns on its own.
const TURN: Duration = Duration::from_millis(150);
/// How often a plain line reports that something still continues, in seconds.
const PLAIN_INTERVAL: u64 = 10;
/// How often the question what becomes of an interrupted run is repeated if the answer is none of its letters.
const QUESTIONS: u32 = 3;
/// A line that arrives sooner was typed before the user could read what it would mean.
const TYPED_AHEAD: Duration = Duration::from_millis(200);

/// The executor's progress on a screen.
#[must_use = "it ends when it is dropped"]
pub struct Progress<'a> {
    screen: &'a Screen,
    /// A download.
    bar: RefCell<Option<ProgressBar>>,
    /// Something that is waited for.
    spinner: RefCell<Option<ProgressBar>>,
    /// After how many seconds of waiting a line was last written, where nothing can be redrawn.
    told: Cell<u64>,
}

impl<'a> Progress<'a> {
    /// Progress on this screen.
    pub fn new(screen: &'a Screen) -> Self {
        Self { screen, bar: RefCell::default(), spinner: RefCell::default(), told: Cell::default() }
    }

    fn plain(&self, text: &str) {
        self.screen.line(format!("        {text}"));
    }

    fn end_waiting(&self) {
        self.told.set(0);
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    /// Does something that needs the screen for itself, such as asking a question.
    fn aside<T>(&self, what: impl FnOnce() -> T) -> T {
        // Not borrowed meanwhile, as what happens then may end the bar.
        let bar = self.bar.borrow().clone();
        match bar {
            Some(bar) => bar.suspend(what),
            None => what(),
        }
    }

    /// Asks what becomes of an interrupted run. Without an answer, and after another Ctrl-C, it is undone.
    fn ask(&self) -> Interruption {
        let mut console: &Surroundings = &self.screen.around;
        for _ in 0..QUESTIONS {
            let question = "Interrupted. [u]ndo what was done, [k]eep it for the next run, [c]ontinue";
            match console.word(question, None).as_deref() {
                Ok("u" | "undo") | Err(_) => return Interruption::Undo,
                Ok("k" | "keep") => return Interruption::Keep,
                Ok("c" | "continue") => return Interruption::Continue,
                Ok(_) => self.screen.line("Please type u, k or c."),
            }
        }
        Interruption::Undo
    }
}

impl Drop for Progress<'_> {
    /// A failure leaves no half-drawn line.
    fn drop(&mut self) {
        self.end_waiting();
    }
}

impl Operator for Progress<'_> {
    fn waiting(&self, what: &str, elapsed: Duration, log_line: Option<&str>) {
        let seconds = elapsed.as_secs();
        if !self.screen.says(Level::Normal) {
            return;
        }
        if moves_cursor(&self.screen.around) {
            let mut spinner = self.spinner.borrow_mut();
            spinner.get_or_insert_with(|| spinning(elapsed)).set_message(waiting_text(what, log_line));
        } else if seconds >= self.told.get() + PLAIN_INTERVAL {
            self.told.set(seconds);
            let text = waiting_text(&format!("{what} ({seconds} s)"), log_line);
            self.screen.line(self.screen.paint(Tone::DIM, format!("        {text}")));
        }
    }

    fn note(&self, text: &str) {
        self.end_waiting();
        let note = self.screen.paint(Tone::CAUTION, "note:");
        self.screen.line_at(Level::Quiet, "  " + note + " " + indented(text));
    }

    fn password(&self, username: &str, password: &str, exposed: Option<&str>) {
        self.end_waiting();
        let heading = self.screen.paint(Tone::HEADING, "The administrator's account");
        let told = match exposed {
            None => "It is stored nowhere. The one that stood on a command line for a moment is not valid any more."
                .to_owned(),
            Some(why) => format!(
                "It is stored nowhere. It was on a command line for a moment, where\n\
                 every user of this host could see it: change it at the first login\n\
                 (Settings, Account). It could not be replaced: {why}."
            ),
        };
        let account = format!("\n    user name  {username}\n    password   {password}\n  {}\n", wrap(&told, 2));
        self.screen.attention("\n  " + heading + account);
    }

    fn interrupted(&self) -> Interruption {
        let around = &self.screen.around;
        match self.screen.global.on_interrupt {
            Some(OnInterrupt::Keep) => Interruption::Keep,
            None if around.can_ask() && around.signals.only_ctrl_c() => {
                self.end_waiting();
                self.aside(|| self.ask())
            }
            _ => Interruption::Undo,
        }
    }

    fn progress(&self) -> &dyn release::Progress {
        self
    }

    fn begin(&self, number: usize, of: usize, step: &Step) {
        self.end_waiting();
        let (width, kind) = (of.to_string().len(), step.change.kind());
        let what = format!("{} {} {}", step.action, kind.noun(), kind.target().shown());
        self.screen.line(format!("  [{number:>width$}/{of}] {what}"));
    }

    fn done(&self, _: &Step) {
        self.end_waiting();
    }

    fn undoing(&self, step: &Step) {
        self.end_waiting();
        // A download that failed leaves its bar.
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let kind = step.change.kind();
        self.screen.line(format!("  undo {} {}", kind.name(), kind.target().shown()));
    }
}

/// Bytes, speed and remaining time; where a bar cannot be drawn, a line at the beginning and, after a long download, one at the end.
impl release::Progress for Progress<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        if !self.screen.says(Level::Normal) {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if !moves_cursor(&self.screen.around) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            let size = total.map(|total| format!(", {}", HumanBytes(total))).unwrap_or_default();
            self.plain(&format!("downloading {}{size}", what.shown()));
        }
        let template = if total.is_some() {
            "        [{bar:20}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}"
        } else {
            "        {bytes}  {bytes_per_sec}  {wide_msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.shown().into_owned());
        self.bar.replace(Some(bar));
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar.borrow().as_ref() {
            bar.inc(bytes);
        }
    }

    fn retry(&self, reason: &str, wait: Duration) {
        if self.screen.says(Level::Normal) {
            let text = format!("        {}; trying again in {} s", reason.shown(), wait.as_secs().max(1));
            self.aside(|| self.screen.attention(&text));
        }
    }

    fn resumes(&self, bytes: u64) {
        self.aside(|| self.plain(&format!("{} of it are there from an interrupted run", HumanBytes(bytes))));
    }

    fn done(&self) {
        let Some(bar) = self.bar.take() else { return };
        let (is_hidden, bytes, time) = (bar.is_hidden(), HumanBytes(bar.position()), bar.elapsed());
        bar.finish_and_clear();
        // The line at the beginning is enough for a short download.
        if is_hidden && time >= Duration::from_secs(PLAIN_INTERVAL) {
            self.plain(&format!("{bytes} in {} s", time.as_secs()));
        }
    }
}

/// A spinner that has been turning for this long.
fn spinning(elapsed: Duration) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(elapsed);
    if let Ok(style) = ProgressStyle::with_template("        {spinner} {elapsed}  {wide_msg}") {
        // The last character is for the end, which is never shown.
        spinner.set_style(style.tick_chars("|/-\\ "));
    }
    spinner.enable_steady_tick(TURN);
    spinner
}

/// What is waited for, and the newest line of the log, in one line.
fn waiting_text(what: &str, log_line: Option<&str>) -> String {
    let line = log_line.map(str::trim).filter(|line| !line.is_empty()).map(|line| format!(": {line}"));
    format!("{what}{}", line.unwrap_or_default()).shown().into_owned()
}

/// A switch on trial, which the user may end.
#[must_use = "it ends when it is dropped"]
pub(super) struct Trial<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    keep: Option<Arc<AtomicBool>>,
}

impl<'a> Trial<'a> {
    /// Shows that the trial has begun. With `can_keep` it listens for Enter.
    pub(super) fn new(screen: &'a Screen, mode: Mode, left: u64, can_keep: bool) -> Self {
        let who = match mode.front() {
            None => "GoToSocial serves by itself".to_owned(),
            Some(front) => format!("{} serves", front.name),
        };
        let begun =
            format!("All checks pass: {who}. It is watched for {left} s more; if a check fails, everything is undone.");
        screen.line(wrap(&begun, 0));
        let around = &screen.around;
        let is_seen = around.errors.size().is_some() && screen.says(Level::Normal);
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {msg}") {
            bar.set_style(style);
        }
        Self { screen, bar, keep: can_keep.then(|| listen(Arc::clone(around))) }
    }
}

impl TrialView for Trial<'_> {
    fn left(&self, seconds: u64) {
        let keys = if self.keep.is_some() { "Enter keeps it now, Ctrl-C undoes it" } else { "Ctrl-C undoes it" };
        self.bar.set_message(format!("Watching for {seconds} s more. {keys}"));
        self.bar.tick();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| self.screen.attention(self.screen.paint(Tone::CAUTION, indented(text))));
    }

    fn keep(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.load(Ordering::Relaxed))
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Listens for Enter as long as the program runs: a read from a terminal cannot be cancelled.
fn listen(around: Arc<Surroundings>) -> Arc<AtomicBool> {
    let keep = Arc::new(AtomicBool::new(false));
    let (told, began) = (Arc::clone(&keep), Instant::now());
    // Without a thread there is no Enter, and the time runs out.
    let _ = std::thread::Builder::new().name("keyboard".into()).spawn(move || {
        // After the end of the input or an error, the terminal has gone away; the trial continues without it.
        while let Ok(Some(_)) = around.line() {
            if began.elapsed() >= TYPED_AHEAD {
                told.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_cannot_speak_to_the_terminal() {
        assert_eq!(waiting_text("starting", Some("\u{1b}[2Jdone\r\n")), "starting: \\u{1b}[2Jdone");
        assert_eq!(waiting_text("starting", Some("  ")), "starting");
        assert_eq!(waiting_text("starting", None), "starting");
    }
}
