//! Copies, and databases that are put back from them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::thread;

use gts_bootstrap::change::database::OPENED;

use super::bench::{Bench, COPY, MIGRATED, TABLES};
use super::server::{PASSWORD, ROLE};

const NOW: &str = "/var/backups/gotosocial/0.20.0-to-0.19.2";
const DUMP: &str = "/var/backups/gotosocial/.being-made.dump";
const BEFORE: &str = "/var/backups/gotosocial/before-restore.dump";

/// What there is of these names, of whatever kind.
fn named(bench: &Bench, names: &str) -> String {
    let question = format!(
        "SELECT relname FROM pg_class WHERE relname LIKE '{names}' UNION SELECT typname FROM pg_type WHERE typname LIKE '{names}' \
         UNION SELECT proname FROM pg_proc WHERE proname LIKE '{names}' UNION SELECT nspname FROM pg_namespace WHERE nspname LIKE '{names}'"
    );
    bench.server.sql(&question)
}

#[test]
fn a_copy_is_roots_alone_and_says_what_is_in_it() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.copy(COPY)]).unwrap();
    let told = bench.notes.borrow().join("\n");
    assert!(
        told.contains("was read back from there to see that it is whole") && told.contains("2 migrations, 2 posts"),
        "{told}"
    );
    let described = bench.described(COPY);
    assert_eq!((described.state.migrations, described.state.posts), (2, Some(2)));
    assert_eq!(described.state.newest_migration.as_deref(), Some("20250101000000"));
    for (path, mode) in [("", 0o40700), ("postgres.dump", 0o100_600), ("database.json", 0o100_600)] {
        let metadata = fs::metadata(bench.path(COPY).join(path)).unwrap();
        assert_eq!((metadata.mode(), metadata.uid(), metadata.gid()), (mode, 0, 0), "{path}");
    }
    assert!(!bench.path(OPENED).exists());
}

#[test]
fn a_database_that_is_put_back_is_that_of_the_copy_and_nothing_more() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    let then = bench.server.everything();
    bench.apply([bench.copy(COPY)]).unwrap();
    bench.server.sql(MIGRATED);
    assert_eq!(named(&bench, "newer%").lines().count(), 6, "{}", named(&bench, "newer%"));
    let now = bench.server.everything();
    bench.apply([bench.copy(NOW), bench.restore(COPY, NOW)]).unwrap();
    assert_eq!(bench.server.everything(), then);
    assert_eq!((named(&bench, "newer%"), named(&bench, "visibility")), (String::new(), String::new()));
    // It can be migrated again, and the way back undone.
    bench.server.sql(MIGRATED);
    bench.apply([bench.restore(NOW, COPY)]).unwrap();
    assert_eq!(bench.server.everything(), now);
}

#[test]
fn what_fails_later_has_the_database_put_back_and_the_copies_gone() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.copy(COPY)]).unwrap();
    bench.server.sql(MIGRATED);
    let now = bench.server.everything();
    let nothing = bench.restore("/var/backups/gotosocial/missing", NOW);
    let why = bench.refused([bench.copy(NOW), bench.restore(COPY, NOW), nothing]);
    assert!(why.contains("there is no complete copy of a database"), "{why}");
    assert_eq!(bench.server.everything(), now);
    assert_eq!(bench.kept(), ["0.19.2-to-0.20.0"]);
}

#[test]
fn a_copy_stays_if_the_database_is_another_by_then() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    let after_the_copy = |sql: &str| {
        let made = || bench.path(COPY).join("database.json").exists();
        let meanwhile = || {
            if made() {
                bench.server.superuser(ROLE, sql);
            }
        };
        let error = bench.apply_while([bench.copy(COPY), bench.restore("/missing", COPY)], &meanwhile).unwrap_err();
        assert_eq!(error.aftermath.failed, Vec::<String>::new());
        error.aftermath.spared.join("\n")
    };
    // What the server does by itself is no change.
    for sql in ["VACUUM", "ANALYZE", "CHECKPOINT"] {
        assert_eq!((after_the_copy(sql), bench.kept()), (String::new(), Vec::new()), "{sql}");
    }
    let stays = after_the_copy("INSERT INTO statuses (id, local) VALUES ('01LATER', true)");
    assert!(stays.contains("gotosocial of PostgreSQL at 127.0.0.1 is another one now"), "{stays}");
    assert_eq!(bench.kept(), ["0.19.2-to-0.20.0"]);
}

