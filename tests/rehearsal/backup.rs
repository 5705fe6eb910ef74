//! Backups: what is in one, and what happens where one fails or is cut off.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gts_bootstrap::backup::{self, Manifest};
use gts_bootstrap::change::digest;
use gts_bootstrap::host::database::examine;

use super::switch::at_each_change;
use crate::machine::{ANSWERS, Machine};

pub const FOLDER: &str = "/var/backups/gotosocial";
pub const DATABASE: &str = "/var/db/gotosocial/sqlite.db";
pub const STORAGE: &str = "/var/db/gotosocial/storage";
pub const PICTURE: &str =
    "/var/db/gotosocial/storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.png";
const BACKUP: &[&str] = &["backup", "--yes"];

/// An instance with a post and a picture.
pub fn instance() -> Machine {
    let machine = Machine::after(ANSWERS, &[&["check"], &["rehearsal", "post", "hello"]]);
    machine.write(PICTURE, "not much of a picture");
    machine
}

/// Everything in the folder with backups.
pub fn backups(machine: &Machine) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(machine.path(FOLDER)) else { return Vec::new() };
    let mut names: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// Makes a backup, which is the only one.
pub fn made(machine: &Machine) -> PathBuf {
    machine.run(BACKUP).exits(0);
    let found = backups(machine);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// The members behind the manifest, as tar(1) sees them.
fn members(file: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    };
    let all: Vec<_> = archive.entries().unwrap().map(read).collect();
    assert_eq!(all[0].0, "manifest.json", "it is the first");
    all
}

fn manifest(file: &Path) -> Manifest {
    backup::open(&mut fs::File::open(file).unwrap()).unwrap().manifest
}

/// How many posts a database has, its log taken in.
pub fn posts(machine: &Machine) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let from = machine.path(&format!("{DATABASE}{suffix}"));
        if from.exists() {
            fs::copy(from, folder.path().join(format!("sqlite.db{suffix}"))).unwrap();
        }
    }
    // The model's log is a whole image, which stands for the database as soon as there is something in it.
    let log = folder.path().join("sqlite.db-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        fs::rename(log, folder.path().join("sqlite.db")).unwrap();
    }
    examine(&folder.path().join("sqlite.db"), true).unwrap().posts.unwrap_or_default()
}

pub fn runs(machine: &Machine) -> bool {
    machine.model().gotosocial.is_some_and(|supervisor| supervisor.program.is_some())
}

#[test]
fn what_was_written_a_moment_ago_is_in_it() {
    let machine = instance();
    let alone = tempfile::tempdir().unwrap();
    fs::copy(machine.path(DATABASE), alone.path().join("sqlite.db")).unwrap();
    let naive = examine(&alone.path().join("sqlite.db"), true).unwrap();
    assert_eq!(
        (naive.posts, naive.damage),
        (Some(0), None),
        "a copy of the live file has lost the post, and looks whole"
    );

    let told = machine.run(&["backup", "--yes", "--json"]).exits(0);
    let json = told.json();
    assert_eq!((&json["changed"], &json["media"], &json["database"]["posts"]), (&true.into(), &true.into(), &1.into()));
    assert!(json["refused_ms"].as_u64().is_some_and(|pause| pause > 0), "{json}");
    let file = backups(&machine).pop().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("social.example.org-0.19.2-2026") && name.ends_with("Z.tar"), "{name}");

    let (manifest, members) = (manifest(&file), members(&file));
    let listed: Vec<_> = manifest.entries.iter().map(|entry| (entry.path.clone(), entry.sha256.clone())).collect();
    let found: Vec<_> = members[1..].iter().map(|(path, bytes)| (path.clone(), digest(bytes))).collect();
    assert_eq!(listed, found, "the digests are those of the bytes in the tar file");
    assert_eq!(
        (manifest.head.host.as_str(), manifest.head.version.to_string().as_str()),
        ("social.example.org", "0.19.2")
    );
    let of = |path: &str| members.iter().find(|(name, _)| name == path).map(|(_, bytes)| bytes.clone());
    for (path, on_host) in [
        ("config.yaml", "/usr/local/etc/gotosocial/config.yaml"),
        ("records/deployment.toml", "/usr/local/etc/gts-bootstrap/deployment.toml"),
        ("records/deployment.lock", "/usr/local/etc/gts-bootstrap/deployment.lock"),
        ("certificates/social.example.org", "/var/db/gotosocial/storage/certs/social.example.org"),
        ("storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.png", PICTURE),
    ] {
        assert_eq!(of(path), Some(fs::read(machine.path(on_host)).unwrap()), "{path}");
    }
    assert!(of("receipts/0001-install.jsonl").is_some());
    fs::write(alone.path().join("sqlite.db"), of("database/sqlite.db").unwrap()).unwrap();
    assert_eq!(examine(&alone.path().join("sqlite.db"), true).unwrap().posts, Some(1));
    assert!(runs(&machine));
    machine.run(&["check"]).exits(0);
    machine.run(&["install", "--yes"]).exits(0).says("Nothing to change");
}

