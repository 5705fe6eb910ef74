//! A run of the program whose operations are watched.

use std::cell::RefCell;
use std::io;
use std::process::{Command, Stdio};
use std::rc::Rc;

use gts_bootstrap::operation::{Operation, Step, Watcher, watch};

use crate::machine::{Machine, Outcome};

/// Operations that fail.
#[derive(Clone, Copy)]
pub struct Failure {
    /// The first one, counted from 0 over those that can fail.
    pub at: usize,
    /// Whether all after it fail too.
    pub lasting: bool,
    /// With which errno an operation fails; `None` if it does not.
    pub errno: Errno,
}

/// The errno of a kind of operation.
pub type Errno = fn(&Operation) -> Option<i32>;

pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;
pub const EIO: i32 = 5;
pub const EPERM: i32 = 1;

/// What a full disk does to an operation.
pub fn full(operation: &Operation) -> Option<i32> {
    use Operation::{Create, MakeFolder, MakeLink, Rename, Sync, Write};
    matches!(operation, Create | Write | Sync | MakeFolder | MakeLink | Rename(_)).then_some(ENOSPC)
}

/// What a file system that is mounted read-only does to it.
pub fn read_only(operation: &Operation) -> Option<i32> {
    use Operation::{Create, MakeFolder, MakeLink, Mode, Owner, Rename, Unlink, Write};
    matches!(operation, Create | Write | Owner(..) | Mode | Rename(_) | Unlink | MakeFolder | MakeLink).then_some(EROFS)
}

/// What a broken disk does to fsync(2) of files and folders.
pub fn broken(operation: &Operation) -> Option<i32> {
    use Operation::{Sync, SyncFolder};
    matches!(operation, Sync | SyncFolder).then_some(EIO)
}

/// What the immutable flag forbids, chflags(1).
pub fn immutable(operation: &Operation) -> Option<i32> {
    use Operation::{Create, Mode, Owner, Rename, Unlink};
    matches!(operation, Create | Rename(_) | Unlink | Owner(..) | Mode).then_some(EPERM)
}

/// Runs a command while its operations are watched.
pub fn run(machine: &Machine, command: &[&str], watcher: Watcher) -> Outcome {
    watch(watcher);
    let outcome = machine.run(command);
    watch(Box::new(|_| Ok(())));
    outcome
}

/// Runs a command of which operations fail; and which was the first of them, with its errno, if one was.
pub fn fail(machine: &Machine, command: &[&str], failure: Failure) -> (Outcome, Option<(String, i32)>) {
    let Failure { at, lasting, errno } = failure;
    let failed = Rc::new(RefCell::new(None));
    let (mut seen, first) = (0, Rc::clone(&failed));
    let watcher = move |step: &Step| {
        let Some(errno) = errno(&step.operation).filter(|_| !step.aside) else { return Ok(()) };
        seen += 1;
        if seen == at + 1 || (lasting && seen > at) {
            first.borrow_mut().get_or_insert_with(|| (format!("{:?} {}", step.operation, step.path.display()), errno));
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
