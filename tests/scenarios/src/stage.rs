//! Where a story begins, and how the machine gets there in the cheapest way: stories that leave an installation as they found it
//! share it.
//!
//! After each story the machine is compared with what it was before. What differs is put back file by file if the story
//! had an installation to begin with; a machine for which this is not enough, and one on which a story failed, is put back
//! as a whole.

use super::bench::{ANSWERS, Bench};
use super::reset;
use super::restore;
use super::snapshot::Snapshot;

/// What a story begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The machine as it was found.
    Fresh,
    /// The usual installation, which faces the internet itself.
    Installed,
    /// The usual installation behind nginx.
    BehindNginx,
}

/// The machine as the next story finds it.
#[derive(Debug)]
struct Now {
    start: Start,
    state: Snapshot,
    data: Option<Snapshot>,
}

/// The machine between two stories.
#[derive(Debug)]
pub struct Stage<'a> {
    bench: &'a Bench,
    found: Snapshot,
    now: Option<Now>,
    /// How often something was installed only for a story to begin with.
    pub installations: u32,
}

impl<'a> Stage<'a> {
    /// A machine as it was found.
    pub fn new(bench: &'a Bench) -> Result<Self, String> {
        let found = reset::state(bench)?;
        bench.keep_found(&found);
        let now = Some(Now { start: Start::Fresh, state: found.clone(), data: None });
        Ok(Self { bench, now, found, installations: 0 })
    }

    /// Brings the machine to where a story begins.
    pub fn bring(&mut self, start: Start) -> Result<(), String> {
        let is = self.now.as_ref().map(|now| now.start);
        if is == Some(start) {
            return Ok(());
        }
        let ready = match (is, start) {
            (Some(Start::Installed), Start::BehindNginx) => Ok(()),
            (Some(Start::Fresh), Start::Installed | Start::BehindNginx) => self.install(),
            _ => self.clear().and_then(|()| if start == Start::Fresh { Ok(()) } else { self.install() }),
        };
        let ready = ready.and_then(|()| match start {
            Start::BehindNginx => {
                self.now = None;
                let switch = ["switch-to-proxy", "nginx", "--yes", "--trial", "15"];
                self.bench.run(&switch)?.exits(0)?;
                self.keep(start)
            }
            Start::Fresh | Start::Installed => Ok(()),
        });
        ready.map_err(|why| format!("the machine could not be made ready for it: {why}"))
    }

    fn install(&mut self) -> Result<(), String> {
        self.now = None;
        self.installations += 1;
        self.bench.install(ANSWERS)?.exits(0)?;
        self.keep(Start::Installed)
    }

    fn keep(&mut self, start: Start) -> Result<(), String> {
        let (data, state) = (Some(restore::data(self.bench)?), restore::state(self.bench)?);
        self.now = Some(Now { start, state, data });
        Ok(())
    }

    /// After a story that went well: what it left becomes the beginning of the next, as it is or put back.
    pub fn after(&mut self, leaves: Option<Start>, changes_data: bool) -> Result<(), String> {
        if let Some(start) = leaves {
            return self.keep(start);
        }
        let is_as_before = match self.now.take() {
            Some(now) if now.start == Start::Fresh => {
                now.state.is_still(&reset::state(self.bench)?).is_ok().then_some(now)
            }
            Some(now) => {
                let data = now.data.as_ref().filter(|_| changes_data);
                restore::restore(self.bench, &now.state, data).is_ok().then_some(now)
            }
            None => None,
        };
        match is_as_before {
            None => self.clear(),
            now => {
                self.now = now;
                Ok(())
            }
        }
    }

    /// Puts the machine back as a whole, and proves that it is as it was found.
    pub fn clear(&mut self) -> Result<(), String> {
        self.now = None;
        reset::reset(self.bench)?;
        self.found.is_still(&reset::state(self.bench)?)?;
        self.now = Some(Now { start: Start::Fresh, state: self.found.clone(), data: None });
        Ok(())
    }
}
