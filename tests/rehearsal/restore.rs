//! Backups that are put back: on a fresh host, over a later state, and those that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use gts_bootstrap::backup;
use gts_bootstrap::change::digest;
use gts_bootstrap::host::rehearsal::{OutsideAnswer, Rehearsal};
use gts_bootstrap::host::{Entry, Group, Host, Observe, Owner, User};

use super::backup::{DATABASE, PICTURE, backups, instance, made, posts, runs};
use super::switch::{at_each_change, changed};
use crate::machine::{ANSWERS, Machine, Outcome};
use crate::settled::Classes;

const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";

/// A backup beside its machine, so that it outlives it.
fn kept(machine: &Machine) -> (tempfile::TempDir, PathBuf) {
    let made = made(machine);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(made.file_name().unwrap());
    fs::copy(made, &file).unwrap();
    (folder, file)
}

fn restore(machine: &Machine, file: &Path) -> Outcome {
    machine.run(&["restore", "--yes", file.to_str().unwrap()])
}

fn owner(machine: &Machine, path: &str) -> Owner {
    match Rehearsal::open(machine.root()).unwrap().entry(Path::new(path)).unwrap() {
        Some(Entry::File { owner, .. } | Entry::Directory { owner, .. }) => owner,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_fresh_host_becomes_the_same_instance() {
    let old = instance();
    old.write(CONFIG, &format!("# by hand\n{}", old.read(CONFIG)));
    old.run(&["filter", "deny", "203.0.113.0/24", "--yes"]).exits(0);
    let (_folder, file) = kept(&old);
    old.stop_service("gotosocial");

    let new = Machine::fresh();
    let shown = new.run(&["restore", "--plan", file.to_str().unwrap()]).exits(0);
    shown.says("Backup of social.example.org").says("1 post.").says("must never run at the same time");
    assert!(!new.exists("/usr/local/etc/gts-bootstrap"));
    restore(&new, &file).exits(0);
    assert!(runs(&new));
    assert_eq!(posts(&new), 1);
    for path in [
        CONFIG,
        CERTIFICATE,
        PICTURE,
        "/usr/local/etc/gts-bootstrap/deployment.toml",
        "/usr/local/etc/gts-bootstrap/deployment.lock",
        "/usr/local/etc/gts-bootstrap/filters.conf",
    ] {
        assert_eq!(new.read(path), old.read(path), "{path}");
    }
    new.stop_service("gotosocial");
    assert_eq!(digest(&fs::read(new.path(DATABASE)).unwrap()), digest(&fs::read(old.path(DATABASE)).unwrap()));
    new.run(&["install", "--yes"]).exits(0);
    new.run(&["install", "--yes"]).exits(0).says("Nothing to change");
    new.run(&["check"]).exits(0);
    // Edits are still edits: they are merged, not refused and not lost.
    new.run(&["install", "--yes", "--set", "config.instance-deliver-to-shared-inboxes=false"]).exits(0);
    assert!(new.read(CONFIG).contains("# by hand"));
    let left: Vec<_> = backups(&new).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_instance_that_still_answers_elsewhere_is_not_told_to_choose_another_name() {
    let (_folder, file) = kept(&instance());
    let new = Machine::with(|model| {
        let body = r#"{"links":[{"href":"https://social.example.org/nodeinfo/2.0"}]}"#.into();
        let answer = OutsideAnswer { body, ..Default::default() };
        model.outside.insert("https://social.example.org/.well-known/nodeinfo".into(), answer);
        model.dns.insert("social.example.org".into(), vec!["198.51.100.7".parse().unwrap()]);
    });
    let refused = restore(&new, &file).exits(1).says("stop it there for good").says("[GTSB-OTHER-SERVER]");
    refused.does_not_say("choose another host name");
    new.edit(|model| model.outside.clear());
    restore(&new, &file).exits(0);
}

#[test]
fn owners_go_by_name() {
    let (_folder, file) = kept(&instance());
    let new = Machine::fresh();
    let host = Rehearsal::open(new.root()).unwrap();
    host.add_group(&Group { name: "gotosocial".into(), gid: 1209 }).unwrap();
    let user = User {
        name: "gotosocial".into(),
        uid: 1209,
        gid: 1209,
        gecos: String::new(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    host.add_user(&user).unwrap();
    drop(host);
    restore(&new, &file).exits(0);
    for path in [DATABASE, PICTURE, CERTIFICATE] {
        assert_eq!(owner(&new, path), Owner { uid: 1209, gid: 1209 }, "{path}");
    }
    assert_eq!(owner(&new, CONFIG), Owner { uid: 0, gid: 1209 });
}

#[test]
fn behind_a_web_server_it_comes_back_behind_one() {
    let old = instance();
    old.run(&["switch-to-proxy", "--yes"]).exits(0);
    let (_folder, file) = kept(&old);
    // Later, as it has to be: before that the certificate is not valid yet.
    let later = old.model().clock + 3600;
    let new = Machine::with(|model| model.clock = later);
    restore(&new, &file).exits(0);
    new.run(&["check"]).exits(0).says("listens 443: nginx");
    assert_eq!(posts(&new), 1);
    let certificate = "/usr/local/etc/gts-bootstrap/tls/social.example.org.pem";
    assert_eq!(new.read(certificate), old.read(certificate), "none was ordered anew");
    new.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn a_later_state_goes_and_is_kept_aside() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    fs::remove_file(&backups(&machine)[0]).unwrap();
    machine.run(&["rehearsal", "post", "too much said"]).exits(0);
    fs::remove_file(machine.path(PICTURE)).unwrap();
    machine.write(
        "/var/db/gotosocial/storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X8.png",
        "later",
    );
    machine.write(CONFIG, &format!("{}# since then\n", machine.read(CONFIG)));
    restore(&machine, &file).exits(0).says("has 1 post and this instance has 2 now: 1 will be lost").says("is kept in");
    assert!(runs(&machine));
    assert_eq!(posts(&machine), 1);
    assert_eq!(machine.read(PICTURE), "not much of a picture");
    assert!(machine.exists(
        "/var/db/gotosocial/storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X8.png"
    ));
    assert!(machine.read(CONFIG).contains("# since then"), "settings stay as they are");
    let left = backups(&machine);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].file_name().unwrap().to_str().unwrap().starts_with("before-restore-2026"), "{left:?}");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(left[0].join("sqlite.db"), folder.path().join("sqlite.db")).unwrap();
    let state = gts_bootstrap::host::database::examine(&folder.path().join("sqlite.db"), true).unwrap();
    assert_eq!(state.posts, Some(2));
    machine.run(&["check"]).exits(0);
}

#[test]
fn a_stopped_instance_is_counted_too_and_a_changed_picture_kept() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    machine.run(&["rehearsal", "post", "too much said"]).exits(0);
    machine.stop_service("gotosocial");
    machine.write(PICTURE, "another picture");
    restore(&machine, &file).exits(0).says("1 will be lost").says("differs from the backup");
    assert_eq!(machine.read(PICTURE), "not much of a picture");
    assert_eq!(machine.read(&format!("{PICTURE}.before-restore")), "another picture");
    assert_eq!((posts(&machine), runs(&machine)), (1, true));
    // A medium with a second name is not read, so it differs.
    let service = Owner { uid: 209, gid: 209 };
    let host = Rehearsal::open(machine.root()).unwrap();
    host.make_directory(Path::new(PICTURE).parent().unwrap(), 0o750, service).unwrap();
    drop(host);
    fs::hard_link(machine.path(PICTURE), machine.path("/var/db/other")).unwrap();
    restore(&machine, &file).exits(0).says("differs from the backup");
    assert_eq!(machine.read(PICTURE), "not much of a picture");
    assert_eq!(machine.read(&format!("{PICTURE}.before-restore")), "not much of a picture", "instead of the first");
}

#[test]
fn the_release_goes_back_with_the_database() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(0);
    restore(&machine, &file).exits(0);
    assert_eq!(fs::read_link(machine.path("/usr/local/libexec/gotosocial/current")).unwrap(), Path::new("0.19.2"));
    assert!(machine.read("/usr/local/etc/gts-bootstrap/deployment.toml").contains("version = \"0.19.2\""));
    machine.run(&["check"]).exits(0);
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn another_host_name_is_refused() {
    let (_folder, file) = kept(&instance());
    let other = Machine::installed(&ANSWERS.replace("social.example.org", "other.example.org"));
    let before = other.copy();
    restore(&other, &file).exits(1).says("the backup is of social.example.org, and this host is other.example.org");
    assert!(changed(&before, &other).is_empty());
}

#[test]
fn a_flipped_byte_anywhere_is_refused() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    let whole = fs::read(&file).unwrap();
    let opened = backup::open(&mut fs::File::open(&file).unwrap()).unwrap();
    let mut at = 512 + (opened_length(&whole)).div_ceil(512) * 512;
    for entry in &opened.manifest.entries {
        at += 512;
        if entry.size > 0 {
            let mut bytes = whole.clone();
            bytes[at + usize::try_from(entry.size).unwrap() / 2] ^= 1;
            fs::write(&file, &bytes).unwrap();
            restore(&machine, &file).exits(1).says(&format!("the member \"{}\" is damaged", entry.path));
        }
        at += usize::try_from(entry.size).unwrap().div_ceil(512) * 512;
    }
    for length in [0, 100, 512, whole.len() / 2, whole.len() - 1024, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        restore(&machine, &file).exits(1);
    }
    fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
    restore(&machine, &file).exits(1).says("it was truncated, or something was added");
    restore(&machine, Path::new("/nonexistent/x.tar")).exits(1).says("it cannot be read");
    fs::write(&file, &whole).unwrap();
    restore(&machine, &file).exits(0);
}

/// The room of the manifest, out of the header's field of the size.
fn opened_length(bytes: &[u8]) -> usize {
    let digits = std::str::from_utf8(&bytes[124..135]).unwrap();
    usize::from_str_radix(digits, 8).unwrap()
}

/// One of each schema is kept, as the first program that wrote it did, with all that it took: an editor's copy of the answers, and a
/// medium that an earlier restoration has set aside.
#[test]
fn backups_of_earlier_programs_are_restored() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/backups");
    let schemas: Vec<u32> = (1..=backup::manifest::SCHEMA).collect();
    for schema in schemas {
        let packed = fs::File::open(folder.join(format!("{schema}.tar.gz"))).unwrap();
        let new = Machine::with(|model| model.clock += 3600);
        let file = new.beside("old.tar");
        std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut fs::File::create(&file).unwrap()).unwrap();
        let told = restore(&new, &file).exits(0).says("4 files of the backup will not be restored");
        told.says("records/deployment.toml~ (it has no name that").says("G1X7.png.before-restore (it has no name that");
        assert_eq!((posts(&new), runs(&new)), (1, true));
        assert_eq!(new.read(PICTURE), "picture\n");
        assert!(new.read("/usr/local/etc/gts-bootstrap/filters/drop.list").contains("203.0.113.0/24"));
        new.run(&["check"]).exits(0).says("listens 443: nginx");
        new.run(&["install", "--yes"]).exits(0).says("Nothing to change");
    }
}

