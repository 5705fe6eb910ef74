//! The executor: the only code that changes a host.
//!
//! Before each change it records what stands there and writes its intent to the journal; then it applies the change and
//! marks it done. If one fails, those before it are taken back in reverse order; a plan that only takes away
//! ([`OnFailure::GoOn`]) goes on instead.

use std::cell::RefCell;
use std::path::PathBuf;

use super::any::Change;
use super::failure::Failure;
use super::journal::{Journal, Line, Outcome};
use super::kind::Context;
use super::operator::{Interruption, Operator};
use super::plan::{OnFailure, Plan, Step};
use super::prior::Prior;
use super::{settle, store, undo_order};
use crate::certificate::CertificateAuthority;
use crate::error_code::ErrorCode;
use crate::host::{Host, HostError};
use crate::release;

/// Where the executor reports what it is doing.
pub trait Reporter: Operator {
    /// A step begins; `number` counts from 1.
    fn begin(&self, _number: usize, _of: usize, _step: &Step) {}
    /// The step is done.
    fn done(&self, _step: &Step) {}
    /// A step is taken back.
    fn undoing(&self, _step: &Step) {}
}

/// What went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where the receipt is, unless the plan ended with forgetting it.
    pub receipt: PathBuf,
    /// What was not made, of a plan that goes on past failures. Everything else was.
    pub not_made: Vec<NotMade>,
    /// What was noted on the way.
    pub notes: Vec<String>,
}

/// A change that was not made, in a plan that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMade {
    /// The change, as "action kind target".
    pub change: String,
    /// Why.
    pub cause: String,
}

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

/// Applies plans to a host.
pub struct Executor<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// Where releases come from; `None` for a plan that installs none.
    pub source: Option<&'a release::Source>,
    /// Who issues certificates; `None` for a plan that orders none.
    pub authority: Option<&'a dyn CertificateAuthority>,
    /// Whom to tell.
    pub reporter: &'a dyn Reporter,
    /// Asked between changes whether to stop, with the reason: everything is then taken back.
    pub stop: &'a dyn Fn() -> Option<String>,
    /// Asked after the last change whether all is well: if it is not, everything is taken back.
    pub trial: Option<Trial<'a>>,
}

