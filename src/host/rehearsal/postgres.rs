//! A PostgreSQL server, and pg_dump(1), pg_restore(1) and psql(1) as far as the program uses them.
//!
//! The content of the database is the file `/var/db/postgres/NAME`, which stands for the server's own files: nothing but
//! the model reads it. The words are those of PostgreSQL 15 and 16. A dump is the SQL script in an envelope with its
//! time, so no two dumps are the same. Reading a truncated or altered one fails, as it does with the real one.

use std::path::{Path, PathBuf};

use super::super::{Entry, HostError, Invocation, Output, Owner};
use super::gotosocial_database::{Database, peek};
use super::machine::{Access, Machine};
use super::model::Postgres;
use super::postgres_script as script;
use crate::gotosocial::loading::{Failure, Settings};
use crate::release::Sha256Digest;

/// Where the server keeps its databases.
const DATA: &str = "/var/db/postgres";
/// Its account on FreeBSD, see ports/UIDs.
const SERVER: Owner = Owner { uid: 770, gid: 770 };
/// The start of a dump. The time (12 characters) and the digest (64) of its script follow.
const MAGIC: &str = "PGDMP";
const ENVELOPE: usize = MAGIC.len() + 12 + 64;

/// Whether a program is one of PostgreSQL's.
pub(super) fn is_program(path: &Path) -> bool {
    ["pg_dump", "pg_restore", "psql"].iter().any(|name| path == Path::new("/usr/local/bin").join(name))
}

/// Whether a command line only looks.
pub(super) fn only_looks(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--command" || argument == "--version")
}

/// Where the content of a database is.
pub(super) fn place(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

/// Whether a path is that of a database in the server.
pub(super) fn is_place(path: &Path) -> bool {
    path.parent() == Some(Path::new(DATA))
}

/// Writes the content of a database.
pub(super) fn store(machine: &Machine, path: &Path, image: &[u8]) -> Result<(), HostError> {
    if machine.files.entry(Path::new(DATA))?.is_none() {
        machine.files.make_directory(Path::new(DATA), 0o700, SERVER)?;
    }
    machine.write_as(SERVER, path, image, 0o600)
}

impl Postgres {
    fn answers(&self, address: &str, port: &str) -> bool {
        self.running && self.port.to_string() == port && self.address == address
    }

    /// The content of its database; empty before its first use.
    fn content(&self, machine: &Machine) -> Database {
        peek(machine, &place(&self.database)).unwrap_or_default()
    }
}

fn well(stdout: impl Into<String>) -> Output {
    Output { status: Some(0), stdout: stdout.into(), stderr: String::new() }
}

fn badly(status: i32, stderr: impl Into<String>) -> Output {
    Output { status: Some(status), stdout: String::new(), stderr: stderr.into() }
}

/// A call of one of the programs.
struct Call<'a> {
    invocation: &'a Invocation,
    /// Name of the program.
    name: &'a str,
    /// Version of the programs: that of their package.
    client: &'a str,
}

