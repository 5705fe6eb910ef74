//! What people read: where it goes, how much of it, and in which colours.

use std::sync::Arc;

use dialoguer::console::measure_text_width;

use super::global::{Color, Global};
use super::surroundings::{Output, Surroundings};
use super::wrap;
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
    pub fn paint(&self, Tone(parameters): Tone, text: &str) -> String {
        if self.color && !parameters.is_empty() { format!("\x1b[{parameters}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line of the result, at the usual level.
    pub fn line(&self, text: &str) {
        self.line_at(Level::Normal, text);
    }

    /// A line of the result, at a level.
    pub fn line_at(&self, level: Level, text: &str) {
        if self.says(level) {
            write_line(self.people(), text);
        }
    }

    /// A line that needs attention: always shown, on standard error.
    pub fn attention(&self, text: &str) {
        write_line(&self.around.errors, text);
    }

    /// An error: what happened, why, what to do next, and where to read more.
    pub fn error(&self, code: ErrorCode, text: &str) {
        self.attention(&format!("{} {text}", self.paint(Tone::BAD, "gts-bootstrap:")));
        self.more(code);
    }

    /// Where to read more.
    pub fn more(&self, code: ErrorCode) {
        self.attention(&self.paint(Tone::DIM, &format!("  more: gts-bootstrap help {code}")));
    }

    /// A text as it is, on standard output.
    pub fn print(&self, text: &str) {
        // A reader that has gone away (`| head`) is no failure.
        let _ = self.around.output.write(text);
    }
}

/// Writes a line. For a terminal it is broken at spaces, as the terminal would break it within words; elsewhere one line is one
/// message. A reader that has gone away is no reason to stop in the middle of a change.
pub(super) fn write_line(to: &Output, text: &str) {
    let columns = to.size().map_or(usize::MAX, |(_, columns)| columns.max(NARROWEST));
    let _ = to.write(&(broken(text, columns) + "\n"));
}

/// Lines of at most `width` columns as far as their words allow it. Continued lines are indented by two more columns.
fn broken(text: &str, width: usize) -> String {
    if text.lines().all(|line| measure_text_width(line) <= width) {
        return text.to_owned();
    }
    let lines = text.split('\n').map(|line| {
        let words = line.trim_start_matches(' ');
        let indent = line.len() - words.len();
        format!("{}{}", " ".repeat(indent), wrap::broken(words, width, indent, indent + 2))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_at_blanks_only_and_only_if_it_is_too_long() {
        assert_eq!(broken("  short\n\nlines\n", 20), "  short\n\nlines\n");
        assert_eq!(broken("  one two three four", 13), "  one two\n    three\n    four");
        assert_eq!(broken("first\n    second is longer", 15), "first\n    second is\n      longer");
        assert_eq!(broken("/a/path/that/is/too/long and more", 12), "/a/path/that/is/too/long\n  and more");
        assert_eq!(broken("\u{1b}[31mred\u{1b}[0m and plain", 14), "\u{1b}[31mred\u{1b}[0m and plain");
        assert_eq!(broken("  a    b", 80), "  a    b");
    }
}
