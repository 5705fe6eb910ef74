//! Upgrades, rollbacks, backups and restorations of an instance whose database is in PostgreSQL. What the real programs do is in
//! `tests/postgres/`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gts_bootstrap::backup;
use gts_bootstrap::host::rehearsal::{ChangeFault, Migrating, Postgres};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::{ANSWERS, Machine, Outcome, differences};

const NEW: &str = "0.20.0-rc1";
const UPGRADE: &[&str] = &["upgrade", "--release", NEW, "--yes"];
const ROLLBACK: &[&str] = &["rollback", "--yes"];
const COPY: &str = "/var/backups/gotosocial/0.19.2-to-0.20.0-rc1";
const SECRETS: &str = "/usr/local/etc/gts-bootstrap/deployment.secrets.toml";
const OPENED: &str = "/var/db/gts-bootstrap.opened";

/// A machine with a server and its programs, and nothing installed.
pub fn bare() -> Machine {
    let machine = Machine::with(|model| model.postgres = Some(Postgres::default()));
    machine.install_package("postgresql16-client");
    let secrets = machine.beside("answers.secrets.toml");
    fs::write(&secrets, "db-password = \"secret\"\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    machine
}

/// Answers for it.
pub fn answers() -> String {
    format!(
        "{ANSWERS}\n[database]\ntype = \"postgres\"\naddress = \"127.0.0.1\"\nuser = \"gotosocial\"\ndatabase = \"gotosocial\"\n\n\
         [admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n"
    )
}

/// One with a post.
pub fn furnished() -> Machine {
    let machine = bare();
    machine.install(&answers()).exits(0);
    machine.run(&["rehearsal", "post", "hello"]).exits(0);
    machine
}

fn fault(machine: &Machine, after: u32, takes_effect: bool, lasting: bool) {
    machine.edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }));
}

fn server(machine: &Machine, edit: impl FnOnce(&mut Postgres)) {
    machine.edit(|model| edit(model.postgres.as_mut().unwrap()));
}

type Files = std::collections::BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// What is different, but for what has times in it.
fn changed(before: &Files, machine: &Machine) -> Vec<PathBuf> {
    let passing = |path: &Path| {
        ["var/log", "var/run", "var/db/gotosocial/storage/certs"].iter().any(|own| path.starts_with(own))
            || path.ends_with("database.json")
            || path.ends_with("postgres.dump")
    };
    differences(before, &machine.system_files()).into_iter().filter(|path| !passing(path)).collect()
}

