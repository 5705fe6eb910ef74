//! The executor: the only code that changes a host.
//!
//! Before each change it records what stands there and writes its intent to the journal; then it applies the change and
//! marks it done. If one fails, those before it are taken back in reverse order; a plan that only takes away
//! ([`OnFailure::GoOn`]) goes on instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apply::Cause;
use super::journal::{Journal, Line, Outcome};
use super::{Change, OnFailure, Plan, Prior, Step, apply, settle, store, undo};
use crate::error_code::ErrorCode;
use crate::host::{Host, HostError};
use crate::release;

/// What becomes of a run that is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// What was done is taken back.
    Undo,
    /// It stays, and the next run goes on from there.
    Keep,
    /// The run goes on.
    Continue,
}

/// Where the executor tells what it is doing. All methods may be left as they are.
pub trait Reporter {
    /// A step begins; `number` counts from 1.
    fn begin(&self, _number: usize, _of: usize, _step: &Step) {}
    /// The step is done.
    fn done(&self, _step: &Step) {}
    /// Something takes long: what is waited for, since when, and the newest line of its log.
    fn waiting(&self, _what: &str, _elapsed: Duration, _log_line: Option<&str>) {}
    /// Something that the administrator should know.
    fn note(&self, _text: &str) {}
    /// A step is taken back.
    fn undoing(&self, _step: &Step) {}
    /// A password that is told this once and kept nowhere.
    fn password(&self, _username: &str, _password: &str) {}
    /// Somebody wants the run to stop: what becomes of it? An answer other than to continue holds for the rest of the run.
    fn interrupted(&self) -> Interruption {
        Interruption::Undo
    }
    /// What [`Reporter::interrupted`] has answered for the rest of the run.
    fn decided(&self) -> Option<Interruption> {
        None
    }
    /// Progress of a download.
    fn progress(&self) -> &dyn release::Progress;
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
    pub cause: String,
    /// Where to read more.
    pub code: ErrorCode,
    /// What became of the changes before it.
    pub aftermath: Box<Aftermath>,
}

/// What became of the changes that had been made before one failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// They all stay, and why that is right; nothing was taken back.
    pub stands: Option<String>,
    /// What could not be taken back, and why.
    pub left: Vec<String>,
    /// What was not taken back on purpose, because somebody else has written into it since.
    pub stays: Vec<String>,
}

/// A look at the running system, which may take a while and is given [`Executor::stop`] to ask meanwhile.
pub type Trial<'a> = &'a dyn Fn(&dyn Fn() -> Option<String>) -> Result<(), String>;

