//! The people at a run: what they are told on the way, and what they are asked.

use super::stop::Stop;
use crate::change::{Plan, Reporter};
use crate::check::Check;
use crate::check::bind::Row;
use crate::deployment::{Answers, Deployment, Layout, Mode, Secrets};
use crate::error_code::ErrorCode;
use crate::host::Observe;

/// How something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a heading.
    Heading,
    /// As a line of the result, as it is.
    Line,
    /// As text of the result. It is wrapped, with this indent after the first line.
    Text(usize),
    /// As a success.
    Good,
    /// As the result itself, which is said even to those who want to hear little.
    Result,
    /// As something that needs attention, as it is.
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

/// Answers that a plan comes from, and what to call a file of them.
#[derive(Debug, Clone)]
pub struct Unsaved {
    /// The text of the answers file.
    pub answers: String,
    /// The proposed name of the file.
    pub name: String,
}

/// What somebody is asked to agree to.
#[derive(Clone, Copy)]
pub struct Proposal<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What "explain" says, a paragraph each.
    pub explanation: &'a [&'a str],
    /// The answers, where there are any.
    pub answers: Option<&'a Unsaved>,
}

/// Which answers are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanting {
    /// All, with those that are there as defaults.
    Everything,
    /// Those under these keys.
    Missing(Vec<String>),
}

/// A trial as somebody sees it.
pub trait TrialView {
    /// It goes on for so many seconds.
    fn left(&self, seconds: u64);
    /// Something that needs attention.
    fn say(&self, text: &str);
    /// Whether somebody wants to end it and keep the result.
    fn keep(&self) -> bool;
}

/// The people at a run.
pub trait People {
    /// Tells something.
    fn tell(&self, manner: Manner, text: &str);

    /// Tells of an error after which the run goes on.
    fn error(&self, code: ErrorCode, text: &str);

    /// Shows a plan. `is_asked` where the consent to it is asked for next.
    fn show_plan(&self, host: &dyn Observe, plan: &Plan, heading: &str, is_asked: bool);

    /// Shows what the preflight or the checks found.
    fn show_checks(&self, heading: &str, checks: &[Check]);

    /// Shows who may bind which port.
    fn show_matrix(&self, rows: &[Row]);

    /// Shows what somebody needs to know of a new installation. The password is that of a new account.
    fn show_installation(&self, deployment: &Deployment, layout: &Layout, password: Option<&str>);

    /// Whether somebody can be asked.
    fn can_answer(&self) -> bool;

    /// Asks for the consent to a plan.
    ///
    /// # Errors
    /// Nobody answers any more.
    fn agree(&self, host: &dyn Observe, proposal: Proposal<'_>) -> Result<bool, Stop>;

    /// Has something typed.
    ///
    /// # Errors
    /// Nobody answers any more.
    fn typed(&self, prompt: &str) -> Result<String, Stop>;

    /// Asks for answers.
    ///
    /// # Errors
    /// Nobody answers any more.
    fn answers(&self, host: &dyn Observe, asked: Asked<'_>) -> Result<Answers, Stop>;

    /// Shows the progress of changes. [`Operator::interrupted`](crate::change::Operator::interrupted) asks what becomes of the run.
    fn progress(&self) -> Box<dyn Reporter + '_>;

    /// Shows a trial of a switch to this mode, which goes on for so many seconds.
    fn trial(&self, mode: Mode, seconds: u64, can_keep: bool) -> Box<dyn TrialView + '_>;
}

/// A conversation about answers.
pub struct Asked<'a> {
    /// The answers so far.
    pub answers: Answers,
    /// Passwords, without which some answers are not valid.
    pub secrets: &'a Secrets,
    /// Answers that cannot be changed any more, and are not asked for.
    pub settled: &'a [&'static str],
    /// Which are asked for.
    pub wanting: &'a Wanting,
}