#[track_caller]
fn is_at(machine: &Machine, version: &str, posts: &str) {
    assert_eq!(fs::read_link(machine.path("/usr/local/libexec/gotosocial/current")).unwrap(), PathBuf::from(version));
    machine.run(&["check"]).exits(0).says(&format!("gotosocial {version}"));
    let now = machine.run(&["rehearsal", "post", "counted"]);
    assert_eq!(now.code, 0);
    let database = fs::read(machine.path("/var/db/postgres/gotosocial")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("content"), database).unwrap();
    let found = gts_bootstrap::host::database::examine(&folder.path().join("content"), true).unwrap();
    assert_eq!(found.posts.unwrap_or_default().to_string(), posts);
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

fn secret_is_nowhere(machine: &Machine) {
    let secret = |text: &[u8]| String::from_utf8_lossy(text).contains("\"secret\"");
    for (path, (_, content)) in crate::machine::tree(&machine.root()) {
        let may = [".rehearsal", "usr/local/etc", "var/db/gts-bootstrap/replaced", "var/db/gts-bootstrap/written"];
        assert!(may.iter().any(|may| path.starts_with(may)) || !secret(&content), "{}", path.display());
    }
    assert!(!machine.exists(OPENED));
}

#[test]
fn there_and_back_and_there_again() {
    let machine = furnished();
    machine
        .run(&["upgrade", "--release", NEW, "--plan"])
        .exits(0)
        .says("gotosocial of PostgreSQL at 127.0.0.1")
        .says("dumped, and read back to see that it is whole");
    machine
        .run(UPGRADE)
        .exits(0)
        .says("was read back from there to see that it is whole")
        .says("110 migrations, 1 posts")
        .says("The instance was down for");
    let kept = ["postgres.dump", "database.json"].map(|name| machine.path(COPY).join(name));
    for path in kept {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    is_at(&machine, NEW, "2");
    machine.run(&["rollback", "--plan"]).exits(0).says("1 post (1 then, 2 now)");
    machine.run(ROLLBACK).exits(0).says("1 post (1 then, 2 now)");
    assert!(!machine.exists(COPY), "what was put back is no copy any more");
    is_at(&machine, "0.19.2", "2");
    // The way back from the way back, with the post that was lost.
    machine.run(ROLLBACK).exits(0);
    is_at(&machine, NEW, "3");
    secret_is_nowhere(&machine);
}

#[test]
fn a_failure_at_any_change_is_taken_back() {
    let start = furnished();
    let upgraded = start.copy();
    upgraded.run(UPGRADE).exits(0);
    for (name, original, command, serves) in
        [("upgrade", &start, UPGRADE, "0.19.2"), ("rollback", &upgraded, ROLLBACK, NEW)]
    {
        let before = original.system_files();
        let mut stops = 0;
        for after in 0.. {
            let machine = original.copy();
            fault(&machine, after, false, false);
            let outcome = machine.run(command);
            if outcome.code == 0 {
                break;
            }
            stops += 1;
            let outcome = outcome.exits(1);
            if outcome.said().contains("every change was made") {
                continue;
            }
            assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new(), "{name} after {after}: {}", outcome.said());
            assert!(!machine.exists(OPENED), "{name} after {after}");
            outcome.says(&format!("GoToSocial {serves} serves as before")).says("/@alice answers 200");
        }
        println!("{name} with PostgreSQL: {stops} failures, {stops} taken back");
        assert!(stops > 70, "only {stops} places to fail at");
    }
}

#[test]
fn a_migration_that_fails_or_is_killed_is_taken_back() {
    for killed in [false, true] {
        let machine = furnished();
        let before = machine.system_files();
        machine.edit(|model| {
            model.faults.migration_fails = !killed;
            model.faults.migration_is_killed = killed;
        });
        machine
            .run(UPGRADE)
            .exits(1)
            .says("`gotosocial migrations run` failed")
            .says("GoToSocial 0.19.2 serves as before");
        assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
        machine.edit(|model| {
            model.faults.migration_fails = false;
            model.faults.migration_is_killed = false;
        });
        machine.run(UPGRADE).exits(0);
        is_at(&machine, NEW, "2");
    }
}

#[test]
fn a_migration_that_outlives_the_program_is_waited_for() {
    let machine = furnished();
    machine.edit(|model| model.faults.migration_outlives = true);
    machine.run(UPGRADE).exits(1).says("the host is as it was").says("/@alice answers 200");
    assert_eq!(machine.model().migrating, None::<Migrating>);
}

#[test]
fn a_server_without_room_leaves_the_database_as_it_was() {
    let machine = furnished();
    machine.run(UPGRADE).exits(0);
    let before = machine.system_files();
    machine.edit(|model| model.faults.load_fails = true);
    machine
        .run(ROLLBACK)
        .exits(1)
        .says("psql failed: psql:load.sql:")
        .says("No space left on device")
        .says(&format!("GoToSocial {NEW} serves as before"));
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
}

/// Something is wrong; an upgrade and a backup say what, and the instance serves on.
fn refused(wrong: &str, spoil: impl Fn(&Machine), words: &[&str], stops_backup: bool) {
    let machine = furnished();
    spoil(&machine);
    let before = machine.system_files();
    let told = |outcome: Outcome| words.iter().fold(outcome.exits(1), |outcome, words| outcome.says(words));
    let outcome = told(machine.run(UPGRADE)).says("GoToSocial 0.19.2 serves as before");
    assert!(!outcome.said().contains("The instance was down"), "{wrong}: {}", outcome.said());
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new(), "{wrong}");
    if stops_backup {
        told(machine.run(&["backup", "--yes"]));
        assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new(), "{wrong}");
    }
    secret_is_nowhere(&machine);
}

