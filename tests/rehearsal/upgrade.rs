//! `upgrade` and `rollback`, and a failure at every change of theirs. `tests/crash/` stops them at every operation.

use std::path::PathBuf;

use gts_bootstrap::host::rehearsal::{ChangeFault, Migrating, Rehearsal};

use crate::machine::{ANSWERS, Machine, Outcome, differences};

const NEW: &str = "0.20.0-rc1";
const CURRENT: &str = "/usr/local/libexec/gotosocial/current";
const COPY: &str = "/var/backups/gotosocial/0.19.2-to-0.20.0-rc1";

fn answers(version: &str) -> String {
    format!("{}\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n", ANSWERS.replace("0.19.2", version))
}

/// A machine on which alice has written a post. The database is complete: what was in the log got into it.
pub fn furnished(version: &str) -> Machine {
    Machine::prepared(&format!("{version}, with a post"), || {
        let machine = Machine::installed(&answers(version));
        machine.run(&["rehearsal", "post", "hello"]).exits(0);
        machine.stop_service("gotosocial");
        machine.start_service("gotosocial");
        machine
    })
}

pub fn upgrade(machine: &Machine) -> Outcome {
    machine.run(&["upgrade", "--release", NEW, "--yes"])
}

fn rollback(machine: &Machine) -> Outcome {
    machine.run(&["rollback", "--yes"])
}

fn fault(machine: &Machine, after: u32, takes_effect: bool, lasting: bool) {
    machine.edit(|model| model.faults.change = Some(ChangeFault { after, takes_effect, lasting, errno: 5 }));
}

fn heal(machine: &Machine) {
    machine.edit(|model| model.faults.change = None);
}

#[track_caller]
fn is_at(machine: &Machine, version: &str, posts: usize) {
    let current = std::fs::read_link(machine.path(CURRENT)).unwrap();
    assert_eq!(current, PathBuf::from(version));
    let lock = machine.read("/usr/local/etc/gts-bootstrap/deployment.lock");
    assert!(lock.contains(&format!("version = \"{version}\"")), "{lock}");
    assert_eq!(machine.posts(), posts);
    machine.run(&["check"]).exits(0).says(&format!("gotosocial {version}"));
    assert!(machine.read("/etc/rc.conf").contains("gotosocial_enable=\"YES\""));
    machine.install_is_content();
}

/// Paths with times, pids or the state of the kernel in them.
fn passing(path: &std::path::Path) -> bool {
    ["var/log", "var/run", "var/db/gotosocial/storage/certs"].iter().any(|own| path.starts_with(own))
        || path.ends_with("database.json")
}

pub fn changed(before: &Files, machine: &Machine) -> Vec<PathBuf> {
    differences(before, &machine.system_files()).into_iter().filter(|path| !passing(path)).collect()
}

type Files = std::collections::BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl Machine {
    /// How many posts the database holds that runs.
    fn posts(&self) -> usize {
        let host = Rehearsal::open(self.root()).unwrap();
        let address = Some("127.0.0.1:443".parse().unwrap());
        let request = gts_bootstrap::host::WebRequest {
            tls: true,
            host: "social.example.org".into(),
            address,
            path: "/api/v1/instance".into(),
            carries: Default::default(),
            verify: false,
            timeout: std::time::Duration::from_secs(1),
        };
        let answer = gts_bootstrap::host::Observe::web(&host, &request).unwrap();
        let instance: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        usize::try_from(instance["stats"]["status_count"].as_u64().unwrap()).unwrap()
    }

    #[track_caller]
    fn install_is_content(&self) {
        self.run(&["install", "--yes"]).exits(0).says("Nothing to change");
    }
}

#[test]
fn there_and_back_and_there_again() {
    let machine = furnished("0.19.2");
    upgrade(&machine)
        .exits(0)
        .says("From the release notes of 0.20.0-rc1")
        .says("do not interrupt migrations")
        .says("110 migrations, 1 posts")
        .says("The instance was down for");
    is_at(&machine, NEW, 1);
    machine.run(&["rehearsal", "post", "written after it"]).exits(0);
    machine.run(&["rollback", "--plan"]).exits(0).says("1 post (1 then, 2 now)").says("Other servers keep");
    rollback(&machine).exits(0).says("1 post (1 then, 2 now)");
    is_at(&machine, "0.19.2", 1);
    assert!(!machine.exists(COPY), "what was put back is no copy any more");
    // The way back from the way back.
    rollback(&machine).exits(0);
    is_at(&machine, NEW, 2);
    rollback(&machine).exits(0);
    upgrade(&machine).exits(0);
    is_at(&machine, NEW, 1);
}

