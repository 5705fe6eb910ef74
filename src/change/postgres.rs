//! PostgreSQL databases: dumped, read back, and made what a dump says.
//!
//! pg_dump(1), pg_restore(1) and psql(1) run as the service user, who may read that database anyway. The password goes to them in
//! a file (`PGPASSFILE`, mode 0600, the service user's) for as long as they run: an argument could be read by every user of the
//! host, and the environment of a process by whoever is the same user. That file, the dump and the script that is made of it
//! stand in [`OPENED`], a folder of the service user's alone, which is taken away afterwards, and by the next run if this one is
//! killed.
//!
//! **What a dump holds** is told from the script that pg_restore makes of it: all of it is read and unpacked for that, so a dump
//! that is damaged is found when it is made. **Whether a database is what a dump has** is asked of the same script of a new dump.
//! Byte for byte, as with a file, it cannot be asked: the server's files are not ours to read, and change with every checkpoint
//! and vacuum while nobody writes. The script is all that the database says of itself, in an order that rests on names, its rows
//! as they lie in the tables, which is how a load lays them. A table that somebody has put into another order meanwhile
//! (CLUSTER, VACUUM FULL) counts as another one: then a copy is kept, or put back, that need not have been.

mod connection;
mod script;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use connection::Connection;
pub use script::Contents;

use super::database::description::{CopiedPart, DUMP as MAIN, OPENED, copy_checked, failed, in_folder, unused};
use super::database::{Database, close};
use crate::gotosocial::SERVICE;
use crate::host::{Ask, FileUser, Host, HostError, Invocation, NEVER, Output, Owner, Whose, go_on};
use crate::shown::Shown;
use connection::{ANSWER_LIMIT, CLIENT, advice, invocation};

const DUMP: &str = "/usr/local/bin/pg_dump";
const RESTORE: &str = "/usr/local/bin/pg_restore";
const PSQL: &str = "/usr/local/bin/psql";
/// What pg_restore makes of it, in the folder of the programs.
const SCRIPT: &str = "script.sql";
/// What psql is given of that.
const LOAD: &str = "load.sql";
/// So many seconds the server may take to notice that a program has gone.
const LINGERS: u32 = 10;
/// Room beyond what the tables take, in bytes.
const MARGIN: u64 = 64 << 20;

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

/// A trial, before anything is stopped, of whether a database can be copied and put back. Changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseTest {
    /// Which one.
    pub connection: Connection,
    /// The folder that a copy goes to.
    pub to: PathBuf,
}

/// Runs one of PostgreSQL's programs on something that `what` names, unless `stop` has a reason meanwhile. What dumps and loads
/// has no limit: it is silent while it works, for hours if a database is large, so neither time nor silence tells whether it
/// hangs. Whoever interrupts the run ends it at once.
fn run(host: &dyn Host, what: &str, invocation: &Invocation, stop: Ask<'_>) -> Result<Output, HostError> {
    let program = invocation.program.shown();
    let output = host.run_as(invocation, stop).map_err(|error| match error {
        HostError::Start { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
            failed(what, format!("{program} failed: {source}{}", advice("timeout expired")))
        }
        HostError::Start { ref source, .. } if source.to_string().contains("No such file") => {
            failed(what, format!("{error}. {CLIENT}"))
        }
        error => error,
    })?;
    if output.status == Some(0) {
        return Ok(output);
    }
    let said = Some(output.reason()).filter(|said| !said.is_empty()).unwrap_or("it gave no reason");
    Err(failed(what, format!("{program} failed: {said}{}", advice(said))))
}

/// What a server answers when it is examined: its version, whether the role may create tables, the bytes of all tables, and what others
/// own.
fn state(lines: &[String]) -> Option<(u32, bool, u64, &[String])> {
    let (first, others) = lines.split_first()?;
    let mut columns = first.split('|');
    let (server, may_create, tables) = (columns.next()?, columns.next()?, columns.next()?);
    Some((server.parse().ok()?, may_create == "t", tables.parse().ok()?, others))
}

/// Applies a [`DatabaseTest`].
///
/// # Errors
/// It could not be copied, or not be put back; why, and what to do.
pub(super) fn test(host: &dyn Host, test: &DatabaseTest, stop: Ask<'_>) -> Result<(), HostError> {
    test.connection.connected(host, |folder| test.connection.look(host, &[&test.to, folder], stop)).map(drop)
}

