//! The folder and its state file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::RehearsalError;
use super::*;
use crate::host::Entry;

/// Every file below a folder, with its bytes and time stamp.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![folder.to_path_buf()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let bytes = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            all.insert(path.clone(), (bytes, metadata.modified().unwrap()));
            if metadata.is_dir() {
                ahead.push(path);
            }
        }
    }
    all
}

#[test]
fn a_fresh_folder_is_a_fresh_freebsd() {
    let host = fresh();
    for folder in ["/var/db", "/var/log", "/var/run", "/usr/local", "/etc/newsyslog.conf.d"] {
        assert!(
            matches!(host.entry(Path::new(folder)).unwrap(), Some(Entry::Directory { owner: Owner::ROOT, .. })),
            "{folder}"
        );
    }
    assert_eq!(host.entry(Path::new("/usr/local/etc")).unwrap(), None);
    assert!(matches!(host.entry(Path::new("/etc/master.passwd")).unwrap(), Some(Entry::File { mode: 0o600, .. })));
    assert!(host.text("/etc/services").contains("443/tcp"));
    assert!(!host.list(Path::new("/")).unwrap().contains(&".rehearsal".to_string()));
    assert_eq!(host.now(), 1_767_225_600);
    assert_eq!(host.model(), Model::fresh());
    let system = host.system().unwrap();
    assert_eq!((system.release.as_str(), system.machine_arch.as_str(), system.euid), ("14.1-RELEASE", "amd64", 0));
}

#[test]
fn folders_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("diary.txt"), "dear diary").unwrap();
    assert!(matches!(Rehearsal::open(folder.path()), Err(RehearsalError::NotARehearsal(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(Rehearsal::open("/"), Err(RehearsalError::SystemRoot(_))));
    let file = folder.path().join("diary.txt");
    assert!(matches!(Rehearsal::open(&file), Err(RehearsalError::Folder { .. })));
}

#[test]
fn a_state_that_cannot_be_understood_is_refused_with_its_place() {
    let host = fresh();
    let state = host.folder.path().join(".rehearsal/state.json");
    let good = fs::read_to_string(&state).unwrap();
    for (text, says) in [
        (good.replace(&format!("\"schema\": {}", super::super::model::SCHEMA), "\"schema\": 2"), "schema 2"),
        (good.replace("\"securelevel\"", "\"securelevl\""), "unknown field `securelevl`"),
        ("{".to_string(), "EOF"),
    ] {
        fs::write(&state, text).unwrap();
        let error = Rehearsal::open(host.folder.path()).unwrap_err();
        assert!(matches!(error, RehearsalError::State { .. }));
        assert!(error.to_string().contains(says), "{error}");
    }
    fs::write(&state, "{\"euid\": 1001}").unwrap();
    assert_eq!(Rehearsal::open(host.folder.path()).unwrap().system().unwrap().euid, 1001);
}

#[test]
fn a_start_cut_short_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".rehearsal")).unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    let host = Rehearsal::open(folder.path()).unwrap();
    assert!(host.read(Path::new("/etc/rc.conf")).unwrap().is_some());
}

#[test]
fn state_and_owners_are_kept_from_one_command_to_the_next() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    let again = Rehearsal::open(host.folder.path()).unwrap();
    assert_eq!(again.model(), host.model());
    assert!(matches!(again.entry(Path::new(DATABASE)).unwrap(), Some(Entry::File { mode: 0o640, owner: GTS, .. })));
    assert!(again.service("gotosocial").unwrap().is_running());
    let mode = fs::metadata(host.folder.path().join(".rehearsal/state.json")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
}

#[test]
fn looking_changes_no_byte_and_no_time_stamp() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    let before = snapshot(host.folder.path());
    let host = Fresh { host: Rehearsal::open(host.folder.path()).unwrap(), folder: host.folder };
    assert!(host.runs());
    host.bind_as(209, 80);
    host.system().unwrap();
    host.list(Path::new("/etc")).unwrap();
    host.rc_variable("gotosocial_enable").unwrap();
    host.package("nginx").unwrap();
    host.resolve("example.org").unwrap();
    host.gotosocial(&["debug", "config"]);
    host.gotosocial(&["admin", "account", "list"]);
    assert!(host.gotosocial(&["--version"]).stdout.contains("0.19.2"));
    gotosocial_web::get(&host, 8080, "/readyz").unwrap();
    assert_eq!(snapshot(host.folder.path()), before);
}