#[test]
fn a_small_step_needs_no_command() {
    let machine = furnished("0.19.1");
    // Its first start takes longer than anybody waits for an installation.
    machine.edit(|model| model.faults.polls_until_ready = 3000);
    let outcome = machine.run(&["upgrade", "--yes", "--json"]).exits(0);
    let json = outcome.json();
    assert_eq!((&json["from"], &json["to"]), (&"0.19.1".into(), &"0.19.2".into()), "{json}");
    assert!(json["down_seconds"].as_u64().unwrap() >= 6000, "{json}");
    assert!(json["notes"][0]["text"].as_str().unwrap().contains("notes of 0.19.2"), "{json}");
    machine.edit(|model| model.faults.polls_until_ready = 0);
    is_at(&machine, "0.19.2", 1);
    machine.run(&["upgrade", "--yes"]).exits(0).says("nothing to upgrade to");
    rollback(&machine).exits(0);
    is_at(&machine, "0.19.1", 1);
}

#[test]
fn a_failure_at_any_change_is_taken_back() {
    let mut stops = 0;
    let original = furnished("0.19.2");
    let before = original.system_files();
    for after in 0.. {
        let machine = original.copy();
        fault(&machine, after, false, false);
        let outcome = upgrade(&machine);
        if outcome.code == 0 {
            break;
        }
        stops += 1;
        let outcome = outcome.exits(1);
        heal(&machine);
        if outcome.said().contains("every change was made") {
            // Whether the last line of the journal was written or not: there is no change left to be made.
            let again = machine.run(&["upgrade", "--release", NEW, "--yes"]).exits(0).said();
            let done = ["Nothing to change", "there is nothing to upgrade to"];
            assert!(done.iter().any(|words| again.contains(words)), "after {after}: {again}");
            is_at(&machine, NEW, 1);
            continue;
        }
        assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new(), "after {after}: {}", outcome.said());
        outcome.says("GoToSocial 0.19.2 serves as before").says("/@alice answers 200");
    }
    println!("upgrade: {stops} failures, {stops} taken back");
    assert!(stops > 50, "only {stops} places to fail at");
}

#[test]
fn nobody_is_told_to_run_a_rollback_again_that_was_complete() {
    let original = furnished("0.19.2");
    upgrade(&original).exits(0);
    let mut told = 0;
    // From where little but the tidying is left.
    for after in 50.. {
        let machine = original.copy();
        fault(&machine, after, true, true);
        rollback(&machine);
        // What is not tidied is no failure: only a fault that was not met tells the end.
        if machine.model().faults.change.is_some_and(|fault| fault.after > 0) {
            break;
        }
        heal(&machine);
        let said = machine.run(&["portacl", "grant", "www", "81", "--yes"]).said();
        if said.contains("another `gts-bootstrap rollback` would undo it") {
            told += 1;
            assert!(!said.contains("to finish it"), "after {after}: {said}");
            is_at(&machine, "0.19.2", 1);
        }
    }
    assert!(told > 0, "no stop was in the tidying");
}

#[test]
fn a_failure_of_a_rollback_at_any_change_is_taken_back() {
    let mut stops = 0;
    let original = furnished("0.19.2");
    upgrade(&original).exits(0);
    let before = original.system_files();
    for after in 0.. {
        let machine = original.copy();
        fault(&machine, after, false, false);
        let outcome = rollback(&machine);
        if outcome.code == 0 {
            break;
        }
        stops += 1;
        let outcome = outcome.exits(1);
        heal(&machine);
        if outcome.said().contains("every change was made") {
            continue;
        }
        assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new(), "after {after}: {}", outcome.said());
        outcome.says(&format!("GoToSocial {NEW} serves as before")).says("/@alice answers 200");
    }
    println!("rollback: {stops} failures, {stops} taken back");
    assert!(stops > 50, "only {stops} places to fail at");
}