#[test]
fn a_newer_manifest_is_refused_by_name() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    let bytes = fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&bytes[512..1024]).replace("\"schema\":1,", "\"schema\":9,");
    let mut newer = bytes.clone();
    newer[512..1024].copy_from_slice(text.as_bytes());
    fs::write(&file, newer).unwrap();
    restore(&machine, &file).exits(1).says("made by a newer gts-bootstrap (manifest of schema 9");
}

#[test]
fn a_failure_at_any_change_leaves_the_instance_of_now() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    fs::remove_file(&backups(&machine)[0]).unwrap();
    machine.run(&["rehearsal", "post", "too much said"]).exits(0);
    fs::remove_file(machine.path(PICTURE)).unwrap();
    let command = ["restore", "--yes", file.to_str().unwrap()];
    let stops = at_each_change(&machine, &command, (false, false), |machine, after, outcome| {
        if outcome.code == 0 || outcome.said().contains("every change was made") {
            // The one after the last, or the last line of the record, when all is done.
            return;
        }
        let said = outcome.exits(1).said();
        assert_eq!((posts(machine), runs(machine)), (2, true), "after {after}: {said}");
        assert!(!machine.exists(PICTURE), "after {after}");
        assert!(backups(machine).is_empty(), "after {after}: {:?} {said}", backups(machine));
        machine.run(&["check"]).exits(0);
    });
    println!("restore: {stops} failures, {stops} taken back");
    assert!(stops > 30, "only {stops} places to fail at");
}