/// Applies plans to a host.
pub struct Executor<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// Where releases come from; `None` for a plan that installs none.
    pub source: Option<&'a release::Source>,
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
            .map_err(|error| ApplyError {
                part: "journal",
                change: "begin".to_owned(),
                cause: error.to_string(),
                code: ErrorCode::Journal,
                aftermath: Box::default(),
            })?;
        if let OnFailure::GoOn { chained, decisive } = plan.on_failure {
            return self.go_on(journal, plan, chained, decisive);
        }
        let mut begun: Vec<(usize, &Step, Prior)> = Vec::new();
        let mut notes = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let what = Failed::of(step);
            if let Some(why) = (self.stop)() {
                match self.reporter.interrupted() {
                    Interruption::Undo => return Err(self.take_back(journal, what, interrupted(why), &begun)),
                    Interruption::Keep => return Err(keep(journal, what, why)),
                    Interruption::Continue => {}
                }
            }
            self.reporter.begin(number + 1, plan.steps.len(), step);
            match self.step(&journal, number, step, &mut begun, &mut notes) {
                Ok(()) => self.reporter.done(step),
                // It was broken off in its midst by somebody who wants what is done to stay.
                Err(cause) if self.reporter.decided() == Some(Interruption::Keep) => {
                    return Err(self.put_off(journal, what, cause.text, &begun));
                }
                Err(cause) => return Err(self.take_back(journal, what, cause, &begun)),
            }
        }
        // Who interrupted the wait for the last change has decided already.
        if let (Some(why), Some(decided)) = ((self.stop)(), self.reporter.decided()) {
            let what = Failed::after("run", "after the last change", ErrorCode::Interrupted);
            return Err(match decided {
                Interruption::Keep => keep(journal, what, why),
                Interruption::Undo | Interruption::Continue => self.take_back(journal, what, interrupted(why), &begun),
            });
        }
        if let Some(trial) = self.trial {
            while let Err(cause) = trial(self.stop) {
                let is_interrupted = (self.stop)().is_some();
                let code = if is_interrupted { ErrorCode::Interrupted } else { ErrorCode::Trial };
                let what = Failed::after("trial", "the checks on the running system", code);
                match if is_interrupted { self.reporter.interrupted() } else { Interruption::Undo } {
                    Interruption::Undo => return Err(self.take_back(journal, what, cause.into(), &begun)),
                    Interruption::Keep => return Err(keep(journal, what, cause)),
                    Interruption::Continue => {}
                }
            }
        }
        let receipt = journal.end(Outcome::Complete).map_err(|error| unrecorded(&error))?;
        Ok(Applied { receipt, not_made: Vec::new(), notes })
    }

    /// Applies a plan that only takes away: what fails is written down and left, and the rest goes on. Whoever interrupts it may
    /// have all of it taken back, as long as nothing has gone for good.
    fn go_on(
        &self,
        journal: Journal<'_>,
        plan: &Plan,
        chained: &[&str],
        decisive: &str,
    ) -> Result<Applied, ApplyError> {
        let mut begun: Vec<(usize, &Step, Prior)> = Vec::new();
        let (mut notes, mut not_made) = (Vec::new(), Vec::new());
        // Nobody goes on with it.
        if let Err(error) = self.host.remove_tree(&store::download()) {
            not_made.push(NotMade { change: "remove an interrupted download".to_owned(), cause: error.to_string() });
        }
        let mut broken: Vec<&str> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let leave = |cause: String| NotMade { change: Failed::of(step).change, cause };
            if let Some(why) = (self.stop)() {
                let gone = begun.iter().find_map(|(_, step, _)| gone_for_good(&step.change));
                match (self.reporter.interrupted(), gone) {
                    (Interruption::Continue, _) => {}
                    (Interruption::Undo, None) => {
                        return Err(self.take_back(journal, Failed::of(step), interrupted(why), &begun));
                    }
                    (Interruption::Undo, Some(gone)) => {
                        not_made.push(leave(format!(
                            "{why}; it and what comes after it was not begun, and nothing was taken back: {} is gone for good",
                            gone.display()
                        )));
                        break;
                    }
                    (Interruption::Keep, _) => {
                        not_made.push(leave(format!("{why}; it and what comes after it was not begun")));
                        break;
                    }
                }
            }
            if broken.contains(&step.part) {
                not_made.push(leave("left out, as what comes before it was not made".to_owned()));
                continue;
            }
            self.reporter.begin(number + 1, plan.steps.len(), step);
            let Err(cause) = self.step(&journal, number, step, &mut begun, &mut notes) else {
                self.reporter.done(step);
                continue;
            };
            not_made.push(leave(cause.text.clone()));
            // Without an intent in the journal there is nothing that failed.
            if begun.last().is_some_and(|(last, _, _)| *last == number)
                && let Err(error) = journal.write(&Line::Failed { step: number, reason: cause.text })
            {
                not_made.push(leave(format!("the journal cannot be written: {error}; nothing more was begun")));
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
        Ok(Applied { receipt, not_made, notes })
    }

    fn step<'s>(
        &self,
        journal: &Journal<'_>,
        number: usize,
        step: &'s Step,
        begun: &mut Vec<(usize, &'s Step, Prior)>,
        notes: &mut Vec<String>,
    ) -> Result<(), Cause> {
        let said = |error: HostError| error.to_string();
        let prior = Prior::capture(self.host, &step.change).map_err(said)?;
        journal.intent(number, step, &prior).map_err(said)?;
        begun.push((number, step, prior));
        let told = apply::apply(self, &step.change)?;
        for note in told {
            self.reporter.note(&note);
            notes.push(note);
        }
        Ok(journal.write(&Line::Done { step: number }).map_err(said)?)
    }

    /// Ends a run in the midst of its last change, which alone is taken back, but for what the next run can use of it.
    fn put_off(
        &self,
        journal: Journal<'_>,
        failed: Failed,
        cause: String,
        begun: &[(usize, &Step, Prior)],
    ) -> ApplyError {
        let Some((number, step, prior)) = begun.last() else { return keep(journal, failed, cause) };
        self.reporter.undoing(step);
        let undone = match &step.change {
            Change::Release { directory, .. } => apply::put_off_release(self.host, directory),
            change => undo::undo(self.host, change, prior).map(drop),
        };
        match undone.and_then(|()| journal.write(&Line::Undone { step: *number })) {
            Ok(()) => keep(journal, failed, cause),
            // The next run settles it: there is no end in the journal.
            Err(error) => ApplyError {
                part: failed.part,
                change: failed.change,
                cause,
                code: ErrorCode::Interrupted,
                aftermath: Box::new(Aftermath {
                    left: vec![format!("{} {}: {error}", step.change.kind(), step.change.target())],
                    ..Aftermath::default()
                }),
            },
        }
    }

    fn take_back(
        &self,
        journal: Journal<'_>,
        failed: Failed,
        Cause { text: cause, code }: Cause,
        begun: &[(usize, &Step, Prior)],
    ) -> ApplyError {
        let mut aftermath = Aftermath::default();
        if failed.stands {
            // By then the server runs and is known by its name: taking it down again would cost more than it mends.
            aftermath.stands = Some(
                "GoToSocial is installed and runs; only the account is not finished. Run the same command again"
                    .to_owned(),
            );
        } else {
            if let Err(error) = journal.write(&Line::Undoing { reason: cause.clone() }) {
                aftermath.left.push(format!("journal: {error}"));
            }
            let changes: Vec<&Change> = begun.iter().map(|(_, step, _)| &step.change).collect();
            for (number, step, prior) in undo::order(&changes).into_iter().filter_map(|place| begun.get(place)) {
                self.reporter.undoing(step);
                match undo::undo(self.host, &step.change, prior) {
                    Ok(stays) => aftermath.stays.extend(stays),
                    Err(error) => {
                        aftermath.left.push(format!("{} {}: {error}", step.change.kind(), step.change.target()));
                        continue;
                    }
                }
                if let Err(error) = journal.write(&Line::Undone { step: *number }) {
                    aftermath.left.push(format!("journal: {error}"));
                }
            }
        }
        let undone = aftermath.stands.is_none() && aftermath.left.is_empty();
        if let Err(error) = journal.end(if undone { Outcome::Undone } else { Outcome::NotUndone }) {
            aftermath.left.push(format!("journal: {error}"));
        }
        let code = code.unwrap_or(failed.code);
        ApplyError { part: failed.part, change: failed.change, cause, code, aftermath: Box::new(aftermath) }
    }
}

