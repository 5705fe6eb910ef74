//! The executor: the only code that changes a host.
//!
//! Before each change it records what stands there and writes its intent to the journal; then it applies the change and
//! marks it done. If one fails, those before it are taken back in reverse order; a plan that only takes away
//! ([`OnFailure::GoOn`]) goes on instead.

use std::cell::RefCell;

use super::any::Change;
use super::failure::Failure;
use super::journal::{Journal, Line, Outcome};
use super::operator::{Interruption, Operator};
use super::plan::{OnFailure, Plan, Step};
use super::prior::Prior;
use super::{settle, store, undo_order};

use crate::certificate::CertificateAuthority;
use crate::error_code::ErrorCode;
use crate::host::{Ask, Host, HostError};
use crate::release;
use crate::shown::{self, Shown};

/// A change failed.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {change}: {cause}")]
pub struct ApplyError {
    /// The part that wanted the change.
    pub part: &'static str,
    /// The change, as "action kind target".
    pub change: String,
    /// Why it failed.
    pub cause: Box<Failure>,
    /// Where to read more.
    pub code: ErrorCode,
    /// What became of the changes before it.
    pub aftermath: Box<Aftermath>,
}

/// What became of the changes that had been made before one failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// Why all of them were kept; then nothing was taken back.
    pub kept: Option<String>,
    /// What could not be taken back, and why.
    pub failed: Vec<String>,
    /// What was spared on purpose, because somebody else has written into it since.
    pub spared: Vec<String>,
}

/// A look at the running system, which may take a while and is given [`Executor::stop`] to ask meanwhile.
pub type Trial<'a> = &'a dyn Fn(&dyn Fn() -> Option<String>) -> Result<(), String>;

/// Applies plans to a host, and is what each change is applied with.
pub struct Executor<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// Where releases come from; `None` for a plan that installs none.
    pub source: Option<&'a release::Source>,
    /// Who issues certificates; `None` for a plan that orders none.
    pub authority: Option<&'a dyn CertificateAuthority>,
    /// Who looks on.
    pub operator: &'a dyn Operator,
    /// Asked between changes whether to stop, with the reason: everything is then taken back.
    pub stop: &'a dyn Fn() -> Option<String>,
    /// Asked after the last change whether all is well: if it is not, everything is taken back.
    pub trial: Option<Trial<'a>>,
}

impl ApplyError {
    fn new(part: &'static str, change: &str, code: ErrorCode, cause: impl Into<Failure>) -> Self {
        let (cause, aftermath) = (Box::new(cause.into()), Box::default());
        Self { part, change: change.to_owned(), cause, code, aftermath }
    }

    /// A step failed, or was not even begun.
    fn of(step: &Step, cause: Failure) -> Self {
        let code = cause.code().unwrap_or_else(|| step.change.kind().code());
        let error = Self::new(step.part, &named(step), code, cause);
        if !matches!(step.change, Change::Account { .. }) {
            return error;
        }
        // By then the server runs and is known by its name: taking it down again would cost more than it mends.
        error.kept("GoToSocial is installed and runs; only the account is not finished. Run the same command again")
    }

    /// The same, and all that was done is kept.
    fn kept(mut self, why: impl Into<String>) -> Self {
        self.aftermath.kept = Some(why.into());
        self
    }
}

/// A step as "action kind target".
fn named(step: &Step) -> String {
    let (action, kind) = (step.action, step.change.kind());
    match kind.name() {
        "removal" => format!("{action} {}", kind.target().shown()),
        name => format!("{action} {name} {}", kind.target().shown()),
    }
}