#[test]
fn a_fresh_host_is_as_it_was_after_a_failure_and_whole_after_a_stop() {
    let (_folder, file) = kept(&instance());
    let fresh = Machine::fresh();
    let command = ["restore", "--yes", file.to_str().unwrap()];
    let stops = at_each_change(&fresh, &command, (false, false), |machine, after, outcome| {
        if outcome.code == 0 || outcome.said().contains("every change was made") {
            // The one after the last, or the last line of the record, when all is done.
            return;
        }
        let said = outcome.exits(1).said();
        let left: Vec<PathBuf> = changed(&fresh, machine)
            .into_iter()
            // What GoToSocial itself has written stays, as after an installation that failed.
            .filter(|path| !path.starts_with("var/db/gotosocial") && !path.starts_with("usr/local"))
            .collect();
        assert!(left.is_empty(), "after {after}: {left:?} {said}");
        assert!(!machine.exists(DATABASE) && !machine.exists(PICTURE), "after {after}: {said}");
    });
    println!("restore on a fresh host: {stops} failures, {stops} taken back");
    assert!(stops > 60, "only {stops} places to fail at");
    let mut classes = Classes::default();
    let stops = at_each_change(&fresh, &command, (true, true), |machine, after, _| {
        if !classes.is_new(machine) {
            return;
        }
        machine.run(&command).exits(0);
        assert_eq!((posts(machine), runs(machine)), (1, true), "after {after}");
        assert_eq!(machine.read(PICTURE), "not much of a picture", "after {after}");
    });
    println!("restore on a fresh host: {stops} stops, {stops} recovered");
}

