//! Records the state of the disk before every operation of a run.
//!
//! For each stop there are two states: what a killed program leaves (every operation before it was made), and what a power cut
//! leaves (only what was synced). They are kept in memory, and equal ones once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gts_bootstrap::host::Owner;
use gts_bootstrap::operation::{Operation, Step};

use super::disk::Disk;
use super::watched;
use crate::image::{Image, Known, Node, content};
use crate::machine::{Machine, Outcome};

const STATE: &str = ".rehearsal/state.json";
const JOURNAL: &str = "var/db/gts-bootstrap/journal";

/// What a stop can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    Killed,
    Cut,
}

/// A state that a stop leaves.
pub type State = (StopKind, [u8; 32]);

/// A stop.
#[derive(Debug)]
pub struct Stop {
    /// Before which operation.
    pub before: String,
    /// The states that it can leave.
    pub left: [State; 2],
}

/// A run that was recorded.
pub struct Recording {
    root: PathBuf,
    disk: Disk,
    known: Known,
    owners: BTreeMap<PathBuf, Owner>,
    /// The same by inode, of all that was ever seen: what a power cut leaves has other names.
    owner_of: BTreeMap<u64, Owner>,
    /// The operation that was told last, and is made by the time the next one is told.
    last: Option<Step>,
    pub stops: Vec<Stop>,
    pub states: BTreeMap<State, Image>,
    /// The machine before the command, and each time that a journal came among the receipts.
    pub befores: Vec<Image>,
}

/// Runs a command and records the disk at every operation.
pub fn record(machine: &Machine, command: &[&str]) -> (Outcome, Recording) {
    let root = machine.root();
    let mut recording = Recording {
        disk: Disk::of(&root),
        root,
        known: Known::default(),
        owners: BTreeMap::new(),
        owner_of: BTreeMap::new(),
        last: None,
        stops: Vec::new(),
        states: BTreeMap::new(),
        befores: Vec::new(),
    };
    recording.read_owners();
    recording.keep();
    let recording = Rc::new(RefCell::new(recording));
    let watcher = Rc::clone(&recording);
    let outcome = watched::run(
        machine,
        command,
        Box::new(move |step| {
            watcher.borrow_mut().about_to(step);
            Ok(())
        }),
    );
    let mut recording = Rc::into_inner(recording).unwrap().into_inner();
    recording.made();
    (outcome, recording)
}

impl Recording {
    fn about_to(&mut self, step: &Step) {
        self.made();
        if !step.aside {
            self.stop(step);
        }
        self.last = Some(step.clone());
    }

    /// The last operation is made: what follows from it.
    fn made(&mut self) {
        let Some(Step { operation, path, .. }) = self.last.take() else { return };
        let host = |path: &Path| Path::new("/").join(path.strip_prefix(&self.root).unwrap());
        match &operation {
            Operation::Sync => self.disk.sync(&path),
            Operation::SyncFolder => self.disk.sync_folder(&path),
            Operation::Owner(0, 0) => drop(self.owners.remove(&host(&path))),
            Operation::Owner(uid, gid) => drop(self.owners.insert(host(&path), Owner { uid: *uid, gid: *gid })),
            Operation::Unlink => self.owners.retain(|owned, _| !owned.starts_with(host(&path))),
            Operation::Rename(to) if to.ends_with(STATE) => self.read_owners(),
            Operation::Rename(to) => {
                let (from, to) = (host(&path), host(to));
                self.owners.retain(|owned, _| !owned.starts_with(&to));
                let moved: Vec<(PathBuf, Owner)> = self
                    .owners
                    .iter()
                    .filter_map(|(owned, owner)| Some((owned.strip_prefix(&from).ok()?.to_owned(), *owner)))
                    .collect();
                self.owners.retain(|owned, _| !owned.starts_with(&from));
                self.owners.extend(
                    moved.into_iter().map(|(rest, owner)| (to.components().chain(rest.components()).collect(), owner)),
                );
                if from.ends_with(JOURNAL) {
                    self.keep();
                }
            }
            _ => {}
        }
    }

    fn read_owners(&mut self) {
        let text = std::fs::read_to_string(self.root.join(STATE)).unwrap();
        let state: serde_json::Value = text.parse().unwrap();
        self.owners = serde_json::from_value(state["owners"].clone()).unwrap();
    }

    fn image(&mut self) -> Image {
        Image::read(&self.root, |path, metadata| self.known.content(path, metadata))
    }

    /// Keeps the two states that a stop before this operation leaves.
    fn stop(&mut self, step: &Step) {
        let killed = self.image();
        let (cut, inodes) = self.disk.after_cut(&self.root);
        self.see_owners(&killed);
        let owners_after_cut = inodes
            .iter()
            .filter_map(|(path, inode)| Some((Path::new("/").join(path), *self.owner_of.get(inode)?)))
            .filter(|(_, owner)| *owner != Owner::ROOT)
            .collect();
        let killed = with_owners(killed, &self.owners);
        let cut = with_owners(cut, &owners_after_cut);
        let path = step.path.strip_prefix(&self.root).unwrap_or(&step.path);
        let before = format!("{:?} {}", step.operation, path.display());
        let left = [(StopKind::Killed, killed), (StopKind::Cut, cut)].map(|(kind, image)| {
            let state = (kind, image.digest());
            self.states.entry(state).or_insert(image);
            state
        });
        self.stops.push(Stop { before, left });
    }

    /// Whose everything is by now.
    fn see_owners(&mut self, image: &Image) {
        for path in image.0.keys().filter(|path| !path.as_os_str().is_empty()) {
            let Ok(metadata) = self.root.join(path).symlink_metadata() else { continue };
            let owner = self.owners.get(&Path::new("/").join(path)).copied().unwrap_or(Owner::ROOT);
            self.owner_of.insert(metadata.ino(), owner);
        }
    }

    fn keep(&mut self) {
        let image = self.image();
        self.befores.push(with_owners(image, &self.owners));
    }
}

/// Puts owners into the model's state.
fn with_owners(mut image: Image, owners: &BTreeMap<PathBuf, Owner>) -> Image {
    let Some(Node::File(_, state)) = image.0.get_mut(Path::new(STATE)) else { panic!("there is no {STATE}") };
    let mut value: serde_json::Value = std::str::from_utf8(&state.bytes).unwrap().parse().unwrap();
    value["owners"] = serde_json::to_value(owners).unwrap();
    *state = content(format!("{value:#}").into());
    image
}
