//! The commands of the server's own program that this program gives it.

use std::path::Path;
use std::time::Duration;

/// What it says of a user name that it does not know; seen with 0.19.2 and 0.20.0-rc1.
pub const UNKNOWN_USER: &str = "no rows in result set";

/// What it says of a user name or an address that is taken; seen with 0.19.2 and 0.20.0-rc1.
pub const IN_USE: &str = "is already in use";

/// How long a command about an account or the configuration may take, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

/// The arguments of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command itself, for messages: `admin account create`.
    pub name: &'static str,
    /// All arguments.
    pub arguments: Vec<String>,
    /// Which argument is secret.
    pub secret_argument: Option<usize>,
}

impl Command {
    fn new(config: &Path, options: &[&str], name: &'static str, more: &[&str]) -> Self {
        let config = config.display().to_string();
        let words: Vec<&str> = name.split(' ').collect();
        let arguments = [&["--config-path", &config][..], options, &words, more].concat();
        Self { name, arguments: arguments.into_iter().map(str::to_owned).collect(), secret_argument: None }
    }

    /// A command about an account. Its output is mixed with the log's lines unless those are silenced.
    fn account(config: &Path, name: &'static str, more: &[&str]) -> Self {
        Self::new(config, &["--log-level", "warn"], name, more)
    }

    /// The password stands last. It is taken as an argument only: neither the environment nor a file will do.
    fn with_password_last(mut self) -> Self {
        self.secret_argument = Some(self.arguments.len() - 1);
        self
    }
}

/// Prints the configuration as the program understands it.
pub fn debug_config(config: &Path) -> Command {
    Command::new(config, &[], "debug config", &[])
}

/// Migrates the database and ends. See [`Series::migrates_by_command`](super::Series::migrates_by_command).
pub fn migrations_run(config: &Path) -> Command {
    Command::new(config, &[], "migrations run", &[])
}

/// Creates an account, confirmed and approved. The server must have been ready once before.
pub fn account_create(config: &Path, username: &str, email: &str, password: &str) -> Command {
    let more = ["--username", username, "--email", email, "--password", password];
    Command::account(config, "admin account create", &more).with_password_last()
}

/// Gives an account another password.
pub fn account_password(config: &Path, username: &str, password: &str) -> Command {
    let more = ["--username", username, "--password", password];
    Command::account(config, "admin account password", &more).with_password_last()
}

/// Gives an account the rights of an administrator and moderator.
pub fn account_promote(config: &Path, username: &str) -> Command {
    Command::account(config, "admin account promote", &["--username", username])
}

/// The environment of the program, as the rc.d script sets it for the service: folders for temporary files (SQLite fails
/// without one) and for the compiled ffmpeg.
pub fn environment(temporary: &Path, cache: &Path) -> Vec<(String, String)> {
    [("TMPDIR", temporary), ("SQLITE_TMPDIR", temporary), ("GTS_WAZERO_COMPILATION_CACHE", cache)]
        .map(|(name, path)| (name.to_owned(), path.display().to_string()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_its_secret() {
        let create = account_create(Path::new("/c.yaml"), "alice", "a@example.org", "pass");
        let words = "--config-path /c.yaml --log-level warn admin account create --username alice --email a@example.org \
                     --password pass";
        assert_eq!(create.arguments.join(" "), words);
        assert_eq!(create.secret_argument.map(|at| create.arguments[at].as_str()), Some("pass"));
        let migrate = migrations_run(Path::new("/c.yaml"));
        assert_eq!(migrate.arguments.join(" "), "--config-path /c.yaml migrations run");
        assert_eq!((migrate.name, migrate.secret_argument), ("migrations run", None));
    }
}