impl<'a> Call<'a> {
    fn option(&self, name: &str) -> Option<&'a str> {
        self.invocation.arguments.iter().skip_while(|argument| *argument != name).nth(1).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.invocation.arguments.iter().any(|argument| argument == name)
    }

    fn error(&self, why: impl std::fmt::Display) -> Output {
        badly(1, format!("{}: error: {why}", self.name))
    }

    fn is_at_least(&self, major: u32) -> bool {
        self.client.split('.').next().and_then(|own| own.parse().ok()).is_some_and(|own: u32| own >= major)
    }

    /// Whether pg_restore(1) fences in what psql(1) gets of it. It began to with these versions (CVE-2025-8714).
    fn fences(&self) -> bool {
        let mut numbers = self.client.split('.').map(|number| number.parse().unwrap_or(0));
        let (major, minor): (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let first = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)].into_iter().find(|first| first.0 == major);
        first.map_or(major > 17, |first| minor >= first.1)
    }

    /// Reads a file, named from the working folder, as the user who runs the program.
    fn read(&self, machine: &Machine, name: &str) -> Option<Vec<u8>> {
        let path = self.invocation.directory.join(name);
        machine.may(self.invocation.owner, &path, Access::Read).ok()?;
        machine.read(&path).ok()?
    }

    /// Writes one as that user, under umask 022.
    fn write(&self, machine: &Machine, name: &str, bytes: &[u8]) -> Result<Output, Output> {
        let failed = |why: &str| self.error(format!("could not open output file \"{name}\": {why}"));
        let (who, path) = (self.invocation.owner, self.invocation.directory.join(name));
        let folder = path.parent().unwrap_or(Path::new("/"));
        machine.may(who, folder, Access::Write).map_err(|_| failed("Permission denied"))?;
        if machine.model.faults.disk_full {
            return Err(self.error("could not write to output file: No space left on device"));
        }
        machine.write_as(who, &path, bytes, 0o644).map_err(|error| failed(&error.to_string()))?;
        Ok(well(""))
    }

    /// Connects as libpq does.
    fn connect<'m>(&self, machine: &'m Machine) -> Result<&'m Postgres, Output> {
        let status = if self.name == "psql" { 2 } else { 1 };
        let [address, port, user, database] =
            ["--host", "--port", "--username", "--dbname"].map(|name| self.option(name).unwrap_or_default());
        let failed = |warning: &str, why: &str| {
            let at = if address.starts_with('/') {
                format!("on socket \"{address}/.s.PGSQL.{port}\"")
            } else {
                format!("at \"{address}\", port {port}")
            };
            badly(status, format!("{warning}{}: error: connection to server {at} failed: {why}", self.name))
        };
        let server =
            machine.model.postgres.as_ref().filter(|server| server.answers(address, port)).ok_or_else(|| {
                failed("", "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?")
            })?;
        let password = self.password(machine);
        let Some(password) = password.as_ref().ok().filter(|password| !password.is_empty()) else {
            return Err(failed(&password.err().unwrap_or_default(), "fe_sendauth: no password supplied"));
        };
        if (user, password) != (&*server.role, &server.password) {
            let why =
                format!("FATAL:  password authentication failed for user \"{user}\"\npassword retrieved from file");
            return Err(failed("", &why));
        }
        if database != server.database {
            return Err(failed("", &format!("FATAL:  database \"{database}\" does not exist")));
        }
        Ok(server)
    }

    /// The password that libpq finds in the password file, if any, or its warning about the file.
    fn password(&self, machine: &Machine) -> Result<String, String> {
        let named = self.invocation.environment.iter().find(|(name, _)| name == "PGPASSFILE");
        let Some((_, name)) = named else { return Ok(String::new()) };
        if let Ok(Some(Entry::File { mode, .. })) = machine.files.entry(&self.invocation.directory.join(name))
            && mode & 0o077 != 0
        {
            let words = "has group or world access; permissions should be u=rw (0600) or less";
            return Err(format!("WARNING: password file \"{name}\" {words}\n"));
        }
        let text = String::from_utf8_lossy(&self.read(machine, name).unwrap_or_default()).into_owned();
        let line = text.lines().next().and_then(|line| line.strip_prefix("*:*:*:*:"));
        Ok(script::unescaped(line.unwrap_or_default()))
    }

    fn dump(&self, machine: &Machine) -> Result<Output, Output> {
        let server = self.connect(machine)?;
        let (major, minor) = (server.version / 10_000, server.version % 10_000);
        if !self.is_at_least(major) {
            return Err(self.error(format!(
                "aborting because of server version mismatch\npg_dump: detail: server version: {major}.{minor}; pg_dump \
                 version: {}",
                self.client
            )));
        }
        if let Some(other) = server.others.first() {
            let table = other.split(' ').next().unwrap_or_default();
            return Err(self.error(format!("query failed: ERROR:  permission denied for table {table}")));
        }
        if self.option("--format") != Some("custom") && !self.has("--format=custom") {
            return Err(self.error("the model dumps in the custom format only"));
        }
        let body = script::of(&server.content(machine)).map_err(|error| self.error(error))?;
        let dump = format!("{MAGIC}{:>12}{}{body}", machine.model.clock, Sha256Digest::of(body.as_bytes()));
        self.write(machine, self.option("--file").unwrap_or_default(), dump.as_bytes())
    }

    fn restore(&self, machine: &Machine) -> Result<Output, Output> {
        let name = self.invocation.arguments.last().map(String::as_str).unwrap_or_default();
        let bytes = self
            .read(machine, name)
            .ok_or_else(|| self.error(format!("could not open input file \"{name}\": No such file or directory")))?;
        if !bytes.starts_with(MAGIC.as_bytes()) || bytes.len() < ENVELOPE {
            return Err(self.error("input file does not appear to be a valid archive (too short?)"));
        }
        let (head, body) = bytes.split_at(ENVELOPE);
        if !body.ends_with(script::END.as_bytes()) {
            return Err(self.error("could not read from input file: end of file"));
        }
        if !head.ends_with(Sha256Digest::of(body).to_string().as_bytes()) {
            return Err(self.error("could not uncompress data: invalid distance too far back"));
        }
        let [begin, commit] = if self.has("--single-transaction") { ["BEGIN;\n\n", "COMMIT;\n\n"] } else { ["", ""] };
        let newer = if self.is_at_least(17) { "SET transaction_timeout = 0;\n" } else { "" };
        let (client, body) = (self.client, String::from_utf8_lossy(body));
        let fence = |word| if self.fences() { format!("\\{word} {}\n\n", machine.model.clock) } else { String::new() };
        let [fence, end] = ["restrict", "unrestrict"].map(fence);
        let text = format!(
            "--\n-- PostgreSQL database dump\n--\n\n{fence}-- Dumped by pg_dump version {client}\n\n{begin}\
             SET statement_timeout = 0;\nSET lock_timeout = 0;\n{newer}\
             SELECT pg_catalog.set_config('search_path', '', false);\n\n{body}{commit}--\n\
             -- PostgreSQL database dump complete\n--\n\n{end}"
        );
        let to =
            self.option("--file").ok_or_else(|| self.error("one of -d/--dbname and -f/--file must be specified"))?;
        self.write(machine, to, text.as_bytes())
    }

    fn psql(&self, machine: &mut Machine) -> Result<Output, Output> {
        let server = self.connect(machine)?.clone();
        let sessions = sessions(machine, &server);
        let before = server.content(machine);
        let Some(file) = self.option("--file") else {
            return match self.option("--command").unwrap_or_default() {
                question if question.contains("pg_stat_activity") => Ok(well(sessions)),
                question if question.contains("server_version_num") => {
                    let size = script::of(&before).map_or(0, |script| script.len() as u64) + server.bytes;
                    let may = if server.may_create { "t" } else { "f" };
                    let others: String = server.others.iter().map(|other| format!("{other}\n")).collect();
                    Ok(well(format!("{}|{may}|{size}\n{others}", server.version)))
                }
                question => Err(badly(1, format!("ERROR:  the model has no answer to: {question}"))),
            };
        };
        let text = self.read(machine, file).ok_or_else(|| badly(1, format!("{file}: No such file or directory")))?;
        let (locked, fails) = (!sessions.is_empty(), machine.model.faults.load_fails);
        let session = script::Session { server: server.version, locked, fails, before };
        let failed = |error: &dyn std::fmt::Display| badly(3, format!("ERROR:  {error}"));
        let played = session.play(&String::from_utf8_lossy(&text), self.has("ON_ERROR_STOP=1"));
        let played = played.map_err(|error| failed(&error))?;
        if let Some(database) = played.committed {
            let image = database.image().map_err(|error| failed(&error))?;
            store(machine, &place(&server.database), &image).map_err(|error| failed(&error))?;
        }
        match played.error {
            None => Ok(well(played.stdout)),
            Some((number, error)) => Err(badly(3, format!("psql:{file}:{number}: ERROR:  {error}"))),
        }
    }
}

