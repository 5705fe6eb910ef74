//! What people read: where it goes, how much of it, and in which colours.

use std::borrow::Cow;
use std::sync::Arc;

use super::global::{Color, Global};
use super::surroundings::{Output, Surroundings};
use super::text::Text;
use crate::error_code::ErrorCode;

/// The fewest columns that a terminal is taken to have. On a narrower one a line cannot be edited sensibly.
const NARROWEST: usize = 20;
/// `$TERM` of terminals that may not be able to move a cursor: ttys(5) gives the last four to lines of unknown type.
const PLAIN: [&str; 6] = ["", "dumb", "unknown", "dialup", "network", "su"];

/// Whether the terminal shows colours, and `NO_COLOR` is not set. DEC's terminals, as which ttys(5) commonly lists serial
/// lines, have no colours.
pub(super) fn has_colors(around: &Surroundings) -> bool {
    let kind = around.variable("TERM");
    around.variable("NO_COLOR").is_empty() && !PLAIN.contains(&kind) && !kind.starts_with("vt")
}

/// Whether the terminal can probably move its cursor.
pub(super) fn moves_cursor(around: &Surroundings) -> bool {
    let is_wide = around.errors.size().is_some_and(|(_, columns)| columns >= NARROWEST);
    is_wide && !PLAIN.contains(&around.variable("TERM"))
}

/// The meaning of a piece of text, as the parameters of the terminal's escape sequence for it.
#[derive(Clone, Copy)]
pub struct Tone(&'static str);

impl Tone {
    /// As it is.
    pub const PLAIN: Self = Self("");
    /// A heading.
    pub const HEADING: Self = Self("1");
    /// As it should be.
    pub const GOOD: Self = Self("32");
    /// Worth a look.
    pub const CAUTION: Self = Self("33");
    /// Wrong.
    pub const BAD: Self = Self("31");
    /// Wrong, and dangerous.
    pub const ALARM: Self = Self("1;37;41");
    /// Less important.
    pub const DIM: Self = Self("2");
}

/// How much a line matters.
#[derive(Clone, Copy)]
pub enum Level {
    /// It needs attention, or is what was asked for: `--quiet` does not hide it.
    Quiet,
    /// As usual.
    Normal,
}

/// Where people read.
#[derive(Clone)]
pub struct Screen {
    color: bool,
    /// What applies to every command.
    pub global: Global,
    /// What surrounds this run.
    pub around: Arc<Surroundings>,
}

impl Screen {
    /// The screen that these arguments ask for. With `--json` people's text goes to standard error.
    pub fn new(global: Global, around: Arc<Surroundings>) -> Self {
        let mut screen = Self { color: false, global, around };
        screen.color = match screen.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => screen.people().size().is_some() && has_colors(&screen.around),
        };
        screen
    }

    /// The same screen without `--quiet`.
    pub fn not_quiet(&self) -> Self {
        let mut screen = self.clone();
        screen.global.quiet = false;
        screen
    }

    /// Whether this level is shown.
    pub fn says(&self, level: Level) -> bool {
        !self.global.quiet || matches!(level, Level::Quiet)
    }

    fn people(&self) -> &Output {
        if self.global.json { &self.around.errors } else { &self.around.output }
    }

    /// A text in its tone.
    pub fn paint<'a>(&self, Tone(parameters): Tone, text: impl Into<Text<'a>>) -> Text<'a> {
        let text = text.into();
        if self.color && !parameters.is_empty() { text.in_tone(parameters) } else { text }
    }

    /// A line of the result, at the usual level.
    pub fn line<'a>(&self, text: impl Into<Text<'a>>) {
        self.line_at(Level::Normal, text);
    }

    /// A line of the result, at a level.
    pub fn line_at<'a>(&self, level: Level, text: impl Into<Text<'a>>) {
        if self.says(level) {
            write_line(self.people(), &text.into());
        }
    }

    /// A line that needs attention: always shown, on standard error.
    pub fn attention<'a>(&self, text: impl Into<Text<'a>>) {
        write_line(&self.around.errors, &text.into());
    }

    /// An error: what happened, why, what to do next, and where to read more.
    pub fn error(&self, code: ErrorCode, text: &str) {
        self.attention(self.paint(Tone::BAD, "gts-bootstrap:") + " " + indented(text));
        self.more(code);
    }

    /// Where to read more.
    pub fn more(&self, code: ErrorCode) {
        self.attention(self.paint(Tone::DIM, format!("  more: gts-bootstrap help {code}")));
    }

    /// A text of several lines, on standard output.
    pub(super) fn print<'a>(&self, text: impl Into<Text<'a>>) {
        // A reader that has gone away (`| head`) is no failure.
        let _ = self.around.output.write(&text.into());
    }

    /// A text for a program, to the byte.
    pub fn print_exact(&self, text: &str) {
        let _ = self.around.output.write_exact(text);
    }
}

/// The indentation of the later lines of a message.
pub(super) const LATER: usize = 4;

/// A message with its later lines indented: a line break may come out of an error or a command's output, and what follows it must
/// not pass for a line of this program.
pub(super) fn indented(message: &str) -> Cow<'_, str> {
    if !message.contains('\n') {
        return Cow::Borrowed(message);
    }
    let pad = |line: &str| if line.trim().is_empty() { String::new() } else { " ".repeat(LATER) + line };
    let lines = message.split('\n').enumerate();
    let lines = lines.map(|(number, line)| if number == 0 { line.to_owned() } else { pad(line) });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// Writes a line. For a terminal it is broken at spaces, as the terminal would break it within words; elsewhere one line is one
/// message. A reader that has gone away is no reason to stop in the middle of a change.
pub(super) fn write_line(to: &Output, text: &Text<'_>) {
    let columns = to.size().map_or(usize::MAX, |(_, columns)| columns.max(NARROWEST));
    let _ = to.write(&(text.fitting(columns) + "\n"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
