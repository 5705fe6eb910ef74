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
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use connection::Connection;
pub use script::Contents;

use super::database::description::{CopiedPart, DUMP as MAIN, OPENED, failed, in_use, stop};
use crate::gotosocial::SERVICE;
use crate::host::{FileUser, Host, HostError, Invocation, Output, Owner};
use connection::{CLIENT, advice};

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

/// What a server tells of a database.
struct Seen {
    /// As in `server_version_num`: 150018 is 15.18.
    server: u32,
}

/// A folder in which the service user gets at something, for as long as `work` takes. Until it is complete it is root's, so
/// nobody can plant a link in it.
fn in_folder<T>(
    host: &dyn Host,
    owner: Owner,
    fill: impl FnOnce(&Path) -> Result<(), HostError>,
    work: impl FnOnce(&Path) -> Result<T, HostError>,
) -> Result<T, HostError> {
    let folder = Path::new(OPENED);
    host.remove_tree(folder)?;
    let done = host
        .make_directory(folder, 0o700, Owner::ROOT)
        .and_then(|()| fill(folder))
        .and_then(|()| host.make_directory(folder, 0o700, owner))
        .and_then(|()| work(folder));
    let removed = host.remove_tree(folder);
    let done = done?;
    removed.map(|()| done)
}

/// The same for programs that talk to the server: with the password in it.
fn connected<T>(
    host: &dyn Host,
    connection: &Connection,
    work: impl FnOnce(&Path) -> Result<T, HostError>,
) -> Result<T, HostError> {
    let password = connection.password(host)?;
    let fill = |folder: &Path| {
        host.write_file(&folder.join(connection::PASSWORD_FILE), password.as_bytes(), 0o600, connection.owner())
    };
    in_folder(host, connection.owner(), fill, work)
}

/// Runs one of PostgreSQL's programs on something that `what` names.
fn run(host: &dyn Host, what: &str, invocation: &Invocation) -> Result<Output, HostError> {
    let program = invocation.program.display();
    let output = host.run_as(invocation).map_err(|error| match error {
        error @ HostError::Start { .. } => failed(what, format!("{error}. {CLIENT}")),
        error => error,
    })?;
    if output.status == Some(0) {
        return Ok(output);
    }
    let said = [output.stderr.trim(), output.stdout.trim()].into_iter().find(|text| !text.is_empty());
    let said = said.unwrap_or("it gave no reason");
    Err(failed(what, format!("{program} failed: {said}{}", advice(said))))
}

/// Runs one of them that needs no server.
fn run_alone(
    host: &dyn Host,
    what: &str,
    owner: Owner,
    program: &str,
    arguments: &[&str],
) -> Result<Output, HostError> {
    let invocation = Invocation {
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        environment: Vec::new(),
        owner,
        directory: OPENED.into(),
        secret_argument: None,
    };
    run(host, what, &invocation)
}

