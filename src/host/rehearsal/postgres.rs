//! A PostgreSQL server, and pg_dump(1), pg_restore(1) and psql(1) as far as the program uses them.
//!
//! What is in the database is the file `/var/db/postgres/NAME`, which stands for the server's own files: nobody but the model
//! reads it. The words are those of PostgreSQL 15 and 16. A dump is the SQL script in an envelope that tells its time, so no two
//! are the same; one that is cut off or changed is found as the real one is, when it is read.

use std::io;
use std::path::{Path, PathBuf};

use super::super::{HostError, Invocation, Output, Owner};
use super::machine::{Access, EACCES, ENOENT, Machine};
use super::model::Postgres;
use super::postgres_script as script;
use crate::gotosocial::loading::{Failure, Settings};
use crate::release::Sha256Digest;

/// Where the server keeps its databases.
const DATA: &str = "/var/db/postgres";
/// Its account on FreeBSD, as ports/UIDs has it.
pub(super) const SERVER: Owner = Owner { uid: 770, gid: 770 };
/// How a dump begins.
const MAGIC: &[u8] = b"PGDMP";

/// Whether a program is one of PostgreSQL's.
pub(super) fn is_program(path: &Path) -> bool {
    path.parent() == Some(Path::new("/usr/local/bin"))
        && path.file_name().is_some_and(|name| ["pg_dump", "pg_restore", "psql"].iter().any(|known| name == *known))
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
    machine.files.write_file(path, image, 0o600, SERVER)
}

/// How a program of PostgreSQL's ended.
struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn well(stdout: impl Into<String>) -> Self {
        Self { status: 0, stdout: stdout.into(), stderr: String::new() }
    }

    fn badly(status: i32, stderr: impl Into<String>) -> Self {
        Self { status, stdout: String::new(), stderr: stderr.into() }
    }
}

/// A command line taken apart.
struct CommandLine<'a> {
    invocation: &'a Invocation,
    name: String,
}

impl<'a> CommandLine<'a> {
    fn option(&self, name: &str) -> Option<&'a str> {
        let arguments = &self.invocation.arguments;
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.invocation.arguments.iter().any(|argument| argument == name)
    }

    /// A file that is named from the working folder.
    fn path(&self, name: &str) -> PathBuf {
        self.invocation.directory.join(name)
    }

    /// Reads a file as the user who runs the program.
    fn read(&self, machine: &Machine, path: &Path) -> Option<Vec<u8>> {
        machine.may(self.invocation.owner, path, Access::Read).ok()?;
        machine.files.read(path).ok()?
    }

    /// Writes a file as that user does, under umask 022.
    fn write(&self, machine: &Machine, path: &Path, bytes: &[u8]) -> Result<(), Ended> {
        let shown = path.strip_prefix(&self.invocation.directory).unwrap_or(path).display();
        let failed =
            |why: &str| Ended::badly(1, format!("{}: error: could not open output file \"{shown}\": {why}", self.name));
        let who = self.invocation.owner;
        let folder = path.parent().unwrap_or(Path::new("/"));
        machine.may(who, folder, Access::Write).map_err(|_| failed("Permission denied"))?;
        if machine.model.faults.disk_full {
            let why = "could not write to output file: No space left on device";
            return Err(Ended::badly(1, format!("{}: error: {why}", self.name)));
        }
        machine.files.write_file(path, bytes, 0o644, who).map_err(|error| failed(&error.to_string()))
    }

    /// Connects as libpq does; the server that answers.
    fn connect<'m>(&self, machine: &'m Machine) -> Result<&'m Postgres, Ended> {
        let status = if self.name == "psql" { 2 } else { 1 };
        let [address, port, user, database] =
            ["--host", "--port", "--username", "--dbname"].map(|name| self.option(name).unwrap_or_default());
        let failed = |warning: &str, why: &str| {
            let at = if address.starts_with('/') {
                format!("on socket \"{address}/.s.PGSQL.{port}\"")
            } else {
                format!("at \"{address}\", port {port}")
            };
            Ended::badly(status, format!("{warning}{}: error: connection to server {at} failed: {why}", self.name))
        };
        let here = |server: &&Postgres| server.running && server.port.to_string() == port && server.address == address;
        let server = machine.model.postgres.as_ref().filter(here).ok_or_else(|| {
            failed("", "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?")
        })?;
        let (warning, password) = self.password(machine);
        let Some(password) = password.filter(|password| !password.is_empty()) else {
            return Err(failed(&warning, "fe_sendauth: no password supplied"));
        };
        if (user, password.as_str()) != (server.role.as_str(), server.password.as_str()) {
            let why =
                format!("FATAL:  password authentication failed for user \"{user}\"\npassword retrieved from file");
            return Err(failed("", &why));
        }
        if database != server.database {
            return Err(failed("", &format!("FATAL:  database \"{database}\" does not exist")));
        }
        Ok(server)
    }

    /// What libpq finds in the password file, and what it says about that.
    fn password(&self, machine: &Machine) -> (String, Option<String>) {
        let named = self.invocation.environment.iter().find(|(name, _)| name == "PGPASSFILE");
        let Some((_, name)) = named else { return (String::new(), None) };
        let path = self.path(name);
        if let Ok(Some(super::super::Entry::File { mode, .. })) = machine.files.entry(&path)
            && mode & 0o077 != 0
        {
            let words = "has group or world access; permissions should be u=rw (0600) or less";
            return (format!("WARNING: password file \"{name}\" {words}\n"), None);
        }
        let text = self.read(machine, &path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let line =
            text.and_then(|text| text.lines().next().and_then(|line| line.strip_prefix("*:*:*:*:")).map(str::to_owned));
        (String::new(), line.map(|escaped| unescaped(&escaped)))
    }
}

