//! The role of becoming another program.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::dup2_stdin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ANOTHER_PROGRAM, Role};
use crate::shown::Shown;

/// Becomes a [`Program`].
pub const EXEC: Role = ("exec", ANOTHER_PROGRAM, exec);

/// A program, and what it gets. Its standard input is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its path, as the child sees it.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

fn exec(task: Value) -> Result<(), String> {
    let Program { path, arguments, environment } = serde_json::from_value(task).map_err(|error| error.to_string())?;
    let nothing = File::open("/dev/null").map_err(|error| format!("cannot open /dev/null: {error}"))?;
    dup2_stdin(nothing).map_err(|errno| format!("cannot close the standard input: {}", errno.desc()))?;
    let mut command = Command::new(&path);
    let error = command.args(arguments).env_clear().envs(environment).exec();
    Err(format!("cannot run {}: {error}", path.shown()))
}
