//! The command line of GoToSocial, interpreted: `--version`, `debug config`, `admin account …`, `migrations run`.

use std::path::Path;

use super::super::{HostError, Invocation, Output};
use super::machine::Machine;
use super::model::Migrating;
use super::{gotosocial, gotosocial_database as database};
use crate::gotosocial::Series;
use crate::gotosocial::accounts::{act, encrypted, required_flags, table};
use crate::gotosocial::command_line::CommandLine;
use crate::gotosocial::loading::{Failure, Settings};

/// Whether a command line only looks. Such a command does not count as a change, and the clock does not advance.
pub(super) fn only_looks(arguments: &[String]) -> bool {
    CommandLine::read(arguments).map_or(true, |line| {
        line.flag("version").is_some()
            || matches!(line.words().as_slice(), [] | ["debug", ..] | ["admin", "account", "list"])
    })
}

/// Runs a command of an unpacked release; `None` if the program is not GoToSocial.
pub(super) fn run(machine: &mut Machine, call: &Invocation) -> Result<Option<Output>, HostError> {
    let Some(version) = gotosocial::version_of(machine, &call.program)? else { return Ok(None) };
    let line = CommandLine::read(&call.arguments).map_err(Failure::Error);
    let ended = line.and_then(|line| execute(machine, call, &version, &line));
    let status = match &ended {
        Ok(_) => Some(0),
        Err(Failure::Error(_)) => Some(1),
        Err(Failure::Panic(_)) => Some(2),
        Err(Failure::Killed) => None,
    };
    let stderr = ended.as_ref().err().and_then(|failure| gotosocial::last_words(machine, failure));
    Ok(Some(Output { status, stdout: ended.unwrap_or_default(), stderr: stderr.unwrap_or_default() }))
}

/// `migrations run` in a process that runs for ten seconds and outlives its caller.
pub(super) fn outlive(machine: &mut Machine, call: &Invocation) -> Result<(), HostError> {
    let line = CommandLine::read(&call.arguments).unwrap_or_default();
    let version = gotosocial::version_of(machine, &call.program)?.unwrap_or_default();
    let Ok(settings) = settings(machine, call, &version, &line) else { return Ok(()) };
    let path = database::place(&settings);
    database::begin_migration(machine, &path, call.owner)?;
    let pid = machine.model.take_pid();
    let ends_at = machine.model.clock + 10;
    let user = call.owner.uid.to_string();
    machine.model.migrating = Some(Migrating { pid, user, database: path, ends_at });
    Ok(())
}

fn settings(machine: &Machine, call: &Invocation, version: &str, line: &CommandLine) -> Result<Settings, Failure> {
    let file = line.flag("config-path").map(Path::new);
    gotosocial::settings(machine, version, call.owner, file, &call.environment, &line.flags)
}

fn execute(machine: &mut Machine, call: &Invocation, version: &str, line: &CommandLine) -> Result<String, Failure> {
    if line.flag("version").is_some() {
        return Ok(format!("gotosocial version {version}\n"));
    }
    let words = line.words();
    let has_migrations = Series::of_text(version).migrates_by_command();
    let required = match words.as_slice() {
        ["debug", "config"] => Some(&[][..]),
        ["migrations", "run"] if has_migrations => Some(&[][..]),
        ["admin", "account", action] => required_flags(action),
        ["migrations", ..] if has_migrations => None,
        [] | ["debug" | "admin" | "server" | "help" | "completion", ..] => None,
        [other, ..] => return Err(Failure::Error(format!("unknown command \"{other}\" for \"gotosocial\""))),
    };
    let Some(required) = required else { return Ok("Usage:\n  gotosocial [command]\n".to_string()) };
    line.require(required).map_err(Failure::Error)?;
    let settings = settings(machine, call, version, line)?;
    if words[0] == "debug" {
        return Ok(settings.debug_config(machine.model.faults.debug_config_without_host));
    }
    if settings.text("host").is_empty() {
        return Err(Failure::Error("invalid config: host must be set".into()));
    }
    let (path, mut content) = database::open(machine, &settings, call.owner)?;
    match words.as_slice() {
        ["admin", "account", "list"] => Ok(table(&content.accounts)),
        ["admin", "account", "create"] if machine.model.faults.admin_create_fails => {
            Err(Failure::Error("sqlite3: database is locked".into()))
        }
        ["admin", "account", action] => {
            let [username, password] = ["username", "password"].map(|key| settings.text(key));
            if !password.is_empty() {
                machine.model.seen_passwords.insert(encrypted(username, password));
            }
            let after = act(&mut content.accounts, content.instance.is_some(), &settings, action)?;
            database::save(machine, &path, &content, call.owner)?;
            machine.model.keep_passwords(content.accounts);
            after.map_or(Ok(String::new()), Err)
        }
        _ => Ok(String::new()),
    }
}
