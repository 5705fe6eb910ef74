//! What can be wrong with answers, and how it is said: [`AnswerError`].

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;
use toml_edit::Item;

use super::acme_directory::AcmeDirectoryError;
use super::database::DatabaseAddressError;
use super::email_address::EmailAddressError;
use super::passthrough::ConfigError;
use super::release_wish::{HexDigestError, VersionWishError};
use super::user_name::UserNameError;
use crate::net::PortNumberError;
use crate::net::{HostName, HostNameError};

/// One mistake in the answers: where, which key, what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{place}: {}{problem}", prefix(key))]
pub struct AnswerError {
    /// Where it was found.
    pub place: AnswerPlace,
    /// The key with its sections, as in `tls.email`; empty where the whole text is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: AnswerProblem,
}

/// The key and a colon, where there is a key.
fn prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

/// Where a mistake was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerPlace {
    /// In a file as a whole: something is missing there.
    File {
        /// What the file is called in messages.
        file: String,
    },
    /// In a line of a file.
    Line {
        /// What the file is called in messages.
        file: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// In an argument of `--set`.
    CommandLine,
    /// In an environment variable.
    Environment {
        /// The variable.
        variable: String,
    },
}

impl AnswerPlace {
    /// A line of a file, or the whole file where the line is not known.
    pub(super) fn at(file: &str, line: Option<usize>) -> Self {
        let file = file.to_owned();
        match line {
            Some(line) => Self::Line { file, line },
            None => Self::File { file },
        }
    }
}

impl fmt::Display for AnswerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file } => f.write_str(file),
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::CommandLine => f.write_str("--set"),
            Self::Environment { variable } => write!(f, "{variable} in the environment"),
        }
    }
}

/// The line, counted from 1, in which the byte at `offset` stands.
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
    /// Not TOML.
    #[error("this is not valid TOML: {message}. Write strings in quotes, like: host = \"social.example.org\"")]
    Syntax {
        /// What the TOML reader said.
        message: String,
    },
    /// A key that no answer has.
    #[error("there is no such answer.{} Known answers: {known}", did_you_mean(nearest))]
    UnknownKey {
        /// The known key that was probably meant.
        nearest: Option<&'static str>,
        /// The keys that are known at this place.
        known: String,
    },
    /// A known key in the wrong section, or at the wrong place of the file.
    #[error("this answer is in the wrong place. {belongs}")]
    Misplaced {
        /// Where it belongs.
        belongs: String,
    },
    /// A setting of `GoToSocial` outside `[config]`.
    #[error("this is a setting of GoToSocial, not an answer. Move it under [config]")]
    OutsideConfig,
    /// The wrong TOML type.
    #[error("this is {found}, but must be {wanted}. Write it like: {example}")]
    WrongType {
        /// What was found.
        found: &'static str,
        /// What is wanted.
        wanted: &'static str,
        /// A line that would be right.
        example: String,
    },
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
    /// A word that is none of the allowed ones.
    #[error("{found:?} is not known here.{} Allowed are: {allowed}", did_you_mean(nearest))]
    NotOneOf {
        /// What was found.
        found: String,
        /// The allowed word that was probably meant.
        nearest: Option<&'static str>,
        /// All allowed words.
        allowed: String,
    },
    /// A name that is empty or has control characters in it.
    #[error("{found:?} is empty or has control characters in it. Write a plain name, like {}", example.trim_matches('"'))]
    NotPlain {
        /// What was found.
        found: String,
        /// A right value in TOML.
        example: &'static str,
    },
    /// Not the path of a file.
    #[error(
        "{} is not an absolute path, or has `..`, quotes, backslashes or dollar signs in it. Write the file's whole path, like {}",
        found.display(),
        example.trim_matches('"')
    )]
    NotAPath {
        /// What was found.
        found: PathBuf,
        /// A right value in TOML.
        example: &'static str,
    },
    /// Not the directory of an ACME authority.
    #[error(transparent)]
    AcmeDirectory(#[from] AcmeDirectoryError),
    /// Not a host name.
    #[error(transparent)]
    HostName(#[from] HostNameError),
    /// Not an e-mail address.
    #[error(transparent)]
    EmailAddress(#[from] EmailAddressError),
    /// Not a user name.
    #[error(transparent)]
    UserName(#[from] UserNameError),
    /// Not a port.
    #[error(transparent)]
    PortNumber(#[from] PortNumberError),
    /// Not a version.
    #[error(transparent)]
    Version(#[from] VersionWishError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] HexDigestError),
    /// Not the address of a database.
    #[error(transparent)]
    DatabaseAddress(#[from] DatabaseAddressError),
    /// Something under `[config]`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An account domain that `GoToSocial` would refuse.
    #[error(
        "{account_domain} is neither the host {host} itself nor a parent of it, so GoToSocial would refuse it. Write {host}, or a parent of it, or leave it out"
    )]
    AccountDomain {
        /// What was given.
        account_domain: HostName,
        /// The host that it must fit.
        host: HostName,
    },
    /// A digest, but no version that it could belong to.
    #[error(
        "a digest belongs to one archive, but the version is \"latest\". Add the version that it was taken from under [release], like: version = \"0.19.2\""
    )]
    DigestOfLatest,
    /// A detail of `PostgreSQL` without `PostgreSQL`.
    #[error("this has a meaning only for PostgreSQL. Add type = \"postgres\" under [database], or take this line out")]
    OnlyForPostgres,
    /// A detail of the web server's certificate without a web server.
    #[error(
        "this applies only behind a web server: in direct mode GoToSocial obtains its own certificate. Remove this line, or write mode = \"nginx\" or \"httpd\" under [exposure]"
    )]
    OnlyBehindProxy,
}

/// The sentence that names the nearest known word, with a blank before it.
fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" Did you mean {word}?"))
}

/// Where a missing line goes.
fn under(section: &Option<&'static str>) -> String {
    section.map_or_else(|| "at the top".to_owned(), |section| format!("under [{section}]"))
}

/// Why `--set` was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetError {
    /// No equals sign.
    #[error("--set {argument}: there is no = in it. Write it like: --set host=social.example.org")]
    NoEquals {
        /// The whole argument.
        argument: String,
    },
    /// A key that TOML does not allow.
    #[error("--set: {key:?} is not a key. Write it like: --set tls.email=admin@example.org")]
    MalformedKey {
        /// What stands before the equals sign.
        key: String,
    },
    /// A key below something that is no section, or a section in place of a value.
    #[error(
        "--set: {key} does not fit the answers file, where {section} is {found}. Correct the file, or set {section} itself"
    )]
    NotASection {
        /// The whole key.
        key: String,
        /// The part of it that is in the way.
        section: String,
        /// What that part is.
        found: &'static str,
    },
}
