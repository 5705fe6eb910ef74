//! Text for a screen. The type keeps apart what is said, which may come from anywhere, and what a terminal obeys, which comes from
//! here alone: every way into it writes out what cannot be seen, and only `Text::in_tone` adds an escape sequence, afterwards.
//!
//! It has no `Display`, so that it cannot get into a string, from where it would be written out.

use std::borrow::Cow;
use std::ops::{Add, AddAssign};

use dialoguer::console::measure_text_width;

use super::wrap;
use crate::shown;

/// A text as a terminal may get it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// In a tone: the parameters of the terminal's escape sequence for it.
    pub(super) fn in_tone(self, parameters: &'static str) -> Self {
        Self(Cow::Owned(format!("\x1b[{parameters}m{}\x1b[0m", self.0)))
    }

    /// What clap says, of arguments that can be seen: its own escape sequences stay, which are for colours.
    pub(super) fn of_clap(said: &str) -> Text<'static> {
        let mut text = String::new();
        for (number, piece) in said.split("\x1b[").enumerate() {
            let end = piece.find(|character: char| character != ';' && !character.is_ascii_digit());
            let (parameters, piece) = match end.filter(|end| number > 0 && piece[*end..].starts_with('m')) {
                Some(end) => piece.split_at(end + 1),
                None => ("", piece),
            };
            text += match (number, parameters) {
                (0, _) => "",
                (_, "") => "\\u{1b}[",
                _ => "\x1b[",
            };
            text += parameters;
            text += &shown::text(piece);
        }
        Text(Cow::Owned(text))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is written, for good.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// Its columns.
    pub(super) fn width(&self) -> usize {
        measure_text_width(&self.0)
    }

    /// Its lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = Text<'_>> {
        self.0.split('\n').map(|line| Text(Cow::Borrowed(line)))
    }

    /// Broken at spaces, as [`wrap::broken`] does it.
    pub(super) fn broken(&self, width: usize, begin: usize, indent: usize) -> Text<'static> {
        Text(Cow::Owned(wrap::broken(&self.0, width, begin, indent)))
    }

    /// Without blanks at its end.
    pub(super) fn trim_end(&self) -> Text<'_> {
        Text(Cow::Borrowed(self.0.trim_end()))
    }

    /// In lines of at most `width` columns as far as their words allow it. Continued lines are indented by two more columns.
    pub(super) fn fitting(&self, width: usize) -> Text<'_> {
        if self.lines().all(|line| line.width() <= width) {
            return Text(Cow::Borrowed(&self.0));
        }
        let lines = self.0.split('\n').map(|line| {
            let words = line.trim_start_matches(' ');
            let indent = line.len() - words.len();
            format!("{}{}", " ".repeat(indent), wrap::broken(words, width, indent, indent + 2))
        });
        Text(Cow::Owned(lines.collect::<Vec<_>>().join("\n")))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(said: &'a str) -> Self {
        Self(shown::text(said))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(said: &'a String) -> Self {
        Self::from(said.as_str())
    }
}

impl From<String> for Text<'_> {
    fn from(said: String) -> Self {
        match shown::text(&said) {
            Cow::Owned(shown) => Self(Cow::Owned(shown)),
            Cow::Borrowed(_) => Self(Cow::Owned(said)),
        }
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(said: Cow<'a, str>) -> Self {
        match said {
            Cow::Borrowed(said) => said.into(),
            Cow::Owned(said) => said.into(),
        }
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'a> From<&'a Text<'_>> for Text<'a> {
    fn from(text: &'a Text<'_>) -> Self {
        Self(Cow::Borrowed(&text.0))
    }
}

impl<'a, T: Into<Text<'a>>> AddAssign<T> for Text<'_> {
    fn add_assign(&mut self, more: T) {
        self.0.to_mut().push_str(&more.into().0);
    }
}

impl<'a, T: Into<Text<'a>>> Add<T> for Text<'_> {
    type Output = Self;

    fn add(mut self, more: T) -> Self {
        self += more;
        self
    }
}

impl Add<Text<'_>> for &str {
    type Output = Text<'static>;

    fn add(self, more: Text<'_>) -> Text<'static> {
        Text::from(self).into_owned() + more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_at_blanks_only_and_only_if_it_is_too_long() {
        let broken = |text: &str, width| Text::from(text).fitting(width).into_owned();
        assert_eq!(broken("  short\n\nlines\n", 20).as_str(), "  short\n\nlines\n");
        assert_eq!(broken("  one two three four", 13).as_str(), "  one two\n    three\n    four");
        assert_eq!(broken("first\n    second is longer", 15).as_str(), "first\n    second is\n      longer");
        assert_eq!(broken("/a/path/that/is/too/long and more", 12).as_str(), "/a/path/that/is/too/long\n  and more");
        assert_eq!(broken("  a    b", 80).as_str(), "  a    b");
        let red = Text::from("red").in_tone("31") + " and plain";
        assert_eq!(red.fitting(14).as_str(), "\u{1b}[31mred\u{1b}[0m and plain");
    }

    #[test]
    fn colours_are_added_and_not_taken_from_the_text() {
        let text = "a\u{1b}[31m" + Text::from("b\u{9b}m").in_tone("32") + String::from("\u{7}c") + "\r";
        assert_eq!(text.as_str(), "a\\u{1b}[31m\u{1b}[32mb\\u{9b}m\u{1b}[0m\\u{7}c\\u{d}");
    }

    #[test]
    fn of_what_clap_says_only_colours_stay() {
        let said = "\x1b[1m\x1b[31merror:\x1b[0m '\u{9b}x' \x1b[2J\x1b]0;t\u{7}\x1b[1\x1b";
        let kept = "\x1b[1m\x1b[31merror:\x1b[0m '\\u{9b}x' \\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{1b}[1\\u{1b}";
        assert_eq!(Text::of_clap(said), kept);
    }

    #[test]
    fn what_can_be_shown_is_not_copied() {
        let said = String::from("plain\n\ttext");
        let (place, text) = (said.as_ptr(), Text::from(&said));
        assert_eq!((text.as_str().as_ptr(), text.fitting(80).as_str().as_ptr()), (place, place));
        assert_eq!(Text::from(said).as_str().as_ptr(), place);
    }
}
