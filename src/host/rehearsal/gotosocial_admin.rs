//! The command line of GoToSocial, interpreted: `--version`, `debug config`, `admin account …`, `migrations run`.

use std::io;
use std::path::Path;

use super::super::{HostError, Invocation, Output};
use super::gotosocial;
use super::gotosocial_config::{Failure, Series, Settings, Sources, is_key, is_switch};
use super::gotosocial_database::{self as database, Account};
use super::machine::{Access, EACCES, Machine};
use super::model::Migrating;
use crate::utc;

/// `ENOEXEC`: not a program.
const ENOEXEC: i32 = 8;

/// Flags that are no keys of the configuration.
const OTHER_FLAGS: &[&str] = &["config-path", "help", "version"];

/// A command line taken apart.
#[derive(Debug, Default)]
struct CommandLine {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl CommandLine {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut line = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                line.words.push(argument.clone());
                continue;
            };
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_string())));
            if !is_key(name) && !OTHER_FLAGS.contains(&name) {
                return Err(format!("unknown flag: --{name}"));
            }
            let value = match value {
                Some(value) => value,
                None if matches!(name, "help" | "version") || is_switch(name) => "true".into(),
                None => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
            };
            line.flags.push((name.to_string(), value));
        }
        Ok(line)
    }

    fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

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
    let sources = Sources {
        file: line.flag("config-path").map(Path::new),
        environment: &invocation.environment,
        flags: &line.flags,
    };
    let Ok(settings) = Settings::load(machine, &version, invocation.owner, sources) else { return Ok(()) };
    let path = &database::place(&settings);
    database::begin_migration(machine, path, invocation.owner)?;
    let pid = machine.model.take_pid();
    let ends_at = machine.model.clock + 10;
    let user = invocation.owner.uid.to_string();
    machine.model.migrating = Some(Migrating { pid, user, database: path.to_owned(), ends_at });
    Ok(())
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
    let series = Series::of(version);
    let known = |action: &str| matches!(action, "create" | "confirm" | "promote" | "demote" | "password" | "list");
    match words.as_slice() {
        ["debug", "config"] | ["admin", "account", _] => {}
        ["migrations", "run"] if series == Series::V0_20 => {}
        [] | ["debug" | "admin" | "server" | "help" | "completion", ..] => return usage(),
        ["migrations", ..] if series == Series::V0_20 => return usage(),
        [other, ..] => return Err(Failure::Error(format!("unknown command \"{other}\" for \"gotosocial\""))),
    }
    if let ["admin", "account", action] = words.as_slice() {
        if !known(action) {
            return usage();
        }
        require_flags(line, action)?;
    }
    let sources = Sources {
        file: line.flag("config-path").map(Path::new),
        environment: &invocation.environment,
        flags: &line.flags,
    };
    let settings = Settings::load(machine, version, invocation.owner, sources)?;
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

/// cobra takes these from the command line only.
fn require_flags(line: &CommandLine, action: &str) -> Result<(), Failure> {
    let required: &[&str] = match action {
        "create" => &["email", "password", "username"],
        "password" => &["password", "username"],
        "list" => &[],
        _ => &["username"],
    };
    let missing: Vec<String> =
        required.iter().filter(|flag| line.flag(flag).is_none()).map(|flag| format!("\"{flag}\"")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Error(format!("required flag(s) {} not set", missing.join(", "))))
}