#[test]
fn a_boot_in_between_starts_no_release_on_the_database_of_another() {
    let machine = instance();
    let (_folder, file) = kept(&machine);
    machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(0);
    let command = ["restore", "--yes", file.to_str().unwrap()];
    let link = |machine: &Machine| fs::read_link(machine.path("/usr/local/libexec/gotosocial/current")).unwrap();
    let (mut down, mut classes) = (0, Classes::default());
    let stops = at_each_change(&machine, &command, (true, true), |machine, after, _| {
        machine.run(&["rehearsal", "reboot"]).exits(0);
        let served = runs(machine);
        down += u32::from(!served);
        if served {
            let folder = tempfile::tempdir().unwrap();
            let log = machine.path(&format!("{DATABASE}-wal"));
            let is_used = log.metadata().is_ok_and(|log| log.len() > 0);
            fs::copy(if is_used { log } else { machine.path(DATABASE) }, folder.path().join("db")).unwrap();
            let migrations =
                gts_bootstrap::host::database::examine(&folder.path().join("db"), false).unwrap().migrations;
            let fits = if link(machine) == Path::new("0.19.2") { 110 } else { 118 };
            assert_eq!(migrations, fits, "after {after}");
        }
        if !classes.is_new(machine) {
            return;
        }
        machine.run(&command).exits(0);
        assert_eq!((posts(machine), runs(machine), link(machine)), (1, true, "0.19.2".into()), "after {after}");
    });
    println!("restore of an older release: {stops} power cuts, {down} left to the next run");
    assert!(down > 3 && stops > 30, "{down} of {stops}");
}
