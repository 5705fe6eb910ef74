//! Where a run that was cut off leads once it is settled. Settling is the first thing that the next run does: of stops that
//! lead to the same, one is enough to try the next run after.

use std::collections::BTreeSet;

use gts_bootstrap::change::settle;
use gts_bootstrap::host::HostError;
use gts_bootstrap::host::rehearsal::Rehearsal;

use crate::compare::{digest, state_with_records};
use crate::image::Image;
use crate::machine::Machine;

pub const JOURNAL: &str = "var/db/gts-bootstrap/journal";

/// What a stop has left of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// None, or one that tells nothing.
    Nothing,
    /// One that had come to its end.
    Ended,
    /// That of a run that was cut off.
    CutOff,
}

pub fn journal_of(image: &Image) -> Left {
    let text = text(image, JOURNAL);
    match text.lines().last() {
        Some(line) if line.starts_with("{\"end\"") => Left::Ended,
        Some(_) if text.contains("{\"intent\"") => Left::CutOff,
        _ => Left::Nothing,
    }
}

/// What a stop has left of the journal, and where settling leads.
pub type Class = (Left, [u8; 32]);

/// Settles what a stop has left; the image is that of the machine before.
pub fn settled(before: &Image, machine: &Machine) -> Result<Class, HostError> {
    settle::settle(&Rehearsal::open(machine.root()).unwrap())?;
    Ok((journal_of(before), digest(&state_with_records(&Image::of(&machine.root())))))
}

/// The stops that the next run has to be tried after.
#[derive(Default)]
pub struct Classes(BTreeSet<Class>);

impl Classes {
    /// Whether no stop before has led to the same once it is settled, which is the first thing that the next run does.
    pub fn is_new(&mut self, machine: &Machine) -> bool {
        self.0.insert(settled(&Image::of(&machine.root()), &machine.copy()).unwrap())
    }
}

/// The text of a file; empty if there is none.
pub fn text(image: &Image, path: &str) -> String {
    image.file(path).map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default()
}