#[test]
fn a_load_that_fails_half_way_leaves_the_database_as_it_was() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.copy(COPY)]).unwrap();
    bench.server.sql(MIGRATED);
    // When all is dropped, and all data are in.
    bench.server.superuser(
        ROLE,
        "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no indexes today''; END'; \
         CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.no()",
    );
    bench.apply([bench.copy(NOW)]).unwrap();
    let now = bench.server.everything();
    let why = bench.refused([bench.restore(COPY, NOW)]);
    assert!(why.contains("psql failed") && why.contains("no indexes today"), "{why}");
    assert_eq!(bench.server.everything(), now);
}

#[test]
fn a_connection_that_breaks_in_the_midst_leaves_the_database_as_it_was() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.copy(COPY)]).unwrap();
    bench.server.sql(MIGRATED);
    bench.apply([bench.copy(NOW)]).unwrap();
    let now = bench.server.everything();
    // Somebody reads, so that the load has to wait in its transaction.
    let mut reader = bench
        .server
        .psql("postgres", "superuser", ROLE)
        .args(["-c", "BEGIN; LOCK TABLE statuses IN ACCESS SHARE MODE; SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks JOIN pg_class ON relation = pg_class.oid WHERE relname = 'statuses' AND granted \
                  AND mode = 'AccessShareLock'";
    bench.server.until(locked, "1");
    let waits = "FROM pg_stat_activity WHERE application_name = 'gts-bootstrap' AND wait_event_type = 'Lock'";
    let why = thread::scope(|scope| {
        scope.spawn(|| {
            bench.server.until(&format!("SELECT count(*) {waits}"), "1");
            bench.server.superuser(ROLE, &format!("SELECT pg_terminate_backend(pid) {waits}"));
        });
        bench.refused([bench.restore(COPY, NOW)])
    });
    assert!(why.contains("psql failed") && why.contains("terminating connection"), "{why}");
    bench.server.superuser(ROLE, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    reader.wait().unwrap();
    assert_eq!(bench.server.everything(), now);
}

#[test]
fn a_dump_of_a_backup_is_read_in_and_taken_back() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    let then = bench.server.everything();
    // While somebody has it open, as GoToSocial has.
    let mut server = bench
        .server
        .psql(ROLE, PASSWORD, ROLE)
        .args(["-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    bench.apply([bench.dump(DUMP)]).unwrap();
    bench.server.sql(MIGRATED);
    let now = bench.server.everything();
    bench.server.until("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'", "1");
    let why = bench.apply([bench.load(DUMP, BEFORE)]);
    assert!(why.as_ref().is_err_and(|why| why.to_string().contains("has it open")), "{why:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    bench
        .server
        .superuser(ROLE, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'");
    let why = bench.refused([bench.load(DUMP, BEFORE), bench.restore("/missing", COPY)]);
    assert!(why.contains("no complete copy"), "{why}");
    assert_eq!(bench.server.everything(), now);
    assert_eq!(bench.kept(), [".being-made.dump"]);
    bench.apply([bench.load(DUMP, BEFORE)]).unwrap();
    assert_eq!(bench.server.everything(), then);
    // The empty database of a new host.
    bench.server.sql("DROP OWNED BY CURRENT_USER");
    bench.server.superuser(ROLE, &format!("ALTER DATABASE {ROLE} OWNER TO {ROLE}"));
    fs::remove_file(bench.path(BEFORE)).unwrap();
    bench.apply([bench.load(DUMP, BEFORE)]).unwrap();
    assert_eq!(bench.server.everything(), then);
}
