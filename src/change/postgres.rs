//! PostgreSQL databases: dumped while they are in use, and made what a dump says.
//!
//! pg_dump(1) and pg_restore(1) run as the service user, who may read that database anyway. The password goes to them in a
//! file (`PGPASSFILE`, mode 0600, the service user's) for as long as they run: an argument could be read by every user of the
//! host, and the environment of a process by whoever is the same user.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::deployment::{Database, Secrets, TlsMode};
use crate::host::{Host, HostError, Invocation, Output, Owner};

const DUMP: &str = "/usr/local/bin/pg_dump";
const RESTORE: &str = "/usr/local/bin/pg_restore";
/// The name of the password among the secrets.
const PASSWORD: &str = "db-password";

/// How the database is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    address: String,
    port: u16,
    user: String,
    database: String,
    /// libpq's `sslmode`.
    tls: String,
    /// The file with the secrets. What is in it stays out of the journal.
    secrets: PathBuf,
    /// Whom to connect as on this host.
    owner: Owner,
    /// A folder of that user's.
    folder: PathBuf,
}

/// A dump that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// Of what.
    pub connection: Connection,
    /// The file, root's alone.
    pub to: PathBuf,
}

/// A dump that is to be read in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Into what.
    pub connection: Connection,
    /// The dump.
    pub from: PathBuf,
    /// Where the database of now is dumped to beforehand.
    pub before: PathBuf,
}

impl Connection {
    /// How a deployment's database is reached; `None` if it is none of PostgreSQL's.
    #[must_use]
    pub fn of(database: &Database, secrets: &Path, owner: Owner, folder: &Path) -> Option<Self> {
        let Database::Postgres { address, port, user, database, tls_mode, .. } = database else { return None };
        let tls = match tls_mode {
            TlsMode::Disable => "disable",
            TlsMode::Enable => "require",
            TlsMode::Require => "verify-full",
        };
        Some(Self {
            address: address.to_string(),
            port: port.get(),
            user: user.clone(),
            database: database.clone(),
            tls: tls.to_owned(),
            secrets: secrets.to_path_buf(),
            owner,
            folder: folder.to_path_buf(),
        })
    }

    /// The database in words.
    #[must_use]
    pub fn name(&self) -> String {
        format!("PostgreSQL database {} at {}", self.database, self.address)
    }

    fn password_file(&self) -> PathBuf {
        self.folder.join("pgpass")
    }

    /// Where a dump is while the service user has to get at it.
    fn passing(&self) -> PathBuf {
        self.folder.join("postgres.dump")
    }

    fn arguments(&self) -> Vec<String> {
        let port = self.port.to_string();
        [
            "--no-password",
            "--host",
            &self.address,
            "--port",
            &port,
            "--username",
            &self.user,
            "--dbname",
            &self.database,
        ]
        .map(str::to_owned)
        .into()
    }

    fn invocation(&self, program: &str, arguments: Vec<String>) -> Invocation {
        Invocation {
            program: program.into(),
            arguments,
            environment: vec![
                ("PGPASSFILE".to_owned(), self.password_file().display().to_string()),
                ("PGSSLMODE".to_owned(), self.tls.clone()),
            ],
            owner: self.owner,
            directory: self.folder.clone(),
            secret_argument: None,
        }
    }

    /// Runs one of PostgreSQL's programs.
    fn run(&self, host: &dyn Host, program: &str, arguments: Vec<String>) -> Result<Output, String> {
        let said = |error: HostError| error.to_string();
        let password = password(host, &self.secrets)?;
        host.write_file(&self.password_file(), pgpass(&password).as_bytes(), 0o600, self.owner).map_err(said)?;
        let output = host.run_as(&self.invocation(program, arguments));
        host.remove(&self.password_file()).map_err(said)?;
        let output = output.map_err(|error| {
            format!(
                "{error}. It comes with the package postgresqlNN-client; take the one of the server's version or newer"
            )
        })?;
        if output.status == Some(0) {
            return Ok(output);
        }
        let why = [output.stderr.trim(), output.stdout.trim()].into_iter().find(|text| !text.is_empty());
        Err(format!("{program} failed for the {}: {}", self.name(), why.unwrap_or("it gave no reason")))
    }

