//! Text from outside, as people may see it: what a terminal would obey, and what would hide or reorder other text, is written out.
//!
//! A character is written as `\u{1b}`, a byte that is no UTF-8 as `\xff`. Backslashes stay as they are: this is for people, and
//! `--json` has the exact value.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Text of several lines: line feeds and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    written_out(text, |character| !matches!(character, '\n' | '\t') && is_unseen(character))
}

/// A value within a message, such as the name of a file. It stays on its line.
pub trait Shown {
    /// As people may see it.
    fn shown(&self) -> Cow<'_, str>;
}

impl Shown for str {
    fn shown(&self) -> Cow<'_, str> {
        written_out(self, is_unseen)
    }
}

impl Shown for OsStr {
    fn shown(&self) -> Cow<'_, str> {
        if let Some(text) = self.to_str() {
            return text.shown();
        }
        let mut shown = String::new();
        for chunk in self.as_bytes().utf8_chunks() {
            shown += &chunk.valid().shown();
            chunk.invalid().iter().for_each(|byte| shown += &format!("\\x{byte:02x}"));
        }
        Cow::Owned(shown)
    }
}

impl Shown for Path {
    fn shown(&self) -> Cow<'_, str> {
        self.as_os_str().shown()
    }
}

fn written_out(text: &str, is_unseen: impl Fn(char) -> bool) -> Cow<'_, str> {
    // ASCII without controls is by far the most.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(&is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unseen(character) { shown.extend(character.escape_unicode()) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

/// Whether a terminal obeys the character instead of showing it, or it changes how its neighbours are read. The joiners U+200C
/// and U+200D are not among them: words of several languages need them.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // The order of letters and lines.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Without width, and annotations and tags that are not displayed.
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(text("a\tb\nc\r"), "a\tb\nc\\u{d}");
        assert_eq!("a\tb\nc".shown(), "a\\u{9}b\\u{a}c");
        assert_eq!(text("\u{1b}[2J\u{7f}\u{9b}\u{85}"), "\\u{1b}[2J\\u{7f}\\u{9b}\\u{85}");
        assert_eq!(text("\u{202e}gpj.exe\u{2069}\u{61c}"), "\\u{202e}gpj.exe\\u{2069}\\u{61c}");
        assert_eq!(OsStr::from_bytes(b"a\xffb\x1b\xe2\x82").shown(), "a\\xffb\\u{1b}\\xe2\\x82");
        assert_eq!(Path::new("/b\nok").shown(), "/b\\u{a}ok");
    }

    #[test]
    fn what_can_be_shown_is_not_copied() {
        for plain in ["", "plain", "m\u{fc}nchen \u{2014} \u{5d0}\u{5d1}", "a\u{200d}b", "C:\\x"] {
            assert!(matches!(plain.shown(), Cow::Borrowed(_)), "{plain}");
            assert!(matches!(text(plain), Cow::Borrowed(_)), "{plain}");
        }
        assert!(matches!(text("two\n\tlines"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unseen_is_left_and_nothing_else_is_touched(given in "(\\PC|\\pC|[\u{0}-\u{a0}\u{2028}-\u{202e}\n]){0,40}") {
            let (lines, value) = (text(&given), given.shown());
            prop_assert!(!lines.contains(|c: char| is_unseen(c) && c != '\n' && c != '\t'));
            prop_assert!(!value.contains(is_unseen));
            prop_assert_eq!(&*text(&lines), &*lines);
            let seen = |text: &str| text.chars().filter(|c| !is_unseen(*c)).collect::<String>();
            let unseen = given.chars().filter(|c| is_unseen(*c)).map(|c| c.escape_unicode().count()).sum::<usize>();
            prop_assert_eq!(value.chars().count(), seen(&given).chars().count() + unseen);
        }

        #[test]
        fn any_bytes_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(!OsStr::from_bytes(&bytes).shown().contains(is_unseen));
        }
    }
}