#[test]
fn a_migration_that_fails_is_taken_back_and_can_be_tried_again() {
    for killed in [false, true] {
        let machine = furnished("0.19.2");
        let before = machine.system_files();
        machine.edit(|model| {
            model.faults.migration_fails = !killed;
            model.faults.migration_is_killed = killed;
        });
        upgrade(&machine)
            .exits(1)
            .says("`gotosocial migrations run` failed")
            .says(if killed { "(it was killed), and has said nothing" } else { "disk I/O error" })
            .says("the host is as it was")
            .says("nodeinfo: gotosocial 0.19.2")
            .says("/@alice answers 200")
            .says("The instance was down for");
        assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
        machine.edit(|model| {
            model.faults.migration_fails = false;
            model.faults.migration_is_killed = false;
        });
        upgrade(&machine).exits(0);
        is_at(&machine, NEW, 1);
    }
}

#[test]
fn a_migration_that_takes_long_is_told_of_and_waited_for() {
    let machine = furnished("0.19.2");
    machine.edit(|model| model.faults.polls_while_migrating = 3600);
    let outcome = upgrade(&machine).exits(0).says("the database is being migrated (10 s): migrating");
    assert!(outcome.said().contains("The instance was down for 2 h"), "{}", outcome.said());
    is_at(&machine, NEW, 1);
}

#[test]
fn a_migration_that_outlives_the_program_is_waited_for() {
    let machine = furnished("0.19.2");
    machine.edit(|model| model.faults.migration_outlives = true);
    // It fails for this run, which waits for its end before it puts the copy back.
    upgrade(&machine).exits(1).says("the host is as it was").says("/@alice answers 200");
    assert_eq!(machine.model().migrating, None);
    machine.edit(|model| model.faults.migration_outlives = false);
    // And one that is there when the next run begins.
    let place = place_of_the_migration(&machine);
    let crashed = machine.copy();
    fault(&crashed, place, true, true);
    assert_ne!(upgrade(&crashed).code, 0);
    heal(&crashed);
    crashed.edit(|model| {
        let (pid, database, ends_at) = (4711, "/var/db/gotosocial/sqlite.db".into(), model.clock + 100);
        model.migrating = Some(Migrating { pid, user: "gotosocial".into(), database, ends_at });
    });
    upgrade(&crashed)
        .exits(0)
        .says("its migration of the database continues: gotosocial (user gotosocial, pid 4711)")
        .says("Waiting for its end");
    is_at(&crashed, NEW, 1);
}

/// After how many changes the migration comes.
fn place_of_the_migration(machine: &Machine) -> u32 {
    // It is not among the first.
    for after in 30.. {
        let tried = machine.copy();
        fault(&tried, after, false, true);
        assert_ne!(upgrade(&tried).code, 0, "there is no migration");
        let journal = tried.read("/var/db/gts-bootstrap/journal");
        let last = journal.lines().last().unwrap_or_default();
        if last.contains("\"kind\":\"migration\"") && !last.contains("done") {
            return after;
        }
    }
    unreachable!("a loop without end")
}

#[test]
fn nothing_else_is_done_before_an_upgrade_that_was_cut_off_is_finished() {
    let machine = furnished("0.19.2");
    let place = place_of_the_migration(&machine);
    fault(&machine, place, true, true);
    assert_ne!(upgrade(&machine).code, 0);
    heal(&machine);
    Rehearsal::open(machine.root()).unwrap().cut_power().unwrap();
    assert_eq!(machine.model().gotosocial, None, "a boot does not start the new release on that database");
    machine.run(&["install", "--yes"]).exits(1).says("a `gts-bootstrap upgrade` was interrupted");
    let back = machine.copy();
    rollback(&back).exits(0);
    is_at(&back, "0.19.2", 1);
    machine.run(&["upgrade", "--yes"]).exits(0);
    is_at(&machine, NEW, 1);
}

