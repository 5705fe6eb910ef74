//! What surrounds a run: where it reads and writes, its environment, its working directory, and the signals that it hears.
//!
//! The program has those of its process. A test gives its own, so that it needs no process, and several can run at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Cursor, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dialoguer::console::Term;
use nix::unistd::geteuid;

use super::text::Text;
use crate::run::TypedPath;
use crate::run::signals::Signals;

/// Where a run writes.
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The memory of a test.
    Captured(Captured),
}

impl Output {
    /// The lines and columns of the terminal; `None` if it is not a terminal.
    pub fn size(&self) -> Option<(usize, usize)> {
        let term = match self {
            Self::Stdout => Term::stdout(),
            Self::Stderr => Term::stderr(),
            Self::Captured(_) => return None,
        };
        let (rows, columns) = term.size();
        term.is_term().then(|| (rows.into(), columns.into()))
    }

    /// Writes a text for people and flushes it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, text: &Text<'_>) -> io::Result<()> {
        self.write_exact(text.as_str())
    }

    /// Writes a text for a program, to the byte, and flushes it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write_exact(&self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut locked = io::stdout().lock();
                locked.write_all(text.as_bytes())?;
                locked.flush()
            }
            Self::Stderr => io::stderr().write_all(text.as_bytes()),
            Self::Captured(Captured(written)) => {
                written.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
                Ok(())
            }
        }
    }
}

/// Keeps what is written. Its clones share the text.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<String>>);

impl Captured {
    /// What was written so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What surrounds a run.
pub struct Surroundings {
    input: Mutex<Box<dyn BufRead + Send>>,
    /// Standard output.
    pub output: Output,
    /// Standard error.
    pub errors: Output,
    /// The signals.
    pub signals: Signals,
    /// Whether the streams are those of this process.
    is_own: bool,
    /// Whether the run has root's rights.
    pub is_root: bool,
    /// The environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// The working directory; empty for that of this process.
    directory: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            input: Mutex::new(Box::new(BufReader::new(io::stdin()))),
            output: Output::Stdout,
            errors: Output::Stderr,
            signals: Signals::of_process(),
            is_own: true,
            is_root: geteuid().is_root(),
            variables: std::env::vars_os().collect(),
            directory: PathBuf::new(),
        }
    }

    /// Without a terminal: lines from a pipe, and what is written is captured. The environment is empty, and the run is not taken
    /// for one of root.
    pub fn piped(lines: &str, output: &Captured, errors: &Captured) -> Self {
        Self {
            input: Mutex::new(Box::new(Cursor::new(lines.to_owned()))),
            output: Output::Captured(output.clone()),
            errors: Output::Captured(errors.clone()),
            signals: Signals::default(),
            is_own: false,
            is_root: false,
            variables: BTreeMap::new(),
            directory: PathBuf::new(),
        }
    }

    /// In this working directory.
    pub fn at(self, directory: &Path) -> Self {
        Self { directory: directory.to_owned(), ..self }
    }

    /// A variable of the environment; empty if it is not set or not valid UTF-8.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(OsStr::new(name)).and_then(|value| value.to_str()).unwrap_or_default()
    }

    /// A path that was typed, from the working directory on.
    pub fn path(&self, typed: &Path) -> PathBuf {
        self.directory.join(typed)
    }

    /// A file that was named.
    pub fn typed(&self, typed: &Path) -> TypedPath {
        TypedPath { typed: typed.to_owned(), path: self.path(typed) }
    }

    /// A mirror that was named: an address, or a folder.
    pub fn mirror(&self, typed: &str) -> String {
        let folder = std::fs::canonicalize(self.path(Path::new(typed))).ok().filter(|_| !typed.contains("://"));
        folder.map_or_else(|| typed.to_owned(), |folder| folder.display().to_string())
    }

    /// Whether standard input is a terminal.
    pub fn is_typed(&self) -> bool {
        self.is_own && io::stdin().is_terminal()
    }

    /// Whether a user sits at a terminal.
    pub fn can_ask(&self) -> bool {
        self.is_typed() && self.errors.size().is_some()
    }

    /// Reads a line, without its end; `None` at the end of the input.
    ///
    /// # Errors
    /// Those of the system.
    pub fn line(&self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let read = self.input.lock().unwrap_or_else(PoisonError::into_inner).read_until(b'\n', &mut line)?;
        Ok((read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Reads the whole input.
    ///
    /// # Errors
    /// Those of the system.
    pub fn rest(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.lock().unwrap_or_else(PoisonError::into_inner).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// Nobody writes, and nobody reads.
    pub fn nowhere() -> Surroundings {
        Surroundings::piped("", &Captured::default(), &Captured::default())
    }

    #[test]
    fn lines_are_read_one_by_one_and_paths_begin_at_the_working_directory() {
        let captured = Captured::default();
        let mut around = Surroundings::piped("one\r\n\nlast", &captured, &captured).at(Path::new("/srv"));
        around.variables.insert("A".into(), "b".into());
        assert_eq!(around.line().unwrap().as_deref(), Some("one"));
        assert_eq!(around.line().unwrap().as_deref(), Some(""));
        assert_eq!(around.line().unwrap().as_deref(), Some("last"));
        assert_eq!(around.line().unwrap(), None);
        assert_eq!(around.path(Path::new("x")), Path::new("/srv/x"));
        assert_eq!(around.path(Path::new("/x")), Path::new("/x"));
        assert_eq!((around.variable("A"), around.variable("B")), ("b", ""));
    }
}