impl Executor<'_> {
    /// Why to break off in the midst of a change, if somebody wants that and does not choose to go on.
    pub(super) fn broken_off(&self) -> Option<String> {
        (self.stop)().filter(|_| self.operator.interrupted() != Interruption::Continue)
    }

    /// Does something that takes long and asks meanwhile whether to stop. If it is told to, whatever it then returns, that is
    /// why it failed.
    pub(super) fn unless_broken_off<T, E>(&self, work: impl FnOnce(Ask<'_>) -> Result<T, E>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let why = RefCell::new(None);
        let done = work(&|| {
            why.replace(self.broken_off());
            why.borrow().clone()
        });
        match why.take() {
            Some(why) => Err(Failure::Interrupted(why)),
            None => Ok(done?),
        }
    }

    /// Applies a plan. The caller holds the lock and has settled an earlier journal. Returns what was not made of a plan that goes
    /// on past failures, as "action kind target: why".
    ///
    /// # Errors
    /// A change failed. Everything before it was taken back, except what [`ApplyError::aftermath`] names.
    pub fn apply(&self, command: &str, plan: &Plan) -> Result<Vec<String>, ApplyError> {
        let journal = settle::running(self.host, plan)
            .and_then(|running| Journal::begin(self.host, command, running))
            .map_err(|error| ApplyError::new("journal", "begin", ErrorCode::Journal, error))?;
        let mut run = Run { executor: self, journal, plan, begun: Vec::new() };
        if let OnFailure::GoOn { chained, decisive } = plan.on_failure {
            return run.go_on(chained, decisive);
        }
        for (number, step) in plan.steps.iter().enumerate() {
            if let Some(why) = (self.stop)() {
                let error = ApplyError::of(step, Failure::Interrupted(why));
                run = run.interrupted(self.operator.interrupted(), error)?;
            }
            if let Err(cause) = run.make(number, step) {
                let error = ApplyError::of(step, cause);
                // It may have been broken off in its midst by somebody who wants what is done to stay.
                let is_kept = self.operator.decided() == Some(Interruption::Keep);
                return Err(if is_kept { run.put_off(error) } else { run.take_back(error) });
            }
        }
        // Who interrupted the wait for the last change has decided already.
        if let (Some(why), Some(decided)) = ((self.stop)(), self.operator.decided()) {
            let (code, cause) = (ErrorCode::Interrupted, Failure::Interrupted(why));
            run = run.interrupted(decided, ApplyError::new("run", "after the last change", code, cause))?;
        }
        if let Some(trial) = self.trial {
            while let Err(cause) = trial(self.stop) {
                let (code, decided) = match (self.stop)() {
                    Some(_) => (ErrorCode::Interrupted, self.operator.interrupted()),
                    None => (ErrorCode::Trial, Interruption::Undo),
                };
                let error = ApplyError::new("trial", "the checks on the running system", code, cause);
                run = run.interrupted(decided, error)?;
            }
        }
        run.journal.end(Outcome::Complete).map(|()| Vec::new()).map_err(|error| {
            let why = "every change was made; only its record could not be completed, which the next run does";
            ApplyError::new("journal", "end", ErrorCode::Journal, error).kept(why)
        })
    }
}

/// A plan that is being applied.
struct Run<'a> {
    executor: &'a Executor<'a>,
    journal: Journal<'a>,
    plan: &'a Plan,
    /// The steps that the journal announces, by their numbers.
    begun: Vec<(usize, &'a Step, Prior)>,
}

impl<'a> Run<'a> {
    /// Makes one change: notes what stands there, announces it in the journal, applies it, and marks it done.
    fn make(&mut self, number: usize, step: &'a Step) -> Result<(), Failure> {
        let (operator, kind) = (self.executor.operator, step.change.kind());
        operator.begin(number + 1, self.plan.steps.len(), step);
        let prior = kind.prior(self.executor.host)?;
        self.journal.intent(number, step, &prior)?;
        self.begun.push((number, step, prior));
        kind.apply(self.executor)?;
        self.journal.write(&Line::Done { step: number })?;
        operator.done(step);
        Ok(())
    }