#[test]
fn a_service_that_was_stopped_stays_so() {
    let machine = instance();
    machine.stop_service("gotosocial");
    machine.run(BACKUP).exits(0).says("does not run now, and is not started");
    assert!(!runs(&machine));
    assert_eq!(manifest(&backups(&machine)[0]).head.state.unwrap().posts, Some(1));
}

#[test]
fn media_can_be_left_out_and_what_is_no_file_is() {
    let machine = instance();
    symlink("/etc/master.passwd", machine.path(&format!("{STORAGE}/planted"))).unwrap();
    machine.run(BACKUP).exits(0).says("1 file is not in the backup").says("planted (it is a symbolic link)");
    let all = manifest(&backups(&machine)[0]);
    assert!(all.entries.iter().all(|entry| !entry.path.contains("planted")));
    fs::remove_file(&backups(&machine)[0]).unwrap();
    machine
        .run(&["backup", "--yes", "--without-media"])
        .exits(0)
        .says("Without media: pictures")
        .does_not_say("planted");
    let few = manifest(&backups(&machine)[0]);
    assert!(!few.head.media && few.entries.iter().all(|entry| !entry.path.starts_with("storage/")));
    assert!(few.entry("certificates/social.example.org").is_some(), "keys are no media");
}

/// The service user names what is in its folder, and editors leave copies.
#[test]
fn what_has_a_name_of_its_own_is_left_out_and_named() {
    let machine = instance();
    let odd = format!("{STORAGE}/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.PNG");
    for path in [odd.as_str(), &format!("{STORAGE}/odd"), "/usr/local/etc/gts-bootstrap/deployment.toml~"] {
        machine.write(path, "odd");
    }
    let why = "(it has no name that gts-bootstrap or GoToSocial gives)";
    let told = machine.run(BACKUP).exits(0).says("3 files are not in the backup");
    told.says(&format!("/usr/local/etc/gts-bootstrap/deployment.toml~ {why}")).says(&format!("{odd} {why}"));
    let file = backups(&machine).pop().unwrap();
    assert!(members(&file).iter().all(|(_, bytes)| bytes != b"odd"));
    machine.run(&["restore", "--yes", file.to_str().unwrap()]).exits(0).does_not_say("will not be restored");
    assert_eq!(machine.read(&odd), "odd", "it stays where it was");
}

#[test]
fn so_many_are_kept_and_nothing_else_goes() {
    let machine = instance();
    let other = format!("{FOLDER}/other.example.org-0.19.2-20200101T000000Z.tar");
    made(&machine);
    for foreign in [other.as_str(), &format!("{FOLDER}/social.example.org-0.19.2-20200101T000000Z.tar.age")] {
        machine.write(foreign, "somebody else's");
    }
    let first = backups(&machine)
        .into_iter()
        .find(|path| {
            path.extension().is_some_and(|end| end == "tar") && !path.ends_with(Path::new(&other).file_name().unwrap())
        })
        .unwrap();
    machine.run(&["backup", "--yes", "--keep", "2"]).exits(0);
    assert!(first.exists() && backups(&machine).len() == 4);
    machine.run(&["backup", "--plan", "--keep", "2"]).exits(0).says("Removed once the new one is verified");
    assert!(first.exists());
    machine.run(&["backup", "--yes", "--keep", "2", "--quiet"]).exits(0);
    assert!(!first.exists() && backups(&machine).len() == 4, "{:?}", backups(&machine));
    machine.run(&["backup", "--yes", "--keep", "0"]).exits(2);
}

#[test]
fn the_new_one_stays_whatever_the_names_of_others_say() {
    let machine = instance();
    machine.run(&["backup", "--yes"]).exits(0);
    // Made while the clock was wrong.
    let of_the_future = format!("{FOLDER}/social.example.org-0.19.2-20990101T000000Z.tar");
    fs::rename(&backups(&machine)[0], machine.path(&of_the_future)).unwrap();
    machine.run(&["backup", "--plan", "--keep", "1"]).exits(0).says(&format!("verified: {of_the_future}"));
    let report = machine.run(&["backup", "--yes", "--keep", "1", "--json"]).exits(0).json();
    let made = machine.path(report["file"].as_str().unwrap());
    assert_eq!(backups(&machine), [made]);
}