/// A field of a password file.
fn unescaped(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

/// Runs one of the programs.
pub(super) fn run(machine: &mut Machine, invocation: &Invocation) -> Result<Output, HostError> {
    let shown = [invocation.program.display().to_string()].into_iter().chain(invocation.arguments.iter().cloned());
    let command = shown.collect::<Vec<_>>().join(" ");
    let cannot =
        |errno: i32| HostError::Start { command: command.clone(), source: io::Error::from_raw_os_error(errno) };
    machine.may(invocation.owner, &invocation.program, Access::Execute).map_err(cannot)?;
    machine.may(invocation.owner, &invocation.directory, Access::Execute).map_err(cannot)?;
    if !machine.is_executable(&invocation.program) {
        return Err(cannot(EACCES));
    }
    let client = client(machine).ok_or_else(|| cannot(ENOENT))?;
    let name = invocation.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let line = CommandLine { invocation, name };
    let ended = if line.has("--version") {
        Ok(Ended::well(format!("{} (PostgreSQL) {client}\n", line.name)))
    } else {
        match line.name.as_str() {
            "pg_dump" => dump(machine, &line, &client),
            "pg_restore" => restore(machine, &line, &client),
            _ => psql(machine, &line),
        }
    };
    let Ended { status, stdout, stderr } = ended.unwrap_or_else(|ended| ended);
    Ok(Output { status: Some(status), stdout, stderr })
}

/// The version of the programs: that of their package.
fn client(machine: &Machine) -> Option<String> {
    let of_client = |name: &str| name.starts_with("postgresql") && name.ends_with("-client");
    machine.model.packages.iter().find(|(name, _)| of_client(name)).map(|(_, version)| version.clone())
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
}

fn dump(machine: &Machine, line: &CommandLine<'_>, client: &str) -> Result<Ended, Ended> {
    let server = line.connect(machine)?;
    let error = |why: String| Ended::badly(1, format!("pg_dump: error: {why}"));
    if major(client) < server.version / 10_000 {
        let version = format!("{}.{}", server.version / 10_000, server.version % 10_000);
        return Err(error(format!(
            "aborting because of server version mismatch\npg_dump: detail: server version: {version}; pg_dump version: {client}"
        )));
    }
    if let Some(other) = server.others.first() {
        let table = other.split(' ').next().unwrap_or_default();
        return Err(error(format!("query failed: ERROR:  permission denied for table {table}")));
    }
    if line.option("--format") != Some("custom") && !line.has("--format=custom") {
        return Err(error("the model dumps in the custom format only".to_owned()));
    }
    let body = script::of(&content(machine, server));
    let mut bytes = MAGIC.to_vec();
    bytes.extend(format!("{:>12}{}{body}", machine.model.clock, Sha256Digest::of(body.as_bytes())).bytes());
    line.write(machine, &line.path(line.option("--file").unwrap_or_default()), &bytes)?;
    Ok(Ended::well(""))
}

/// What is in the database; nothing before anybody has used it.
fn content(machine: &Machine, server: &Postgres) -> super::gotosocial_database::Database {
    super::gotosocial_database::peek(machine, &place(&server.database)).unwrap_or_default()
}

fn restore(machine: &Machine, line: &CommandLine<'_>, client: &str) -> Result<Ended, Ended> {
    let error = |why: &str| Ended::badly(1, format!("pg_restore: error: {why}"));
    let name = line.invocation.arguments.last().map(String::as_str).unwrap_or_default();
    let missing = || error(&format!("could not open input file \"{name}\": No such file or directory"));
    let bytes = line.read(machine, &line.path(name)).ok_or_else(missing)?;
    let envelope = MAGIC.len() + 12 + 64;
    if !bytes.starts_with(MAGIC) || bytes.len() < envelope {
        return Err(error("input file does not appear to be a valid archive (too short?)"));
    }
    let (head, body) = bytes.split_at(envelope);
    if !body.ends_with(script::END.as_bytes()) {
        return Err(error("could not read from input file: end of file"));
    }
    if !head.ends_with(Sha256Digest::of(body).to_string().as_bytes()) {
        return Err(error("could not uncompress data: invalid distance too far back"));
    }
    let [begin, commit] = if line.has("--single-transaction") { ["BEGIN;\n\n", "COMMIT;\n\n"] } else { ["", ""] };
    let newer = if major(client) >= 17 { "SET transaction_timeout = 0;\n" } else { "" };
    let key = machine.model.clock;
    let body = String::from_utf8_lossy(body);
    let text = format!(
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict {key}\n\n-- Dumped by pg_dump version {client}\n\n{begin}SET statement_timeout = 0;\n\
         SET lock_timeout = 0;\n{newer}SELECT pg_catalog.set_config('search_path', '', false);\n\n{body}{commit}--\n\
         -- PostgreSQL database dump complete\n--\n\n\\unrestrict {key}\n\n"
    );
    let to = line.option("--file").ok_or_else(|| error("one of -d/--dbname and -f/--file must be specified"))?;
    line.write(machine, &line.path(to), text.as_bytes())?;
    Ok(Ended::well(""))
}

fn psql(machine: &mut Machine, line: &CommandLine<'_>) -> Result<Ended, Ended> {
    let server = line.connect(machine)?.clone();
    let path = place(&server.database);
    let sessions = sessions(machine, &server, &path);
    let Some(file) = line.option("--file") else {
        return match line.option("--command").unwrap_or_default() {
            question if question.contains("pg_stat_activity") => Ok(Ended::well(sessions)),
            question if question.contains("server_version_num") => Ok(Ended::well(told(machine, &server))),
            question => Err(Ended::badly(1, format!("ERROR:  the model has no answer to: {question}"))),
        };
    };
    let missing = || Ended::badly(1, format!("{file}: No such file or directory"));
    let text = line.read(machine, &line.path(file)).ok_or_else(missing)?;
    let session = script::Session {
        server: server.version,
        locked: !sessions.is_empty(),
        fails: machine.model.faults.load_fails,
        before: content(machine, &server),
    };
    let played = session.play(&String::from_utf8_lossy(&text), line.has("ON_ERROR_STOP=1"));
    if let Some(database) = played.committed {
        let image = database.image().map_err(|error| Ended::badly(3, format!("ERROR:  {error}")))?;
        store(machine, &path, &image).map_err(|error| Ended::badly(3, format!("ERROR:  {error}")))?;
    }
    match played.error {
        None => Ok(Ended::well(played.stdout)),
        Some((number, error)) => Err(Ended::badly(3, format!("psql:{file}:{number}: ERROR:  {error}"))),
    }
}

/// The sessions of the role: GoToSocial's, one that migrates, and others that the model names.
fn sessions(machine: &Machine, server: &Postgres, path: &Path) -> String {
    let program = machine.model.gotosocial.as_ref().and_then(|supervisor| supervisor.program.as_ref());
    let pids = program.filter(|program| program.database == path).map(|program| program.pid).into_iter();
    let pids = pids.chain(machine.model.migrating.iter().filter(|it| it.database == path).map(|it| it.pid));
    let own = pids.map(|pid| format!("{pid}|{}|\n", server.role));
    own.chain(server.sessions.iter().map(|name| format!("4321|{}|{name}\n", server.role))).collect()
}

/// The answer to what the program asks before it does anything.
fn told(machine: &Machine, server: &Postgres) -> String {
    let size = script::of(&content(machine, server)).len() as u64 + server.bytes;
    let may = if server.may_create { "t" } else { "f" };
    let others: String = server.others.iter().map(|other| format!("{other}\n")).collect();
    format!("{}|{may}|{size}\n{others}", server.version)
}

/// Connects as GoToSocial does; where the content of its database is.
pub(super) fn connect(machine: &Machine, settings: &Settings) -> Result<PathBuf, Failure> {
    let [address, user, database] = ["db-address", "db-user", "db-database"].map(|key| settings.text(key));
    let port = settings.number("db-port");
    let failed = |why: &str| {
        Failure::Error(format!(
            "error creating dbservice: postgres ping: failed to connect to `user={user} database={database}`: {address}:{port} \
             ({address}): {why}"
        ))
    };
    let refused = || failed(&format!("dial error: dial tcp {address}:{port}: connect: connection refused"));
    let here = |server: &&Postgres| server.running && i64::from(server.port) == port && server.address == address;
    let server = machine.model.postgres.as_ref().filter(here).ok_or_else(refused)?;
    if (user, settings.text("db-password")) != (server.role.as_str(), server.password.as_str()) {
        let why =
            format!("failed SASL auth: FATAL: password authentication failed for user \"{user}\" (SQLSTATE 28P01)");
        return Err(failed(&why));
    }
    if database != server.database {
        return Err(failed(&format!("server error: FATAL: database \"{database}\" does not exist (SQLSTATE 3D000)")));
    }
    Ok(place(database))
}
