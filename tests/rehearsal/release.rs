//! The release: what is there to choose from, and what room it needs.

use std::process::Command;

use gts_bootstrap::deployment::VersionWish;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::release::{Arch, Limits, Request, Target, Variant, fetch, resolve, verify};

use crate::machine::{ANSWERS, Machine};
use crate::release::places::hasty;

#[test]
fn a_rehearsal_goes_the_whole_way() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = Rehearsal::open(folder.path()).unwrap().stand_in(&[]).unwrap();
    let request = Request {
        version: VersionWish::Latest,
        prereleases: false,
        arch: Arch::Amd64,
        variant: Variant::Default,
        pinned: None,
        locked: None,
    };
    let lock = resolve(&request, &stand_in, &hasty(1)).unwrap();
    assert_eq!(lock.url, "rehearsal:v0.19.2/gotosocial_0.19.2_freebsd_amd64.tar.gz");
    assert!(lock.size.is_some());
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("0.19.2");
    let target = Target { directory: &directory, partial: &parent.path().join("download") };
    fetch(&lock, &stand_in, target, &Limits::default(), &hasty(1)).unwrap();
    assert!(verify(&directory).unwrap().is_intact());
    let program = directory.join("gotosocial");
    let told = Command::new(&program).arg("--version").output().unwrap();
    assert!(told.status.success());
    assert_eq!(told.stdout, b"gotosocial version 0.19.2\n");
    let run = Command::new(&program).args(["server", "start"]).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8(run.stderr).unwrap().contains("stand-in"));
}

#[test]
fn a_release_of_the_model_has_another_digest_than_upstreams() {
    let pinned = "0".repeat(64);
    Machine::fresh().install_with(ANSWERS, &["--yes", "--sha256", &pinned]).exits(1).says("stand-in");
}

#[test]
fn prereleases_only_if_asked() {
    let latest = ANSWERS.replace("0.19.2", "latest");
    let machine = Machine::installed(&latest);
    assert!(machine.exists("/usr/local/libexec/gotosocial/0.19.2"));
    let machine = Machine::fresh();
    machine.install_with(&latest, &["--yes", "--set", "release.prereleases=true"]).exits(0);
    assert!(machine.exists("/usr/local/libexec/gotosocial/0.20.0-rc1"));
}

#[test]
fn a_full_disk_is_found_beforehand() {
    let machine = Machine::with(|model| model.free_bytes = 10 << 20);
    machine.install(ANSWERS).exits(1).says("disk for the release");
}