#[test]
fn what_is_wrong_is_told_before_anything_stops() {
    let gone = |machine: &Machine| {
        for program in ["pg_dump", "pg_restore", "psql"] {
            fs::remove_file(machine.path("/usr/local/bin").join(program)).unwrap();
        }
    };
    refused("no programs", gone, &["cannot run /usr/local/bin/psql", "the package postgresqlNN-client"], true);
    let newer = |machine: &Machine| server(machine, |server| server.version = 170_002);
    let words =
        ["pg_dump is of version 16.10, and the server of version 17", "Install the package postgresql17-client"];
    refused("a newer server", newer, &words, true);
    let wrong = |machine: &Machine| machine.write(SECRETS, "db-password = \"wrong\"\n");
    refused("a wrong password", wrong, &["password authentication failed for user", "Set db-password"], true);
    let powerless = |machine: &Machine| server(machine, |server| server.may_create = false);
    refused(
        "no rights",
        powerless,
        &["may not create tables in it", "GRANT CREATE ON SCHEMA public TO gotosocial"],
        true,
    );
    let shared = |machine: &Machine| server(machine, |server| server.others = vec!["public.stats (grafana)".into()]);
    refused("another's table", shared, &["belongs to another role", "public.stats (grafana)"], true);
    let large = |machine: &Machine| server(machine, |server| server.bytes = 100 << 30);
    refused("no room", large, &["its tables take 102401 MiB", "make room and run this again"], true);
    let whole = |machine: &Machine| {
        machine.write(SECRETS, "db-password = \"secret\"\ndb-postgres-connection-string = \"postgres://x\"\n");
    };
    let machine = furnished();
    whole(&machine);
    machine.run(&["backup", "--yes"]).exits(1).says("may use another database than this one");
}

#[test]
fn a_server_that_is_down_is_told() {
    let machine = furnished();
    server(&machine, |server| server.running = false);
    machine.run(UPGRADE).exits(1).says("Connection refused").says("See on the server whether it runs");
    machine.run(&["backup", "--yes"]).exits(1).says("Connection refused");
}

#[test]
fn a_database_that_somebody_else_uses_is_left_alone() {
    let machine = furnished();
    let before = machine.system_files();
    server(&machine, |server| server.sessions = vec!["psql".into()]);
    machine.run(UPGRADE).exits(1).says("psql (user gotosocial, pid 4321) has it open").says("serves as before");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
    // A backup does not mind.
    machine.run(&["backup", "--yes"]).exits(0);
}

#[test]
fn a_copy_that_was_damaged_is_found_and_nothing_is_lost() {
    let machine = furnished();
    machine.run(UPGRADE).exits(0);
    let dump = machine.path(COPY).join("postgres.dump");
    let whole = fs::read(&dump).unwrap();
    fs::write(&dump, &whole[..whole.len() - 10]).unwrap();
    let before = machine.system_files();
    machine.run(ROLLBACK).exits(1).says("its digest differs").says(&format!("GoToSocial {NEW} serves as before"));
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
}

fn only_backup(machine: &Machine) -> PathBuf {
    let folder = fs::read_dir(machine.path("/var/backups/gotosocial")).unwrap();
    let mut found: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_backup_is_made_without_a_stop_and_put_back() {
    let machine = furnished();
    let started = machine.model().gotosocial.unwrap().program.unwrap().pid;
    machine.run(&["backup", "--yes"]).exits(0);
    assert_eq!(machine.model().gotosocial.unwrap().program.unwrap().pid, started, "it was not stopped");
    let file = only_backup(&machine);
    let head = backup::open(&mut fs::File::open(&file).unwrap()).unwrap().manifest.head;
    let state = head.state.unwrap();
    assert_eq!((state.migrations, state.posts), (110, Some(1)));
    let kept = machine.beside("kept.tar");
    fs::rename(&file, &kept).unwrap();
    machine.run(&["rehearsal", "post", "later"]).exits(0);
    machine.run(&["restore", "kept.tar", "--yes"]).exits(0).says("1 will be lost");
    is_at(&machine, "0.19.2", "2");
    secret_is_nowhere(&machine);
    // A newer release's tables are in nobody's way.
    machine.run(UPGRADE).exits(0);
    machine.run(&["restore", "kept.tar", "--yes"]).exits(0);
    is_at(&machine, "0.19.2", "2");
    // On a new host, with an empty database.
    let fresh = bare();
    fs::copy(&kept, fresh.beside("kept.tar")).unwrap();
    fresh.run(&["restore", "kept.tar", "--yes"]).exits(0);
    is_at(&fresh, "0.19.2", "2");
}

/// A dump is commands: a psql(1) that takes its own from it would run what somebody has written into a backup.
#[test]
fn a_dump_that_is_not_fenced_in_is_not_loaded() {
    let machine = furnished();
    machine.run(&["backup", "--yes"]).exits(0);
    fs::rename(only_backup(&machine), machine.beside("kept.tar")).unwrap();
    machine.run(&["rehearsal", "post", "later"]).exits(0);
    machine.edit(|model| *model.packages.get_mut("postgresql16-client").unwrap() = "16.9".into());
    let before = machine.system_files();
    let started = machine.model().gotosocial.unwrap().program.unwrap().pid;
    machine
        .run(&["restore", "kept.tar", "--yes"])
        .exits(1)
        .says("does not fence in those of psql(1)")
        .says("17.6 and later");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<PathBuf>::new());
    assert_eq!(machine.model().gotosocial.unwrap().program.unwrap().pid, started, "it was not stopped");
    machine.edit(|model| *model.packages.get_mut("postgresql16-client").unwrap() = "16.10".into());
    machine.run(&["restore", "kept.tar", "--yes"]).exits(0);
    is_at(&machine, "0.19.2", "2");
}