/// A file whose reader is asked before each piece whether to stop.
struct Heeding<'a> {
    file: File,
    stop: Ask<'a>,
}

impl Read for Heeding<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        go_on(self.stop)?;
        self.file.read(buffer)
    }
}

/// The script that pg_restore(1) makes of the dump in a folder; the dump is not needed after it.
fn script_of<'a>(
    host: &dyn Host,
    what: &str,
    owner: Owner,
    folder: &Path,
    stop: Ask<'a>,
) -> Result<BufReader<Heeding<'a>>, HostError> {
    // Nothing is known of the roles of the host where it is put back.
    let arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--file", SCRIPT, MAIN];
    run(host, what, &invocation(owner, RESTORE, &arguments, &[]), stop)?;
    let file = host.open_file(&folder.join(SCRIPT), Whose::of(owner))?;
    let file = file.ok_or_else(|| failed(what, "there is no script of its dump"))?;
    Ok(BufReader::with_capacity(1 << 20, Heeding { file, stop }))
}

fn contents(host: &dyn Host, what: &str, owner: Owner, folder: &Path, stop: Ask<'_>) -> Result<Contents, HostError> {
    script::read(script_of(host, what, owner, folder, stop)?)
        .map_err(|error| failed(what, format!("what {RESTORE} makes of the dump cannot be read: {error}")))
}

/// Reads a dump from end to end, as the service user and in a copy that is thrown away.
///
/// # Errors
/// It is not there, is damaged, or is not the one whose digest is given; or `stop`, which is asked on the way, had a reason.
pub fn opened(
    host: &dyn Host,
    dump: &Path,
    owner: Owner,
    sha256: Option<&str>,
    stop: Ask<'_>,
) -> Result<Contents, HostError> {
    let fill = |folder: &Path| copy_checked(host, dump, &folder.join(MAIN), owner, sha256, stop);
    in_folder(host, owner, fill, |folder| contents(host, dump.shown().as_ref(), owner, folder, stop))
}

/// Applies a [`Load`]: dumps the database of now, and then makes it what the backup's dump says.
///
/// # Errors
/// As for a dump, and those of the load; the database is as it was.
pub(super) fn load(host: &dyn Host, Load { connection, from, before }: &Load, stop: Ask<'_>) -> Result<(), HostError> {
    connection.idle(host)?;
    connection.dump(host, before, stop)?;
    connection.read_in(host, from, None, stop)
}

/// Makes the database again what it was, if it was dumped.
pub(super) fn take_back_load(host: &dyn Host, Load { connection, before, .. }: &Load) -> Result<(), HostError> {
    host.remove_tree(Path::new(OPENED))?;
    if host.entry(before)?.is_none() {
        return Ok(());
    }
    let content = opened(host, before, connection.owner, None, NEVER)?.sha256;
    connection.put_back(host, SERVICE, (before, None), &content)?;
    host.remove(before)
}

impl Connection {
    /// A folder in which the service user's programs talk to the server: with the password in it.
    fn connected<T>(&self, host: &dyn Host, work: impl FnOnce(&Path) -> Result<T, HostError>) -> Result<T, HostError> {
        let (password, owner) = (self.password(host)?, self.owner);
        let fill =
            |folder: &Path| host.write_file(&folder.join(connection::PASSWORD_FILE), password.as_bytes(), 0o600, owner);
        in_folder(host, owner, fill, work)
    }

    /// Runs one of PostgreSQL's programs on the database.
    fn run_on(&self, host: &dyn Host, program: &str, arguments: &[&str], stop: Ask<'_>) -> Result<Output, HostError> {
        run(host, &self.name(), &self.invocation(program, arguments), stop)
    }

