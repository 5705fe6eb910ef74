//! The single file operations of which a change of the host consists, so that tests can stop between any two of them.
//!
//! Code that changes files (`host::files`, the unpacking of a release) announces each operation here. A build without
//! debug assertions has no watcher, and nothing of this is left in it: every function is empty and inlined. In a test
//! the thread's [`Watcher`] is called, which can copy the disk as a power cut would leave it, or make the operation
//! fail.
//!
//! A command of the base system is one operation. On a rehearsal the model writes the files for it, and those
//! operations are announced as [`aside`].

use std::io::{self, Write};
use std::path::PathBuf;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new, empty file.
    Create,
    /// Bytes into an open file; each write is two of these, so that one can be torn.
    Write,
    /// Its owner, by uid and gid.
    Owner(u32, u32),
    /// Its mode.
    Mode,
    /// fsync(2) of a file.
    Sync,
    /// fsync(2) of a folder.
    SyncFolder,
    /// A rename to this path.
    Rename(PathBuf),
    /// Removes a file, a link or an empty folder.
    Unlink,
    /// A new folder.
    MakeFolder,
    /// A new symbolic link.
    MakeLink,
    /// A command of the base system, or a variable of the kernel; the path holds its command line. Or what a child writes
    /// into the folder at the path.
    Command,
}

/// An announced operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The operation.
    pub operation: Operation,
    /// Its path, as named on the system that the program runs on.
    pub path: PathBuf,
    /// Whether something else performs it: a command, GoToSocial, the model itself.
    pub aside: bool,
}

/// What to do about a file system error, to be appended to its text; empty if there is no advice.
pub fn advice(error: &io::Error) -> &'static str {
    const EPERM: i32 = 1;
    const EIO: i32 = 5;
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::StorageFull, _) => "; free some space and run this again",
        (io::ErrorKind::ReadOnlyFilesystem, _) => {
            "; the file system is mounted read-only: mount it for writing and run this again"
        }
        // For root it is usually a file flag.
        (_, Some(EPERM)) => {
            "; if `ls -lo` shows the flag schg or uchg on it or on its folder, take that off with chflags(1) and run this again"
        }
        (_, Some(EIO)) => {
            "; the disk or its connection is failing: see dmesg(8), and have a backup before anything else"
        }
        _ => "",
    }
}

/// Writes bytes. A stop may leave only the first half.
///
/// # Errors
/// Those of the writer.
pub fn write_all(file: &mut impl Write, bytes: &[u8], path: impl Fn() -> PathBuf) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return file.write_all(bytes);
    }
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    for part in [first, rest] {
        about_to(Operation::Write, &path)?;
        file.write_all(part)?;
    }
    Ok(())
}

#[cfg(not(debug_assertions))]
mod watched {
    use super::{Operation, PathBuf, io};

    /// Announces the next operation.
    ///
    /// # Errors
    /// None in a build without debug assertions.
    #[inline(always)]
    pub fn about_to(_operation: Operation, _path: impl FnOnce() -> PathBuf) -> io::Result<()> {
        Ok(())
    }

    /// Announces a process that a host starts.
    #[inline(always)]
    pub fn starts(_process: &str) {}

    /// Performs what the program itself does not do.
    #[inline(always)]
    pub fn aside<T>(what: impl FnOnce() -> T) -> T {
        what()
    }
}

#[cfg(debug_assertions)]
mod watched {
    use super::{Operation, PathBuf, Step, io};
    use std::cell::{Cell, RefCell};

    /// Gets every operation before it is made, and can make it fail.
    pub type Watcher = Box<dyn FnMut(&Step) -> io::Result<()>>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
        static ASIDE: Cell<u32> = const { Cell::new(0) };
        static STARTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Announces a process that a host starts: the name of a command, or the role of a child. A rehearsal announces those that
    /// the real host would start.
    pub fn starts(process: &str) {
        STARTED.with(|started| started.borrow_mut().push(process.to_owned()));
    }

    /// The processes that this thread has started since it was asked last.
    pub fn started() -> Vec<String> {
        STARTED.take()
    }

    /// Watches this thread's operations from now on.
    pub fn watch(watcher: Watcher) {
        WATCHER.set(Some(watcher));
    }

    /// Announces the next operation.
    ///
    /// # Errors
    /// The error that the watcher injects.
    pub fn about_to(operation: Operation, path: impl FnOnce() -> PathBuf) -> io::Result<()> {
        WATCHER.with(|watcher| match watcher.try_borrow_mut().as_deref_mut() {
            Ok(Some(watcher)) => watcher(&Step { operation, path: path(), aside: ASIDE.get() > 0 }),
            // There is no watcher, or the watcher itself works on files.
            _ => Ok(()),
        })
    }

    /// Performs what the program itself does not do.
    pub fn aside<T>(what: impl FnOnce() -> T) -> T {
        ASIDE.set(ASIDE.get() + 1);
        let done = what();
        ASIDE.set(ASIDE.get() - 1);
        done
    }
}

pub use watched::*;

#[cfg(all(test, debug_assertions))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn a_write_is_told_in_halves_and_can_be_torn() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&seen);
        watch(Box::new(move |step| {
            told.borrow_mut().push(step.clone());
            if told.borrow().len() == 2 { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
        }));
        let mut file = Vec::new();
        let error = write_all(&mut file, b"12345", || "/file".into()).unwrap_err();
        assert_eq!((error.raw_os_error(), file.as_slice()), (Some(28), &b"12"[..]));
        aside(|| write_all(&mut file, b"6789", || "/file".into())).unwrap();
        let aside: Vec<bool> = seen.borrow().iter().map(|step| step.aside).collect();
        assert_eq!(aside, [false, false, true, true]);
    }
}
