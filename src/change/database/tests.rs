#![allow(clippy::unwrap_used, clippy::expect_used)]

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::change::kind::Kind;
use crate::change::prior::Prior;
use crate::host::rehearsal::{ChangeFault, Migrating, Rehearsal};

const SERVICE: Owner = Owner { uid: 209, gid: 209 };
const DATABASE: &str = "/var/db/gotosocial/sqlite.db";
const COPY: &str = "/var/backups/gotosocial/copy";

struct Bench {
    _folder: TempDir,
    host: Rehearsal,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        host.make_directory(Path::new("/var/db/gotosocial"), 0o750, SERVICE).unwrap();
        host.make_directory(Path::new("/var/backups/gotosocial"), 0o700, Owner::ROOT).unwrap();
        let bench = Self { _folder: folder, host };
        bench.database("'one'");
        bench
    }

    /// Puts a database in place that holds these posts.
    fn database(&self, posts: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = Connection::open(file.path()).unwrap();
        database
            .execute_batch(
                "CREATE TABLE bun_migrations (id INTEGER PRIMARY KEY, name VARCHAR);
                 CREATE TABLE statuses (id INTEGER PRIMARY KEY, text VARCHAR, local BOOLEAN);
                 INSERT INTO bun_migrations (name) VALUES ('1'), ('2');",
            )
            .unwrap();
        for post in posts.split_whitespace() {
            database.execute_batch(&format!("INSERT INTO statuses (text, local) VALUES ({post}, 1)")).unwrap();
        }
        drop(database);
        self.host.write_file(Path::new(DATABASE), &std::fs::read(file.path()).unwrap(), 0o640, SERVICE).unwrap();
    }

    fn wanted(&self) -> DatabaseCopy {
        DatabaseCopy {
            from: Database::Sqlite { path: DATABASE.into() },
            to: COPY.into(),
            service: "gotosocial".into(),
            owner: SERVICE,
            thorough: true,
            host: "social.example.org".into(),
            version: Version::new(0, 19, 2),
            guards: true,
        }
    }

    fn restoration(&self) -> DatabaseRestore {
        DatabaseRestore {
            from: COPY.into(),
            to: Database::Sqlite { path: DATABASE.into() },
            service: "gotosocial".into(),
            owner: SERVICE,
            before: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.host.read_of(Path::new(DATABASE), Whose::of(SERVICE)).unwrap().unwrap()
    }

    fn fault(&self, after: u32, takes_effect: bool) {
        self.host
            .edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting: true, errno: 5 }))
            .unwrap();
    }

    fn heal(&self) {
        self.host.edit(|model| model.faults.change = None).unwrap();
    }

    fn beside(&self) -> Vec<String> {
        self.host.list(Path::new("/var/db/gotosocial")).unwrap()
    }
}

