//! The command line of GoToSocial, interpreted: `--version`, `debug config`, `admin account …`, `migrations run`.

use std::io;
use std::path::Path;

use super::super::{HostError, Invocation, Output};
use super::gotosocial_config::{self, Caller};
use super::machine::{Access, EACCES, Machine};
use super::model::Migrating;
use super::{gotosocial, gotosocial_database as database};
use crate::gotosocial::Series;
use crate::gotosocial::accounts::{act, required_flags, table};
use crate::gotosocial::command_line::CommandLine;
use crate::gotosocial::loading::{Failure, Settings};
use crate::utc;

/// `ENOEXEC`: not a program.
const ENOEXEC: i32 = 8;

/// Whether a command line only looks: then neither the clock moves nor does it count as a change.
pub(super) fn only_looks(arguments: &[String]) -> bool {
    CommandLine::read(arguments).map_or(true, |line| {
        line.flag("version").is_some()
            || matches!(line.words().as_slice(), [] | ["debug", ..] | ["admin", "account", "list"])
    })
}

/// Runs a program, which must be GoToSocial's of an unpacked release.
pub(super) fn run(machine: &mut Machine, invocation: &Invocation) -> Result<Output, HostError> {
    let cannot =
        |errno: i32| HostError::Start { command: shown(invocation), source: io::Error::from_raw_os_error(errno) };
    let who = invocation.owner;
    machine.may(who, &invocation.directory, Access::Execute).map_err(cannot)?;
    machine.may(who, &invocation.program, Access::Execute).map_err(cannot)?;
    if !machine.is_executable(&invocation.program) {
        return Err(cannot(EACCES));
    }
    let Some(version) = gotosocial::version_of(machine, &invocation.program)? else { return Err(cannot(ENOEXEC)) };
    let ended = match CommandLine::read(&invocation.arguments) {
        Ok(line) => execute(machine, invocation, &version, &line),
        Err(error) => Err(Failure::Error(error)),
    };
    Ok(match ended {
        Ok(stdout) => Output { status: Some(0), stdout, stderr: String::new() },
        Err(Failure::Error(error)) => {
            let time = utc::go_log(machine.model.clock);
            let stderr = format!("{time} error executing command: {error}\n");
            Output { status: Some(1), stdout: String::new(), stderr }
        }
        Err(Failure::Panic(error)) => {
            let stderr = format!("panic: {error}\n\ngoroutine 1 [running]:\n");
            Output { status: Some(2), stdout: String::new(), stderr }
        }
        Err(Failure::Killed) => Output { status: None, stdout: String::new(), stderr: String::new() },
    })
}

/// `migrations run` in a process that goes on for ten seconds, whatever becomes of the one that started it.
pub(super) fn outlive(machine: &mut Machine, invocation: &Invocation) -> Result<(), HostError> {
    let line = CommandLine::read(&invocation.arguments).unwrap_or_default();
    let version = gotosocial::version_of(machine, &invocation.program)?.unwrap_or_default();
    let Ok(settings) = gotosocial_config::load(machine, &version, &caller(invocation, &line)) else { return Ok(()) };
    let path = &database::place(&settings);
    database::begin_migration(machine, path, invocation.owner)?;
    let pid = machine.model.take_pid();
    let ends_at = machine.model.clock + 10;
    let user = invocation.owner.uid.to_string();
    machine.model.migrating = Some(Migrating { pid, user, database: path.to_owned(), ends_at });
    Ok(())
}

fn caller<'a>(invocation: &'a Invocation, line: &'a CommandLine) -> Caller<'a> {
    Caller {
        who: invocation.owner,
        file: line.flag("config-path").map(Path::new),
        environment: &invocation.environment,
        flags: &line.flags,
    }
}

/// The command line for messages.
fn shown(invocation: &Invocation) -> String {
    let arguments = invocation.arguments.iter().enumerate().map(|(index, argument)| {
        if Some(index) == invocation.secret_argument { "…".to_string() } else { argument.clone() }
    });
    [invocation.program.display().to_string()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

fn execute(
    machine: &mut Machine,
    invocation: &Invocation,
    version: &str,
    line: &CommandLine,
) -> Result<String, Failure> {
    if line.flag("version").is_some() {
        return Ok(format!("gotosocial version {version}\n"));
    }
    let usage = || Ok("Usage:\n  gotosocial [command]\n".to_string());
    let words = line.words();
    let series = Series::of_text(version);
    match words.as_slice() {
        ["debug", "config"] | ["admin", "account", _] => {}
        ["migrations", "run"] if series.migrates_by_command() => {}
        [] | ["debug" | "admin" | "server" | "help" | "completion", ..] => return usage(),
        ["migrations", ..] if series.migrates_by_command() => return usage(),
        [other, ..] => return Err(Failure::Error(format!("unknown command \"{other}\" for \"gotosocial\""))),
    }
    if let ["admin", "account", action] = words.as_slice() {
        let Some(required) = required_flags(action) else { return usage() };
        line.require(required).map_err(Failure::Error)?;
    }
    let settings = gotosocial_config::load(machine, version, &caller(invocation, line))?;
    if let ["debug", "config"] = words.as_slice() {
        return Ok(settings.debug_config(machine.model.faults.debug_config_without_host));
    }
    if settings.text("host").is_empty() {
        return Err(Failure::Error("invalid config: host must be set".into()));
    }
    match words.as_slice() {
        ["admin", "account", action] => account(machine, invocation, &settings, action),
        _ => database::open(machine, &settings, invocation.owner).map(|_| String::new()),
    }
}

fn account(
    machine: &mut Machine,
    invocation: &Invocation,
    settings: &Settings,
    action: &str,
) -> Result<String, Failure> {
    let who = invocation.owner;
    let (path, mut content) = database::open(machine, settings, who)?;
    if action == "list" {
        return Ok(table(&content.accounts));
    }
    if action == "create" && machine.model.faults.admin_create_fails {
        return Err(Failure::Error("sqlite3: database is locked".into()));
    }
    let after = act(&mut content.accounts, content.instance.is_some(), settings, action)?;
    database::save(machine, &path, &content, who)?;
    after.map_or(Ok(String::new()), Err)
}
