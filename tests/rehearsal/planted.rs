//! A service user who plants links, odd names and deep folders among its files.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use gts_bootstrap::backup;
use gts_bootstrap::change::{Executor, Interruption, Operator};
use gts_bootstrap::deployment::Layout;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::{Host, Owner};
use gts_bootstrap::parts::uninstall::{Extent, plan};
use gts_bootstrap::release::{NoProgress, Progress};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};

use super::backup::{DATABASE, PICTURE, STORAGE, backups, instance, runs};
use super::uninstall::PURGE;
use crate::machine::{ANSWERS, Machine};

const BACKUP: &[&str] = &["backup", "--yes"];
const SECRET: &str = "/etc/master.passwd";
const CERTIFICATE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const SERVICE: Owner = Owner { uid: 209, gid: 209 };
const MANY: usize = 10_000;

/// Whether any member of a backup has these bytes in it.
fn holds(machine: &Machine, bytes: &str) -> bool {
    let archive = fs::read(&backups(machine)[0]).unwrap();
    archive.windows(bytes.len()).any(|window| window == bytes.as_bytes())
}

/// A folder for folders in one another, each with this name, and a picture in the innermost.
fn nest(machine: &Machine, depth: usize) {
    let folder = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let mut at: OwnedFd = open(&machine.path(STORAGE), folder, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, "d", Mode::from_bits_truncate(0o700)).unwrap();
        at = openat(&at, "d", folder, Mode::empty()).unwrap();
    }
    drop(openat(&at, "deep.png", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_truncate(0o600)).unwrap());
}

fn flat(machine: &Machine, count: usize) {
    for number in 0..count {
        fs::create_dir(machine.path(&format!("{STORAGE}/d{number}"))).unwrap();
    }
}

#[test]
fn what_is_linked_into_the_media_is_not_in_a_backup_and_is_named() {
    let machine = instance();
    let host = Rehearsal::open(machine.root()).unwrap();
    host.write_file(
        Path::new(&format!("{STORAGE}/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X9.png")),
        b"a picture of its own",
        0o640,
        SERVICE,
    )
    .unwrap();
    drop(host);
    let password = machine.read(SECRET);
    fs::hard_link(machine.path(SECRET), machine.path(&format!("{STORAGE}/linked"))).unwrap();
    symlink(SECRET, machine.path(&format!("{STORAGE}/symlink"))).unwrap();
    let report = machine.run(&["backup", "--yes", "--json"]).exits(0).json();
    let why = |number: usize| report["left_out"]["files"][number]["why"].as_str().unwrap();
    assert_eq!(report["left_out"]["count"], 2, "{report}");
    assert_eq!(report["left_out"]["files"][0]["path"], format!("{STORAGE}/symlink"), "{report}");
    assert_eq!(why(0), "it is a symbolic link");
    assert!(why(1).starts_with("it has 2 names (hard links)"), "{report}");
    assert!(!holds(&machine, &password) && holds(&machine, "a picture of its own"));

    // pw(8) puts a new file in its place: the old one, with all passwords, has one name then.
    fs::remove_file(machine.path(SECRET)).unwrap();
    fs::write(machine.path(SECRET), &password).unwrap();
    fs::remove_file(&backups(&machine)[0]).unwrap();
    machine
        .run(BACKUP)
        .exits(0)
        .says("2 files are not in the backup")
        .says(&format!("{STORAGE}/linked (it belongs to uid 0 and is in a folder that others than root can write to"));
    assert!(!holds(&machine, &password) && holds(&machine, "a picture of its own"));
}

