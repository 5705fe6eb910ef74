//! A file of one assignment a line, as sysctl.conf(5) and loader.conf(5) are: one reader and one editor of lines for both.
//!
//! Works on bytes: an old comment in Latin-1 is no reason to refuse a file, and every line that is not ours must survive
//! byte for byte. A carriage return is a blank to both readers, so CRLF files work too; a line that is appended ends in a
//! plain newline.

use std::ops::Range;

use super::sysctl_conf::LINE_LIMIT;

/// What distinguishes such a file from another.
pub struct ConfFile {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// The longest line that its reader takes whole, in bytes, without the newline. It takes the rest for another line.
    pub(super) limit: usize,
    /// What makes a line or a piece of one an assignment.
    pub(super) read: fn(&[u8]) -> Option<Found<'_>>,
    /// The value as it is written.
    pub(super) quoted: fn(&str) -> String,
    /// Whether a name can be set, and the rule in words.
    pub(super) names: (fn(&str) -> bool, &'static str),
    /// Which printable characters a value may not have, and the same in words.
    pub(super) forbidden: (fn(&str) -> bool, &'static str),
}

/// The name and the value of an assignment, and where the value as it is written stands in the line: `None` if something
/// else may have become a part of it, so that it is not to be replaced.
pub(super) type Found<'a> = (&'a [u8], Vec<u8>, Option<Range<usize>>);

/// One assignment of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which line of the file, counted from 1.
    pub line: usize,
    /// The length of that line in bytes, without the newline.
    pub length: usize,
    /// The name of the variable.
    pub name: String,
    /// The value, as [`ConfFile::get`] gives it.
    pub value: String,
    /// Where the value stands in the text, see [`Found`].
    span: Option<Range<usize>>,
}

/// Why a variable cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfFileError {
    /// Not a name that the file's reader would take for one.
    #[error("“{name}” cannot be set in {file}: a name {rule}.")]
    Name {
        /// The name as it was given.
        name: String,
        /// The file.
        file: &'static str,
        /// What a name is.
        rule: &'static str,
    },
    /// A value that would not be read back as it was meant.
    #[error(
        "The value “{value}” of {name} cannot be written to {file}: it may hold printable ASCII characters except {rule}."
    )]
    Value {
        /// The variable.
        name: String,
        /// The value as it was given.
        value: String,
        /// The file.
        file: &'static str,
        /// What is forbidden.
        rule: &'static str,
    },
    /// The line to be written would be cut.
    #[error(
        "The line for {name} in sysctl.conf would be {length} bytes long, and sysctl(8) reads {LINE_LIMIT}: the rest would be silently truncated. Shorten the value, or the comment after it."
    )]
    LineTooLong {
        /// The variable.
        name: String,
        /// The length that the line would have, in bytes.
        length: usize,
    },
    /// The line that is there is cut already.
    #[error(
        "Line {line} of sysctl.conf sets {name} and is {length} bytes long, but sysctl(8) reads {LINE_LIMIT} and takes the rest for another line. Correct it by hand, then try again."
    )]
    ExistingLineTooLong {
        /// The variable.
        name: String,
        /// Which line of the file, counted from 1.
        line: usize,
        /// Its length, in bytes.
        length: usize,
    },
}

impl ConfFile {
    /// Every assignment of the text, in the order in which the file's reader acts on them.
    pub fn settings(&self, text: &[u8]) -> Vec<Setting> {
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut settings = Vec::new();
        let mut start = 0;
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let mut at = start;
            for piece in line.chunks(self.limit) {
                settings.extend((self.read)(piece).map(|(name, value, span)| Setting {
                    line: index + 1,
                    length: line.len(),
                    name: string(name),
                    value: string(&value),
                    span: span.map(|span| at + span.start..at + span.end),
                }));
                at += piece.len();
            }
            start += line.len() + 1;
        }
        settings
    }

    /// The assignment to the variable that counts: the last one.
    pub fn find(&self, text: &[u8], name: &str) -> Option<Setting> {
        self.settings(text).into_iter().rfind(|found| found.name == name)
    }

    /// The value that the variable has after this text was read; `None` if the text does not set it. Bytes that are not
    /// UTF-8 come back as U+FFFD.
    pub fn get(&self, text: &[u8], name: &str) -> Option<String> {
        self.find(text, name).map(|found| found.value)
    }

    /// The text with the variable set: the effective line gets the new value in place, with its comment kept, or a line is
    /// appended. Every other line stays as it is. If the value is so already, the very same text comes back.
    ///
    /// # Errors
    /// A name or a value that would not be read back as it was meant, and a line that would be too long, or is so already.
    pub fn set(&self, text: &[u8], name: &str, value: &str) -> Result<Vec<u8>, ConfFileError> {
        let file = self.name;
        let (is_name, rule) = self.names;
        let owned = name.to_owned();
        if !is_name(name) {
            return Err(ConfFileError::Name { name: owned, file, rule });
        }
        let (is_forbidden, rule) = self.forbidden;
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) || is_forbidden(value) {
            return Err(ConfFileError::Value { name: owned, value: value.to_owned(), file, rule });
        }
        let existing = self.find(text, name);
        if let Some(Setting { line, length, .. }) = existing
            && length > self.limit
        {
            return Err(ConfFileError::ExistingLineTooLong { name: owned, line, length });
        }
        let is_set = |text: &[u8]| self.get(text, name).as_deref() == Some(value);
        if is_set(text) {
            return Ok(text.to_vec());
        }
        let fitting = |edited: Vec<u8>, length| match length > self.limit {
            true => Err(ConfFileError::LineTooLong { name: name.to_owned(), length }),
            false => Ok(edited),
        };
        let new = (self.quoted)(value);
        if let Some(Setting { length, span: Some(span), .. }) = existing {
            let length = length - span.len() + new.len();
            let edited = [&text[..span.start], new.as_bytes(), &text[span.end..]].concat();
            // A quote in the comment can change what is read. Such a line is left alone and overridden.
            if is_set(&edited) || length > self.limit {
                return fitting(edited, length);
            }
        }
        let line = format!("{name}={new}\n");
        let gap: &[u8] = if text.is_empty() || text.ends_with(b"\n") { b"" } else { b"\n" };
        fitting([text, gap, line.as_bytes()].concat(), line.len() - 1)
    }

    /// The text without the line that [`ConfFile::set`] appends for this name and value: the last one that reads exactly
    /// so. A line that somebody has changed since, or that was there and was only given another value, stays.
    pub fn unset(&self, text: &[u8], name: &str, value: &str) -> Vec<u8> {
        let line = format!("{name}={}", (self.quoted)(value));
        let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let ours = lines.iter().rposition(|there| there.strip_suffix(b"\n").unwrap_or(there) == line.as_bytes());
        ours.map(|at| lines.remove(at));
        lines.concat()
    }
}

/// Without the blanks in front: isspace(3) in the C locale, and `%s` of Lua.
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t'..=b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Without the blanks at the end.
pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'..=b'\r'] = text {
        text = rest;
    }
    text
}