    /// Takes away what may be left where the service user got at it.
    fn clear(&self, host: &dyn Host) -> Result<(), HostError> {
        host.remove(&self.passing())?;
        host.remove(&self.password_file())
    }
}

fn password(host: &dyn Host, file: &Path) -> Result<String, String> {
    let Some(bytes) = host.read(file).map_err(|error| error.to_string())? else { return Ok(String::new()) };
    let secrets = Secrets::parse(&String::from_utf8_lossy(&bytes), &file.display().to_string())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(secrets.get(PASSWORD).map(|secret| secret.expose().to_owned()).unwrap_or_default())
}

/// A password file with one line that is for every connection. `:` and `\` are escaped in it (PostgreSQL's documentation,
/// "The Password File").
fn pgpass(password: &str) -> String {
    format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"))
}

/// Makes a dump, and has pg_restore(1) read its list of contents.
///
/// # Errors
/// In words.
pub(super) fn dump(host: &dyn Host, dump: &Dump) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let Dump { connection, to } = dump;
    let passing = connection.passing();
    connection.clear(host).map_err(said)?;
    let file = passing.display().to_string();
    let mut arguments = connection.arguments();
    arguments.extend(["--format=custom".to_owned(), "--file".to_owned(), file.clone()]);
    connection.run(host, DUMP, arguments)?;
    connection.run(host, RESTORE, vec!["--list".to_owned(), file])?;
    host.copy_file(&passing, to, 0o600, Owner::ROOT).map_err(said)?;
    connection.clear(host).map_err(said)
}

pub(super) fn take_back_dump(host: &dyn Host, dump: &Dump) -> Result<(), HostError> {
    dump.connection.clear(host)?;
    host.remove(&dump.to)
}

/// Dumps the database of now, and then makes it what the backup's dump says, in one transaction.
///
/// # Errors
/// In words; the database is as it was.
pub(super) fn load(host: &dyn Host, load: &Load) -> Result<(), String> {
    dump(host, &Dump { connection: load.connection.clone(), to: load.before.clone() })?;
    read_in(host, &load.connection, &load.from)
}

fn read_in(host: &dyn Host, connection: &Connection, from: &Path) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let passing = connection.passing();
    host.copy_file(from, &passing, 0o600, connection.owner).map_err(said)?;
    let mut arguments = connection.arguments();
    arguments.extend(["--clean", "--if-exists", "--single-transaction", "--no-owner"].map(str::to_owned));
    arguments.push(passing.display().to_string());
    let loaded = connection.run(host, RESTORE, arguments).map(drop);
    connection.clear(host).map_err(said)?;
    loaded
}

/// Makes the database again what it was, if it was dumped.
pub(super) fn take_back_load(host: &dyn Host, load: &Load) -> Result<(), HostError> {
    load.connection.clear(host)?;
    if host.entry(&load.before)?.is_none() {
        return Ok(());
    }
    read_in(host, &load.connection, &load.before)
        .map_err(|text| HostError::Unreadable { what: load.before.display().to_string(), text })?;
    host.remove(&load.before)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let database = Database::Postgres {
            address: "127.0.0.1".parse().unwrap(),
            port: 5432.try_into().unwrap(),
            user: "gts".into(),
            database: "gts".into(),
            password: None,
            tls_mode: TlsMode::Enable,
        };
        let owner = Owner { uid: 209, gid: 209 };
        Connection::of(&database, Path::new("/secrets"), owner, Path::new("/tmp")).unwrap()
    }

    #[test]
    fn a_password_is_in_no_argument_and_no_variable() {
        let invocation = connection().invocation(DUMP, connection().arguments());
        assert_eq!(invocation.owner.uid, 209);
        assert!(invocation.arguments.iter().any(|argument| argument == "--no-password"));
        let names: Vec<&str> = invocation.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PGPASSFILE", "PGSSLMODE"]);
        assert_eq!(invocation.environment[1].1, "require");
    }

    #[test]
    fn odd_letters_of_a_password_are_escaped() {
        assert_eq!(pgpass(r"a:b\c"), "*:*:*:*:a\\:b\\\\c\n");
    }

    #[test]
    fn sqlite_has_no_connection() {
        assert!(Connection::of(&Database::Sqlite, Path::new("/s"), Owner::ROOT, Path::new("/t")).is_none());
    }
}