#[test]
fn new_media_in_folders_of_an_earlier_uid_are_in_a_backup_and_old_ones_are_named() {
    let machine = instance();
    let host = Rehearsal::open(machine.root()).unwrap();
    let folder = format!("{STORAGE}/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original");
    let other = Owner { uid: 1001, gid: 1001 };
    let picture = |name: &str, owner| {
        let path = format!("{folder}/{name}.png");
        host.write_file(Path::new(&path), format!("a picture of {name}").as_bytes(), 0o640, owner).unwrap();
    };
    picture("01FPST9QK4V5XWS3F9Z4F2G1X9", SERVICE);
    picture("01FPST9QK4V5XWS3F9Z4F2G1XA", other);
    picture("01FPST9QK4V5XWS3F9Z4F2G1XB", Owner::ROOT);
    // The last one is a folder of root's that the service's group may write to.
    for (mode, owner) in [(0o750, other), (0o770, Owner { uid: 0, gid: 209 })] {
        host.make_directory(Path::new(&folder), mode, owner).unwrap();
        let report = machine.run(&["backup", "--yes", "--json"]).exits(0).json();
        let left_out: Vec<_> = report["left_out"]["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                let [path, why] = ["path", "why"].map(|key| file[key].as_str().unwrap());
                (path.rsplit('/').next().unwrap().to_owned(), why.split(" and is in").next().unwrap().to_owned())
            })
            .collect();
        let [old, roots, first] = [("XA", 1001), ("XB", 0), ("X7", 0)]
            .map(|(end, uid)| (format!("01FPST9QK4V5XWS3F9Z4F2G1{end}.png"), format!("it belongs to uid {uid}")));
        assert_eq!(left_out, [first, old, roots]);
        assert!(holds(&machine, "a picture of 01FPST9QK4V5XWS3F9Z4F2G1X9"));
        assert!(!holds(&machine, "a picture of 01FPST9QK4V5XWS3F9Z4F2G1XA"));
        machine
            .run(BACKUP)
            .exits(0)
            .says("3 files are not in the backup")
            .says("X7.png (it belongs to uid 0 and is in a folder");
        for backup in backups(&machine) {
            fs::remove_file(backup).unwrap();
        }
    }
}

#[test]
fn a_database_with_another_name_is_refused_before_anything_stops() {
    let machine = instance();
    let pid = |machine: &Machine| machine.model().gotosocial.map(|supervisor| supervisor.program);
    let before = pid(&machine);
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        let other = machine.path("/var/db/other");
        if !machine.exists(&name) {
            let host = Rehearsal::open(machine.root()).unwrap();
            host.write_file(Path::new(&name), b"", 0o640, SERVICE).unwrap();
        }
        fs::hard_link(machine.path(&name), &other).unwrap();
        machine.run(BACKUP).exits(1).says(&name).says("it has 2 names (hard links)").says("GTSB-DATABASE");
        machine.run(&["upgrade", "--release", "0.20.0-rc1", "--yes"]).exits(1).says("it has 2 names (hard links)");
        fs::remove_file(other).unwrap();
    }
    assert!(pid(&machine) == before && backups(&machine).is_empty());
    machine.run(BACKUP).exits(0);
}

#[test]
fn a_certificate_with_another_name_is_not_used() {
    let machine = instance();
    fs::hard_link(machine.path(CERTIFICATE), machine.path("/var/db/other")).unwrap();
    machine.run(&["switch-to-proxy", "--yes"]).exits(1).says(CERTIFICATE).says("it has 2 names (hard links)");
    machine.run(BACKUP).exits(0).says(&format!("1 file is not in the backup: {CERTIFICATE} (it has 2 names"));
    fs::remove_file(machine.path(CERTIFICATE)).unwrap();
    symlink("/var/db/other", machine.path(CERTIFICATE)).unwrap();
    machine.run(BACKUP).exits(0).says("1 file is not in the backup").says("so it is not followed");
    fs::remove_file(machine.path(CERTIFICATE)).unwrap();
    fs::rename(machine.path("/var/db/other"), machine.path(CERTIFICATE)).unwrap();
    machine.run(&["switch-to-proxy", "--yes"]).exits(0);
}