impl Executor<'_> {
    /// Applies a plan. The caller holds the lock and has settled an earlier journal.
    ///
    /// # Errors
    /// A change failed. Everything before it was taken back, except what [`ApplyError::aftermath`] names.
    pub fn apply(&self, command: &str, plan: &Plan) -> Result<Applied, ApplyError> {
        let journal = settle::running(self.host, plan)
            .and_then(|running| Journal::begin(self.host, command, running))
            .map_err(|error| {
                Failed::after("journal", "begin", ErrorCode::Journal).error(
                    error.into(),
                    ErrorCode::Journal,
                    Aftermath::default(),
                )
            })?;
        let context = Context {
            host: self.host,
            source: self.source,
            authority: self.authority,
            operator: self.reporter,
            stop: self.stop,
            notes: RefCell::default(),
        };
        if let OnFailure::GoOn { chained, decisive } = plan.on_failure {
            return self.go_on(&context, journal, plan, chained, decisive);
        }
        let mut begun: Vec<(usize, &Step, Prior)> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let what = Failed::of(step);
            if let Some(why) = (self.stop)() {
                match self.reporter.interrupted() {
                    Interruption::Undo => {
                        return Err(self.take_back(journal, what, Failure::Interrupted(why), &begun));
                    }
                    Interruption::Keep => return Err(keep(journal, what, Failure::Interrupted(why))),
                    Interruption::Continue => {}
                }
            }
            self.reporter.begin(number + 1, plan.steps.len(), step);
            match make(&context, &journal, number, step, &mut begun) {
                Ok(()) => self.reporter.done(step),
                // It was broken off in its midst by somebody who wants what is done to stay.
                Err(cause) if self.reporter.decided() == Some(Interruption::Keep) => {
                    return Err(self.put_off(journal, what, cause, &begun));
                }
                Err(cause) => return Err(self.take_back(journal, what, cause, &begun)),
            }
        }
        // Who interrupted the wait for the last change has decided already.
        if let (Some(why), Some(decided)) = ((self.stop)(), self.reporter.decided()) {
            let what = Failed::after("run", "after the last change", ErrorCode::Interrupted);
            return Err(match decided {
                Interruption::Keep => keep(journal, what, Failure::Interrupted(why)),
                Interruption::Undo | Interruption::Continue => {
                    self.take_back(journal, what, Failure::Interrupted(why), &begun)
                }
            });
        }
        if let Some(trial) = self.trial {
            while let Err(cause) = trial(self.stop) {
                let is_interrupted = (self.stop)().is_some();
                let code = if is_interrupted { ErrorCode::Interrupted } else { ErrorCode::Trial };
                let what = Failed::after("trial", "the checks on the running system", code);
                match if is_interrupted { self.reporter.interrupted() } else { Interruption::Undo } {
                    Interruption::Undo => return Err(self.take_back(journal, what, cause.into(), &begun)),
                    Interruption::Keep => return Err(keep(journal, what, cause.into())),
                    Interruption::Continue => {}
                }
            }
        }
        let receipt = journal.end(Outcome::Complete).map_err(unrecorded)?;
        Ok(Applied { receipt, not_made: Vec::new(), notes: context.notes.take() })
    }

    /// Applies a plan that only takes away: what fails is written down and left, and the rest goes on. Whoever interrupts it may
    /// have all of it taken back, as long as nothing has gone for good.
    fn go_on(
        &self,
        context: &Context<'_>,
        journal: Journal<'_>,
        plan: &Plan,
        chained: &[&str],
        decisive: &str,
    ) -> Result<Applied, ApplyError> {
        let mut begun: Vec<(usize, &Step, Prior)> = Vec::new();
        let mut not_made = Vec::new();
        // Nobody goes on with it.
        if let Err(error) = self.host.remove_tree(&store::download()) {
            not_made.push(NotMade { change: "remove an interrupted download".to_owned(), cause: error.to_string() });
        }
        let mut broken: Vec<&str> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let leave = |cause: String| NotMade { change: Failed::of(step).change, cause };
            if let Some(why) = (self.stop)() {
                let gone = begun.iter().find_map(|(_, step, _)| step.change.kind().gone_for_good());
                match (self.reporter.interrupted(), gone) {
                    (Interruption::Continue, _) => {}
                    (Interruption::Undo, None) => {
                        return Err(self.take_back(journal, Failed::of(step), Failure::Interrupted(why), &begun));
                    }
                    (Interruption::Undo, Some(gone)) => {
                        not_made.push(leave(format!(
                            "{why}; it and the changes after it were not started, and nothing was undone: {} is gone for good",
                            gone.display()
                        )));
                        break;
                    }
                    (Interruption::Keep, _) => {
                        not_made.push(leave(format!("{why}; it and the changes after it were not started")));
                        break;
                    }
                }
            }
            if broken.contains(&step.part) {
                not_made.push(leave("left out, as what comes before it was not made".to_owned()));
                continue;
            }
            self.reporter.begin(number + 1, plan.steps.len(), step);
            let Err(cause) = make(context, &journal, number, step, &mut begun) else {
                self.reporter.done(step);
                continue;
            };
            not_made.push(leave(cause.to_string()));
            // Without an intent in the journal there is nothing that failed.
            if begun.last().is_some_and(|(last, _, _)| *last == number)
                && let Err(error) = journal.write(&Line::Failed { step: number, reason: cause.to_string() })
            {
                not_made.push(leave(format!("the journal cannot be written: {error}; nothing more was started")));
                break;
            }
            if step.part == decisive {
                break;
            }
            if chained.contains(&step.part) {
                broken.push(step.part);
            }
        }
        let outcome = if not_made.is_empty() { Outcome::Complete } else { Outcome::Incomplete };
        let receipt = journal.end(outcome).unwrap_or_else(|error| {
            not_made.push(NotMade { change: "complete the record of this run".to_owned(), cause: error.to_string() });
            super::journal::path()
        });
        if plan.forget
            && not_made.is_empty()
            && let Err(error) = store::forget(self.host)
        {
            not_made.push(NotMade {
                change: format!("remove {}, the record of all this", store::FOLDER),
                cause: error.to_string(),
            });
        }
        Ok(Applied { receipt, not_made, notes: context.notes.take() })
    }

    /// Ends a run in the midst of its last change, which alone is taken back, but for what the next run can use of it.
    fn put_off(
        &self,
        journal: Journal<'_>,
        failed: Failed,
        cause: Failure,
        begun: &[(usize, &Step, Prior)],
    ) -> ApplyError {
        let Some((number, step, prior)) = begun.last() else { return keep(journal, failed, cause) };
        self.reporter.undoing(step);
        let undone = step.change.kind().put_off(self.host, prior);
        match undone.and_then(|()| journal.write(&Line::Undone { step: *number })) {
            Ok(()) => keep(journal, failed, cause),
            // The next run settles it: there is no end in the journal.
            Err(error) => {
                let aftermath = Aftermath { failed: vec![not_undone(step, &error)], ..Aftermath::default() };
                failed.error(cause, ErrorCode::Interrupted, aftermath)
            }
        }
    }

    fn take_back(
        &self,
        journal: Journal<'_>,
        failed: Failed,
        cause: Failure,
        begun: &[(usize, &Step, Prior)],
    ) -> ApplyError {
        let mut aftermath = Aftermath::default();
        if failed.stands {
            // By then the server runs and is known by its name: taking it down again would cost more than it mends.
            aftermath.kept = Some(
                "GoToSocial is installed and runs; only the account is not finished. Run the same command again"
                    .to_owned(),
            );
        } else {
            if let Err(error) = journal.write(&Line::Undoing { reason: cause.to_string() }) {
                aftermath.failed.push(format!("journal: {error}"));
            }
            let changes: Vec<&Change> = begun.iter().map(|(_, step, _)| &step.change).collect();
            for (number, step, prior) in undo_order::order(&changes).into_iter().filter_map(|place| begun.get(place)) {
                self.reporter.undoing(step);
                match step.change.kind().take_back(self.host, prior) {
                    Ok(spared) => aftermath.spared.extend(spared),
                    Err(error) => {
                        aftermath.failed.push(not_undone(step, &error));
                        continue;
                    }
                }
                if let Err(error) = journal.write(&Line::Undone { step: *number }) {
                    aftermath.failed.push(format!("journal: {error}"));
                }
            }
        }
        let undone = aftermath.kept.is_none() && aftermath.failed.is_empty();
        if let Err(error) = journal.end(if undone { Outcome::Undone } else { Outcome::NotUndone }) {
            aftermath.failed.push(format!("journal: {error}"));
        }
        let code = cause.code().unwrap_or(failed.code);
        failed.error(cause, code, aftermath)
    }
}

