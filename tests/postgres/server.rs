//! A PostgreSQL server in a temporary folder, on a port of loopback.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Whom the server and its clients run as: nobody, on every system. The server refuses root.
pub const NOBODY: u32 = 65534;
/// Longer than any start or stop takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than any test takes, in seconds.
const LIFETIME: &str = "240";
const SUPERUSER: &str = "postgres";

/// The role of GoToSocial, and its database.
pub const ROLE: &str = "gotosocial";
/// With the letters that a password file escapes.
pub const PASSWORD: &str = r"pass:wo\rd 'x";

/// A server that is stopped when it is dropped.
pub struct Server {
    folder: TempDir,
    child: Child,
    pub port: u16,
}

/// Where PostgreSQL's programs are: Debian keeps those of each version apart.
pub fn programs() -> PathBuf {
    const ALL: [&str; 5] = ["initdb", "postgres", "psql", "pg_dump", "pg_restore"];
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.insert(0, "/usr/local/bin".into());
    let whole = |folder: &PathBuf| ALL.iter().all(|program| folder.join(program).exists());
    folders.into_iter().rfind(whole).unwrap_or_else(|| {
        panic!("PostgreSQL is not installed: {} are not all in /usr/lib/postgresql/*/bin or /usr/local/bin; tests/run installs it", ALL.join(", "))
    })
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null()).current_dir("/");
    command.uid(NOBODY).gid(NOBODY);
    command
}

impl Server {
    /// A server with the role and its database, made as GoToSocial's documentation says.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        let password = folder.path().join("superuser");
        fs::write(&password, "superuser\n").unwrap();
        let made = as_nobody(&programs().join("initdb"))
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        // Whatever becomes of the test, the server ends, and then so does what waits for it.
        let child = as_nobody(Path::new("timeout"))
            .args(["-s", "INT", LIFETIME])
            .arg(programs().join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { folder, child, port };
        let until = Instant::now() + PATIENCE;
        while server.tried("postgres", "SELECT 1").is_err() {
            assert!(Instant::now() < until, "it does not start: {}", server.log());
            sleep(Duration::from_millis(50));
        }
        server.superuser("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{}'", PASSWORD.replace('\'', "''")));
        server.superuser("postgres", &format!("CREATE DATABASE {ROLE} OWNER {ROLE} TEMPLATE template0"));
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// psql(1) as somebody, with a password that this test knows anyway.
    pub fn psql(&self, role: &str, password: &str, database: &str) -> Command {
        let mut command = as_nobody(&programs().join("psql"));
        command.env("PGPASSWORD", password).args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", role, "-d", database]);
        command
    }

    fn tried(&self, database: &str, sql: &str) -> Result<String, String> {
        outcome(self.psql(SUPERUSER, "superuser", database).args(["-c", sql]))
    }

    /// Has the superuser do something in a database.
    pub fn superuser(&self, database: &str, sql: &str) -> String {
        self.tried(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Has GoToSocial's role do something in its database.
    pub fn sql(&self, sql: &str) -> String {
        outcome(self.psql(ROLE, PASSWORD, ROLE).args(["-c", sql])).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// All that pg_dump(1) says of the database, without what says when and how.
    pub fn everything(&self) -> String {
        let mut command = as_nobody(&programs().join("pg_dump"));
        command.env("PGPASSWORD", "superuser").args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            SUPERUSER,
            ROLE,
        ]);
        let text = outcome(&mut command).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(r"\restrict") && !line.starts_with(r"\unrestrict"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until a question has this answer.
    pub fn until(&self, question: &str, answer: &str) {
        let until = Instant::now() + PATIENCE;
        while self.superuser(ROLE, question).trim() != answer {
            assert!(Instant::now() < until, "{question}");
            sleep(Duration::from_millis(20));
        }
    }
}

fn outcome(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown: it does not wait for its clients.
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).ok();
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < until {
            sleep(Duration::from_millis(20));
        }
        self.child.kill().ok();
    }
}