#[test]
fn what_else_is_among_the_certificates_is_named_and_in_no_journal() {
    let machine = instance();
    let certs = format!("{STORAGE}/certs");
    for path in ["other.example.org", "deep/planted.example.org"] {
        machine.write(&format!("{certs}/{path}"), "planted");
    }
    let why = "it has no name that gts-bootstrap or GoToSocial gives";
    machine
        .run(BACKUP)
        .exits(0)
        .says("2 files are not in the backup")
        .says(&format!("{certs}/deep/planted.example.org ({why})"))
        .says(&format!("{certs}/other.example.org ({why})"));
    let manifest = backup::open(&mut fs::File::open(&backups(&machine)[0]).unwrap()).unwrap().manifest;
    assert!(manifest.entry("certificates/social.example.org").is_some());
    for receipt in fs::read_dir(machine.path("/var/db/gts-bootstrap/receipts")).unwrap() {
        assert!(!fs::read_to_string(receipt.unwrap().path()).unwrap().contains("planted"));
    }
}

#[test]
fn a_name_that_no_backup_can_hold_spoils_none() {
    let machine = instance();
    let storage = machine.path(STORAGE);
    for name in [&b"bell\x07"[..], b"not text \xff"] {
        fs::write(storage.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    machine
        .run(BACKUP)
        .exits(0)
        .says("2 files are not in the backup")
        .says("its name holds a control character")
        .says("its name is not UTF-8 text");
    let manifest = backup::open(&mut fs::File::open(&backups(&machine)[0]).unwrap()).unwrap().manifest;
    assert!(manifest.entry(PICTURE.strip_prefix("/var/db/gotosocial/").unwrap()).is_some());
}

#[test]
fn folders_in_one_another_cost_no_more_than_three_times_what_they_cost_side_by_side() {
    let timed = |make: &dyn Fn(&Machine), said: &str| {
        let machine = instance();
        make(&machine);
        let start = Instant::now();
        machine.run(BACKUP).exits(0).says(said);
        machine.run(PURGE).exits(0);
        let took = start.elapsed();
        assert!(!machine.exists(STORAGE));
        took
    };
    let told = "1 file is not in the backup: /var/db/gotosocial/storage/d/d/";
    // Others are at work on this machine, too.
    let least = |make: &dyn Fn(&Machine), said| (0..2).map(|_| timed(make, said)).min().unwrap_or(Duration::ZERO);
    let flat = least(&|machine| flat(machine, MANY), "read back and compared");
    let nested = least(&|machine| nest(machine, MANY), told);
    assert!(nested <= 3 * flat, "nested: {nested:?}, flat: {flat:?}");
}

#[test]
fn a_path_too_long_for_a_backup_is_named_without_its_middle() {
    let machine = instance();
    nest(&machine, 5000);
    let report = machine.run(&["backup", "--yes", "--json"]).exits(0).json();
    let left_out = &report["left_out"]["files"][0];
    assert_eq!(left_out["why"], "its path does not fit into a tar file");
    let path = left_out["path"].as_str().unwrap();
    assert!(path.starts_with(&format!("{STORAGE}/d/d/d/")) && path.contains('…'), "{path}");
    assert!(path.ends_with("/d/d/deep.png") && path.len() < 300, "{path}");
    machine.run(PURGE).exits(0);
}

/// Answers what becomes of an interrupted run.
struct Asked(Interruption);

impl Operator for Asked {
    fn interrupted(&self) -> Interruption {
        self.0
    }

    fn progress(&self) -> &dyn Progress {
        &NoProgress
    }
}

#[test]
fn a_purge_stops_in_the_midst_of_the_media_and_goes_on_later() {
    let machine = Machine::installed(ANSWERS);
    flat(&machine, 2000);
    let storage = machine.path(STORAGE);
    let left = || fs::read_dir(&storage).map_or(0, Iterator::count);
    let all = left();
    let host = Rehearsal::open(machine.root()).unwrap();
    let planned = plan(&host, &Layout::default(), Extent { purge: true, backups: true }).unwrap().plan;
    let asked = Cell::new(0);
    let stop = || {
        let is_begun = left() < all && storage.exists();
        asked.set(asked.get() + u32::from(is_begun));
        is_begun.then(|| "interrupted (SIGINT)".to_owned())
    };
    let answered = |operator: &Asked| {
        Executor { host: &host, source: None, authority: None, operator, stop: &stop, trial: None }
            .apply("uninstall", &planned)
    };
    let not_made = answered(&Asked(Interruption::Undo)).unwrap();
    assert!(not_made.last().unwrap().contains("what was removed is gone for good"), "{not_made:?}");
    assert!((1..all).contains(&left()), "{} of {all}", left());
    assert_eq!(asked.get(), 1, "at the first question after it had begun");
    drop(host);
    machine.run(PURGE).exits(0);
    assert!(!storage.exists());

    let machine = Machine::installed(ANSWERS);
    flat(&machine, 2000);
    let host = Rehearsal::open(machine.root()).unwrap();
    let planned = plan(&host, &Layout::default(), Extent { purge: true, backups: true }).unwrap().plan;
    let (operator, stop) = (Asked(Interruption::Continue), || Some("interrupted (SIGINT)".to_owned()));
    let executor =
        Executor { host: &host, source: None, authority: None, operator: &operator, stop: &stop, trial: None };
    assert_eq!(executor.apply("uninstall", &planned).unwrap(), Vec::<String>::new());
    assert!(!machine.exists(STORAGE));
}

#[test]
fn a_backup_stops_in_the_midst_of_the_media_and_leaves_nothing() {
    use gts_bootstrap::parts::answers::{Lock, deployed};
    use gts_bootstrap::parts::backup::{Wanted, plan};

    let start = instance();
    for number in 0..600 {
        start.write(&format!("{STORAGE}/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/small/{number:026}.png"), "x");
    }
    let layout = Layout::default();
    // Counts the questions first, and then stops at some of them.
    let run = |at: Option<u32>| {
        let machine = start.copy();
        let host = Rehearsal::open(machine.root()).unwrap();
        let (lock, deployment) =
            (Lock::of_host(&host, &layout).unwrap().unwrap(), deployed(&host, &layout).unwrap().unwrap());
        let wanted = Wanted {
            deployment: &deployment,
            layout: &layout,
            lock: &lock,
            owner: SERVICE,
            to: &layout.backups,
            time: 1_767_225_600,
            media: true,
        };
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            at.is_some_and(|at| asked.get() >= at).then(|| "interrupted (SIGTERM)".to_owned())
        };
        let operator = Asked(Interruption::Undo);
        let applied =
            Executor { host: &host, source: None, authority: None, operator: &operator, stop: &stop, trial: None }
                .apply("backup", &plan(&host, &wanted).unwrap());
        drop(host);
        assert!(runs(&machine));
        (asked.get(), applied.map(drop).map_err(|error| error.code.as_str()), backups(&machine).len())
    };
    let (all, applied, made) = run(None);
    assert_eq!((applied, made), (Ok(()), 1));
    assert!(all > 1200, "asked for each file when it is written, and when it is read back: {all}");
    for at in [20, all / 2, all - 20] {
        assert_eq!(run(Some(at)), (at, Err("GTSB-INTERRUPTED"), 0), "at {at}");
    }
}

#[test]
fn links_to_files_of_others_are_advised_against_until_the_kernel_forbids_them() {
    const ADVICE: &str = "`sysctl security.bsd.hardlink_check_uid=1 security.bsd.hardlink_check_gid=1` forbids that";
    let machine = Machine::fresh();
    machine.install(ANSWERS).exits(0).says(ADVICE);
    machine.run(&["check"]).exits(0);
    let json = machine.run(&["status", "--json", "--offline"]).exits(0).json();
    assert_eq!((&json["verdict"], &json["concerns"]), (&"ok".into(), &serde_json::json!([])), "it is no concern");
    assert!(json["hard_links"].as_str().unwrap().contains(ADVICE), "{json}");
    machine.run(&["status", "--brief"]).exits(0).says("OK: social.example.org").does_not_say("link");
    machine.run(&["status", "--offline"]).exits(0).says(ADVICE);
    machine.run(&["install", "--yes"]).exits(0).does_not_say(ADVICE);
    for name in ["uid", "gid"] {
        machine.edit(|model| {
            model.sysctls.insert(format!("security.bsd.hardlink_check_{name}"), "1".into());
        });
    }
    machine.run(&["status", "--offline"]).exits(0).does_not_say("hardlink_check");
}
