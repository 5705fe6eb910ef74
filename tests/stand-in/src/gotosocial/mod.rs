//! The commands: `--version`, `debug config`, `migrations run`, `admin account …`, `server start`.

mod accounts;
mod certificate;
mod client_address;
mod database;
mod door;
mod log;
mod pages;
mod request;
mod router;
mod server;
mod signals;
mod trouble;

use std::path::Path;
use std::process::ExitCode;

use database::Database;
use gts_bootstrap::gotosocial::Series;
use gts_bootstrap::gotosocial::accounts::required_flags;
use gts_bootstrap::gotosocial::command_line::CommandLine;
use gts_bootstrap::gotosocial::loading::{Failure, Settings, Sources};
use trouble::Trouble;

/// Runs a command line and prints what it has to say.
pub fn run(arguments: Vec<String>) -> ExitCode {
    match execute(&arguments) {
        Ok(text) => {
            log::out(&text);
            ExitCode::SUCCESS
        }
        Err(Failure::Error(text)) => {
            log::error(&format!("{} error executing command: {text}\n", log::standard_time()));
            ExitCode::from(1)
        }
        Err(Failure::Panic(text)) => {
            log::panic(&text);
            ExitCode::from(2)
        }
        Err(Failure::Killed) => ExitCode::FAILURE,
    }
}

fn execute(arguments: &[String]) -> Result<String, Failure> {
    let version = version().ok_or_else(|| {
        Failure::Error("the stand-in does not know its version: name its folder after it, or write VERSION".into())
    })?;
    let line = CommandLine::read(arguments).map_err(Failure::Error)?;
    if line.flag("version").is_some() {
        return Ok(format!("gotosocial version {version}\n"));
    }
    let words = line.words();
    let has_migrations = Series::of_text(&version).migrates_by_command();
    match words.as_slice() {
        ["debug", "config"] | ["server", "start"] => {}
        ["admin", "account", action] if required_flags(action).is_some() => {}
        ["migrations", "run"] if has_migrations => {}
        ["migrations", ..] if !has_migrations => return unknown("migrations"),
        // A mistyped subcommand prints the usage and succeeds: cobra's way.
        [] | ["debug" | "admin" | "server" | "migrations" | "help" | "completion", ..] => {
            return Ok("Usage:\n  gotosocial [command]\n".into());
        }
        [other, ..] => return unknown(other),
    }
    if let ["admin", "account", action] = words.as_slice() {
        line.require(required_flags(action).unwrap_or_default()).map_err(Failure::Error)?;
    }
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let sources = Sources {
        file: line.flag("config-path").map(Path::new),
        environment: &environment,
        flags: &line.flags,
        read: &read,
    };
    let settings = Settings::load(&version, sources)?;
    let trouble = Trouble::of(&environment).map_err(Failure::Error)?;
    match words.as_slice() {
        ["debug", ..] => return Ok(settings.debug_config(false)),
        ["server", ..] => return server::start(&version, settings, &trouble).map(|()| String::new()),
        _ => server::check_settings(&settings)?,
    }
    let logger = log::Logger::of(&settings);
    let database = Database::open(&settings, &trouble, logger)?;
    match words.as_slice() {
        ["admin", "account", action] => accounts::act(database, &settings, action),
        _ => Ok(String::new()),
    }
}

/// The text of a file; the error is Go's.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        format!("open {}: {}", path.display(), if missing { "no such file or directory" } else { "permission denied" })
    })
}

fn unknown(command: &str) -> Result<String, Failure> {
    Err(Failure::Error(format!("unknown command \"{command}\" for \"gotosocial\"")))
}

/// The version that this stands in for: told by `VERSION` beside the program, else by its folder's name.
fn version() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    let written = std::fs::read_to_string(folder.join("VERSION")).unwrap_or_default();
    let candidates = [written.trim(), folder.file_name()?.to_str()?];
    let mut versions = candidates.iter().map(|text| text.strip_prefix('v').unwrap_or(text));
    versions.find(|text| text.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}