    /// Makes all steps of a plan that only takes away: what fails is written down and left, and the rest goes on. Whoever
    /// interrupts it may have all of it taken back, as long as nothing has gone for good.
    fn go_on(mut self, chained: &[&str], decisive: &str) -> Result<Vec<String>, ApplyError> {
        let (executor, plan) = (self.executor, self.plan);
        // Nobody goes on with it.
        let removed = executor.host.remove_tree(&store::download()).err();
        let mut not_made: Vec<String> =
            removed.iter().map(|error| format!("remove an interrupted download: {error}")).collect();
        let mut leave = |step, why: String| not_made.push(format!("{}: {why}", named(step)));
        let mut broken: Vec<&str> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            if let Some(why) = (executor.stop)() {
                let gone = self.begun.iter().find_map(|(_, step, _)| step.change.kind().gone_for_good());
                let rest = match (executor.operator.interrupted(), gone) {
                    (Interruption::Continue, _) => None,
                    (Interruption::Keep, _) => Some(String::new()),
                    (Interruption::Undo, Some(gone)) => {
                        Some(format!(", and nothing was undone: {} is gone for good", gone.shown()))
                    }
                    (Interruption::Undo, None) => {
                        return Err(self.take_back(ApplyError::of(step, Failure::Interrupted(why))));
                    }
                };
                if let Some(rest) = rest {
                    leave(step, format!("{why}; it and the changes after it were not started{rest}"));
                    break;
                }
            }
            if broken.contains(&step.part) {
                leave(step, "left out, as what comes before it was not made".to_owned());
                continue;
            }
            let Err(cause) = self.make(number, step) else { continue };
            let is_broken_off = matches!(cause, Failure::Interrupted(_));
            leave(step, cause.to_string());
            // Without an intent in the journal there is nothing that failed.
            if self.begun.last().is_some_and(|(last, _, _)| *last == number)
                && let Err(error) = self.journal.write(&Line::Failed { step: number, reason: in_words(&cause) })
            {
                leave(step, format!("the journal cannot be written: {error}; nothing more was started"));
                break;
            }
            if is_broken_off || step.part == decisive {
                break;
            }
            if chained.contains(&step.part) {
                broken.push(step.part);
            }
        }
        let outcome = if not_made.is_empty() { Outcome::Complete } else { Outcome::Incomplete };
        if let Err(error) = self.journal.end(outcome) {
            not_made.push(format!("complete the record of this run: {error}"));
        }
        if plan.forget
            && not_made.is_empty()
            && let Err(error) = store::forget(executor.host)
        {
            not_made.push(format!("remove {}, the record of all this: {error}", store::FOLDER));
        }
        Ok(not_made)
    }

    /// Ends a run that somebody has interrupted as they decided, or goes on with it.
    fn interrupted(self, decided: Interruption, error: ApplyError) -> Result<Self, ApplyError> {
        match decided {
            Interruption::Undo => Err(self.take_back(error)),
            Interruption::Keep => Err(self.keep(error)),
            Interruption::Continue => Ok(self),
        }
    }

    /// Ends a run in the middle, and leaves what it has done. Of a handover of ports that has not come about nothing is left.
    fn keep(self, mut error: ApplyError) -> ApplyError {
        error.code = ErrorCode::Interrupted;
        if settle::is_handover_pending(self.begun.iter().map(|(_, step, _)| (&step.change, true))) {
            self.executor.operator.note("The ports have not changed hands yet, so no change is kept");
            return self.take_back(error);
        }
        error.kept(match self.journal.end(Outcome::Interrupted) {
            Ok(()) => "the changes are kept, and the same command continues from there".to_owned(),
            Err(why) => {
                format!("the changes are kept, but their record is incomplete ({why}); the next run repairs it")
            }
        })
    }

    /// Ends a run in the midst of its last change, which alone is taken back, but for what the next run can use of it.
    fn put_off(self, mut error: ApplyError) -> ApplyError {
        let Some((number, step, prior)) = self.begun.last() else { return self.keep(error) };
        let number = *number;
        let made = self.begun.iter().map(|(begun, step, _)| (&step.change, *begun != number));
        if settle::is_handover_pending(made) {
            return self.take_back(error);
        }
        self.executor.operator.undoing(step);
        let undone = step.change.kind().put_off(self.executor.host, prior);
        match undone.and_then(|()| self.journal.write(&Line::Undone { step: number })) {
            Ok(()) => self.keep(error),
            // The next run settles it: there is no end in the journal.
            Err(why) => {
                error.code = ErrorCode::Interrupted;
                error.aftermath = Box::new(Aftermath { failed: vec![not_undone(step, &why)], ..Aftermath::default() });
                error
            }
        }
    }

    /// Takes back everything that was begun, unless the error says why it is kept.
    fn take_back(self, mut error: ApplyError) -> ApplyError {
        let Aftermath { kept, failed, spared } = &mut *error.aftermath;
        let unwritten = |error: HostError| format!("journal: {error}");
        if kept.is_none() {
            failed.extend(self.journal.write(&Line::Undoing { reason: in_words(&error.cause) }).err().map(unwritten));
            let changes: Vec<&Change> = self.begun.iter().map(|(_, step, _)| &step.change).collect();
            for place in undo_order::order(&changes) {
                let (number, step, prior) = &self.begun[place];
                self.executor.operator.undoing(step);
                match step.change.kind().take_back(self.executor.host, prior) {
                    Ok(stays) => {
                        spared.extend(stays);
                        failed.extend(self.journal.write(&Line::Undone { step: *number }).err().map(unwritten));
                    }
                    Err(why) => failed.push(not_undone(step, &why)),
                }
            }
        }
        let outcome = if kept.is_none() && failed.is_empty() { Outcome::Undone } else { Outcome::NotUndone };
        failed.extend(self.journal.end(outcome).err().map(unwritten));
        error
    }
}

/// Why, for the journal: it has what programs and files say, and is read by people, too.
fn in_words(cause: &Failure) -> String {
    shown::text(&cause.to_string()).into_owned()
}

/// That a step could not be taken back, and why.
fn not_undone(step: &Step, why: &HostError) -> String {
    format!("{} {}: {why}", step.change.kind().name(), step.change.kind().target().shown())
}
