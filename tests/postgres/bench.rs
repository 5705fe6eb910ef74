//! A server, and a folder with the files and programs of a host.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gts_bootstrap::change::backup::BackupChange;
use gts_bootstrap::change::database::{self, Description};
use gts_bootstrap::change::postgres::{Connection, DatabaseTest, Dump, Load};
use gts_bootstrap::change::{
    Action, ApplyError, Change, Database, DatabaseCopy, DatabaseRestore, Executor, Operator, Plan, Step,
};
use gts_bootstrap::deployment::{self, TlsMode};
use gts_bootstrap::host::Owner;
use gts_bootstrap::host::freebsd::FreeBsd;
use gts_bootstrap::release::{NoProgress, Progress};
use semver::Version;
use tempfile::TempDir;

use super::server::{NOBODY, PASSWORD, ROLE, Server, programs};

pub const COPY: &str = "/var/backups/gotosocial/0.19.2-to-0.20.0";
pub const SERVICE: Owner = Owner { uid: NOBODY, gid: NOBODY };
const SECRETS: &str = "/etc/secrets.toml";

/// What upstream's migrations make use of: serials, arrays, bytes, expressions, keys and a name that has to be quoted.
pub const TABLES: &str = r#"
CREATE TABLE bun_migrations (id BIGSERIAL PRIMARY KEY, name VARCHAR, group_id BIGINT, migrated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP);
INSERT INTO bun_migrations (name, group_id) VALUES ('20210816001419', 1), ('20250101000000', 2);
CREATE TABLE accounts (id CHAR(26) PRIMARY KEY, username VARCHAR NOT NULL, private_key BYTEA, raw JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP);
INSERT INTO accounts VALUES ('01ALICE', 'alice', '\x00ff5c0a', '{"a": "b\\c"}');
CREATE TABLE statuses (id CHAR(26) PRIMARY KEY, account_id CHAR(26) REFERENCES accounts, local BOOLEAN, content TEXT, tags VARCHAR[]);
CREATE INDEX statuses_local_idx ON statuses (account_id, lower(content)) WHERE local;
INSERT INTO statuses VALUES ('01A', '01ALICE', true, E'hello\nworld\t\\.\n--', '{a,"b c"}'), ('01B', NULL, false, 'from afar', NULL),
    ('01C', '01ALICE', true, '', '{}');
INSERT INTO statuses SELECT 'X' || n, NULL, false, repeat(md5(n::text), 20), NULL FROM generate_series(1, 2000) n;
CREATE TABLE "user" (id SERIAL, "odd name" TEXT DEFAULT 'it''s');
INSERT INTO "user" ("odd name") VALUES (DEFAULT);
CREATE VIEW local_statuses AS SELECT id, content FROM statuses WHERE local;
"#;

/// What a newer release's migrations could do.
pub const MIGRATED: &str = r#"
CREATE TYPE visibility AS ENUM ('public', 'direct');
CREATE SEQUENCE newer_seq;
CREATE TABLE newer (id BIGINT DEFAULT nextval('newer_seq'), visibility visibility);
CREATE SCHEMA newer_schema;
CREATE TABLE newer_schema.inside (x INT);
CREATE DOMAIN newer_domain AS TEXT CHECK (VALUE <> '');
CREATE FUNCTION newer_function() RETURNS INT LANGUAGE sql AS 'SELECT 1';
CREATE MATERIALIZED VIEW newer_view AS SELECT count(*) AS posts FROM statuses;
ALTER TABLE statuses ADD COLUMN visibility visibility;
ALTER TABLE accounts DROP COLUMN raw;
DELETE FROM statuses WHERE id = '01A';
INSERT INTO bun_migrations (name, group_id) VALUES ('20260101000000', 3);
SELECT lo_from_bytea(0, 'a large object');
"#;

pub struct Bench {
    pub server: Server,
    folder: TempDir,
    pub host: FreeBsd,
    /// What changes have noted for the administrator.
    pub notes: RefCell<Vec<String>>,
}

impl Operator for Bench {
    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    fn progress(&self) -> &dyn Progress {
        &NoProgress
    }
}

