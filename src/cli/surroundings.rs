//! What surrounds a run: where it reads and writes, its environment, its working directory, and the signals that it hears.
//!
//! The program has those of its process. A test gives its own, so that it needs no process, and several can run at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Cursor, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dialoguer::console::Term;

use crate::run::TypedPath;
use crate::run::signals::Signals;

/// Where a run reads.
pub trait Input: Send + Sync {
    /// Whether somebody types there.
    fn is_terminal(&self) -> bool;

    /// Reads what is there, and waits for it; nothing at the end.
    ///
    /// # Errors
    /// Those of the system.
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;
}

impl Input for io::Stdin {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.lock().read(bytes)
    }
}

/// Where a run writes.
pub trait Output: Send + Sync {
    /// The lines and columns of the terminal; `None` where there is none.
    fn size(&self) -> Option<(usize, usize)>;

    /// Writes all of it, and has it shown.
    ///
    /// # Errors
    /// Those of the system.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
}

/// The size of a terminal of this process.
fn size(term: &Term) -> Option<(usize, usize)> {
    let (rows, columns) = term.size();
    term.is_term().then(|| (rows.into(), columns.into()))
}

impl Output for io::Stdout {
    fn size(&self) -> Option<(usize, usize)> {
        size(&Term::stdout())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut locked = self.lock();
        locked.write_all(bytes).and_then(|()| locked.flush())
    }
}

impl Output for io::Stderr {
    fn size(&self) -> Option<(usize, usize)> {
        size(&Term::stderr())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.lock().write_all(bytes)
    }
}

/// Takes what is written; its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    size: Option<(usize, usize)>,
}

impl Captured {
    /// What was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Output for Captured {
    fn size(&self) -> Option<(usize, usize)> {
        self.size
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }
}

/// Lines that were written beforehand.
struct Typed {
    bytes: Mutex<Cursor<Vec<u8>>>,
    is_terminal: bool,
}

impl Input for Typed {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).read(bytes)
    }
}

/// What surrounds a run.
pub struct Surroundings {
    /// Standard input.
    pub input: Box<dyn Input>,
    /// Standard output.
    pub output: Box<dyn Output>,
    /// Standard error.
    pub errors: Box<dyn Output>,
    /// The signals.
    pub signals: Signals,
    /// Whether terminals are those of this process, on which a cursor can be moved and keys be read.
    pub is_own: bool,
    variables: BTreeMap<OsString, OsString>,
    /// `None`: that of this process.
    directory: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            input: Box::new(io::stdin()),
            output: Box::new(io::stdout()),
            errors: Box::new(io::stderr()),
            signals: Signals::of_process(),
            is_own: true,
            variables: std::env::vars_os().collect(),
            directory: None,
        }
    }

    /// Without a terminal: lines from a pipe, and what is written is captured. The environment is empty.
    pub fn piped(lines: &str, output: &Captured, errors: &Captured) -> Self {
        Self {
            input: Box::new(Typed { bytes: Mutex::new(Cursor::new(lines.into())), is_terminal: false }),
            output: Box::new(output.clone()),
            errors: Box::new(errors.clone()),
            signals: Signals::default(),
            is_own: false,
            variables: BTreeMap::new(),
            directory: None,
        }
    }

    /// At a terminal of this size that moves no cursor, and at which these lines are typed.
    pub fn at_terminal(lines: &str, output: &Captured, errors: &Captured, size: (usize, usize)) -> Self {
        let at = |captured: &Captured| Captured { size: Some(size), ..captured.clone() };
        let piped = Self::piped("", &at(output), &at(errors));
        Self { input: Box::new(Typed { bytes: Mutex::new(Cursor::new(lines.into())), is_terminal: true }), ..piped }
    }

    /// In this working directory.
    pub fn at(self, directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), ..self }
    }

    /// With this variable in the environment.
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// A variable of the environment; empty where it is not set, or no text.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(OsStr::new(name)).and_then(|value| value.to_str()).unwrap_or_default()
    }

    /// All variables of the environment.
    pub fn variables(&self) -> BTreeMap<OsString, OsString> {
        self.variables.clone()
    }

    /// A path that somebody has typed, from the working directory on.
    pub fn path(&self, typed: &Path) -> PathBuf {
        self.directory.as_ref().map_or_else(|| typed.to_owned(), |directory| directory.join(typed))
    }

    /// A file that somebody has named.
    pub fn typed(&self, typed: &Path) -> TypedPath {
        TypedPath { typed: typed.to_owned(), path: self.path(typed) }
    }

    /// A mirror that somebody has named: an address, or a folder.
    pub fn mirror(&self, typed: &str) -> String {
        let folder = std::fs::canonicalize(self.path(Path::new(typed))).ok().filter(|_| !typed.contains("://"));
        folder.map_or_else(|| typed.to_owned(), |folder| folder.display().to_string())
    }

    /// Whether somebody sits at a terminal.
    pub fn can_ask(&self) -> bool {
        self.input.is_terminal() && self.errors.size().is_some()
    }

    /// Reads a line, without its end; `None` at the end of the input.
    ///
    /// # Errors
    /// Those of the system.
    pub fn line(&self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match self.input.read(&mut byte) {
                Ok(0) if line.is_empty() => return Ok(None),
                Ok(0) => break,
                Ok(_) if byte == *b"\n" => break,
                Ok(_) => line.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Reads all there is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn rest(&self) -> io::Result<Vec<u8>> {
        struct Reading<'a>(&'a dyn Input);
        impl Read for Reading<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                self.0.read(bytes)
            }
        }
        let mut bytes = Vec::new();
        Reading(&*self.input).read_to_end(&mut bytes)?;
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
        let around = Surroundings::piped("one\r\n\nlast", &captured, &captured).at(Path::new("/srv")).with("A", "b");
        assert_eq!(around.line().unwrap().as_deref(), Some("one"));
        assert_eq!(around.line().unwrap().as_deref(), Some(""));
        assert_eq!(around.line().unwrap().as_deref(), Some("last"));
        assert_eq!(around.line().unwrap(), None);
        assert_eq!(around.path(Path::new("x")), Path::new("/srv/x"));
        assert_eq!(around.path(Path::new("/x")), Path::new("/x"));
        assert_eq!((around.variable("A"), around.variable("B")), ("b", ""));
    }
}
