//! A run of the program whose operations are watched.

use std::cell::RefCell;
use std::io;
use std::process::{Command, Stdio};
use std::rc::Rc;

use gts_bootstrap::operation::{Operation, Step, Watcher, watch};

use crate::machine::{Machine, Outcome};

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
    fn apply(self, operation: &Operation) -> bool {
        use Operation::{Create, MakeFolder, MakeLink, Mode, Owner, Rename, Sync, SyncFolder, Unlink, Write};
        match self {
            Self::Growing => matches!(operation, Create | Write | Sync | MakeFolder | MakeLink | Rename(_)),
            Self::Changing => {
                matches!(operation, Create | Write | Owner(..) | Mode | Rename(_) | Unlink | MakeFolder | MakeLink)
            }
            Self::Syncing => matches!(operation, Sync | SyncFolder),
            Self::Immutable => matches!(operation, Create | Rename(_) | Unlink | Owner(..) | Mode),
        }
    }
}

/// Runs a command while its operations are watched.
pub fn run(machine: &Machine, command: &[&str], watcher: Watcher) -> Outcome {
    watch(watcher);
    let outcome = machine.run(command);
    watch(Box::new(|_| Ok(())));
    outcome
}

/// Runs a command of which operations fail; and which was the first of them, if one was.
pub fn fail(machine: &Machine, command: &[&str], failure: Failure) -> (Outcome, Option<String>) {
    let Failure { at, errno, lasting, kinds } = failure;
    let failed = Rc::new(RefCell::new(None));
    let (mut seen, first) = (0, Rc::clone(&failed));
    let watcher = move |step: &Step| {
        if step.aside || !kinds.apply(&step.operation) {
            return Ok(());
        }
        seen += 1;
        if seen == at + 1 || (lasting && seen > at) {
            first.borrow_mut().get_or_insert_with(|| format!("{:?} {}", step.operation, step.path.display()));
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(())
    };
    let outcome = run(machine, command, Box::new(watcher));
    (outcome, failed.take())
}

const ROOT: &str = "CRASH_ROOT";
const ARGUMENTS: &str = "CRASH_ARGUMENTS";
const AT: &str = "CRASH_AT";
/// Between two arguments: no argument has it.
const BETWEEN: &str = "\u{1f}";

/// Runs a command in a process of its own and kills that as it is about to sync its journal, that many times after the first.
/// Whether it was killed.
pub fn kill(machine: &Machine, command: &[&str], at: usize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::watched::run_and_be_killed", "--ignored", "--nocapture"])
        .env_clear()
        .env(ROOT, machine.root())
        .env(ARGUMENTS, command.join(BETWEEN))
        .env(AT, at.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() || output.status.code().is_none(), "{output:?}");
    output.status.code().is_none()
}

#[test]
#[ignore = "run by another, in a process of its own"]
fn run_and_be_killed() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (root, arguments) = (variable(ROOT), variable(ARGUMENTS));
    if root.is_empty() {
        return;
    }
    let (at, mut seen): (usize, _) = (variable(AT).parse().unwrap(), 0);
    let watcher = move |step: &Step| {
        if !step.aside && step.operation == Operation::Sync && step.path.ends_with("var/db/gts-bootstrap/journal") {
            seen += 1;
            if seen == at + 1 {
                nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
            }
        }
        Ok(())
    };
    let machine = Machine::at(std::path::Path::new(&root).parent().unwrap());
    run(&machine, &arguments.split(BETWEEN).collect::<Vec<_>>(), Box::new(watcher)).exits(0);
}