#[test]
fn the_lock_keeps_two_apart_and_brings_the_news() {
    let host = fresh();
    let other = Rehearsal::open(host.folder.path()).unwrap();
    let lock = host.lock(Path::new("/var/run/lock"), "one").unwrap();
    assert!(matches!(other.lock(Path::new("/var/run/lock"), "two"), Err(HostError::Locked { .. })));
    host.load_module("mac_portacl").unwrap();
    drop(lock);
    assert!(!other.module_loaded("mac_portacl").unwrap());
    let _lock = other.lock(Path::new("/var/run/lock"), "two").unwrap();
    assert!(other.module_loaded("mac_portacl").unwrap());
}

#[test]
fn the_clock_moves_by_changes_and_waits() {
    let host = fresh();
    let start = host.now();
    host.sleep(Duration::from_secs(10));
    assert_eq!(host.now(), start + 10);
    host.sleep(Duration::from_millis(1));
    assert_eq!(host.now(), start + 10);
    host.sleep(Duration::from_millis(999));
    assert_eq!(host.now(), start + 11);
    host.write_file(Path::new("/etc/x"), b"", 0o644, Owner::ROOT).unwrap();
    assert_eq!(host.now(), start + 12);
}

#[test]
fn a_folder_in_which_somebody_else_has_a_say_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, why: &str| {
        let before = snapshot(folder.path());
        let error = Rehearsal::open(path).unwrap_err();
        assert!(matches!(error, RehearsalError::NotOwn { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(snapshot(folder.path()), before);
    };
    let (own, link) = (folder.path().join("own"), folder.path().join("link"));
    Rehearsal::open(&own).unwrap();
    std::os::unix::fs::symlink(&own, &link).unwrap();
    refused(&link, "is a symbolic link");
    refused(&link.join(""), "is a symbolic link");
    for place in [&own, &own.join(".rehearsal")] {
        let allowed = fs::metadata(place).unwrap().permissions();
        for mode in [0o775, 0o757, 0o1777] {
            fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            refused(&own, &format!("can be written by others than its owner (mode {mode:o})"));
        }
        fs::set_permissions(place, allowed).unwrap();
        // Only root can give a folder to somebody else, and only others than root can meet one of root's.
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(place, Some(65_533), None).unwrap();
            refused(&own, "belongs to uid 65533, and you are uid 0");
            std::os::unix::fs::chown(place, Some(0), None).unwrap();
        } else {
            assert!(Rehearsal::open("/usr").unwrap_err().to_string().contains("belongs to uid 0, and you are uid"));
        }
    }
    Rehearsal::open(&own).unwrap();
    // Whoever may write to the folder above can put another one in its place, unless it is sticky.
    let allowed = fs::metadata(folder.path()).unwrap().permissions();
    for (mode, is_refused) in [(0o775, true), (0o757, true), (0o1777, false)] {
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        if is_refused {
            refused(&own, &format!("can be written by others than its owner (mode {mode:o})"));
        } else {
            Rehearsal::open(&own).unwrap();
        }
    }
    fs::set_permissions(folder.path(), allowed).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(65_533), None).unwrap();
        refused(&own, "belongs to uid 65533, and you are uid 0");
        std::os::unix::fs::chown(folder.path(), Some(0), None).unwrap();
    }
    Rehearsal::open(own.join("../own/./")).unwrap();
    std::os::unix::fs::symlink(folder.path(), own.join("state")).unwrap();
    fs::rename(own.join(".rehearsal"), own.join("moved")).unwrap();
    fs::rename(own.join("state"), own.join(".rehearsal")).unwrap();
    refused(&own, "is a symbolic link");
}