    /// Asks the server something; the lines of its answer.
    fn ask(&self, host: &dyn Host, questions: &[&str], stop: Ask<'_>) -> Result<Vec<String>, HostError> {
        let mut arguments: Vec<&str> = vec!["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
        for question in questions {
            arguments.extend(["--command", question]);
        }
        let question = Invocation { limit: Some(ANSWER_LIMIT), ..self.invocation(PSQL, &arguments) };
        let output = run(host, &self.name(), &question, stop)?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    }

    /// Looks whether a database can be copied and put back: programs, their versions, rights, room. Returns the server's version as
    /// in `server_version_num`: 150018 is 15.18.
    fn look(&self, host: &dyn Host, places: &[&Path], stop: Ask<'_>) -> Result<u32, HostError> {
        const STATE: &str = "SELECT current_setting('server_version_num'), has_schema_privilege(current_schema(), 'CREATE'), \
             (SELECT coalesce(sum(pg_table_size(c.oid)), 0) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
             ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')";
        const OTHERS: &str = "SELECT n.nspname || '.' || c.relname || ' (' || pg_get_userbyid(c.relowner) || ')' \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             AND NOT pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
             WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1 LIMIT 3";
        let refused = |why: String| Err(failed(self.name(), why));
        let lines = self.ask(host, &[STATE, OTHERS], stop)?;
        let (server, may_create, tables, others) = state(&lines).ok_or_else(|| self.unexpected(&lines.join(" ")))?;
        let role = &self.user;
        if !may_create {
            return refused(format!(
                "the role {role} may not create tables in it, so neither can GoToSocial migrate it nor anybody put a copy back. \
                 As the superuser, in this database: GRANT CREATE ON SCHEMA public TO {role}"
            ));
        }
        if !others.is_empty() {
            let others = others.join(", ");
            return refused(format!(
                "it holds what belongs to another role than {role}, so a copy could not be restored: {others}. Give it to that role \
                 (ALTER TABLE … OWNER TO …), or move it to another database"
            ));
        }
        self.same_or_newer(host, server)?;
        let needed = tables.saturating_mul(2).saturating_add(MARGIN);
        for place in places {
            let free = host.free_bytes(place)?;
            if free < needed {
                return refused(format!(
                    "its tables take {} MiB, and for a copy {} MiB have to be free at {}, where there are {} MiB; make room and \
                     run this again",
                    tables.div_ceil(1 << 20),
                    needed.div_ceil(1 << 20),
                    place.shown(),
                    free >> 20
                ));
            }
        }
        Ok(server)
    }

    fn unexpected(&self, answer: &str) -> HostError {
        failed(self.name(), format!("{PSQL} gave an unexpected answer: {answer}"))
    }

    /// Whether the programs are as new as the server: pg_dump(1) refuses any that is newer than itself.
    fn same_or_newer(&self, host: &dyn Host, server: u32) -> Result<(), HostError> {
        let server = server / 10_000;
        for program in [DUMP, RESTORE] {
            let question =
                Invocation { limit: Some(ANSWER_LIMIT), ..invocation(self.owner, program, &["--version"], &[]) };
            let output = run(host, &self.name(), &question, NEVER)?;
            let version = output.stdout.rsplit_once("(PostgreSQL) ").map_or("", |(_, version)| version).trim();
            let major: String = version.chars().take_while(char::is_ascii_digit).collect();
            if major.parse::<u32>().is_ok_and(|major| major >= server) {
                continue;
            }
            let why = format!(
                "{program} is of version {version}, and the server of version {server}, which it cannot dump. Install the package \
                 postgresql{server}-client"
            );
            return Err(failed(self.name(), why));
        }
        Ok(())
    }

    /// The sessions of the service's role in a database.
    pub(super) fn users(&self, host: &dyn Host) -> Result<Vec<FileUser>, HostError> {
        const SESSIONS: &str = "SELECT pid, usename, application_name FROM pg_catalog.pg_stat_activity \
             WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend' \
             AND pid <> pg_backend_pid()";
        let lines = self.connected(host, |_| self.ask(host, &[SESSIONS], NEVER))?;
        let user = |line: &String| {
            let mut columns = line.splitn(3, '|');
            let pid = columns.next()?.parse().ok()?;
            let user = columns.next()?.to_owned();
            let command = columns.next().filter(|name| !name.is_empty()).unwrap_or("a program").to_owned();
            Some(FileUser { user, command, pid: Some(pid) })
        };
        lines.iter().map(|line| user(line).ok_or_else(|| self.unexpected(line))).collect()
    }

    /// Proves that nobody uses a database once those that have just ended are gone.
    pub(super) fn idle(&self, host: &dyn Host) -> Result<(), HostError> {
        for _ in 0..LINGERS {
            if self.users(host)?.is_empty() {
                return Ok(());
            }
            host.sleep(Duration::from_secs(1));
        }
        unused(self.name(), self.users(host)?.into_iter().next())
    }

    /// Dumps a database into the folder of the programs.
    fn dump_into(&self, host: &dyn Host, packed: bool, stop: Ask<'_>) -> Result<(), HostError> {
        let mut arguments = vec!["--format=custom", "--file", MAIN];
        arguments.extend((!packed).then_some("--compress=0"));
        self.run_on(host, DUMP, &arguments, stop).map(drop)
    }

    /// Makes a dump, and reads it back; digest and length of the file, and what is in it.
    ///
    /// # Errors
    /// The database cannot be dumped, or the dump not be read back; or `stop`, which is asked on the way, had a reason.
    pub(super) fn dump(&self, host: &dyn Host, to: &Path, stop: Ask<'_>) -> Result<(CopiedPart, Contents), HostError> {
        self.connected(host, |folder| {
            self.look(host, &[to, folder], stop)?;
            self.dump_into(host, true, stop)?;
            let made = Whose::of(self.owner);
            let copied = host.copy_file(&folder.join(MAIN), made, to, 0o600, Owner::ROOT, stop)?;
            let contents = contents(host, &self.name(), self.owner, folder, stop)?;
            let part = CopiedPart { name: MAIN.to_owned(), size: copied.size, sha256: copied.sha256, mode: 0o600 };
            Ok((part, contents))
        })
    }

    /// Whether a database is what a copy has, see [the module](self).
    ///
    /// # Errors
    /// The server cannot be asked, or `stop` had a reason.
    pub(super) fn is_in_place(&self, host: &dyn Host, content: &str, stop: Ask<'_>) -> Result<bool, HostError> {
        let now = self.connected(host, |folder| {
            self.dump_into(host, false, stop)?;
            contents(host, &self.name(), self.owner, folder, stop)
        })?;
        Ok(now.sha256 == content)
    }

    /// Makes a database what a dump says, in one transaction.
    ///
    /// # Errors
    /// The dump is damaged, somebody uses the database, the server refuses something, or `stop`, which is asked on the way,
    /// had a reason; the database is as it was.
    pub(super) fn read_in(
        &self,
        host: &dyn Host,
        dump: &Path,
        sha256: Option<&str>,
        stop: Ask<'_>,
    ) -> Result<(), HostError> {
        self.idle(host)?;
        let owner = self.owner;
        self.connected(host, |folder| {
            let server = self.look(host, &[folder], stop)?;
            copy_checked(host, dump, &folder.join(MAIN), owner, sha256, stop)?;
            let mut script = script_of(host, dump.shown().as_ref(), owner, folder, stop)?;
            host.remove(&folder.join(MAIN))?;
            host.build_file(&folder.join(LOAD), 0o600, owner, &mut |file| {
                script::write_load(&mut script, server, &mut BufWriter::new(file))
            })?;
            host.remove(&folder.join(SCRIPT))?;
            let arguments = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", LOAD];
            let output = self.run_on(host, PSQL, &arguments, stop)?;
            if output.stdout.lines().last() == Some(script::COMMITTED) {
                return Ok(());
            }
            Err(failed(self.name(), format!("{PSQL} ended before all was committed; run this again")))
        })
    }

    /// Makes a database what a dump says, unless it is. A load that goes on although the run that began it was killed is waited for:
    /// until it has ended nobody can tell what the database will be.
    pub(super) fn put_back(
        &self,
        host: &dyn Host,
        service: &str,
        (dump, sha256): (&Path, Option<&str>),
        content: &str,
    ) -> Result<(), HostError> {
        while self.users(host)?.iter().any(|user| user.command == connection::APPLICATION) {
            host.sleep(Duration::from_secs(1));
        }
        if self.is_in_place(host, content, NEVER)? {
            return Ok(());
        }
        // A boot may have started it on what was loaded.
        close(host, service, &Database::Postgres { connection: self.clone() })?;
        self.read_in(host, dump, sha256, NEVER)
    }
}
