//! What people read: where it goes, how much of it, and in which colours.

use std::borrow::Cow;
use std::sync::Arc;

use dialoguer::console::measure_text_width;

use super::global::{Color, Global, OnInterrupt};
use super::surroundings::{Output, Surroundings};
use super::wrap;
use crate::error_code::ErrorCode;

/// Columns that a terminal is taken to have at least, and below which a line cannot be edited sensibly.
const NARROWEST: usize = 20;
/// `$TERM` of terminals that are not known to move a cursor: ttys(5) gives the last four to lines of unknown type.
const PLAIN: [&str; 6] = ["", "dumb", "unknown", "dialup", "network", "su"];

/// Whether a terminal of this type (`$TERM`, empty where there is none) shows colours, and nobody has asked for none. DEC's
/// terminals, as which serial lines are commonly entered in ttys(5), have none.
pub(super) fn has_colors(around: &Surroundings) -> bool {
    let kind = around.variable("TERM");
    around.variable("NO_COLOR").is_empty() && !PLAIN.contains(&kind) && !kind.starts_with("vt")
}

/// Whether the terminal can move its cursor, as far as that can be known.
pub(super) fn moves_cursor(around: &Surroundings) -> bool {
    let is_wide = around.errors.size().is_some_and(|(_, columns)| columns >= NARROWEST);
    around.is_own && is_wide && !PLAIN.contains(&around.variable("TERM"))
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Worth a look.
    Caution,
    /// Wrong.
    Bad,
    /// Wrong, and dangerous.
    Alarm,
    /// Less important.
    Dim,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Good => Some("32"),
            Self::Caution => Some("33"),
            Self::Bad => Some("31"),
            Self::Alarm => Some("1;37;41"),
            Self::Dim => Some("2"),
        }
    }
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only what needs attention.
    Quiet,
    /// The usual.
    Normal,
    /// Everything.
    Verbose,
}

/// Where people read.
#[derive(Clone)]
pub struct Screen {
    level: Level,
    color: bool,
    json: bool,
    on_interrupt: Option<OnInterrupt>,
    around: Arc<Surroundings>,
}

impl Screen {
    /// The screen that these arguments ask for. With `--json` people's text goes to standard error.
    pub fn new(global: &Global, around: &Arc<Surroundings>) -> Self {
        let people = if global.json { &around.errors } else { &around.output };
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => people.size().is_some() && has_colors(around),
        };
        let level = if global.quiet {
            Level::Quiet
        } else if global.verbose {
            Level::Verbose
        } else {
            Level::Normal
        };
        Self { level, color, json: global.json, on_interrupt: global.on_interrupt, around: Arc::clone(around) }
    }

    /// The same screen, but saying at least the usual.
    pub fn not_quiet(&self) -> Self {
        Self { level: self.level.max(Level::Normal), ..self.clone() }
    }

    /// Whether this level is said.
    pub fn says(&self, level: Level) -> bool {
        self.level >= level
    }

    /// Whether standard output is for `--json`.
    pub fn json(&self) -> bool {
        self.json
    }

    /// What whoever reads here wants done when the run is interrupted, if that was said.
    pub fn on_interrupt(&self) -> Option<OnInterrupt> {
        self.on_interrupt
    }

    /// A text in its tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.color => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// A line of the result, at the usual level.
    pub fn line(&self, text: &str) {
        self.line_at(Level::Normal, text);
    }

    /// A line of the result, at a level.
    pub fn line_at(&self, level: Level, text: &str) {
        if !self.says(level) {
            return;
        }
        write_line(if self.json { &*self.around.errors } else { &*self.around.output }, text);
    }

    /// A line that needs attention: always said, on standard error.
    pub fn attention(&self, text: &str) {
        write_line(&*self.around.errors, text);
    }

    /// An error: what happened, to what, why, and what to do next; and where more is said.
    pub fn error(&self, code: ErrorCode, text: &str) {
        self.attention(&format!("{} {text}", self.paint(Tone::Bad, "gts-bootstrap:")));
        self.more(code);
    }

    /// Where more is said.
    pub fn more(&self, code: ErrorCode) {
        self.attention(&self.paint(Tone::Dim, &format!("  more: gts-bootstrap help {code}")));
    }

    /// The one JSON object, on standard output.
    pub fn print_json(&self, object: &serde_json::Value) {
        self.print(&format!("{object}\n"));
    }

    /// A text as it is, on standard output.
    pub fn print(&self, text: &str) {
        // A reader that has gone away (`| head`) is no failure.
        let _ = self.around.output.write(text.as_bytes());
    }

    /// What surrounds this run.
    pub fn around(&self) -> &Arc<Surroundings> {
        &self.around
    }
}

/// Writes a line, broken as the terminal needs it. A reader that has gone away is no reason to stop half-way through a change.
pub(super) fn write_line(to: &dyn Output, text: &str) {
    let _ = to.write(format!("{}\n", fitted(to, text)).as_bytes());
}

/// The text as it goes to a terminal: what is longer than a line is broken at blanks, and not in the midst of a word by the
/// terminal. Elsewhere one line is one message.
fn fitted<'a>(to: &dyn Output, text: &'a str) -> Cow<'a, str> {
    match to.size() {
        Some((_, columns)) => broken(text, columns.max(NARROWEST)),
        None => Cow::Borrowed(text),
    }
}

/// Lines of at most `width` columns as far as their words allow it, those that go on two columns deeper than they began.
fn broken(text: &str, width: usize) -> Cow<'_, str> {
    if text.lines().all(|line| measure_text_width(line) <= width) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| {
        let words = line.trim_start_matches(' ');
        let indent = line.len() - words.len();
        format!("{}{}", " ".repeat(indent), wrap::broken(words, width, indent, indent + 2))
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_at_blanks_only_and_only_if_it_is_too_long() {
        assert!(matches!(broken("  short\n\nlines\n", 20), Cow::Borrowed(_)));
        assert_eq!(broken("  one two three four", 13), "  one two\n    three\n    four");
        assert_eq!(broken("first\n    second is longer", 15), "first\n    second is\n      longer");
        assert_eq!(broken("/a/path/that/is/too/long and more", 12), "/a/path/that/is/too/long\n  and more");
        assert_eq!(broken("\u{1b}[31mred\u{1b}[0m and plain", 14), "\u{1b}[31mred\u{1b}[0m and plain");
        assert_eq!(broken("  a    b", 80), "  a    b");
    }
}
