//! The conversation: one question after the other, back and forth, until the answers are complete.
//!
//! It knows neither a terminal nor a host: it reads and writes through a [`Console`], and looks things up through a function. So
//! a test can type anything.

use crate::cli::report::{wrap, wrap_message};
use crate::cli::text::Text;
use crate::deployment::{
    AnswerDefault, AnswerError, AnswerField, AnswerProblem, AnswerType, Answers, FIELDS, HostName, HostNameError,
    nearest,
};
use crate::error_code::ErrorCode;
use crate::run::people::{Asked, Wanting};
use crate::run::{Exit, Stop};

/// Where the user reads and types.
pub trait Console {
    /// Shows a text, a line or several.
    fn show(&mut self, text: Text<'_>);

    /// Shows a text without colours.
    fn say(&mut self, text: &str) {
        self.show(text.into());
    }

    /// Reads a line. `default` is shown; the caller takes it if the line is empty.
    ///
    /// # Errors
    /// Nothing more is typed.
    fn read(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Stop>;

    /// Reads a line that is one of a few words, in lower case.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn word(&mut self, prompt: &str, default: Option<&str>) -> Result<String, Stop> {
        Ok(self.read(prompt, default)?.trim().to_ascii_lowercase())
    }

    /// Whether a person can correct a mistake; `false` if lines come from a file or a pipe.
    fn patient(&self) -> bool;

    /// The lines and columns of the screen; `None` where there is no screen.
    fn size(&self) -> Option<(usize, usize)>;
}

/// The end of a conversation in which nothing more is typed.
pub(super) fn ended(code: ErrorCode, why: &str) -> Stop {
    Stop::new(Exit::NotConfirmed, code, format!("{why}; nothing was changed"))
}

/// The end of a conversation with a file or a pipe at a line that is not an answer: what follows would be taken for answers to
/// other questions.
pub(super) fn no_answer(line: &str, question: &str, why: &str) -> Stop {
    Stop::answers(format!("the line {line:?} is no answer to the question {question:?}: {why}; nothing was changed"))
}

/// A remark on an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Whether the preflight or the plan refuses the answer, so that the user is asked again.
    pub grave: bool,
    /// The remark.
    pub text: String,
}

/// Where the conversation goes after a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    On,
    Back,
}

/// What is being answered, and with whose help.
pub struct Conversation<'a> {
    /// Where it is held.
    pub console: &'a mut dyn Console,
    /// What can be seen of an answer that is valid in itself, from its key and its value.
    pub outlook: &'a dyn Fn(&str, &str) -> Vec<Remark>,
    /// What is asked for, and the answers so far.
    pub asked: Asked<'a>,
}

