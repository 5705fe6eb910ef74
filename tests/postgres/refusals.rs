//! What cannot be done is told before anything is stopped: why, and what to do.

use std::fs;
use std::process::Stdio;

use super::bench::{Bench, COPY, TABLES};
use super::server::{PASSWORD, ROLE};

#[test]
fn a_database_that_cannot_be_reached_is_told() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.test(bench.connection())]).unwrap();
    let told = |why: String, what: &[&str]| {
        for words in what {
            assert!(why.contains(words), "{words:?} is not in {why}");
        }
    };
    let test = || bench.test(bench.connection());
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let why = bench.refused([bench.test(bench.connection_to(port))]);
    told(
        why,
        &[
            "gotosocial of PostgreSQL at 127.0.0.1",
            "Connection refused",
            "whether it runs",
            "[database] of the answers",
        ],
    );

    bench.password("wrong");
    told(bench.refused([test()]), &["password authentication failed", "Set db-password"]);
    bench.secrets("");
    told(bench.refused([test()]), &["no password supplied", "Set db-password"]);
    bench.secrets("db-postgres-connection-string = \"postgres://elsewhere\"\n");
    told(
        bench.refused([test()]),
        &["may use another database than this one", "take db-postgres-connection-string out"],
    );
    bench.password(PASSWORD);

    bench.server.superuser(ROLE, &format!("ALTER DATABASE {ROLE} OWNER TO postgres"));
    told(bench.refused([test()]), &["may not create tables in it", "GRANT CREATE ON SCHEMA public TO gotosocial"]);
    bench.server.superuser(ROLE, &format!("GRANT CREATE ON SCHEMA public TO {ROLE}"));
    bench.apply([test()]).unwrap();

    bench.server.superuser(ROLE, "CREATE TABLE public.others (x INT)");
    told(bench.refused([test()]), &["belongs to another role than gotosocial", "public.others (postgres)", "OWNER TO"]);
    bench.server.superuser(ROLE, "DROP TABLE public.others");
    // What an extension brings is nobody's concern.
    bench.server.superuser(ROLE, "CREATE EXTENSION pg_stat_statements");
    bench.apply([test()]).unwrap();
}

#[test]
fn programs_that_are_missing_or_too_old_are_told() {
    let Some(bench) = Bench::new() else { return };
    bench.script("/usr/local/bin/pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'");
    let why = bench.refused([bench.test(bench.connection())]);
    assert!(
        why.contains("is of version 9.6.24, and the server of version ")
            && why.contains("Install the package postgresql"),
        "{why}"
    );
    for program in ["pg_dump", "pg_restore", "psql"] {
        fs::remove_file(bench.path("/usr/local/bin").join(program)).unwrap();
        let why = bench.refused([bench.test(bench.connection())]);
        assert!(why.contains("cannot run /usr/local/bin/") && why.contains("the package postgresqlNN-client"), "{why}");
    }
}

#[test]
fn a_database_that_somebody_uses_is_not_copied() {
    let Some(bench) = Bench::new() else { return };
    let mut user = bench
        .server
        .psql(ROLE, PASSWORD, ROLE)
        .env("PGAPPNAME", "a-bridge")
        .args(["-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    bench.server.until("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'", "1");
    let why = bench.refused([bench.copy(COPY)]);
    user.kill().unwrap();
    user.wait().unwrap();
    assert!(why.contains("a-bridge (user gotosocial, pid ") && why.contains("has it open; end it"), "{why}");
    assert!(bench.kept().is_empty());
}

#[test]
fn a_dump_that_is_damaged_is_not_read_in() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    bench.apply([bench.copy(COPY)]).unwrap();
    let now = bench.server.everything();
    let dump = bench.path(COPY).join("postgres.dump");
    let whole = fs::read(&dump).unwrap();
    let half = &whole[..whole.len() / 2];
    fs::write(&dump, half).unwrap();
    let error = bench.apply([bench.restore(COPY, COPY)]).unwrap_err();
    assert!(error.to_string().contains("its digest differs"), "{error}");
    for bytes in [half, b"no dump at all, but a letter to my aunt"] {
        fs::write(bench.path("/var/backups/gotosocial/dump"), bytes).unwrap();
        let why = bench.refused([bench.load("/var/backups/gotosocial/dump", "/var/backups/gotosocial/before")]);
        assert!(why.contains("pg_restore failed") && why.contains("The dump is damaged"), "{why}");
    }
    assert_eq!(bench.server.everything(), now);
}