#[test]
fn a_copy_is_roots_alone_whole_and_described() {
    let bench = Bench::new();
    let description = copy(&bench.host, &bench.wanted(), NEVER).unwrap();
    assert_eq!(describe(&bench.host, Path::new(COPY)).unwrap().unwrap(), description);
    assert_eq!((description.state.migrations, description.state.posts), (2, Some(1)));
    let kept = Path::new(COPY).join("sqlite.db");
    assert_eq!(bench.host.read(&kept).unwrap().unwrap(), bench.bytes());
    for (path, mode) in [(Path::new(COPY), 0o700), (&kept, 0o600), (&Path::new(COPY).join(DESCRIPTION), 0o600)] {
        match bench.host.entry(path).unwrap().unwrap() {
            Entry::File { mode: found, owner, .. } | Entry::Directory { mode: found, owner } => {
                assert_eq!((found, owner), (mode, Owner::ROOT), "{path:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.host.entry(Path::new(OPENED)).unwrap(), None);
    assert!(description.told(Path::new(COPY)).contains("2 migrations, 1 posts"));
}

#[test]
fn what_is_in_use_is_not_copied() {
    let bench = Bench::new();
    let migrating = Migrating { pid: 77, user: "gotosocial".into(), database: DATABASE.into(), ends_at: u64::MAX };
    bench.host.edit(|model| model.migrating = Some(migrating)).unwrap();
    let why = copy(&bench.host, &bench.wanted(), NEVER).unwrap_err().to_string();
    assert!(why.contains("pid 77") && why.contains("has it open"), "{why}");
    assert_eq!(describe(&bench.host, Path::new(COPY)).unwrap(), None);
    let why = restore(&bench.host, &bench.restoration(), NEVER).unwrap_err().to_string();
    assert!(why.contains("no complete copy"), "{why}");
}

#[test]
fn what_runs_is_not_copied() {
    let bench = Bench::new();
    let mut wanted = bench.wanted();
    // Any service of the model will do.
    wanted.service = "cron".into();
    let why = copy(&bench.host, &wanted, NEVER).unwrap_err().to_string();
    assert!(why.contains("cron runs; it must be stopped"), "{why}");
}

#[test]
fn a_damaged_database_is_no_copy() {
    let bench = Bench::new();
    let mut bytes = bench.bytes();
    let end = bytes.len();
    bytes[end - 4096..].fill(0xff);
    bench.host.write_file(Path::new(DATABASE), &bytes, 0o640, SERVICE).unwrap();
    assert!(copy(&bench.host, &bench.wanted(), NEVER).is_err());
    assert_eq!(describe(&bench.host, Path::new(COPY)).unwrap(), None);
    assert_eq!(bench.host.entry(Path::new(OPENED)).unwrap(), None, "what was opened is taken away");
}

#[test]
fn what_is_not_the_services_own_database_is_not_copied() {
    let bench = Bench::new();
    let path = Path::new(DATABASE);
    let refused = |words: &str| {
        let why = copy(&bench.host, &bench.wanted(), NEVER).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
        assert_eq!(bench.host.entry(Path::new(OPENED)).unwrap(), None);
    };
    bench.host.write_file(path, b"root:$6$secret:0:0::0:0:Charlie &:/root:/bin/sh\n", 0o600, SERVICE).unwrap();
    refused("it is not an SQLite database");
    bench.host.write_file(path, b"SQLite format 3\0", 0o600, Owner::ROOT).unwrap();
    refused("belongs to uid 0");
    bench.host.remove(path).unwrap();
    refused("there is no such file");
    bench.host.make_symlink(path, Path::new("/etc/master.passwd")).unwrap();
    refused("not a regular file");
}

#[test]
fn a_database_comes_back_and_goes_again() {
    let bench = Bench::new();
    let before = bench.bytes();
    copy(&bench.host, &bench.wanted(), NEVER).unwrap();
    bench.database("'one' 'two'");
    bench
        .host
        .write_file(Path::new("/var/db/gotosocial/sqlite.db-wal"), b"SQLite format 3\0x", 0o640, SERVICE)
        .unwrap();
    let after = (bench.bytes(), bench.beside());
    restore(&bench.host, &bench.restoration(), NEVER).unwrap();
    assert_eq!(bench.bytes(), before);
    assert!(!bench.beside().contains(&"sqlite.db-wal".to_owned()), "{:?}", bench.beside());
    take_back_restore(&bench.host, &bench.restoration(), true).unwrap();
    take_back_restore(&bench.host, &bench.restoration(), true).unwrap();
    assert_eq!((bench.bytes(), bench.beside()), after);
    restore(&bench.host, &bench.restoration(), NEVER).unwrap();
    forget_displaced(&bench.host, &bench.restoration()).unwrap();
    assert_eq!((bench.bytes(), bench.beside()), (before, vec!["sqlite.db".to_owned()]));
}

#[test]
fn a_restoration_that_was_cut_off_anywhere_is_taken_back_cut_off_anywhere() {
    let run = |first: u32, takes_effect: bool, second: u32| {
        let bench = Bench::new();
        copy(&bench.host, &bench.wanted(), NEVER).unwrap();
        bench.database("'one' 'two'");
        let log = Path::new("/var/db/gotosocial/sqlite.db-wal");
        bench.host.write_file(log, b"SQLite format 3\0x", 0o640, SERVICE).unwrap();
        let before = (bench.bytes(), bench.beside(), bench.host.read_of(log, Whose::of(SERVICE)).unwrap());
        bench.fault(first, takes_effect);
        let whole = restore(&bench.host, &bench.restoration(), NEVER).is_ok();
        bench.fault(second, takes_effect);
        let undone = take_back_restore(&bench.host, &bench.restoration(), true).is_ok();
        bench.heal();
        take_back_restore(&bench.host, &bench.restoration(), true).unwrap();
        let after = (bench.bytes(), bench.beside(), bench.host.read_of(log, Whose::of(SERVICE)).unwrap());
        assert_eq!(after, before, "cut off after {first}, and after {second}");
        (whole, undone)
    };
    for takes_effect in [false, true] {
        for first in 0.. {
            let mut whole = false;
            for second in 0.. {
                let outcome = run(first, takes_effect, second);
                whole = outcome.0;
                if outcome.1 {
                    break;
                }
            }
            if whole {
                assert!(first > 8, "only {first} places to stop at");
                break;
            }
        }
    }
}

#[test]
fn a_copy_that_is_needed_is_not_taken_away() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    copy(&bench.host, &wanted, NEVER).unwrap();
    bench.database("'changed'");
    let stays = wanted.take_back(&bench.host, &Prior::Absent).unwrap().unwrap();
    assert!(stays.contains(COPY) && stays.contains("0.19.2"), "{stays}");
    restore(&bench.host, &bench.restoration(), NEVER).unwrap();
    forget_displaced(&bench.host, &bench.restoration()).unwrap();
    assert_eq!(wanted.take_back(&bench.host, &Prior::Absent).unwrap(), None);
    assert_eq!(bench.host.entry(Path::new(COPY)).unwrap(), None);
}

#[test]
fn a_copy_that_was_changed_is_not_put_back() {
    let bench = Bench::new();
    copy(&bench.host, &bench.wanted(), NEVER).unwrap();
    bench.database("'changed'");
    let now = bench.bytes();
    let kept = Path::new(COPY).join("sqlite.db");
    bench.host.write_file(&kept, b"SQLite format 3\0 and more", 0o600, Owner::ROOT).unwrap();
    let why = restore(&bench.host, &bench.restoration(), NEVER).unwrap_err().to_string();
    assert!(why.contains("its digest differs"), "{why}");
    assert_eq!((bench.bytes(), bench.beside()), (now, vec!["sqlite.db".to_owned()]));
}

#[test]
fn a_description_that_is_not_ours_is_refused() {
    let bench = Bench::new();
    let mut description = copy(&bench.host, &bench.wanted(), NEVER).unwrap();
    let path = Path::new(COPY).join(DESCRIPTION);
    let write = |description: &Description| {
        bench.host.write_file(&path, &serde_json::to_vec(description).unwrap(), 0o600, Owner::ROOT).unwrap();
        describe(&bench.host, Path::new(COPY)).unwrap_err().to_string()
    };
    description.schema = SCHEMA + 1;
    assert!(write(&description).contains("newer gts-bootstrap"));
    description.schema = SCHEMA;
    description.files[0].name = "../../etc/passwd".into();
    assert!(write(&description).contains("names files"));
    bench.host.write_file(&path, b"{", 0o600, Owner::ROOT).unwrap();
    assert!(describe(&bench.host, Path::new(COPY)).is_err());
}
