//! Records the state of the disk before every operation of a run.
//!
//! For each stop there are two states: what a killed program leaves (every operation before it was made), and what a power cut
//! leaves (only what was synced). Equal states are kept once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gts_bootstrap::change::digest;
use gts_bootstrap::host::Owner;
use gts_bootstrap::operation::{Operation, Step, Watcher};

use super::disk::Disk;
use crate::machine::tree;

const STATE: &str = ".rehearsal/state.json";
const JOURNAL: &str = "var/db/gts-bootstrap/journal";

/// The recorder of one run.
pub struct Recorder(Rc<RefCell<Recording>>);

struct Recording {
    root: PathBuf,
    into: PathBuf,
    disk: Disk,
    owners: BTreeMap<PathBuf, Owner>,
    /// The same by inode, of all that was ever seen: what a power cut leaves has other names.
    owner_of: BTreeMap<u64, Owner>,
    /// The operation that was told last, and is made by the time the next one is told.
    last: Option<Step>,
    /// How many journals are among the receipts by now.
    finished: usize,
    lines: Vec<String>,
}

impl Recorder {
    /// Records a run on `root` into a folder.
    pub fn new(root: &Path, into: &Path) -> Self {
        fs::create_dir_all(into).unwrap();
        let mut recording = Recording {
            root: root.to_owned(),
            into: into.to_owned(),
            disk: Disk::of(root),
            owners: BTreeMap::new(),
            owner_of: BTreeMap::new(),
            last: None,
            finished: 0,
            lines: Vec::new(),
        };
        recording.read_owners();
        recording.keep("before-0", root);
        Self(Rc::new(RefCell::new(recording)))
    }

    /// The watcher of its operations.
    pub fn watcher(&self) -> Watcher {
        let recording = Rc::clone(&self.0);
        Box::new(move |step| {
            recording.borrow_mut().about_to(step);
            Ok(())
        })
    }

    /// Writes the list of stops.
    pub fn finish(&self) {
        let mut recording = self.0.borrow_mut();
        recording.made();
        fs::write(recording.into.join("stops"), recording.lines.join("\n")).unwrap();
    }
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
                    self.finished += 1;
                    let (name, root) = (format!("before-{}", self.finished), self.root.clone());
                    self.keep(&name, &root);
                }
            }
            _ => {}
        }
    }

    fn read_owners(&mut self) {
        let state: serde_json::Value = serde_json::from_slice(&fs::read(self.root.join(STATE)).unwrap()).unwrap();
        self.owners = serde_json::from_value(state["owners"].clone()).unwrap();
    }

    /// Keeps the two states that a stop before this operation leaves.
    fn stop(&mut self, step: &Step) {
        let (killed, cut) = (self.into.join("killed"), self.into.join("cut"));
        copy(&self.root, &killed);
        let inodes = self.disk.lay_out(&self.root, &cut);
        self.see_owners();
        let owners_after_cut = inodes
            .iter()
            .filter_map(|(path, inode)| {
                let below = path.strip_prefix(&cut).unwrap();
                Some((Path::new("/").join(below), *self.owner_of.get(inode)?))
            })
            .filter(|(_, owner)| *owner != Owner::ROOT)
            .collect();
        let both = [("killed", killed, &self.owners), ("cut", cut, &owners_after_cut)];
        let names = both.map(|(kind, folder, owners)| {
            write_owners(&folder, owners);
            let name = format!("{kind}-{}", digest_of(&folder));
            let place = self.into.join(&name);
            if place.exists() {
                fs::remove_dir_all(folder).unwrap();
            } else {
                fs::rename(folder, place).unwrap();
            }
            name
        });
        let path = step.path.strip_prefix(&self.root).unwrap_or(&step.path);
        let [killed, cut] = names;
        let line = serde_json::json!({
            "before": format!("{:?} {}", step.operation, path.display()),
            "killed": killed,
            "cut": cut,
        });
        self.lines.push(line.to_string());
    }

    /// Whose everything is by now.
    fn see_owners(&mut self) {
        for path in tree(&self.root).keys() {
            let Ok(metadata) = self.root.join(path).symlink_metadata() else { continue };
            let owner = self.owners.get(&Path::new("/").join(path)).copied().unwrap_or(Owner::ROOT);
            self.owner_of.insert(metadata.ino(), owner);
        }
    }

    fn keep(&self, name: &str, from: &Path) {
        copy(from, &self.into.join(name));
        write_owners(&self.into.join(name), &self.owners);
    }
}

/// Puts owners into the model's state of a folder.
fn write_owners(folder: &Path, owners: &BTreeMap<PathBuf, Owner>) {
    let path = folder.join(STATE);
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["owners"] = serde_json::to_value(owners).unwrap();
    fs::write(path, serde_json::to_string_pretty(&state).unwrap()).unwrap();
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, new) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&path, &new);
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path).unwrap(), &new).unwrap();
        } else {
            fs::copy(&path, &new).unwrap();
        }
    }
    let mode = from.metadata().unwrap().permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
}

/// One digest for all that is in a folder. Names of temporary files are random, and all the same here.
fn digest_of(folder: &Path) -> String {
    let mut all = Vec::new();
    for (path, (mode, content)) in tree(folder) {
        let temporary = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".gts-bootstrap-"));
        let path = if temporary { path.with_file_name(".temporary") } else { path };
        all.extend_from_slice(format!("{}\0{mode}\0{}\0", path.display(), content.len()).as_bytes());
        all.extend_from_slice(&content);
    }
    digest(&all)
}
