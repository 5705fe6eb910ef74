//! The ledger: what the receipts of all runs say of each thing that was touched, folded into what stood there before and
//! what we left there.
//!
//! The receipts are read from the oldest to the newest. What an uninstallation has taken back is struck out again, so that
//! a later installation begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::change::journal::{self, Announced, Line, announced};
use crate::change::{Change, Left, Prior, Thing};
use crate::host::{HostError, Observe};

/// The command whose receipts strike out.
pub const COMMAND: &str = "uninstall";

/// One recorded change of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The command that made it.
    pub command: String,
    /// What stood there before.
    pub prior: Prior,
    /// What it left.
    pub left: Left,
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What stood there before our first touch.
    pub origin: Prior,
    /// What we left last.
    pub left: Left,
    /// Whether nobody else changed it between two changes of ours.
    pub unbroken: bool,
    /// Every change, the oldest first.
    pub events: Vec<Event>,
}

/// Everything that was touched and not taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    traces: BTreeMap<Thing, Trace>,
    /// Folders whose removal was carried out, which leaves one that is not empty.
    tried: BTreeSet<PathBuf>,
    /// Whether there is any receipt.
    pub has_receipts: bool,
    /// The name of the instance, if GoToSocial was ever started.
    pub served: Option<String>,
}

impl Ledger {
    /// Reads all receipts.
    ///
    /// # Errors
    /// One cannot be read, or is of a newer schema.
    pub fn read(host: &dyn Observe) -> Result<Self, HostError> {
        let mut ledger = Self::default();
        for (_, lines) in journal::receipts(host)? {
            ledger.has_receipts = true;
            ledger.add(&lines);
        }
        for folder in std::mem::take(&mut ledger.tried) {
            if host.entry(&folder)?.is_none() {
                ledger.traces.remove(&Thing::Path(folder));
            }
        }
        Ok(ledger)
    }

    fn add(&mut self, lines: &[Line]) {
        let command = journal::command(lines);
        for Announced { change, prior, done, .. } in announced(lines).filter(|announced| !announced.undone) {
            if let Change::ServiceStart { start } = change {
                self.served = Some(start.readiness.host.clone());
            }
            for (thing, left) in change.kind().leaves() {
                if command != COMMAND {
                    self.enter(thing, Event { command: command.to_owned(), prior: prior.clone(), left });
                } else if let (Thing::Path(path), Prior::Directory { .. }, Left::Absent) = (&thing, prior, &left) {
                    self.tried.insert(path.clone());
                } else if done {
                    self.traces.remove(&thing);
                }
            }
        }
    }

    fn enter(&mut self, thing: Thing, event: Event) {
        if let Thing::Path(path) = &thing
            && self.tried.remove(path)
            && event.prior == Prior::Absent
        {
            self.traces.remove(&thing);
        }
        let first =
            || Trace { origin: event.prior.clone(), left: event.left.clone(), unbroken: true, events: Vec::new() };
        let trace = self.traces.entry(thing).or_insert_with(first);
        if !trace.events.is_empty() && !follows(&trace.left, &event.prior) {
            trace.unbroken = false;
            // Somebody has taken it away: what we made after that is all there is of ours.
            if event.prior == Prior::Absent {
                trace.origin = Prior::Absent;
            }
        }
        trace.left = event.left.clone();
        trace.events.push(event);
    }

    /// What became of a thing.
    pub fn of(&self, thing: &Thing) -> Option<&Trace> {
        self.traces.get(thing)
    }