#[test]
fn an_upgrade_that_goes_on_and_fails_can_be_tried_again_or_rolled_back() {
    let machine = furnished("0.19.2");
    let place = place_of_the_migration(&machine);
    fault(&machine, place, true, true);
    assert_ne!(upgrade(&machine).code, 0);
    heal(&machine);
    machine.edit(|model| model.faults.migration_fails = true);
    machine.run(&["upgrade", "--yes"]).exits(1).says("disk I/O error");
    machine.run(&["install", "--yes"]).exits(1).says("a `gts-bootstrap upgrade` was interrupted");
    machine.edit(|model| model.faults.migration_fails = false);
    let back = machine.copy();
    rollback(&back).exits(0);
    is_at(&back, "0.19.2", 1);
    machine.run(&["upgrade", "--yes"]).exits(0);
    is_at(&machine, NEW, 1);
}

#[test]
fn a_rollback_that_was_cut_off_is_finished_by_none_but_itself() {
    let original = furnished("0.19.2");
    upgrade(&original).exits(0);
    for after in 20.. {
        let machine = original.copy();
        fault(&machine, after, true, true);
        assert_ne!(rollback(&machine).code, 0, "it never gets past the link");
        heal(&machine);
        Rehearsal::open(machine.root()).unwrap().cut_power().unwrap();
        let outcome = machine.run(&["upgrade", "--yes"]);
        // Up to the link it is taken back.
        if std::fs::read_link(machine.path(CURRENT)).unwrap() == std::path::Path::new(NEW) {
            continue;
        }
        outcome.exits(1).says("a `gts-bootstrap rollback` was interrupted");
        rollback(&machine).exits(0);
        return is_at(&machine, "0.19.2", 1);
    }
}

#[test]
fn a_release_that_dies_or_fails_its_checks_is_taken_back() {
    let machine = furnished("0.19.2");
    let before = machine.system_files();
    machine.edit(|model| model.faults.version_dies = Some(NEW.into()));
    upgrade(&machine).exits(1).says("was started and died").says("GoToSocial 0.19.2 serves as before");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
    let machine = furnished("0.19.1");
    let before = machine.system_files();
    machine.edit(|model| model.faults.version_dies = Some("0.19.2".into()));
    machine.run(&["upgrade", "--yes"]).exits(1).says("GoToSocial 0.19.1 serves as before");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
    let json = machine.run(&["upgrade", "--yes", "--json"]).exits(1).json();
    assert_eq!(json["serves"], true, "{json}");
    // What nobody can answer to is not taken for an answer.
    machine.edit(|model| {
        model.faults.version_dies = None;
        model.faults.web_status.insert("https/@alice".into(), 500);
    });
    machine
        .run(&["upgrade", "--yes"])
        .exits(1)
        .says("/@alice answers 500: program and database do not fit together")
        .says("GoToSocial 0.19.1 does NOT serve as before");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
}

#[test]
fn keys_that_the_new_release_does_not_know_are_named() {
    let answers =
        format!("{}\n[config]\ninstance-expose-suspended = true\ntracing-endpoint = \"x\"\n", answers("0.19.2"));
    let machine = Machine::installed(&answers);
    machine
        .run(&["upgrade", "--release", NEW, "--plan"])
        .exits(0)
        .says("instance-expose-suspended: GoToSocial 0.20.0-rc1 does not know it")
        .says("it is called `instance-expose-blocklist` now");
    upgrade(&machine)
        .exits(0)
        .says("does not know `instance-expose-suspended` and will ignore it; it is called `instance-expose-blocklist` now")
        .says("does not know `tracing-endpoint`");
}

#[test]
fn another_version_is_for_upgrade_and_rollback_alone() {
    let machine = furnished("0.19.2");
    let before = machine.system_files();
    machine
        .install(&answers(NEW))
        .exits(1)
        .says("`gts-bootstrap upgrade --release 0.20.0-rc1` copies the database first");
    machine.install(&answers("0.19.1")).exits(1).says("`gts-bootstrap rollback` rolls back");
    machine.run(&["upgrade", "--release", "0.19.1", "--yes"]).exits(1).says("0.19.1 is older").says("rollback");
    machine.run(&["upgrade", "--release", "nonsense", "--yes"]).exits(2);
    machine.run(&["upgrade", "--keep", "0", "--yes"]).exits(2);
    machine.run(&["upgrade", "--yes"]).exits(0).says("nothing to upgrade to");
    rollback(&machine).exits(1).says("there is no copy of a database from before GoToSocial 0.19.2");
    machine.run(&["upgrade", "--release", NEW]).exits(4).says("no terminal to ask on");
    machine.run(&["upgrade", "--release", NEW, "--plan"]).exits(0).says("nothing was changed");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
    let fresh = Machine::fresh();
    fresh.run(&["upgrade", "--yes"]).exits(1).says("was not installed here by gts-bootstrap");
    rollback(&fresh).exits(1).says("was not installed here by gts-bootstrap");
}

