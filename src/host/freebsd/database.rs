//! Opens databases in a child process that is no longer root: a program that faces the internet wrote them, and SQLite
//! is much code to trust.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::other_user::{Unable, take_on_ids};
use crate::gotosocial::DatabaseState;
use crate::host::database::{DatabaseExamination, examine};
use crate::host::{HostError, Owner};

/// The hidden first argument that makes this program the child that opens a database.
pub const DATABASE_PROBE_ARGUMENT: &str = "database-probe-child";

/// Examines a database in a child process.
pub(super) fn run(examination: &DatabaseExamination) -> Result<DatabaseState, HostError> {
    let program = env::current_exe()
        .map_err(|source| HostError::Start { command: DATABASE_PROBE_ARGUMENT.to_owned(), source })?;
    ask(&program, &[DATABASE_PROBE_ARGUMENT], examination)
}

fn ask(program: &Path, first: &[&str], examination: &DatabaseExamination) -> Result<DatabaseState, HostError> {
    let what = format!("open the database {}", examination.path.display());
    let output = Command::new(program)
        .args(first)
        .args([examination.owner.uid.to_string(), examination.owner.gid.to_string(), examination.thorough.to_string()])
        .arg(&examination.path)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| HostError::Start { command: what.clone(), source })?;
    if !output.status.success() {
        return Err(HostError::Command {
            command: what,
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| HostError::Unreadable { what, text: line.to_owned() })
}

fn parsed(arguments: &[String]) -> Option<DatabaseExamination> {
    let [uid, gid, thorough, path] = arguments else { return None };
    let owner = Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
    Some(DatabaseExamination { path: PathBuf::from(path), owner, thorough: thorough.parse().ok()? })
}

/// The child's side, for `main`: `arguments` are those after [`DATABASE_PROBE_ARGUMENT`]. It prints the state as one
/// line of JSON and exits with 0. If it could not read the database, it reports why on standard error and exits with 1.
pub fn database_probe_child(arguments: &[String]) -> ExitCode {
    let found = match parsed(arguments) {
        Some(wanted) => look(&wanted),
        None => Err(Unable("this argument is for the program's own use only".to_owned())),
    };
    let told = match found {
        Ok(line) => writeln!(io::stdout(), "{line}"),
        Err(unable) => {
            // If this fails too, there is nobody left to report to.
            let _ = writeln!(io::stderr(), "{unable}");
            return ExitCode::FAILURE;
        }
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look(wanted: &DatabaseExamination) -> Result<String, Unable> {
    take_on_ids(wanted.owner.uid, wanted.owner.gid, &[])?;
    let state = examine(&wanted.path, wanted.thorough).map_err(|error| Unable(error.to_string()))?;
    serde_json::to_string(&state).map_err(|error| Unable(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::super::stand_in::StandIns;
    use super::*;

    const NOBODY: u32 = 65534;

    /// If the tests are the program itself, this is its `main`.
    #[test]
    fn child() {
        let arguments: Vec<String> = env::args().collect();
        if let Some(first) = arguments.iter().position(|argument| argument == DATABASE_PROBE_ARGUMENT) {
            println!();
            let code = database_probe_child(&arguments[first + 1..]);
            std::process::exit(i32::from(code != ExitCode::SUCCESS));
        }
    }

    fn ask_here(path: &Path) -> Result<DatabaseState, HostError> {
        let name = concat!(module_path!(), "::child");
        let name = name.split_once("::").unwrap().1;
        let first = ["--exact", "--nocapture", "--test-threads=1", name, "--skip", DATABASE_PROBE_ARGUMENT];
        let owner = Owner { uid: NOBODY, gid: NOBODY };
        let examination = DatabaseExamination { path: path.to_path_buf(), owner, thorough: true };
        // The test harness prints its own lines after the answer.
        let _turn = StandIns::new();
        ask(&env::current_exe().unwrap(), &first, &examination)
    }

    #[test]
    fn the_child_opens_what_its_user_may_open_and_nothing_else() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let theirs = folder.path().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        let path = theirs.join("sqlite.db");
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE bun_migrations (name); INSERT INTO bun_migrations VALUES ('1');")
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = ask_here(&path).unwrap_err().to_string();
        assert!(refused.contains("open the database") && refused.contains("unable to open"), "{refused}");
        for path in [&theirs, &path] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        assert_eq!(ask_here(&path).unwrap().migrations, 1);
        std::fs::write(&path, "a letter that is long enough to be looked at as if it were the header of a file, with a hundred bytes or more of it").unwrap();
        let refused = ask_here(&path).unwrap_err().to_string();
        assert!(refused.contains("file is not a database"), "{refused}");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parsed(&["1".into(), "2".into()]), None);
        assert_eq!(parsed(&["1".into(), "x".into(), "true".into(), "/p".into()]), None);
        assert_eq!(database_probe_child(&[]), ExitCode::FAILURE);
    }
}