#[test]
fn a_quiet_one_says_one_line() {
    let machine = instance();
    let told = machine.run(&["--quiet", "backup", "--yes", "--keep", "4"]).exits(0);
    assert_eq!((told.stdout.lines().count(), told.stderr.lines().count()), (1, 0), "{told:?}");
}

#[test]
fn another_folder_has_to_be_safe() {
    let machine = instance();
    machine.run(&["backup", "--yes", "--to", "backups"]).exits(2).says("write the whole path");
    let open = machine.path("/var/open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    machine.run(&["backup", "--yes", "--to", "/var/open"]).exits(1).says("others than root can write to /var/open");
    symlink("/var/open", machine.path("/var/link")).unwrap();
    machine
        .run(&["backup", "--yes", "--to", "/var/link"])
        .exits(1)
        .says("/var/link is a symbolic link, where a folder belongs");
    machine.run(&["backup", "--yes", "--to", "/var/elsewhere"]).exits(0);
    assert_eq!(fs::read_dir(machine.path("/var/elsewhere")).unwrap().count(), 1);
    assert!(backups(&machine).is_empty() && runs(&machine));
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_stops() {
    let machine = Machine::fresh();
    machine.run(BACKUP).exits(1).says("there is nothing to back up");
    let machine = instance();
    machine.run(&["backup"]).exits(4).says("there is no terminal to ask on");
    machine.edit(|model| model.free_bytes = 1024 * 1024);
    machine.run(BACKUP).exits(1).says("the backup needs about").says("leave media out with --without-media");
    assert!(runs(&machine) && backups(&machine).is_empty());
}

#[test]
fn a_database_that_is_no_file_of_the_services_is_refused_before_anything_stops() {
    let machine = instance();
    let elsewhere = machine.path("/var/db/elsewhere.db");
    fs::rename(machine.path(DATABASE), &elsewhere).unwrap();
    let pids = || machine.model().services;
    let before = pids();
    let refused = |why: &str| {
        machine.run(BACKUP).exits(1).says(why).says("GTSB-DATABASE");
        machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(1).says(why);
        assert_eq!(pids(), before, "{why}");
        assert!(backups(&machine).is_empty(), "{why}");
    };
    refused("there is no such file");
    symlink("/var/db/elsewhere.db", machine.path(DATABASE)).unwrap();
    refused("it is not a regular file");
}

#[test]
fn a_damaged_database_makes_no_backup() {
    let machine = instance();
    machine.stop_service("gotosocial");
    let mut bytes = fs::read(machine.path(DATABASE)).unwrap();
    bytes[2 * 4096..2 * 4096 + 16].fill(0xff);
    fs::write(machine.path(DATABASE), bytes).unwrap();
    machine.run(BACKUP).exits(1);
    assert!(backups(&machine).is_empty(), "{:?}", backups(&machine));
}

#[test]
fn a_failure_at_any_change_leaves_a_running_service_and_no_backup() {
    let start = instance();
    let stops = at_each_change(&start, BACKUP, (false, false), |machine, after, outcome| {
        if outcome.code == 0 {
            // The one after the last.
            return;
        }
        let left = backups(machine);
        // The end of the journal is what fails last, and then it is all done.
        let done = outcome.said().contains("every change was made");
        assert_eq!((outcome.code, left.len()), (1, usize::from(done)), "after {after}: {left:?} {}", outcome.said());
        assert!(runs(machine), "after {after}: {}", outcome.said());
        made_after(machine, after, usize::from(done) + 1);
        machine.run(&["check"]).exits(0);
    });
    println!("backup: {stops} failures, {stops} taken back");
    assert!(stops > 20, "only {stops} places to fail at");
}

fn made_after(machine: &Machine, after: u32, count: usize) {
    machine.run(BACKUP).exits(0);
    assert_eq!(backups(machine).len(), count, "after {after}: {:?}", backups(machine));
}

#[test]
fn a_power_cut_after_the_stop_leaves_it_to_the_boot() {
    let machine = instance();
    let mut cut = 0;
    for after in 0.. {
        let machine = machine.copy();
        machine.edit(|model| {
            let fault =
                gts_bootstrap::host::rehearsal::ChangeFault { after, takes_effect: true, lasting: true, errno: 5 };
            model.faults.change = Some(fault);
        });
        machine.run(BACKUP);
        if machine.model().faults.change.is_some_and(|fault| fault.after > 0) {
            break;
        }
        machine.edit(|model| model.faults.change = None);
        if runs(&machine) {
            continue;
        }
        cut += 1;
        machine.run(&["rehearsal", "reboot"]).exits(0);
        assert!(runs(&machine), "after {after}");
    }
    assert!(cut > 3, "the service was down at {cut} of the stops");
}