impl Conversation<'_> {
    /// Asks for what is wanted, and at the end again for what does not fit.
    ///
    /// # Errors
    /// It was not completed.
    pub fn hold(mut self) -> Result<Answers, Stop> {
        let asked: Vec<&AnswerField> = match self.asked.wanting {
            Wanting::Everything => self.unsettled().filter(|field| field.first).collect(),
            Wanting::Missing(keys) => keys.iter().filter_map(|key| AnswerField::of(key)).collect(),
        };
        self.introduce(asked.len());
        let mut number = 0;
        loop {
            let next = match asked.get(number) {
                Some(question) => self.ask(question, number == 0)?,
                None if *self.asked.wanting == Wanting::Everything => self.more()?,
                None => Next::On,
            };
            match next {
                Next::Back => number = number.saturating_sub(1),
                Next::On if number < asked.len() => number += 1,
                // Going back from a question that is asked again leads to the further settings, and from there further back.
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

    /// What can be asked for.
    fn unsettled(&self) -> impl Iterator<Item = &'static AnswerField> + use<'_> {
        FIELDS.iter().filter(|field| !self.asked.settled.contains(&field.key))
    }

    fn introduce(&mut self, count: usize) {
        if let (true, Some(host)) = (self.asked.settled.contains(&"host"), self.asked.answers.get("host")) {
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
    fn ask(&mut self, question: &AnswerField, first: bool) -> Result<Next, Stop> {
        self.console.say(&format!("\n{}", question.why));
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
                    self.console.say(&format!("\n{}\n", wrap(question.explanation, 0)));
                    continue;
                }
                "<" | "back" if first => {
                    self.console.say("This is the first question. Ctrl-C ends here; nothing is changed.");
                    continue;
                }
                "<" | "back" => return Ok(Next::Back),
                "-" if question.optional(&self.asked.answers) => {
                    self.asked.answers.remove(question.key);
                    return Ok(Next::On);
                }
                _ => {}
            }
            if text.is_empty() && default.is_none() {
                if question.optional(&self.asked.answers) {
                    return Ok(Next::On);
                }
                self.wrong(question.prompt, text, "It cannot be left out; ? explains what it is for")?;
                continue;
            }
            let taken = if text.is_empty() { default.unwrap_or_default() } else { text.to_owned() };
            if let (AnswerType::HostName, false, Ok(name)) = (question.value, taken.is_ascii(), in_dns(&taken)) {
                self.console.say(&wrap(&format!("In DNS this name is {name}, and that is what is used."), 0));
            }
            match self.check(question, &taken) {
                Err(why) => self.wrong(question.prompt, text, &why)?,
                Ok((value, answers)) if self.agreed(question, &value)? => {
                    self.asked.answers = answers;
                    return Ok(Next::On);
                }
                Ok(_) => {}
            }
        }
    }

    /// What Enter takes: the earlier answer, or the default that is written out.
    fn default(&self, question: &AnswerField) -> Option<String> {
        let before = self.asked.answers.get(question.key).map(|value| match question.value {
            AnswerType::Boolean => if value == "true" { "yes" } else { "no" }.to_owned(),
            _ => value,
        });
        before.or(if let AnswerDefault::Written(value) = question.default { Some(value.to_owned()) } else { None })
    }

    /// The meaning of a text, and the answers with it; or what is wrong with it.
    fn check(&self, question: &AnswerField, text: &str) -> Result<(String, Answers), String> {
        let (value, toml) = understood(question, text)?;
        let mut answers = self.asked.answers.clone();
        answers.set(&format!("{}={toml}", question.key))?;
        let errors = answers.deployment(self.asked.secrets).err().unwrap_or_default();
        match errors.into_iter().find(|error| error.key == question.key) {
            Some(error) => Err(error.problem.to_string()),
            None => Ok((value, answers)),
        }
    }

    /// Shows what can be seen of a valid answer. If that is grave, asks whether the answer stays.
    fn agreed(&mut self, question: &AnswerField, value: &str) -> Result<bool, Stop> {
        if let Some(text) = question.looking {
            self.console.say(text);
        }
        let remarks = (self.outlook)(question.key, value);
        for Remark { grave, text } in &remarks {
            self.console.say(&wrap_message(&format!("{} {text}", if *grave { "WARNING:" } else { "Note:" }), 2));
        }
        if !self.console.patient() || !remarks.iter().any(|remark| remark.grave) {
            return Ok(true);
        }
        self.console.say("As long as that is so the installation is refused.");
        loop {
            match self.console.word("Use it all the same? (yes or no)", Some("no"))?.as_str() {
                "y" | "yes" => return Ok(true),
                "" | "n" | "no" | "<" | "back" => return Ok(false),
                _ => self.console.say("Please type yes or no."),
            }
        }
    }

    /// Shows what is wrong with a line. If no person can correct it, the conversation ends.
    fn wrong(&mut self, prompt: &str, line: &str, why: &str) -> Result<(), Stop> {
        if !self.console.patient() {
            return Err(no_answer(line, prompt.trim(), why));
        }
        let mut letters = why.trim_end_matches('.').chars();
        let sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        self.console.say(&wrap_message(&(sentence + "."), 0));
        Ok(())
    }

    /// The gate to the further settings.
    fn more(&mut self) -> Result<Next, Stop> {
        const PROMPT: &str = "Enter, or m for more";
        self.console.say("\nEverything else has a good default. Enter shows the plan, m further settings.");
        loop {
            match self.console.word(PROMPT, None)?.as_str() {
                "" => return Ok(Next::On),
                "<" | "back" => return Ok(Next::Back),
                "m" | "more" => return self.settings(),
                "?" | "explain" => self.console.say(
                    "Release, database, account domain, registration and so on: m lists them with what they\nare \
                     now, and each explains itself. All of them are described in docs/answers.md.",
                ),
                other => self.wrong(PROMPT, other, "Enter continues, m shows more settings, < goes back")?,
            }
        }
    }

    /// The further settings: a list, from which one after the other is chosen.
    fn settings(&mut self) -> Result<Next, Stop> {
        const PROMPT: &str = "Number, or Enter to see the plan";
        loop {
            let applies = |field: &&AnswerField| !field.first && field.applies.holds(&self.asked.answers);
            let shown: Vec<&AnswerField> = self.unsettled().filter(applies).collect();
            self.console.say("");
            for (number, question) in shown.iter().enumerate() {
                let value = self.default(question).unwrap_or_else(|| question.default_in_words().to_owned());
                let line = format!("  {:>2}  {:24}{value}", number + 1, question.prompt);
                self.console.say(&line.chars().take(78).collect::<String>());
            }
            let text = self.console.word(PROMPT, None)?;
            if ["", "<", "back"].contains(&text.as_str()) {
                return Ok(Next::On);
            }
            let by_number = text.parse::<usize>().ok().and_then(|number| shown.get(number.checked_sub(1)?));
            match by_number.or_else(|| shown.iter().find(|question| question.key == text)) {
                Some(question) => drop(self.ask(question, false)?),
                None => {
                    let why = format!("Type a number from 1 to {}; then ? explains that setting", shown.len());
                    self.wrong(PROMPT, &text, &why)?;
                }
            }
        }
    }

    /// The answers with what follows from them; or the first mistake that is left, as two answers may not fit each other.
    fn complete(&self) -> Result<Answers, AnswerError> {
        let mut answers = self.asked.answers.clone();
        for field in FIELDS.iter().filter(|field| field.is_refused(&self.asked.answers)) {
            answers.remove(field.key);
        }
        let admin = |key: &str| answers.get(&format!("admin.{key}"));
        if let (Some(_), None, Some(email)) = (admin("username"), admin("email"), answers.get("tls.email")) {
            // An address has no quotes and no backslashes, so that it is the same in TOML.
            let _ = answers.set(&format!("admin.email=\"{email}\""));
        }
        let errors = answers.deployment(self.asked.secrets).err().unwrap_or_default();
        errors.into_iter().next().map_or(Ok(answers), Err)
    }

    /// Asks again for the answer that is wrong with the others.
    fn mend(&mut self, error: &AnswerError) -> Result<Next, Stop> {
        let line = self.asked.answers.get(&error.key).unwrap_or_default();
        let why = error.problem.to_string();
        let Some(question) = self.unsettled().find(|field| field.key == error.key) else {
            // A line of a file, for which there is no question.
            return Err(no_answer(&line, &error.key, &why));
        };
        let why = match error.problem {
            // The message is for those who write the file themselves: it names lines and sections.
            AnswerProblem::Missing { .. } => {
                "With the other answers as they are this one cannot be left out; ? explains what it is for"
            }
            _ => &why,
        };
        self.wrong(question.prompt, &line, why)?;
        self.ask(question, false)
    }
}

/// The meaning of a typed text, for people and in TOML.
fn understood(question: &AnswerField, text: &str) -> Result<(String, String), String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let plain = |text: String| (text.clone(), quoted(&text));
    match question.value {
        AnswerType::Text(_) => Ok(plain(text.to_owned())),
        AnswerType::HostName => in_dns(text).map(plain),
        AnswerType::Choice(choices) => choice(choices, text).map(|word| plain(word.to_owned())),
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
            let toml: Vec<String> = items.iter().copied().map(quoted).collect();
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

/// The word that is meant: by its number, itself, or how it begins if no other word begins so.
fn choice(choices: &[(&'static str, &'static str)], text: &str) -> Result<&'static str, String> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
    let by_number = text.parse::<usize>().ok().and_then(|number| words.get(number.checked_sub(1)?));
    let begin: Vec<_> = words.iter().filter(|word| word.starts_with(&text)).collect();
    let only = if let [only] = begin[..] { Some(only) } else { None };
    if let Some(word) = by_number.or_else(|| words.iter().find(|word| **word == text)).or(only) {
        return Ok(word);
    }
    let meant = nearest(&text, words.iter().copied()).map(|word| format!(" Did you mean {word}?")).unwrap_or_default();
    Err(format!("{text:?} is none of {}.{meant} A number will do as well", words.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