    /// What became of a path.
    pub fn path(&self, path: &Path) -> Option<&Trace> {
        self.of(&Thing::Path(path.to_owned()))
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = (&PathBuf, &Trace)> {
        self.traces.iter().filter_map(|(thing, trace)| match thing {
            Thing::Path(path) => Some((path, trace)),
            _ => None,
        })
    }

    /// Every variable of rc.conf, in order.
    pub fn rc_variables(&self) -> impl Iterator<Item = (&str, &Trace)> {
        self.traces.iter().filter_map(|(thing, trace)| match thing {
            Thing::RcVariable(name) => Some((name.as_str(), trace)),
            _ => None,
        })
    }
}

/// Whether what stood there before a change is what the one before it had left.
fn follows(left: &Left, prior: &Prior) -> bool {
    match (left, prior) {
        (Left::Absent, Prior::Absent) => true,
        (Left::Present | Left::User(_) | Left::Group(_) | Left::Tree, Prior::Present) => true,
        (Left::File { content, .. }, Prior::File { sha256: prior, .. }) => content.sha256() == prior,
        (Left::Directory { .. }, Prior::Directory { .. }) => true,
        (Left::Symlink { target: left }, Prior::Symlink { target: prior }) => left == prior,
        (Left::Value(left), Prior::Value { value: prior }) => left == prior,
        (Left::Edited, Prior::File { .. } | Prior::Pair { .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::change::journal::Outcome;
    use crate::change::{Content, WriteFile, digest};
    use crate::host::Owner;

    fn run(command: &str, changes: &[(Change, Prior)]) -> Vec<Line> {
        let mut lines =
            vec![Line::Begin { schema: 1, command: command.into(), program: "0".into(), time: 0, running: Vec::new() }];
        for (step, (change, prior)) in changes.iter().enumerate() {
            lines.push(Line::Intent { step, part: "x".into(), change: change.clone(), prior: prior.clone() });
            lines.push(Line::Done { step });
        }
        lines.push(Line::End { outcome: Outcome::Complete });
        lines
    }

    fn file(text: &str) -> Change {
        WriteFile { path: "/f".into(), content: Content::new(text), mode: 0o644, owner: Owner::ROOT }.into()
    }

    fn was(text: &str) -> Prior {
        Prior::File { sha256: digest(text.as_bytes()), mode: 0o644, owner: Owner::ROOT }
    }

    fn ledger(runs: &[Vec<Line>]) -> Ledger {
        let mut ledger = Ledger::default();
        for lines in runs {
            ledger.add(lines);
        }
        ledger
    }

    #[test]
    fn the_first_prior_and_the_last_content_count() {
        let runs = [run("install", &[(file("b"), was("a"))]), run("switch", &[(file("c"), was("b"))])];
        let ledger = ledger(&runs);
        let trace = ledger.path(Path::new("/f")).unwrap();
        assert_eq!(trace.origin, was("a"));
        assert!(matches!(&trace.left, Left::File { content, .. } if content.sha256() == digest(b"c")), "{trace:?}");
        assert!(trace.unbroken);
    }

    #[test]
    fn an_edit_of_somebody_in_between_is_seen() {
        let runs = [run("install", &[(file("b"), was("a"))]), run("switch", &[(file("c"), was("b2"))])];
        let broken = ledger(&runs);
        assert!(!broken.path(Path::new("/f")).unwrap().unbroken);
        let runs = [run("install", &[(file("b"), was("a"))]), run("switch", &[(file("c"), Prior::Absent)])];
        assert_eq!(ledger(&runs).path(Path::new("/f")).unwrap().origin, Prior::Absent, "removed, and made again");
    }

    #[test]
    fn what_was_taken_back_does_not_count() {
        let mut undone = run("install", &[(file("b"), was("a"))]);
        undone.insert(3, Line::Undone { step: 0 });
        assert!(ledger(&[undone]).traces.is_empty());
        let removed = run(COMMAND, &[(file("a"), was("b"))]);
        let installed = run("install", &[(file("b"), was("a"))]);
        assert!(ledger(&[installed.clone(), removed.clone()]).traces.is_empty());
        let again = run("install", &[(file("d"), was("c"))]);
        assert_eq!(
            ledger(&[installed.clone(), removed.clone(), again]).path(Path::new("/f")).unwrap().origin,
            was("c")
        );
        // A failed removal strikes nothing out.
        let mut failed = removed;
        failed[2] = Line::Failed { step: 0, reason: "no".into() };
        assert!(!ledger(&[installed, failed]).traces.is_empty());
    }
}