/// Asks the server something; the lines of its answer.
fn ask(host: &dyn Host, connection: &Connection, questions: &[&str]) -> Result<Vec<String>, HostError> {
    let mut arguments: Vec<&str> = vec!["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
    for question in questions {
        arguments.extend(["--command", question]);
    }
    let output = run(host, &connection.name(), &connection.invocation(PSQL, &arguments))?;
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

/// Looks whether a database can be copied and put back: programs, their versions, rights, room.
fn look(host: &dyn Host, connection: &Connection, places: &[&Path]) -> Result<Seen, HostError> {
    const STATE: &str = "SELECT current_setting('server_version_num'), has_schema_privilege(current_schema(), 'CREATE'), \
         (SELECT coalesce(sum(pg_table_size(c.oid)), 0) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
         ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')";
    const OTHERS: &str = "SELECT n.nspname || '.' || c.relname || ' (' || pg_get_userbyid(c.relowner) || ')' \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         AND NOT pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1 LIMIT 3";
    let what = connection.name();
    let lines = ask(host, connection, &[STATE, OTHERS])?;
    let unreadable = || failed(&*what, format!("{PSQL} gave an unexpected answer: {}", lines.join(" ")));
    let (first, others) = lines.split_first().ok_or_else(unreadable)?;
    let mut columns = first.split('|');
    let server: u32 = columns.next().and_then(|version| version.parse().ok()).ok_or_else(unreadable)?;
    let may_create = columns.next() == Some("t");
    let tables: u64 = columns.next().and_then(|size| size.parse().ok()).ok_or_else(unreadable)?;
    if !may_create {
        return Err(failed(
            &*what,
            format!(
                "the role {role} may not create tables in it, so neither can GoToSocial migrate it nor anybody put a copy back. \
                 As the superuser, in this database: GRANT CREATE ON SCHEMA public TO {role}",
                role = connection.role()
            ),
        ));
    }
    if !others.is_empty() {
        return Err(failed(
            &*what,
            format!(
                "it holds what belongs to another role than {}, so a copy could not be restored: {}. Give it to that role \
                 (ALTER TABLE … OWNER TO …), or move it to another database",
                connection.role(),
                others.join(", ")
            ),
        ));
    }
    same_or_newer(host, connection, server)?;
    let needed = tables.saturating_mul(2).saturating_add(MARGIN);
    for place in places {
        let free = host.free_bytes(place)?;
        if free < needed {
            return Err(failed(
                &*what,
                format!(
                    "its tables take {} MiB, and for a copy {} MiB have to be free at {}, where there are {} MiB; make room and \
                     run this again",
                    tables.div_ceil(1 << 20),
                    needed.div_ceil(1 << 20),
                    place.display(),
                    free >> 20
                ),
            ));
        }
    }
    Ok(Seen { server })
}

/// Whether the programs are as new as the server: pg_dump(1) refuses any that is newer than itself.
fn same_or_newer(host: &dyn Host, connection: &Connection, server: u32) -> Result<(), HostError> {
    for program in [DUMP, RESTORE] {
        let output = run_alone(host, &connection.name(), connection.owner(), program, &["--version"])?;
        let version = output.stdout.rsplit_once("(PostgreSQL) ").map_or("", |(_, version)| version);
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        let server = server / 10_000;
        if major.parse::<u32>().is_ok_and(|major| major >= server) {
            continue;
        }
        return Err(failed(
            connection.name(),
            format!(
                "{program} is of version {}, and the server of version {server}, which it cannot dump. Install the package \
                 postgresql{server}-client",
                version.trim()
            ),
        ));
    }
    Ok(())
}

/// Applies a [`DatabaseTest`].
///
/// # Errors
/// It could not be copied, or not be put back; why, and what to do.
pub(super) fn test(host: &dyn Host, test: &DatabaseTest) -> Result<(), HostError> {
    connected(host, &test.connection, |folder| look(host, &test.connection, &[&test.to, folder])).map(drop)
}

/// The sessions of the service's role in a database.
pub(super) fn users(host: &dyn Host, connection: &Connection) -> Result<Vec<FileUser>, HostError> {
    const SESSIONS: &str = "SELECT pid, usename, application_name FROM pg_catalog.pg_stat_activity \
         WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend' \
         AND pid <> pg_backend_pid()";
    let lines = connected(host, connection, |_| ask(host, connection, &[SESSIONS]))?;
    let told = |line: &String| {
        let mut columns = line.splitn(3, '|');
        let pid = columns.next()?.parse().ok()?;
        let user = columns.next()?.to_owned();
        let command = columns.next().filter(|name| !name.is_empty()).unwrap_or("a program").to_owned();
        Some(FileUser { user, command, pid })
    };
    let unreadable = |line: &String| failed(connection.name(), format!("{PSQL} gave an unexpected answer: {line}"));
    lines.iter().map(|line| told(line).ok_or_else(|| unreadable(line))).collect()
}

/// Whoever uses a database once those that have just ended are gone.
pub(super) fn users_that_stay(host: &dyn Host, connection: &Connection) -> Result<Vec<FileUser>, HostError> {
    for _ in 0..LINGERS {
        if users(host, connection)?.is_empty() {
            return Ok(Vec::new());
        }
        host.sleep(Duration::from_secs(1));
    }
    users(host, connection)
}

fn idle(host: &dyn Host, connection: &Connection) -> Result<(), HostError> {
    match users_that_stay(host, connection)?.first() {
        None => Ok(()),
        Some(user) => Err(in_use(connection.name(), user)),
    }
}

/// The script that pg_restore(1) makes of the dump in a folder; the dump is not needed after it.
fn script_of(host: &dyn Host, what: &str, owner: Owner, folder: &Path) -> Result<PathBuf, HostError> {
    // Nothing is known of the roles of the host where it is put back.
    let arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--file", SCRIPT, MAIN];
    run_alone(host, what, owner, RESTORE, &arguments)?;
    Ok(folder.join(SCRIPT))
}

fn opened_to_read(host: &dyn Host, path: &Path) -> Result<BufReader<File>, HostError> {
    let file = host.open_file(path)?.ok_or_else(|| failed(path.display().to_string(), "there is no such file"))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn contents(host: &dyn Host, what: &str, owner: Owner, folder: &Path) -> Result<Contents, HostError> {
    let script = script_of(host, what, owner, folder)?;
    script::read(opened_to_read(host, &script)?)
        .map_err(|error| failed(what, format!("what {RESTORE} makes of the dump cannot be read: {error}")))
}

/// Reads a dump from end to end, as the service user and in a copy that is thrown away.
///
/// # Errors
/// It is not there, is damaged, or is not the one whose digest is given.
pub fn opened(host: &dyn Host, dump: &Path, owner: Owner, sha256: Option<&str>) -> Result<Contents, HostError> {
    let what = dump.display().to_string();
    in_folder(
        host,
        owner,
        |folder| taken(host, dump, folder, owner, sha256),
        |folder| contents(host, &what, owner, folder),
    )
}

/// Copies a dump to where the service user gets at it.
fn taken(host: &dyn Host, dump: &Path, folder: &Path, owner: Owner, sha256: Option<&str>) -> Result<(), HostError> {
    let copied = host.copy_file(dump, &folder.join(MAIN), 0o600, owner)?;
    match sha256 {
        Some(wanted) if copied.sha256 != wanted => {
            Err(failed(dump.display().to_string(), "it is not what was written: its digest differs"))
        }
        _ => Ok(()),
    }
}

/// Dumps a database into the folder of the programs.
fn dump_into(host: &dyn Host, connection: &Connection, packed: bool) -> Result<(), HostError> {
    let mut arguments = vec!["--format=custom", "--file", MAIN];
    arguments.extend((!packed).then_some("--compress=0"));
    run(host, &connection.name(), &connection.invocation(DUMP, &arguments)).map(drop)
}

/// Makes a dump, and reads it back; digest and length of the file, and what is in it.
pub(super) fn dump_to(
    host: &dyn Host,
    connection: &Connection,
    to: &Path,
) -> Result<(CopiedPart, Contents), HostError> {
    connected(host, connection, |folder| {
        look(host, connection, &[to, folder])?;
        dump_into(host, connection, true)?;
        let copied = host.copy_file(&folder.join(MAIN), to, 0o600, Owner::ROOT)?;
        let contents = contents(host, &connection.name(), connection.owner(), folder)?;
        let part = CopiedPart { name: MAIN.to_owned(), size: copied.size, sha256: copied.sha256, mode: 0o600 };
        Ok((part, contents))
    })
}

/// Applies a [`Dump`].
///
/// # Errors
/// The database cannot be dumped, or the dump not be read back.
pub(super) fn dump(host: &dyn Host, dump: &Dump) -> Result<(), HostError> {
    dump_to(host, &dump.connection, &dump.to).map(drop)
}

pub(super) fn take_back_dump(host: &dyn Host, dump: &Dump) -> Result<(), HostError> {
    host.remove_tree(Path::new(OPENED))?;
    host.remove(&dump.to)
}

/// Whether a database is what a copy has, see [the module](self).
///
/// # Errors
/// The server cannot be asked.
pub(super) fn is_in_place(host: &dyn Host, content: &str, connection: &Connection) -> Result<bool, HostError> {
    let now = connected(host, connection, |folder| {
        dump_into(host, connection, false)?;
        contents(host, &connection.name(), connection.owner(), folder)
    })?;
    Ok(now.sha256 == content)
}

/// Makes a database what a dump says, in one transaction.
///
/// # Errors
/// The dump is damaged, somebody uses the database, or the server refuses something; the database is as it was.
pub(super) fn read_in(
    host: &dyn Host,
    connection: &Connection,
    dump: &Path,
    sha256: Option<&str>,
) -> Result<(), HostError> {
    idle(host, connection)?;
    let owner = connection.owner();
    connected(host, connection, |folder| {
        let seen = look(host, connection, &[folder])?;
        taken(host, dump, folder, owner, sha256)?;
        let script = script_of(host, &dump.display().to_string(), owner, folder)?;
        host.remove(&folder.join(MAIN))?;
        host.build_file(&folder.join(LOAD), 0o600, owner, &mut |file| {
            let read = opened_to_read(host, &script).map_err(std::io::Error::other)?;
            script::write_load(read, seen.server, &mut std::io::BufWriter::new(file))
        })?;
        host.remove(&script)?;
        let arguments = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", LOAD];
        let output = run(host, &connection.name(), &connection.invocation(PSQL, &arguments))?;
        if output.stdout.lines().last() == Some(script::COMMITTED) {
            return Ok(());
        }
        Err(failed(connection.name(), format!("{PSQL} ended before all was committed; run this again")))
    })
}

/// Applies a [`Load`]: dumps the database of now, and then makes it what the backup's dump says.
///
/// # Errors
/// As for a dump, and those of the load; the database is as it was.
pub(super) fn load(host: &dyn Host, load: &Load) -> Result<(), HostError> {
    idle(host, &load.connection)?;
    dump_to(host, &load.connection, &load.before)?;
    read_in(host, &load.connection, &load.from, None)
}

/// Makes the database again what it was, if it was dumped. A load that outlived its run is waited for.
pub(super) fn take_back_load(host: &dyn Host, load: &Load) -> Result<(), HostError> {
    host.remove_tree(Path::new(OPENED))?;
    if host.entry(&load.before)?.is_none() {
        return Ok(());
    }
    wait_for_own(host, &load.connection)?;
    let before = opened(host, &load.before, load.connection.owner(), None)?;
    if !is_in_place(host, &before.sha256, &load.connection)? {
        // A boot may have started it on what was loaded.
        stop(host, SERVICE)?;
        wait_until_closed(host, &load.connection)?;
        read_in(host, &load.connection, &load.before, None)?;
    }
    host.remove(&load.before)
}

/// Waits for a load that goes on although the run that began it was killed: until it has ended nobody can tell what the database
/// will be.
pub(super) fn wait_for_own(host: &dyn Host, connection: &Connection) -> Result<(), HostError> {
    while users(host, connection)?.iter().any(|user| user.command == connection::APPLICATION) {
        host.sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Waits until nobody of the service's role uses the database, however long that takes: who does may be migrating it.
pub(super) fn wait_until_closed(host: &dyn Host, connection: &Connection) -> Result<(), HostError> {
    while !users(host, connection)?.is_empty() {
        host.sleep(Duration::from_secs(2));
    }
    Ok(())
}
