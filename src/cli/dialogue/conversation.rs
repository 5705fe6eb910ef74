//! The conversation: one question after the other, back and forth, until the answers are complete.
//!
//! It knows neither a terminal nor a host: what is typed and shown goes through a [`Console`], what is looked up through an
//! [`Outlook`]. So anything can be typed at it in a test.

use crate::cli::report::wrap;
use crate::deployment::{
    AnswerDefault, AnswerError, AnswerField, AnswerProblem, AnswerType, Answers, FIELDS, HostName, HostNameError,
    Secrets, nearest,
};
use crate::error_code::ErrorCode;
use crate::run::{Exit, Stop};

/// Where somebody reads and types.
pub trait Console {
    /// Shows a text, a line or several.
    fn say(&mut self, text: &str);

    /// Reads a line. `default` is shown, and it is for the caller to take it where the line is empty.
    ///
    /// # Errors
    /// Nothing was typed, and nothing will be.
    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Ended>;

    /// Whether somebody is there who can correct a mistake; `false` where lines come from a file or a pipe.
    fn patient(&self) -> bool;

    /// The lines and columns of the screen; `None` where there is no screen.
    fn size(&self) -> Option<(usize, usize)>;
}

/// Why a conversation came to no end of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Ctrl-C, or a signal.
    #[error("interrupted")]
    Interrupted,
    /// The input is at its end.
    #[error("the input ended at the question {0:?}")]
    NoMoreInput(String),
    /// A line of a file or a pipe is no answer: what follows would be taken for answers to other questions.
    #[error("the line {line:?} is no answer to the question {question:?}: {why}")]
    Wrong {
        /// The line.
        line: String,
        /// The question's prompt.
        question: String,
        /// What is wrong with it.
        why: String,
    },
    /// The terminal cannot be read or written.
    #[error("the terminal cannot be used: {0}")]
    Broken(String),
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

/// Something that is worth saying of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Whether to ask again before it is taken, as the preflight or the plan refuses it.
    pub grave: bool,
    /// What there is to say.
    pub text: String,
}

/// What can be seen of an answer beforehand.
pub trait Outlook {
    /// Looks at an answer that is right in itself.
    fn look(&self, key: &str, value: &str) -> Vec<Remark>;
}

/// What a question came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    On,
    Back,
}

/// What is being answered, and with whose help.
pub struct Conversation<'a> {
    /// Where it is held.
    pub console: &'a mut dyn Console,
    /// What is seen of the answers.
    pub outlook: &'a dyn Outlook,
    /// Passwords, without which some answers are not right.
    pub secrets: &'a Secrets,
    /// Answers that cannot be changed any more, and are not asked for.
    pub settled: &'a [&'static str],
    /// The answers so far.
    pub answers: Answers,
}