#[test]
fn a_failure_of_a_backup_or_a_restoration_at_any_change_is_taken_back() {
    let machine = furnished();
    machine.run(&["backup", "--yes"]).exits(0);
    fs::rename(only_backup(&machine), machine.path("/var/tmp/kept.tar")).unwrap();
    machine.run(&["rehearsal", "post", "later"]).exits(0);
    let before = machine.system_files();
    for command in [&["backup", "--yes"] as &[&str], &["restore", "root/var/tmp/kept.tar", "--yes"]] {
        let mut stops = 0;
        for after in 0.. {
            let machine = machine.copy();
            fault(&machine, after, false, false);
            let outcome = machine.run(command);
            if outcome.code == 0 {
                break;
            }
            stops += 1;
            if outcome.said().contains("every change was made") {
                continue;
            }
            assert_eq!(
                changed(&before, &machine),
                Vec::<PathBuf>::new(),
                "{command:?} after {after}: {}",
                outcome.said()
            );
            machine.run(&["check"]).exits(0);
        }
        println!("{} with PostgreSQL: {stops} failures, {stops} taken back", command[0]);
        assert!(stops > 20, "only {stops} places to fail at");
    }
}

fn hangs(machine: &Machine, program: &str) {
    machine.edit(|model| model.faults.hangs = Some(program.to_owned()));
}

#[test]
fn a_server_that_takes_connections_and_does_not_answer_holds_no_run_up() {
    let machine = furnished();
    for (program, name) in [("psql", "psql"), ("pg_dump --version", "pg_dump")] {
        hangs(&machine, program);
        for command in [&["backup", "--yes"][..], UPGRADE] {
            let said = machine
                .run(command)
                .exits(1)
                .says(&format!("/usr/local/bin/{name} failed: it had not ended after 90 s"));
            said.says("`service postgresql status`").does_not_say("pkg install");
        }
    }
    machine.edit(|model| model.faults.hangs = None);
    machine.run(&["backup", "--yes"]).exits(0);
    is_at(&machine, "0.19.2", "2");
}

/// Dumps and loads take as long as they take, and end within a second when somebody wants that.
#[test]
fn a_signal_ends_what_dumps_and_loads() {
    let furnished = furnished();
    furnished.run(&["backup", "--yes"]).exits(0);
    let file = only_backup(&furnished);
    let file = Path::new("/").join(file.strip_prefix(furnished.root()).unwrap());
    let restore = ["restore", file.to_str().unwrap(), "--yes"];
    for (program, command) in [
        // Not what asks for their versions.
        ("pg_dump --format=custom", &["backup", "--yes"][..]),
        ("pg_restore --no-owner", &["backup", "--yes"]),
        ("pg_dump --format=custom", UPGRADE),
        ("psql --file", &restore),
    ] {
        let machine = furnished.copy();
        hangs(&machine, program);
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(machine.root())
            .args(command)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !machine.exists(OPENED) {
            assert!(Instant::now() < until, "{program} {command:?} never begins");
            std::thread::sleep(Duration::from_millis(5));
        }
        // It hangs in the midst of the work that the folder is for.
        std::thread::sleep(Duration::from_secs(1));
        let told = Instant::now();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(told.elapsed() < Duration::from_secs(20), "{program} {command:?}: {:?}", told.elapsed());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            output.status.code() == Some(1) && said.contains("interrupted (SIGTERM)"),
            "{program} {command:?}: {said}"
        );
        assert!(!machine.exists(OPENED), "{said}");
        machine.edit(|model| model.faults.hangs = None);
        is_at(&machine, "0.19.2", "2");
    }
}