#[test]
fn a_pinned_digest_does_not_go_over_to_another_release() {
    let machine = furnished("0.19.2");
    let lock = machine.read("/usr/local/etc/gts-bootstrap/deployment.lock");
    let digest =
        lock.lines().find_map(|line| line.strip_prefix("sha256 = \"")).unwrap().trim_end_matches('"').to_owned();
    let pinned =
        answers("0.19.2").replace("version = \"0.19.2\"", &format!("version = \"0.19.2\"\nsha256 = \"{digest}\""));
    machine.install(&pinned).exits(0);
    upgrade(&machine).exits(2).says("pin the SHA-256 of GoToSocial 0.19.2");
    let wrong = "0".repeat(64);
    machine.run(&["upgrade", "--release", NEW, "--yes", "--sha256", &wrong]).exits(1);
    is_at(&machine, "0.19.2", 1);
}

#[test]
fn there_must_be_room_for_the_copy() {
    let machine = furnished("0.19.2");
    let database = machine.path("/var/db/gotosocial/sqlite.db");
    std::fs::File::options().write(true).open(database).unwrap().set_len(30 << 30).unwrap();
    upgrade(&machine).exits(1).says("the database is copied first").says("make room");
}

#[test]
fn a_damaged_database_is_found_before_anything_rests_on_it() {
    let machine = furnished("0.19.2");
    let host = Rehearsal::open(machine.root()).unwrap();
    gts_bootstrap::host::Host::service_action(&host, "gotosocial", gts_bootstrap::host::ServiceAction::Stop).unwrap();
    let path = machine.path("/var/db/gotosocial/sqlite.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[length - 4096..].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let before = machine.system_files();
    upgrade(&machine).exits(1).says("create database /var/backups/gotosocial");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
}

#[test]
fn as_many_old_releases_are_kept_as_is_said() {
    let machine = furnished("0.18.1");
    let upgrade =
        |version: &str, keep: &str| machine.run(&["upgrade", "--release", version, "--keep", keep, "--yes"]).exits(0);
    let releases = || {
        let folder = std::fs::read_dir(machine.path("/usr/local/libexec/gotosocial")).unwrap();
        let mut names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "current");
        names.sort();
        names
    };
    let copies = || {
        let folder = std::fs::read_dir(machine.path("/var/backups/gotosocial")).unwrap();
        let mut names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    upgrade("0.18.2", "2");
    upgrade("0.19.1", "2");
    assert_eq!(releases(), ["0.18.1", "0.18.2", "0.19.1"]);
    upgrade("0.19.2", "2").says("No longer needed, and removed");
    assert_eq!(releases(), ["0.18.2", "0.19.1", "0.19.2"]);
    assert_eq!(copies(), ["0.18.2-to-0.19.1", "0.19.1-to-0.19.2"]);
    upgrade(NEW, "1");
    assert_eq!(releases(), ["0.19.2", NEW]);
    assert_eq!(copies(), [format!("0.19.2-to-{NEW}")]);
    rollback(&machine).exits(0);
    is_at(&machine, "0.19.2", 1);
}

#[test]
fn an_upgrade_behind_a_web_server() {
    let answers = format!("{}\n[exposure]\nmode = \"nginx\"\n", answers("0.19.2"));
    let machine = Machine::fresh();
    machine.install(&answers).exits(0);
    upgrade(&machine).exits(0).says("The instance was down for");
    machine.run(&["check"]).exits(0).says(&format!("gotosocial {NEW}"));
    rollback(&machine).exits(0);
    machine.run(&["check"]).exits(0).says("gotosocial 0.19.2");
}
