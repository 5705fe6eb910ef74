//! The people at a run: what they see, and what they are asked.

use super::stop::Stop;
use crate::change::{Operator, Plan};
use crate::check::Check;
use crate::check::bind::Row;
use crate::deployment::{Answers, Deployment, Layout, Mode, Secrets};
use crate::error_code::ErrorCode;
use crate::host::Observe;

/// How a text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a heading.
    Heading,
    /// As a line of the result, unchanged.
    Line,
    /// As text of the result. It is wrapped, with this indent after the first line.
    Text(usize),
    /// As a success.
    Good,
    /// As the result itself, which is printed even with `--quiet`.
    Result,
    /// As something that needs attention, unchanged.
    Attention,
    /// The same, wrapped.
    Notice,
    /// As a warning.
    Warning,
    /// As a reason for a reboot.
    Reboot,
    /// As the heading of what needs attention.
    Concern,
    /// As an item below such a heading.
    Item,
}

/// The answers behind a plan, and a file name for them.
#[derive(Debug, Clone)]
pub struct Unsaved {
    /// The text of the answers file.
    pub answers: String,
    /// The proposed name of the file.
    pub name: String,
}

/// What the consent is about.
#[derive(Clone, Copy)]
pub struct Proposal<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The paragraphs of "explain".
    pub explanation: &'a [&'a str],
    /// The answers, if any.
    pub answers: Option<&'a Unsaved>,
}

/// Which answers to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanting {
    /// All, with the current ones as defaults.
    Everything,
    /// Those under these keys.
    Missing(Vec<String>),
}

/// The display of a trial.
pub trait TrialView {
    /// The trial continues for so many seconds.
    fn left(&self, seconds: u64);
    /// Prints what needs attention.
    fn say(&self, text: &str);
    /// Whether the user wants to end it and keep the result.
    fn keep(&self) -> bool;
}

/// The people at a run.
pub trait People {
    /// Prints a text.
    fn tell(&self, manner: Manner, text: &str);

    /// Prints an error after which the run continues.
    fn error(&self, code: ErrorCode, text: &str);

    /// Shows a plan. `is_asked`: the question for consent comes next.
    fn show_plan(&self, host: &dyn Observe, plan: &Plan, heading: &str, is_asked: bool);

    /// Shows the findings of the preflight or of the checks.
    fn show_checks(&self, heading: &str, checks: &[Check]);

    /// Shows which user may bind which port.
    fn show_matrix(&self, rows: &[Row]);

    /// Shows the summary of a new installation. The password is that of a new account.
    fn show_installation(&self, deployment: &Deployment, layout: &Layout, password: Option<&str>);

    /// Whether a person can answer questions.
    fn can_answer(&self) -> bool;

    /// Asks for consent to a plan.
    ///
    /// # Errors
    /// The input ended, or was interrupted.
    fn agree(&self, host: &dyn Observe, proposal: Proposal<'_>) -> Result<bool, Stop>;

    /// Asks for a line of text.
    ///
    /// # Errors
    /// The input ended, or was interrupted.
    fn typed(&self, prompt: &str) -> Result<String, Stop>;

    /// Asks for answers.
    ///
    /// # Errors
    /// The input ended, or was interrupted.
    fn answers(&self, host: &dyn Observe, asked: Asked<'_>) -> Result<Answers, Stop>;

    /// Shows the progress of changes. [`Operator::interrupted`] asks how to continue.
    fn progress(&self) -> Box<dyn Operator + '_>;

    /// Shows the trial of a switch to this mode, which continues for so many seconds.
    fn trial(&self, mode: Mode, seconds: u64, can_keep: bool) -> Box<dyn TrialView + '_>;
}

/// A conversation about answers.
pub struct Asked<'a> {
    /// The answers so far.
    pub answers: Answers,
    /// Passwords, without which some answers are not valid.
    pub secrets: &'a Secrets,
    /// Answers that can never change, and are not asked for.
    pub settled: &'a [&'static str],
    /// Which answers to ask for.
    pub wanting: &'a Wanting,
}