/// What nobody can bring back once its removal has begun.
fn gone_for_good(change: &Change) -> Option<&Path> {
    match change {
        Change::TreeRemoval { path } => Some(path),
        _ => None,
    }
}

/// The cause that somebody has interrupted the run.
fn interrupted(why: String) -> Cause {
    Cause { text: why, code: Some(ErrorCode::Interrupted) }
}

/// Everything was made, but the last line of the journal is missing.
fn unrecorded(error: &HostError) -> ApplyError {
    ApplyError {
        part: "journal",
        change: "end".to_owned(),
        cause: error.to_string(),
        code: ErrorCode::Journal,
        aftermath: Box::new(Aftermath {
            stands: Some(
                "every change was made; only its record could not be completed, which the next run does".into(),
            ),
            ..Aftermath::default()
        }),
    }
}

/// Ends a run in the middle, and leaves what it has done.
fn keep(journal: Journal<'_>, failed: Failed, cause: String) -> ApplyError {
    let mut aftermath = Aftermath {
        stands: Some("what was done is kept, and the same command goes on from there".to_owned()),
        ..Aftermath::default()
    };
    if let Err(error) = journal.end(Outcome::Interrupted) {
        aftermath.stands =
            Some(format!("what was done is kept, but its record is not complete ({error}); the next run mends that"));
    }
    let code = ErrorCode::Interrupted;
    ApplyError { part: failed.part, change: failed.change, cause, code, aftermath: Box::new(aftermath) }
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
        Self {
            part: step.part,
            change: match step.change.kind() {
                "removal" => format!("{} {}", step.action.word(), step.change.target()),
                kind => format!("{} {kind} {}", step.action.word(), step.change.target()),
            },
            code: step.change.code(),
            stands: matches!(step.change, Change::Account { .. }),
        }
    }
}