/// Runs one of the programs; `None` if their package is not installed.
pub(super) fn run(machine: &mut Machine, invocation: &Invocation) -> Option<Output> {
    let of_client = |name: &str| name.starts_with("postgresql") && name.ends_with("-client");
    let client = machine.model.packages.iter().find(|(name, _)| of_client(name))?.1.clone();
    let call = Call { invocation, name: invocation.program.file_name()?.to_str()?, client: &client };
    let ended = match call.name {
        name if call.has("--version") => Ok(well(format!("{name} (PostgreSQL) {client}\n"))),
        "pg_dump" => call.dump(machine),
        "pg_restore" => call.restore(machine),
        _ => call.psql(machine),
    };
    Some(ended.unwrap_or_else(|ended| ended))
}

/// The sessions of the role: GoToSocial's, one that migrates, and those that the state names.
fn sessions(machine: &Machine, server: &Postgres) -> String {
    let path = place(&server.database);
    let program = machine.model.program().filter(|program| program.database == path).map(|program| program.pid);
    let migrating = machine.model.migrating.as_ref().filter(|process| process.database == path).map(|it| it.pid);
    let own = program.into_iter().chain(migrating).map(|pid| format!("{pid}|{}|\n", server.role));
    own.chain(server.sessions.iter().map(|name| format!("4321|{}|{name}\n", server.role))).collect()
}

/// Connects as GoToSocial does.
pub(super) fn connect(machine: &Machine, settings: &Settings) -> Result<(), Failure> {
    let [address, user, database] = ["db-address", "db-user", "db-database"].map(|key| settings.text(key));
    let port = settings.number("db-port").to_string();
    let server = machine.model.postgres.as_ref().filter(|server| server.answers(address, &port));
    let why = match server {
        None => format!("dial error: dial tcp {address}:{port}: connect: connection refused"),
        Some(server) if (user, settings.text("db-password")) != (&server.role, &server.password) => {
            format!("failed SASL auth: FATAL: password authentication failed for user \"{user}\" (SQLSTATE 28P01)")
        }
        Some(server) if database != server.database => {
            format!("server error: FATAL: database \"{database}\" does not exist (SQLSTATE 3D000)")
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::Error(format!(
        "error creating dbservice: postgres ping: failed to connect to `user={user} database={database}`: \
         {address}:{port} ({address}): {why}"
    )))
}