impl Conversation<'_> {
    /// Asks everything: the first questions, and the further settings for those who want them.
    ///
    /// # Errors
    /// It came to no end.
    pub fn all(mut self) -> Result<Answers, Ended> {
        let first: Vec<&AnswerField> = self.unsettled().filter(|field| field.first).collect();
        self.introduce(first.len());
        let mut number = 0;
        loop {
            let next = match first.get(number) {
                Some(question) => self.ask(question, number == 0)?,
                None => self.more()?,
            };
            match next {
                Next::Back => number = number.saturating_sub(1),
                Next::On if number < first.len() => number += 1,
                // Whoever goes back from a question that is asked again is at the gate once more, and can go back further.
                Next::On => loop {
                    match self.complete() {
                        Ok(answers) => return Ok(answers),
                        Err(error) if self.mend(&error)? == Next::Back => break,
                        Err(_) => {}
                    }
                },
            }
        }
    }

    /// Asks for what is missing, and for nothing else.
    ///
    /// # Errors
    /// It came to no end.
    pub fn missing(mut self, keys: &[String]) -> Result<Answers, Ended> {
        let asked: Vec<&AnswerField> = keys.iter().filter_map(|key| AnswerField::of(key)).collect();
        self.introduce(asked.len());
        let mut number = 0;
        while let Some(question) = asked.get(number) {
            match self.ask(question, number == 0)? {
                Next::On => number += 1,
                Next::Back => number = number.saturating_sub(1),
            }
        }
        loop {
            match self.complete() {
                Ok(answers) => return Ok(answers),
                Err(error) => drop(self.mend(&error)?),
            }
        }
    }

    /// What can be asked for.
    fn unsettled(&self) -> impl Iterator<Item = &'static AnswerField> + use<'_> {
        FIELDS.iter().filter(|field| !self.settled.contains(&field.key))
    }

    fn introduce(&mut self, count: usize) {
        if let (true, Some(host)) = (self.settled.contains(&"host"), self.answers.get("host")) {
            self.console.say(&format!("This is about {host}, which is installed here. Its name cannot change."));
        }
        let questions = if count == 1 { "One question".to_owned() } else { format!("{count} questions") };
        self.console.say(&wrap(
            &format!(
                "{questions}. Type ? for an explanation, < for the previous question. Enter accepts the value in [brackets]. Nothing changes \
                 before you have seen the plan and said yes."
            ),
            0,
        ));
    }

    /// One question, until it has an answer.
    fn ask(&mut self, question: &AnswerField, first: bool) -> Result<Next, Ended> {
        self.console.say("");
        self.console.say(question.why);
        if let AnswerType::Choice(choices) = question.value {
            let width = choices.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
            for (number, (word, meaning)) in choices.iter().enumerate() {
                self.console.say(&format!("  {}  {word:width$}  {meaning}", number + 1));
            }
        }
        loop {
            let default = self.default(question);
            let line = self.console.read(question.prompt.trim(), default.as_deref())?;
            let text = line.trim();
            match text.to_ascii_lowercase().as_str() {
                "?" | "explain" => {
                    self.console.say("");
                    self.console.say(&wrap(question.explanation, 0));
                    self.console.say("");
                    continue;
                }
                "<" | "back" if first => {
                    self.console.say("This is the first question. Ctrl-C ends here; nothing is changed.");
                    continue;
                }
                "<" | "back" => return Ok(Next::Back),
                "-" if question.optional(&self.answers) => {
                    self.answers.remove(question.key);
                    return Ok(Next::On);
                }
                _ => {}
            }
            if text.is_empty() && default.is_none() {
                if question.optional(&self.answers) {
                    return Ok(Next::On);
                }
                self.wrong(question, text, "It cannot be left out; ? explains what it is for")?;
                continue;
            }
            let taken = if text.is_empty() { default.unwrap_or_default() } else { text.to_owned() };
            if let (AnswerType::HostName, false, Ok(name)) = (question.value, taken.is_ascii(), in_dns(&taken)) {
                self.console.say(&wrap(&format!("In DNS this name is {name}, and that is what is used."), 0));
            }
            match self.check(question, &taken) {
                Err(why) => self.wrong(question, text, &why)?,
                Ok((value, answers)) => {
                    if self.agreed(question, &value)? {
                        self.answers = answers;
                        return Ok(Next::On);
                    }
                }
            }
        }
    }

    /// What Enter takes: the answer of before, or what is written where nothing is said.
    fn default(&self, question: &AnswerField) -> Option<String> {
        let before = self.answers.get(question.key).map(|value| match question.value {
            AnswerType::Boolean => if value == "true" { "yes" } else { "no" }.to_owned(),
            _ => value,
        });
        before.or(match question.default {
            AnswerDefault::Written(value) => Some(value.to_owned()),
            _ => None,
        })
    }

    /// What a text comes to, and the answers with it; or what is wrong with it.
    fn check(&self, question: &AnswerField, text: &str) -> Result<(String, Answers), String> {
        let (value, toml) = understood(question, text)?;
        let mut answers = self.answers.clone();
        answers.set(&format!("{}={toml}", question.key))?;
        let errors = answers.deployment(self.secrets).err().unwrap_or_default();
        match errors.into_iter().find(|error| error.key == question.key) {
            Some(error) => Err(error.problem.to_string()),
            None => Ok((value, answers)),
        }
    }

    /// Says what there is to say of a right answer; where that is grave, asks whether it is to stay.
    fn agreed(&mut self, question: &AnswerField, value: &str) -> Result<bool, Ended> {
        if let Some(text) = question.looking {
            self.console.say(text);
        }
        let remarks = self.outlook.look(question.key, value);
        for remark in &remarks {
            self.console.say(&wrap(&format!("{} {}", if remark.grave { "WARNING:" } else { "Note:" }, remark.text), 2));
        }
        if !self.console.patient() || !remarks.iter().any(|remark| remark.grave) {
            return Ok(true);
        }
        self.console.say("As long as that is so the installation is refused.");
        loop {
            let line = self.console.read("Use it all the same? (yes or no)", Some("no"))?;
            match line.trim().to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "" | "n" | "no" | "<" | "back" => return Ok(false),
                _ => self.console.say("Please type yes or no."),
            }
        }
    }

    /// Says what is wrong. Where nobody can correct it the conversation ends.
    fn wrong(&mut self, question: &AnswerField, line: &str, why: &str) -> Result<(), Ended> {
        if !self.console.patient() {
            let (line, question, why) = (line.to_owned(), question.prompt.trim().to_owned(), why.to_owned());
            return Err(Ended::Wrong { line, question, why });
        }
        let mut letters = why.chars();
        let sentence = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
        self.console.say(&wrap(&format!("{}.", sentence.unwrap_or_default().trim_end_matches('.')), 0));
        Ok(())
    }

    /// The gate to the further settings.
    fn more(&mut self) -> Result<Next, Ended> {
        self.console.say("");
        self.console.say("Everything else has a good default. Enter shows the plan, m further settings.");
        loop {
            let line = self.console.read("Enter, or m for more", None)?;
            match line.trim().to_ascii_lowercase().as_str() {
                "" => return Ok(Next::On),
                "<" | "back" => return Ok(Next::Back),
                "m" | "more" => {
                    self.settings()?;
                    return Ok(Next::On);
                }
                "?" | "explain" => self.console.say(
                    "Release, database, account domain, registration and so on: m lists them with what they\nare \
                     now, and each explains itself. All of them are described in docs/answers.md.",
                ),
                other => {
                    let other = other.to_owned();
                    self.wrong_choice(
                        "Enter, or m for more",
                        &other,
                        "Enter continues, m shows more settings, < goes back",
                    )?;
                }
            }
        }
    }

    /// The further settings: a list, from which one after the other is chosen.
    fn settings(&mut self) -> Result<(), Ended> {
        const PROMPT: &str = "Number, or Enter to see the plan";
        loop {
            let applies = |field: &&AnswerField| !field.first && field.applies.holds(&self.answers);
            let shown: Vec<&AnswerField> = self.unsettled().filter(applies).collect();
            self.console.say("");
            for (number, question) in shown.iter().enumerate() {
                let value = self.default(question).unwrap_or_else(|| question.default_in_words().to_owned());
                let line = format!("  {:>2}  {:24}{value}", number + 1, question.prompt);
                self.console.say(&line.chars().take(78).collect::<String>());
            }
            let line = self.console.read(PROMPT, None)?;
            let text = line.trim().to_ascii_lowercase();
            if ["", "<", "back"].contains(&text.as_str()) {
                return Ok(());
            }
            let by_number = text.parse::<usize>().ok().and_then(|number| shown.get(number.checked_sub(1)?).copied());
            match by_number.or_else(|| shown.iter().copied().find(|question| question.key == text)) {
                Some(question) => {
                    self.ask(question, false)?;
                }
                None => {
                    let why = format!("Type a number from 1 to {}; then ? explains that setting", shown.len());
                    self.wrong_choice(PROMPT, &text, &why)?;
                }
            }
        }
    }

    fn wrong_choice(&mut self, prompt: &str, line: &str, why: &str) -> Result<(), Ended> {
        if !self.console.patient() {
            return Err(Ended::Wrong { line: line.to_owned(), question: prompt.to_owned(), why: why.to_owned() });
        }
        self.console.say(&format!("{why}."));
        Ok(())
    }

    /// The answers with what follows from them; or the first mistake that is left, as two answers may not fit each other.
    fn complete(&self) -> Result<Answers, AnswerError> {
        let mut answers = self.answers.clone();
        for field in FIELDS.iter().filter(|field| field.is_refused(&self.answers)) {
            answers.remove(field.key);
        }
        let admin = |key: &str| answers.get(&format!("admin.{key}"));
        if let (Some(_), None, Some(email)) = (admin("username"), admin("email"), answers.get("tls.email")) {
            // An address has no quotes and no backslashes, so that it is the same in TOML.
            let _ = answers.set(&format!("admin.email=\"{email}\""));
        }
        match answers.deployment(self.secrets) {
            Ok(_) => Ok(answers),
            Err(errors) => match errors.into_iter().next() {
                Some(error) => Err(error),
                None => Ok(answers),
            },
        }
    }

    /// Asks again for the answer that is wrong with the others.
    fn mend(&mut self, error: &AnswerError) -> Result<Next, Ended> {
        let question = self.unsettled().find(|field| field.key == error.key);
        match question {
            Some(question) => {
                let why = match error.problem {
                    // Of lines and sections only those need to hear who write the file themselves.
                    AnswerProblem::Missing { .. } => {
                        "With the other answers as they are this one cannot be left out; ? explains what it is for"
                            .to_owned()
                    }
                    _ => error.problem.to_string(),
                };
                self.wrong(question, &self.answers.get(question.key).unwrap_or_default(), &why)?;
                self.ask(question, false)
            }
            // Nothing that can be asked for: a line of a file.
            None => Err(Ended::Wrong {
                line: self.answers.get(&error.key).unwrap_or_default(),
                question: error.key.clone(),
                why: error.problem.to_string(),
            }),
        }
    }
}

