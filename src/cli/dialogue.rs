//! The dialogue: the questions of a guided installation, and the consent to a plan.

pub mod consent;
pub mod console;
pub mod conversation;
pub mod outlook;

use super::exit::Exit;
use super::surroundings::Surroundings;
use super::transaction::Stop;
use crate::deployment::{AnswerField, AnswerProblem, Answers, Secrets};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use console::Standard;
use conversation::{Console, Conversation, Ended};
use outlook::Seen;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Everything, with the answers that are there as defaults.
    Everything,
    /// The answers under these keys alone.
    Missing(Vec<String>),
}

/// Asks on standard input, and gives the answers that come of it.
///
/// # Errors
/// Nobody answers any more, or a line of a pipe is no answer.
pub fn ask(
    around: &Surroundings,
    host: &dyn Observe,
    answers: Answers,
    secrets: &Secrets,
    settled: &[&'static str],
    wish: &Wish,
) -> Result<Answers, Ended> {
    let mut console = Standard::open(around)?;
    let outlook = Seen { host };
    let conversation = Conversation { console: &mut console, outlook: &outlook, secrets, settled, answers };
    match wish {
        Wish::Everything => conversation.all(),
        Wish::Missing(keys) => conversation.missing(keys),
    }
}

/// The answers that have to be there and are not; `None` if something else is wrong, which is to be told instead.
#[must_use]
pub fn missing(answers: &Answers, secrets: &Secrets) -> Option<Vec<String>> {
    let errors = answers.deployment(secrets).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| match error.problem {
            AnswerProblem::Missing { .. } if AnswerField::of(&error.key).is_some() => Some(error.key),
            _ => None,
        })
        .collect()
}

/// Has somebody type a name, so that what cannot be undone is not done by habit; whether it was that name.
///
/// # Errors
/// Nobody answers any more.
pub fn typed(around: &Surroundings, prompt: &str, name: &str) -> Result<bool, Ended> {
    Ok(Standard::open(around)?.read(prompt, None)?.trim() == name)
}

/// A question that is answered with yes or no; no answer is a no.
#[must_use]
pub fn yes(around: &Surroundings, question: &str) -> bool {
    let answer = Standard::open(around).and_then(|mut console| console.read(&format!("{question} [y]es [n]o"), None));
    answer.is_ok_and(|answer| matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        let (exit, code) = match ended {
            Ended::Wrong { .. } => (Exit::Usage, ErrorCode::Answers),
            Ended::Interrupted => (Exit::NotConfirmed, ErrorCode::Interrupted),
            Ended::NoMoreInput(_) | Ended::Broken(_) => (Exit::NotConfirmed, ErrorCode::NoTerminal),
        };
        Self::new(exit, code, format!("{ended}; nothing was changed"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_apart_from_what_is_wrong() {
        let missing = |text: &str| missing(&Answers::parse(text, "t").unwrap(), &Secrets::default());
        assert_eq!(missing(""), Some(vec!["host".to_owned(), "tls.email".to_owned()]));
        assert_eq!(missing("host = \"a.example\"\ntls.email = \"a@b.example\""), Some(Vec::new()));
        assert_eq!(missing("host = \"a.example\"\n[admin]\nusername = \"a\"").unwrap().len(), 2);
        assert_eq!(missing("host = \"localhost\""), None);
        assert_eq!(missing("colour = \"red\""), None);
    }
}
