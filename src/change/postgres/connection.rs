//! How a database is reached, and what is said when it is not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::database::description::{OPENED, failed};
use crate::deployment::{Database, Secret, Secrets, TlsMode};
use crate::host::{HostError, Invocation, Observe, Owner};
use crate::shown::Shown;

/// Which package has the programs.
pub(super) const CLIENT: &str = "It comes with the package postgresqlNN-client, where NN is the version of the server or a newer one; \
     `pkg install` it and run this again";
/// The file with the password, in the folder where the programs get at things.
pub(super) const PASSWORD_FILE: &str = "pgpass";
/// The name of the password among the secrets.
const PASSWORD: &str = "db-password";
/// The name of a secret with which GoToSocial overlooks all else about the server.
const WHOLE: &str = "db-postgres-connection-string";
/// As what the programs are known to the server.
pub(super) const APPLICATION: &str = "gts-bootstrap";
/// Seconds that a server may take to answer at all, at each of its addresses.
const CONNECT_TIMEOUT: &str = "30";
/// How long a question may take, with the connection. A server that hangs, or is stopped, takes connections all the same.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// How the database is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    address: String,
    port: u16,
    /// The role that connects.
    pub(super) user: String,
    database: String,
    /// libpq's `sslmode`.
    tls: String,
    /// The file with the secrets. What is in it stays out of the journal.
    secrets: PathBuf,
    /// Whom the programs run as.
    pub(super) owner: Owner,
    /// The service's folder for temporary files. Nothing of ours is in it; receipts name it.
    folder: PathBuf,
    /// The certificates of authorities that the server's is checked with; the system's, if none are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorities: Option<String>,
}

impl Connection {
    /// How a deployment's database is reached; `None` if it is none of PostgreSQL's.
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
            authorities: None,
        })
    }

    /// With the file of GoToSocial's `db-tls-ca-cert`.
    pub fn trusting(self, authorities: Option<String>) -> Self {
        Self { authorities, ..self }
    }

    /// The database in words.
    pub fn name(&self) -> String {
        format!("{} of PostgreSQL at {}", self.database, self.address)
    }

    /// One of the programs, told where the server is.
    pub(super) fn invocation(&self, program: &str, arguments: &[&str]) -> Invocation {
        let Self { address, user, database, tls, .. } = self;
        let port = self.port.to_string();
        let server = ["--no-password", "--host", address, "--port", &port, "--username", user, "--dbname", database];
        let mut environment = vec![
            ("PGPASSFILE", PASSWORD_FILE),
            ("PGSSLMODE", tls),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT),
            ("PGAPPNAME", APPLICATION),
        ];
        if tls == "verify-full" {
            environment.push(("PGSSLROOTCERT", self.authorities.as_deref().unwrap_or("system")));
        }
        invocation(self.owner, program, &[&server, arguments].concat(), &environment)
    }

    /// The text of a password file with one line that is for every connection.
    ///
    /// # Errors
    /// The secrets cannot be read, or say that GoToSocial uses another server than the answers.
    pub(super) fn password(&self, host: &dyn Observe) -> Result<String, HostError> {
        let file = self.secrets.shown().to_string();
        let text = host.read(&self.secrets)?.unwrap_or_default();
        let secrets = Secrets::parse(&String::from_utf8_lossy(&text), &file).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            HostError::unreadable(&file, errors.join("\n"))
        })?;
        if secrets.get(WHOLE).is_some() {
            let why = format!(
                "with {WHOLE} in {file} GoToSocial may use another database than this one, and it is not taken apart here. Write \
                 address, port, user and database into [database] of the answers and the password as {PASSWORD}, take \
                 {WHOLE} out and run `gts-bootstrap install`"
            );
            return Err(failed(self.name(), why));
        }
        Ok(pgpass(secrets.get(PASSWORD).map_or("", Secret::expose)))
    }
}

/// A program that the service user runs in the folder [`OPENED`].
pub(super) fn invocation(owner: Owner, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Invocation {
    Invocation {
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        owner,
        directory: OPENED.into(),
        secret_argument: None,
        limit: None,
    }
}

/// `:` and `\` are escaped in it (PostgreSQL's documentation, "The Password File").
fn pgpass(password: &str) -> String {
    format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"))
}

/// What to do about an error of one of the programs, to be put behind its words; empty where nobody knows. They are those of
/// libpq and of a server that speaks English, which not every server does.
pub(super) fn advice(said: &str) -> &'static str {
    const ADVICE: [(&str, &str); 7] = [
        (
            "password authentication failed|no password supplied",
            ". Set db-password in the secrets beside the answers to the password of that role, and run `gts-bootstrap install`",
        ),
        (
            "no pg_hba.conf entry|Peer authentication failed|Ident authentication failed",
            ". The server does not let this role in from here: see pg_hba.conf on the server",
        ),
        (
            "Is the server running|could not translate host name|timeout expired|No route to host",
            ". See on the server whether it runs (`service postgresql status`), and address and port under [database] of the answers",
        ),
        ("server version mismatch", ". Install the package postgresqlNN-client of the server's version"),
        ("No space left on device", ". Make room and run this again"),
        (
            "permission denied for|must be owner of|belongs to the role",
            ". The role of GoToSocial has to own all that is in its database, and to have CREATE on its schema",
        ),
        (
            "valid archive|could not read from input file|could not uncompress|could not decompress|unexpected end of file|\
             unexpected block ID|unexpected section code|unsupported version",
            ". The dump is damaged, or of a newer PostgreSQL than the programs here",
        ),
    ];
    let is_about = |words: &str| words.split('|').any(|words| said.contains(words));
    ADVICE.iter().find(|(words, _)| is_about(words)).map_or("", |(_, advice)| *advice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn connection(tls_mode: TlsMode) -> Connection {
        let database = Database::Postgres {
            address: "127.0.0.1".parse().unwrap(),
            port: 5432.try_into().unwrap(),
            user: "gts".into(),
            database: "gts".into(),
            password: None,
            tls_mode,
        };
        let owner = Owner { uid: 209, gid: 209 };
        Connection::of(&database, Path::new("/secrets"), owner, Path::new("/tmp")).unwrap()
    }

    #[test]
    fn a_password_is_in_no_argument_and_no_variable() {
        let invocation = connection(TlsMode::Enable).invocation("/psql", &["--quiet"]);
        assert_eq!(invocation.owner.uid, 209);
        assert_eq!(invocation.arguments.first().unwrap(), "--no-password");
        assert_eq!(invocation.arguments.last().unwrap(), "--quiet");
        let names: Vec<&str> = invocation.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PGPASSFILE", "PGSSLMODE", "PGCONNECT_TIMEOUT", "PGAPPNAME"]);
        assert_eq!(invocation.environment[1].1, "require");
    }

    #[test]
    fn a_certificate_is_checked_with_authorities_that_are_named_or_the_systems() {
        let variable = |connection: &Connection| connection.invocation("/psql", &[]).environment.pop().unwrap();
        let checked = connection(TlsMode::Require);
        assert_eq!(variable(&checked), ("PGSSLROOTCERT".to_owned(), "system".to_owned()));
        assert_eq!(variable(&checked.trusting(Some("/ca.pem".into()))).1, "/ca.pem");
        assert_eq!(variable(&connection(TlsMode::Disable).trusting(Some("/ca.pem".into()))).0, "PGAPPNAME");
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
