//! The schema of the answers: every answer once, with all that is known of it.
//!
//! The reader, the dialogue, the completion of `--set` and the tables of `docs/answers.md` take from here what an answer is
//! called, what it can be, when it applies and what it means. Only the reader has to be changed beside this table for a
//! new answer: it puts the value into a [`Deployment`](super::Deployment).

mod fields;

use super::answer_error::did_you_mean;
use super::answers::Answers;
use super::nearest::nearest;
use super::passthrough::refused;
use crate::gotosocial::config_keys::{Standing, standing};

pub use fields::*;

/// The sections in the order of the file. `[config]` takes GoToSocial's settings beside the fields that the dialogue asks for.
pub(super) const SECTIONS: [&str; 6] = ["exposure", "tls", "database", "admin", "release", "config"];

/// One answer.
#[derive(Debug)]
pub struct AnswerField {
    /// Its section and name, as `--set` takes them.
    pub key: &'static str,
    /// What it can be.
    pub value: AnswerType,
    /// A right value in TOML.
    pub example: &'static str,
    /// What holds where it is not given.
    pub default: AnswerDefault,
    /// When it has a meaning.
    pub applies: Condition,
    /// What it means, for the table in `docs/answers.md`.
    pub documentation: &'static str,
    /// Whether the dialogue asks everybody for it. The others are further settings.
    pub first: bool,
    /// The words before the cursor, or in the list of further settings.
    pub prompt: &'static str,
    /// Why it is asked, in one line of 78 columns.
    pub why: &'static str,
    /// What `?` explains: paragraphs, which the dialogue wraps.
    pub explanation: &'static str,
    /// What is shown while the dialogue looks at the answer on the host, where that can take a while.
    pub looking: Option<&'static str>,
}

/// What an answer can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerType {
    /// A text of this kind.
    Text(&'static str),
    /// A host name. The dialogue takes letters outside ASCII.
    HostName,
    /// One of these words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// True or false; yes or no in the dialogue.
    Boolean,
    /// A TCP port.
    Port,
    /// Texts; with commas between them in the dialogue.
    List,
}

/// What holds where an answer is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerDefault {
    /// Nothing: it is required.
    Required,
    /// Nothing, and it is required in direct mode.
    RequiredInDirectMode,
    /// Nothing, and it is required where its section is there. The dialogue writes the section and needs these words.
    RequiredInSection(&'static str),
    /// This value, as the dialogue takes it.
    Value(&'static str),
    /// This value, which the dialogue writes into the answers.
    Written(&'static str),
    /// What these words say.
    Words(&'static str),
}

/// When an answer has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// With any others.
    Always,
    /// With a web server in front.
    BehindProxy,
    /// With `PostgreSQL`.
    Postgres,
    /// With a first account.
    WithAdmin,
    /// With an exact version of `GoToSocial`.
    ExactVersion,
    /// With the newest version. Beside an exact one it is harmless, and may be there on purpose.
    NewestVersion,
}

impl Condition {
    /// Whether it holds with these answers.
    pub fn holds(self, answers: &Answers) -> bool {
        let differs = |key: &str, from: &str| answers.get(key).is_some_and(|answer| answer != from);
        match self {
            Self::Always => true,
            Self::BehindProxy => differs(MODE.key, "direct"),
            Self::Postgres => answers.get(DATABASE_TYPE.key).as_deref() == Some("postgres"),
            Self::WithAdmin => answers.get(ADMIN_NAME.key).is_some(),
            Self::ExactVersion => differs(VERSION.key, "latest"),
            Self::NewestVersion => !differs(VERSION.key, "latest"),
        }
    }

    /// What is wrong with an answer where it does not hold.
    pub(super) fn required(self) -> &'static str {
        match self {
            Self::BehindProxy => {
                "this applies only behind a web server: in direct mode GoToSocial obtains its own certificate. Remove this line, or write mode = \"nginx\" or \"httpd\" under [exposure]"
            }
            Self::Postgres => {
                "this has a meaning only for PostgreSQL. Add type = \"postgres\" under [database], or take this line out"
            }
            Self::ExactVersion => {
                "a digest belongs to one archive, but the version is \"latest\". Add the version that it was taken from under [release], like: version = \"0.19.2\""
            }
            Self::Always | Self::WithAdmin | Self::NewestVersion => "",
        }
    }
}

impl AnswerField {
    /// The field with this key.
    pub fn of(key: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.key == key)
    }

    /// Its section; `None` at the top of the file.
    pub fn section(&self) -> Option<&'static str> {
        self.key.split_once('.').map(|(section, _)| section)
    }

    /// Its name within the section.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// A right line of the file.
    pub(super) fn line(&self) -> String {
        format!("{} = {}", self.name(), self.example)
    }

    /// The value that holds where it is not given, if there is one.
    pub(super) fn default_value(&self) -> Option<&'static str> {
        match self.default {
            AnswerDefault::Value(value) | AnswerDefault::Written(value) => Some(value),
            _ => None,
        }
    }

    /// What holds where it is not given, as the dialogue shows it.
    pub fn default_in_words(&self) -> &'static str {
        match self.default {
            AnswerDefault::Value(words)
            | AnswerDefault::Written(words)
            | AnswerDefault::Words(words)
            | AnswerDefault::RequiredInSection(words) => words,
            AnswerDefault::Required | AnswerDefault::RequiredInDirectMode => "",
        }
    }

    /// Whether it may be left out of these answers.
    pub fn optional(&self, answers: &Answers) -> bool {
        match self.default {
            AnswerDefault::Required => false,
            AnswerDefault::RequiredInDirectMode => Condition::BehindProxy.holds(answers),
            _ => true,
        }
    }

    /// Whether it means nothing beside the other answers, and the reader would refuse it.
    pub fn is_refused(&self, answers: &Answers) -> bool {
        self.applies != Condition::NewestVersion && !self.applies.holds(answers)
    }
}

/// The names in a section; `None` is the top of the file.
pub(super) fn names(section: Option<&str>) -> impl Iterator<Item = &'static str> {
    FIELDS.iter().filter(move |field| field.section() == section).map(AnswerField::name)
}

/// What is wrong with a key that is not known in its place, with the best guess at what was meant.
pub(super) fn unknown(key: &str, known: &[&'static str]) -> String {
    let near = nearest(key, known.iter().copied());
    let misplaced = |to: String| format!("this answer is in the wrong place. Move it {to}");
    if near.is_none() && names(None).any(|name| name == key) {
        return misplaced("to the top of the file, before the first [section]".to_owned());
    }
    let home = FIELDS.iter().find(|field| field.name() == key).and_then(AnswerField::section);
    match (standing(key), near, home) {
        (Some(Standing::Setting(_)), ..) => {
            "this is a setting of GoToSocial, not an answer. Move it under [config]".to_owned()
        }
        (Some(Standing::Managed { .. } | Standing::Secret), ..) => refused(key).unwrap_or_default(),
        (_, None, Some(section)) => misplaced(format!("under [{section}]")),
        (_, near, _) => {
            format!("there is no such answer.{} Known answers: {}", did_you_mean(near), known.join(", "))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