fn account(
    machine: &mut Machine,
    invocation: &Invocation,
    settings: &Settings,
    action: &str,
) -> Result<String, Failure> {
    let who = invocation.owner;
    let refuse = |text: String| Err(Failure::Error(text));
    let (path, mut content) = database::open(machine, settings, who)?;
    if action == "list" {
        return Ok(table(&content.accounts));
    }
    let (username, email, password) = (settings.text("username"), settings.text("email"), settings.text("password"));
    check_username(username)?;
    if action != "create" {
        let Some(found) = content.accounts.iter_mut().find(|account| account.username == username && account.has_user)
        else {
            return refuse("sql: no rows in result set".into());
        };
        match action {
            "promote" => (found.admin, found.moderator) = (true, true),
            "demote" => (found.admin, found.moderator) = (false, false),
            "password" => check_password(password)?,
            _ => {}
        }
        database::save(machine, &path, &content, who)?;
        return Ok(String::new());
    }
    if machine.model.faults.admin_create_fails {
        return refuse("sqlite3: database is locked".into());
    }
    if content.accounts.iter().any(|account| account.username == username) {
        return refuse(format!("username {username} is already in use"));
    }
    if !email.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()) {
        return refuse("mail: missing '@' or angle-addr".into());
    }
    if content.accounts.iter().any(|account| account.has_user && account.email == email) {
        return refuse(format!("email address {email} is already in use"));
    }
    check_password(password)?;
    let has_user = content.instance.is_some();
    content.accounts.push(Account {
        username: username.into(),
        email: email.into(),
        has_user,
        admin: false,
        moderator: false,
    });
    database::save(machine, &path, &content, who)?;
    if has_user {
        return Ok(String::new());
    }
    // The account is left behind half made, as the real program leaves it.
    refuse(
        "NewSignup: instance application not yet created, run the server at least once *before* creating users".into(),
    )
}

fn check_username(username: &str) -> Result<(), Failure> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !username.is_empty() && username.len() <= 64 && username.chars().all(valid) {
        return Ok(());
    }
    Err(Failure::Error(format!(
        "given username {username} was invalid: must contain only lowercase letters, numbers, and underscores, max 64 \
         characters"
    )))
}

/// At least 60 bits of entropy and at most 72 bytes. The bits are those of the alphabet times the length, where a
/// character repeated more than twice counts twice; the real program also knows keyboard rows.
fn check_password(password: &str) -> Result<(), Failure> {
    if password.len() > 72 {
        return Err(Failure::Error("password should be no more than 72 bytes".into()));
    }
    let kinds: [(f64, &dyn Fn(char) -> bool); 6] = [
        (26.0, &|c| c.is_ascii_lowercase()),
        (26.0, &|c| c.is_ascii_uppercase()),
        (10.0, &|c| c.is_ascii_digit()),
        (5.0, &|c| "!@$&*".contains(c)),
        (5.0, &|c| "_-., ".contains(c)),
        (22.0, &|c| !c.is_ascii_alphanumeric() && !"!@$&*_-., ".contains(c)),
    ];
    let base: f64 = kinds.iter().filter(|(_, is)| password.chars().any(is)).map(|(size, _)| size).sum();
    let characters: Vec<char> = password.chars().collect();
    let counted = (0..characters.len())
        .filter(|at| *at < 2 || characters[at - 1] != characters[*at] || characters[at - 2] != characters[*at])
        .count();
    let bits = if base > 0.0 { base.log2() * counted as f64 } else { 0.0 };
    if bits >= 60.0 {
        return Ok(());
    }
    Err(Failure::Error(format!(
        "password is only {:.0}% strength, try including more special characters, using lowercase letters, using \
         uppercase letters, using numbers or using a longer password",
        bits * 100.0 / 60.0
    )))
}

fn table(accounts: &[Account]) -> String {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let mut text = String::from("user\taccount\tapproved\tadmin\tmoderator\tsuspended\tconfirmed\n");
    for (number, account) in accounts.iter().enumerate().filter(|(_, account)| account.has_user) {
        let Account { username, admin, moderator, .. } = account;
        let id = format!("01REHEARSAL{number:015}");
        let (admin, moderator) = (yes(*admin), yes(*moderator));
        text.push_str(&format!("{username}\t{id}\tyes\t{admin}\t{moderator}\tno\tyes\n"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_long_passwords_are_refused() {
        assert!(check_password("password").is_err());
        assert!(check_password("aaaaaaaaaaaaaaaaaaaaaaaaaaaa").is_err());
        assert!(check_password(&"aB3$".repeat(19)).is_err());
        assert_eq!(check_password("fQ9-mZ2_xLp7.Tw4"), Ok(()));
    }
}
