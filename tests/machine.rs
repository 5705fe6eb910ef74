//! A machine to run the program on: a rehearsal in a temporary folder. Runs are made in this process; the few that need a
//! process of their own start one themselves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gts_bootstrap::cli;
use gts_bootstrap::cli::surroundings::{Captured, Surroundings};
use gts_bootstrap::host::rehearsal::{Model, Rehearsal};
use gts_bootstrap::host::{Host, ServiceAction};
use tempfile::TempDir;

use crate::image::Image;

/// Answers with everything in them that most stories need.
pub const ANSWERS: &str = r#"host = "social.example.org"

[tls]
email = "admin@example.org"

[release]
version = "0.19.2"
"#;

pub struct Machine {
    folder: PathBuf,
    /// Taken away with the machine.
    _temporary: Option<TempDir>,
}

/// What the program did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Everything it said, with line breaks and indents folded.
    pub fn said(&self) -> String {
        format!("{} {}", self.stdout, self.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whatever ends badly leads to its entry in the page on error codes. What clap says has none, nor has one line for
    /// monitoring; a reboot that is needed is no error.
    #[track_caller]
    fn names_a_code(&self, arguments: &[&str]) {
        const PAGE: &str = include_str!("../docs/troubleshooting.md");
        if [-1, 0, 5].contains(&self.code) || self.stderr.starts_with("error: ") || arguments.contains(&"--brief") {
            return;
        }
        // What lint finds has codes of its own.
        if self.code == 3 && arguments.contains(&"lint") {
            return;
        }
        let said = format!("{}{}", self.stdout, self.stderr);
        let codes: Vec<&str> = said.split("GTSB-").skip(1).map(word).collect();
        assert!(!codes.is_empty(), "{arguments:?} ends with {} and no code:\n{said}", self.code);
        for code in codes {
            assert!(PAGE.contains(&format!("\n### GTSB-{code}\n")), "GTSB-{code} is on no page");
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.said().contains(text), "{text:?} is not in:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        assert!(!self.said().contains(text), "{text:?} is in:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

/// The rest of a code.
fn word(text: &str) -> &str {
    text.split(|next: char| !(next.is_ascii_uppercase() || next == '-')).next().unwrap_or_default()
}

/// Every path below a folder, with its mode and content.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = Snapshot::new();
    walk(folder, folder, &mut found);
    found.into_iter().map(|(path, (mode, _, content))| (path, (mode, content))).collect()
}

/// What stands at a path: mode, modification time in nanoseconds, content or link target.
pub type Snapshot = BTreeMap<PathBuf, (u32, i128, Vec<u8>)>;

/// Machines that many tests begin with, by what was done to them. They are images, so nothing has to be taken away.
static PREPARED: Mutex<BTreeMap<String, Arc<OnceLock<Image>>>> = Mutex::new(BTreeMap::new());

/// An empty folder, in memory where that is to be had: every change is synced to disk.
fn folder() -> TempDir {
    gts_bootstrap::child::use_program(env!("CARGO_BIN_EXE_gts-bootstrap"));
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Machine {
    /// A copy of a machine that is prepared once. The name tells what was done to it.
    pub fn prepared(name: &str, prepare: impl FnOnce() -> Self) -> Self {
        let image =
            Arc::clone(PREPARED.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default());
        let image = image.get_or_init(|| Image::of(&prepare().folder));
        let temporary = folder();
        let folder = temporary.path().join("machine");
        image.lay_out(&folder);
        Self { folder, _temporary: Some(temporary) }
    }

    /// A freshly installed FreeBSD.
    pub fn fresh() -> Self {
        Self::prepared("fresh", || {
            let temporary = folder();
            Rehearsal::open(temporary.path().join("root")).unwrap();
            Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
        })
    }

    /// One that is there already, as `root` in this folder.
    pub fn at(folder: &Path) -> Self {
        gts_bootstrap::child::use_program(env!("CARGO_BIN_EXE_gts-bootstrap"));
        Self { folder: folder.to_owned(), _temporary: None }
    }

    /// A freshly installed FreeBSD with something different about it.
    pub fn with(edit: impl FnOnce(&mut Model)) -> Self {
        let machine = Self::fresh();
        machine.edit(edit);
        machine
    }

    /// One on which these answers have been installed.
    pub fn installed(answers: &str) -> Self {
        Self::after(answers, &[])
    }

    /// One on which these answers have been installed, and then these commands have been run.
    pub fn after(answers: &str, commands: &[&[&str]]) -> Self {
        Self::prepared(&format!("{answers}{commands:?}"), || match commands.split_last() {
            None => {
                let machine = Self::fresh();
                machine.install(answers).exits(0);
                machine
            }
            Some((last, before)) => {
                let machine = Self::after(answers, before);
                machine.run(last).exits(0);
                machine
            }
        })
    }

    /// Another one that is the same.
    pub fn copy(&self) -> Self {
        let temporary = folder();
        Image::of(&self.root()).lay_out(&temporary.path().join("root"));
        Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Where the host's path is here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// A place beside the machine.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn model(&self) -> Model {
        serde_json::from_str(&self.read("/.rehearsal/state.json")).unwrap()
    }

    pub fn edit(&self, edit: impl FnOnce(&mut Model)) {
        let mut model = self.model();
        edit(&mut model);
        self.write("/.rehearsal/state.json", &serde_json::to_string_pretty(&model).unwrap());
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As `pkg install` does.
    pub fn install_package(&self, name: &str) {
        Rehearsal::open(self.root()).unwrap().install_package(name).unwrap();
    }

    /// As `service NAME start` does.
    pub fn start_service(&self, name: &str) {
        Rehearsal::open(self.root()).unwrap().service_action(name, ServiceAction::Start).unwrap();
    }

    /// As `service NAME stop` does.
    pub fn stop_service(&self, name: &str) {
        Rehearsal::open(self.root()).unwrap().service_action(name, ServiceAction::Stop).unwrap();
    }

    /// Runs the program on this machine, without a terminal.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let root = self.root();
        let command =
            ["gts-bootstrap", "--rehearse", root.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
        let exit = cli::run_with(command, Surroundings::piped("", &stdout, &stderr).at(&self.folder));
        let outcome = Outcome { code: exit as i32, stdout: stdout.text(), stderr: stderr.text() };
        outcome.names_a_code(arguments);
        outcome
    }

    /// Writes the answers beside the machine and installs them with `--yes`.
    pub fn install(&self, answers: &str) -> Outcome {
        self.install_with(answers, &["--yes"])
    }

    pub fn install_with(&self, answers: &str, more: &[&str]) -> Outcome {
        fs::write(self.beside("answers.toml"), answers).unwrap();
        self.run(&[&["install", "--answers", "answers.toml"], more].concat())
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut found = Snapshot::new();
        walk(&self.root(), &self.root(), &mut found);
        // Its release is to a rehearsal what upstream's server is to a host: it is written when it is first asked for.
        found.retain(|path, _| path != Path::new(".rehearsal") && !path.starts_with(".rehearsal/mirror"));
        found
    }

    /// What an administrator cares about: everything but the rehearsal's own state, and the program's journal folder.
    pub fn system_files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        self.snapshot()
            .into_iter()
            .filter(|(path, _)| !path.starts_with(".rehearsal") && !path.starts_with("var/db/gts-bootstrap"))
            .map(|(path, (mode, _, content))| (path, (mode, content)))
            .collect()
    }
}

fn walk(root: &Path, folder: &Path, found: &mut Snapshot) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else if metadata.is_file() {
            fs::read(&path).unwrap()
        } else {
            walk(root, &path, found);
            Vec::new()
        };
        let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        found.insert(path.strip_prefix(root).unwrap().to_owned(), (metadata.mode(), time, content));
    }
}

/// The paths in which two snapshots differ.
pub fn differences<T: PartialEq>(before: &BTreeMap<PathBuf, T>, after: &BTreeMap<PathBuf, T>) -> Vec<PathBuf> {
    before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}