/// Makes one change: notes what stands there, announces it in the journal, applies it, and marks it done.
fn make<'s>(
    context: &Context<'_>,
    journal: &Journal<'_>,
    number: usize,
    step: &'s Step,
    begun: &mut Vec<(usize, &'s Step, Prior)>,
) -> Result<(), Failure> {
    let kind = step.change.kind();
    let prior = kind.prior(context.host)?;
    journal.intent(number, step, &prior)?;
    begun.push((number, step, prior));
    kind.apply(context)?;
    Ok(journal.write(&Line::Done { step: number })?)
}

/// That a step could not be taken back, and why.
fn not_undone(step: &Step, why: &HostError) -> String {
    format!("{} {}: {why}", step.change.kind().name(), step.change.kind().target())
}

/// Everything was made, but the last line of the journal is missing.
fn unrecorded(error: HostError) -> ApplyError {
    let kept = "every change was made; only its record could not be completed, which the next run does".to_owned();
    Failed::after("journal", "end", ErrorCode::Journal).error(
        error.into(),
        ErrorCode::Journal,
        Aftermath { kept: Some(kept), ..Aftermath::default() },
    )
}

/// Ends a run in the middle, and leaves what it has done.
fn keep(journal: Journal<'_>, failed: Failed, cause: Failure) -> ApplyError {
    let kept = match journal.end(Outcome::Interrupted) {
        Ok(_) => "the changes are kept, and the same command continues from there".to_owned(),
        Err(error) => {
            format!("the changes are kept, but their record is incomplete ({error}); the next run repairs it")
        }
    };
    failed.error(cause, ErrorCode::Interrupted, Aftermath { kept: Some(kept), ..Aftermath::default() })
}

/// What failed, or was not even begun.
struct Failed {
    part: &'static str,
    change: String,
    /// What tells more, if the cause does not.
    code: ErrorCode,
    /// Whether what was done before stays.
    stands: bool,
}

impl Failed {
    /// What comes after all changes.
    fn after(part: &'static str, what: &str, code: ErrorCode) -> Self {
        Self { part, change: what.to_owned(), code, stands: false }
    }

    fn of(step: &Step) -> Self {
        let kind = step.change.kind();
        Self {
            part: step.part,
            change: match kind.name() {
                "removal" => format!("{} {}", step.action.word(), kind.target()),
                name => format!("{} {name} {}", step.action.word(), kind.target()),
            },
            code: kind.code(),
            stands: matches!(step.change, Change::Account { .. }),
        }
    }

    fn error(self, cause: Failure, code: ErrorCode, aftermath: Aftermath) -> ApplyError {
        ApplyError {
            part: self.part,
            change: self.change,
            cause: Box::new(cause),
            code,
            aftermath: Box::new(aftermath),
        }
    }
}
