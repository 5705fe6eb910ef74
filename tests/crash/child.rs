//! A run of the program in a process of its own, this test's, whose operations are watched.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use gts_bootstrap::operation::{Operation, Step, Watcher, watch};

use super::recorder::Recorder;
use crate::machine::{Machine, Outcome};

/// What is done with the operations: `record FOLDER`, `kill AT`, or `fail AT ERRNO LASTING KINDS`.
const COURSE: &str = "CRASH_COURSE";
const ROOT: &str = "CRASH_ROOT";
const ARGUMENTS: &str = "CRASH_ARGUMENTS";
/// Between two arguments: no argument has it.
const BETWEEN: &str = "\u{1f}";

/// Operations that fail.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// The first one, counted from 0 over those to which it applies.
    pub at: usize,
    /// With which errno.
    pub errno: i32,
    /// Whether all after it fail too.
    pub lasting: bool,
    /// To which it applies.
    pub kinds: Kinds,
}

/// Kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// What needs space.
    Growing,
    /// What changes anything.
    Changing,
    /// fsync(2) of files and folders.
    Syncing,
    /// What the immutable flag forbids.
    Immutable,
}

impl Kinds {
    fn word(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Changing => "changing",
            Self::Syncing => "syncing",
            Self::Immutable => "immutable",
        }
    }

    fn applies(word: &str, operation: &Operation) -> bool {
        use Operation::{Command, Create, MakeFolder, MakeLink, Mode, Owner, Rename, Sync, SyncFolder, Unlink, Write};
        match word {
            "growing" => matches!(operation, Create | Write | Sync | MakeFolder | MakeLink | Rename(_)),
            "changing" => {
                matches!(operation, Create | Write | Owner(..) | Mode | Rename(_) | Unlink | MakeFolder | MakeLink)
            }
            "syncing" => matches!(operation, Sync | SyncFolder),
            "immutable" => matches!(operation, Create | Rename(_) | Unlink | Owner(..) | Mode),
            _ => matches!(operation, Command),
        }
    }
}

/// Runs a command and records the disk at every operation.
pub fn record(machine: &Machine, command: &[&str], into: &Path) -> Outcome {
    run(machine, command, &format!("record {}", into.display()))
}

/// Runs a command of which operations fail.
pub fn fail(machine: &Machine, command: &[&str], failure: Failure) -> Outcome {
    let Failure { at, errno, lasting, kinds } = failure;
    run(machine, command, &format!("fail {at} {errno} {lasting} {}", kinds.word()))
}

/// Runs a command and kills it as it is about to sync its journal, that many times after the first.
pub fn kill(machine: &Machine, command: &[&str], at: usize) -> Outcome {
    run(machine, command, &format!("kill {at}"))
}

fn run(machine: &Machine, command: &[&str], course: &str) -> Outcome {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child::run_watched", "--ignored", "--nocapture"])
        .env_clear()
        .env(COURSE, course)
        .env(ROOT, machine.root())
        .env(ARGUMENTS, command.join(BETWEEN))
        .current_dir(machine.root().parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    // The last line of the run itself; what libtest says follows.
    let code = stdout.lines().find_map(|line| line.strip_prefix("exit code ")).map_or(-1, |code| code.parse().unwrap());
    Outcome { code, stdout, stderr: String::from_utf8(output.stderr).unwrap() }
}

#[test]
#[ignore = "run by the others, in a process of its own"]
fn run_watched() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (course, arguments) = (variable(COURSE), variable(ARGUMENTS));
    if course.is_empty() {
        return;
    }
    let root = PathBuf::from(variable(ROOT));
    let words: Vec<&str> = course.split(' ').collect();
    let recorder = (words[0] == "record").then(|| Recorder::new(&root, Path::new(words[1])));
    match &recorder {
        Some(recorder) => watch(recorder.watcher()),
        None if words[0] == "kill" => watch(killing(words[1].parse().unwrap())),
        None => watch(failing(&words)),
    }
    let mut all = vec!["gts-bootstrap", "--rehearse", root.to_str().unwrap()];
    all.extend(arguments.split(BETWEEN));
    let code = gts_bootstrap::cli::run(all.iter().map(Into::into));
    let number = (0..=255_u8).find(|number| format!("{:?}", ExitCode::from(*number)) == format!("{code:?}"));
    println!("\nexit code {}", number.unwrap());
    if let Some(recorder) = recorder {
        recorder.finish();
    }
}

fn killing(at: usize) -> Watcher {
    let mut seen = 0;
    Box::new(move |step: &Step| {
        if !step.aside && step.operation == Operation::Sync && step.path.ends_with("var/db/gts-bootstrap/journal") {
            seen += 1;
            if seen == at + 1 {
                nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
            }
        }
        Ok(())
    })
}

fn failing(words: &[&str]) -> Watcher {
    let (at, errno, lasting): (usize, i32, bool) =
        (words[1].parse().unwrap(), words[2].parse().unwrap(), words[3].parse().unwrap());
    let (kinds, mut seen) = (words[4].to_owned(), 0);
    Box::new(move |step: &Step| {
        if step.aside || !Kinds::applies(&kinds, &step.operation) {
            return Ok(());
        }
        seen += 1;
        if seen == at + 1 || (lasting && seen > at) {
            println!("\nfailed {:?} {}", step.operation, step.path.display());
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(())
    })
}
