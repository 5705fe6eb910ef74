//! The person who looks on while changes are made.

use std::time::Duration;

use super::plan::Step;
use crate::backup::LeftOut;
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

/// Who is kept informed while changes are made, and can interrupt them. Most methods may be left as they are.
pub trait Operator {
    /// A step begins; `number` counts from 1.
    fn begin(&self, _number: usize, _of: usize, _step: &Step) {}
    /// The step is done.
    fn done(&self, _step: &Step) {}
    /// A step is taken back.
    fn undoing(&self, _step: &Step) {}
    /// Something takes long: what is waited for, since when, and the newest line of its log.
    fn waiting(&self, _what: &str, _elapsed: Duration, _log_line: Option<&str>) {}
    /// Something that the administrator should know.
    fn note(&self, _text: &str) {}
    /// Files are not in the backup that was written.
    fn left_out(&self, _files: &LeftOut) {}
    /// A password that is shown this once and kept nowhere. If it stood on a command line, `exposed` says why no other one could
    /// take its place.
    fn password(&self, _username: &str, _password: &str, _exposed: Option<&str>) {}
    /// Somebody wants the run to stop: what becomes of it? An answer other than to continue holds for the rest of the run.
    fn interrupted(&self) -> Interruption {
        Interruption::Undo
    }
    /// What [`Operator::interrupted`] has answered for the rest of the run.
    fn decided(&self) -> Option<Interruption> {
        None
    }
    /// Progress of a download.
    fn progress(&self) -> &dyn release::Progress;
}
