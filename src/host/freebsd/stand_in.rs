//! Fake FreeBSD commands for tests on any system: shell scripts with output seen on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::FreeBsd;
use super::command::Commands;

/// A script that is open for writing cannot be run (ETXTBSY), and a fork in another thread at the wrong moment keeps it
/// open. So these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// A folder of fake commands.
pub(super) struct StandIns {
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl StandIns {
    pub(super) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = TempDir::new().expect("a temporary folder");
        // Other users must be able to enter if a program runs as one of them.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        Self { folder, _turn: turn }
    }

    /// Replaces a command with a script.
    pub(super) fn add(&self, program: &str, script: &str) {
        let path = self.path(program);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder for the script");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Replaces a command with a script that prints `output` and exits with `status`.
    pub(super) fn says(&self, program: &str, output: &str, status: i32) {
        self.add(program, &format!("cat <<'END'\n{output}\nEND\nexit {status}"));
    }

    /// Replaces ps(1) with one that lists these processes, and this one. The shell of the script is its child.
    pub(super) fn runs(&self, processes: &str) {
        self.add("/bin/ps", &format!("cat <<END\n{processes}\n$PPID 1 0 0 0 0 1 gts-bootstrap\nEND"));
    }

    /// Has defaults of rc.conf(5) with these assignments in them, and a shell that reads them.
    pub(super) fn has_rc_conf(&self, assignments: &str) {
        let defaults = self.path("/etc/defaults/rc.conf");
        fs::create_dir_all(defaults.parent().unwrap()).unwrap();
        fs::write(defaults, format!("rc_conf_files=\nsource_rc_confs() {{ :; }}\n{assignments}\n")).unwrap();
        self.add("/bin/sh", "exec /bin/sh \"$@\"");
    }

    /// Replaces a command with a script that records its arguments, for [`StandIns::arguments`].
    pub(super) fn keeps(&self, program: &str) {
        self.add(program, &format!("printf '%s\\n' \"$@\" >'{}'", self.path("arguments").display()));
    }

    /// The recorded arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("arguments")).expect("the command was run");
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn commands(&self) -> Commands {
        Commands::new(self.folder.path())
    }

    pub(super) fn host(&self) -> FreeBsd {
        FreeBsd::below(self.folder.path())
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }
}
