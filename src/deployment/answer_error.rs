//! What can be wrong with answers and secrets: [`AnswerError`].

use std::fmt;

use thiserror::Error;
use toml_edit::{Item, TomlError};

/// One mistake in the answers or the secrets: where, which key, what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{place}: {}{problem}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct AnswerError {
    /// Where it was found.
    pub place: AnswerPlace,
    /// The key with its sections, as in `tls.email`; empty where the whole text or a secret is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: AnswerProblem,
}

impl AnswerError {
    /// A mistake without a key.
    pub(super) fn at(place: AnswerPlace, problem: impl Into<AnswerProblem>) -> Self {
        Self { place, key: String::new(), problem: problem.into() }
    }

    /// A text that is not TOML. The parser's message does not quote it.
    pub(super) fn syntax(text: &str, file: &str, what: &str, error: &TomlError, hint: &str) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        let message = error.message().replace('\n', ", ");
        let problem = format!("{what} not valid TOML: {message}. {hint}");
        Self::at(AnswerPlace::File { file: file.to_owned(), line }, problem)
    }
}

/// Where a mistake was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerPlace {
    /// In a file.
    File {
        /// What the file is called in messages.
        file: String,
        /// The line, counted from 1; `None` for the file as a whole, where something is missing.
        line: Option<usize>,
    },
    /// In an argument of `--set`.
    CommandLine,
    /// In an environment variable.
    Environment {
        /// The variable.
        variable: String,
    },
}

impl fmt::Display for AnswerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: None } => f.write_str(file),
            Self::File { file, line: Some(line) } => write!(f, "{file}:{line}"),
            Self::CommandLine => f.write_str("--set"),
            Self::Environment { variable } => write!(f, "{variable} in the environment"),
        }
    }
}

/// The line, counted from 1, that contains the byte at `offset`.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// A TOML type in words.
pub(super) fn described(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number with a decimal point",
        "boolean" => "true or false",
        "datetime" => "a date or time",
        "array" => "a list",
        "table" | "inline table" => "a section",
        "array of tables" => "a list of sections",
        _ => "nothing",
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum AnswerProblem {
    /// A key that is needed is not there.
    #[error("this answer is missing{why}. Add this line {}: {line}", under(section))]
    Missing {
        /// Why it is needed, beginning with a comma; or nothing.
        why: &'static str,
        /// The section that it belongs under.
        section: Option<&'static str>,
        /// The line to add.
        line: String,
    },
    /// What is there is wrong, as these words say.
    #[error("{0}")]
    Wrong(String),
}

impl From<String> for AnswerProblem {
    fn from(words: String) -> Self {
        Self::Wrong(words)
    }
}

impl From<&str> for AnswerProblem {
    fn from(words: &str) -> Self {
        Self::Wrong(words.to_owned())
    }
}

/// Where a missing line goes.
fn under(section: &Option<&'static str>) -> String {
    section.map_or_else(|| "at the top".to_owned(), |section| format!("under [{section}]"))
}

/// The sentence that names the nearest known word, with a blank before it.
pub(super) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" Did you mean {word}?"))
}