impl Bench {
    /// `None` where this is not root, who alone can run programs as somebody else.
    pub fn new() -> Option<Self> {
        let programs = programs();
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not run: only root can run programs as another user");
            return None;
        }
        gts_bootstrap::child::use_program(env!("CARGO_BIN_EXE_gts-bootstrap"));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let host = FreeBsd::rooted(folder.path());
        let bench = Self { server: Server::start(), host, folder, notes: RefCell::default() };
        for (path, mode) in [
            ("/bin", 0o755),
            ("/etc/defaults", 0o755),
            ("/usr/local/bin", 0o755),
            ("/usr/sbin", 0o755),
            ("/var/db", 0o755),
            ("/var/backups/gotosocial", 0o700),
        ] {
            fs::create_dir_all(bench.path(path)).unwrap();
            fs::set_permissions(bench.path(path), Permissions::from_mode(mode)).unwrap();
        }
        bench.script("/bin/ps", "echo $PPID 1 0 0 0 0 9 integration");
        bench.script("/bin/sh", "exec /bin/sh \"$@\"");
        fs::write(bench.path("/etc/defaults/rc.conf"), "rc_conf_files=\nsource_rc_confs() { :; }\n").unwrap();
        for program in ["pg_dump", "pg_restore", "psql"] {
            symlink(programs.join(program), bench.path("/usr/local/bin").join(program)).unwrap();
        }
        bench.script("/usr/sbin/service", "[ \"$2\" = onestop ] && exit 0; echo \"$1 is not running.\"; exit 1");
        bench.password(PASSWORD);
        Some(bench)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// Puts a script in the place of a program.
    pub fn script(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::remove_file(&path).ok();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    pub fn password(&self, password: &str) {
        self.secrets(&format!("db-password = {}\n", toml_edit::Value::from(password)));
    }

    pub fn secrets(&self, text: &str) {
        fs::write(self.path(SECRETS), text).unwrap();
        fs::set_permissions(self.path(SECRETS), Permissions::from_mode(0o600)).unwrap();
    }

    pub fn connection(&self) -> Connection {
        self.connection_to(self.server.port)
    }

    pub fn connection_to(&self, port: u16) -> Connection {
        let database = deployment::Database::Postgres {
            address: "127.0.0.1".parse().unwrap(),
            port: i64::from(port).try_into().unwrap(),
            user: ROLE.into(),
            database: ROLE.into(),
            password: None,
            tls_mode: TlsMode::Disable,
        };
        Connection::of(&database, Path::new(SECRETS), SERVICE, Path::new("/var/db")).unwrap()
    }

    fn database(&self) -> Database {
        Database::Postgres { connection: self.connection() }
    }

    pub fn copy(&self, to: &str) -> Change {
        let copy = DatabaseCopy {
            from: self.database(),
            to: to.into(),
            service: "gotosocial".into(),
            owner: SERVICE,
            thorough: true,
            host: "social.example.org".into(),
            version: Version::new(0, 19, 2),
            guards: true,
        };
        Change::DatabaseCopy { copy: Box::new(copy) }
    }

    pub fn restore(&self, from: &str, before: &str) -> Change {
        let restore = DatabaseRestore {
            from: from.into(),
            to: self.database(),
            service: "gotosocial".into(),
            owner: SERVICE,
            before: Some(before.into()),
        };
        Change::DatabaseRestore { restore: Box::new(restore) }
    }

    pub fn test(&self, connection: Connection) -> Change {
        Change::DatabaseTest { test: Box::new(DatabaseTest { connection, to: "/var/backups/gotosocial".into() }) }
    }

    pub fn dump(&self, to: &str) -> Change {
        let dump = Dump { connection: self.connection(), to: to.into() };
        Change::Backup { backup: Box::new(BackupChange::Dump { dump }) }
    }

    pub fn load(&self, from: &str, before: &str) -> Change {
        let load = Load { connection: self.connection(), from: from.into(), before: before.into() };
        Change::Backup { backup: Box::new(BackupChange::Load { load }) }
    }

    /// Applies changes as the program does; what fails is taken back.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> Result<Vec<String>, ApplyError> {
        self.apply_while(changes, &|| {})
    }

    /// The same, with something that happens before each of them.
    pub fn apply_while(
        &self,
        changes: impl IntoIterator<Item = Change>,
        meanwhile: &dyn Fn(),
    ) -> Result<Vec<String>, ApplyError> {
        let steps = changes.into_iter().map(|change| Step::new("database", Action::Update, change)).collect();
        let stop = || {
            meanwhile();
            None
        };
        let executor =
            Executor { host: &self.host, source: None, authority: None, operator: self, stop: &stop, trial: None };
        executor.apply("upgrade", &Plan { steps, ..Plan::default() })
    }

    /// Why changes fail. All is taken back.
    #[track_caller]
    pub fn refused(&self, changes: impl IntoIterator<Item = Change>) -> String {
        let error = self.apply(changes).unwrap_err();
        assert_eq!(
            (error.aftermath.failed.as_slice(), &error.aftermath.spared),
            (&[][..], &Vec::<String>::new()),
            "{error}"
        );
        assert!(!self.path(database::OPENED).exists());
        error.to_string()
    }

    pub fn described(&self, folder: &str) -> Description {
        database::describe(&self.host, Path::new(folder)).unwrap().unwrap()
    }

    /// Names of what is in the folder of backups.
    pub fn kept(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("/var/backups/gotosocial")).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