/// What a typed text means: as a person reads it, and as TOML.
fn understood(question: &AnswerField, text: &str) -> Result<(String, String), String> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(|error| error.to_string());
    match question.value {
        AnswerType::Text(_) => Ok((text.to_owned(), quoted(text)?)),
        AnswerType::HostName => {
            let name = in_dns(text)?;
            let toml = quoted(&name)?;
            Ok((name, toml))
        }
        AnswerType::Choice(choices) => {
            let word = choice(choices, text)?;
            Ok((word.to_owned(), quoted(word)?))
        }
        AnswerType::Boolean => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(("yes".to_owned(), "true".to_owned())),
            "n" | "no" | "false" => Ok(("no".to_owned(), "false".to_owned())),
            _ => Err("please type yes or no".to_owned()),
        },
        AnswerType::Port => match text.parse::<i64>() {
            Ok(number) => Ok((number.to_string(), number.to_string())),
            Err(_) => Err(format!("{text:?} is not a whole number")),
        },
        AnswerType::List => {
            let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            let toml = items.iter().map(|item| quoted(item)).collect::<Result<Vec<_>, _>>()?;
            Ok((items.join(", "), format!("[{}]", toml.join(", "))))
        }
    }
}

/// A name as DNS has it. What is wrong with one in ASCII the reader of the answers says.
fn in_dns(text: &str) -> Result<String, String> {
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    if let Ok(name) = idna::domain_to_ascii_strict(text) {
        return Ok(name);
    }
    let wrong = |letter: &char| letter.is_ascii() && !(letter.is_ascii_alphanumeric() || ['-', '.'].contains(letter));
    match (text.parse::<HostName>(), text.chars().find(wrong)) {
        // That it is not ASCII is no mistake here.
        (Err(HostNameError::NotAscii { .. }), Some(character)) => {
            Err(HostNameError::Character(text.to_owned(), character).to_string())
        }
        (Err(HostNameError::NotAscii { .. }), None) => idna::domain_to_ascii(text).map_err(|_| {
            format!("{text:?} is not a valid DNS name, in any script. Write it like m\u{fc}nchen.example.org")
        }),
        _ => Ok(text.to_ascii_lowercase()),
    }
}

/// The word that is meant: by its number, itself, or how it begins if no other begins so.
fn choice(choices: &[(&'static str, &'static str)], text: &str) -> Result<&'static str, String> {
    let text = text.to_ascii_lowercase();
    let by_number = text.parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
    let exact = choices.iter().find(|(word, _)| *word == text);
    let mut beginning = choices.iter().filter(|(word, _)| word.starts_with(&text));
    let begins = match (beginning.next(), beginning.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    if let Some((word, _)) = by_number.or(exact).or(begins) {
        return Ok(word);
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let meant = nearest(&text, words.iter().copied()).map(|word| format!(" Did you mean {word}?")).unwrap_or_default();
    Err(format!("{text:?} is none of {}.{meant} A number will do as well", words.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
