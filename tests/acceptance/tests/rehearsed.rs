//! The stories told on a rehearsal, as far as it can tell them: that is how the stories themselves are tested.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use gts_bootstrap::host::rehearsal::stand_in_release::stand_in_archive;
use gts_bootstrap::release::{Arch, Sha256Digest, Variant, asset_name};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_program-under-test");

/// A folder with a mirror in it, and room for a rehearsal.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for version in ["0.19.1", "0.19.2"] {
            let place = folder.path().join("mirror").join(format!("v{version}"));
            fs::create_dir_all(&place).unwrap();
            let version = version.parse().unwrap();
            let archive = stand_in_archive(&version, Arch::Amd64, Variant::Default).unwrap();
            let name = asset_name(&version, Arch::Amd64, Variant::Default).unwrap();
            fs::write(place.join("checksums.txt"), format!("{}  {name}\n", Sha256Digest::of(&archive))).unwrap();
            fs::write(place.join(name), archive).unwrap();
        }
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn tell(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_acceptance"))
            .args(["--program", PROGRAM, "--mirror"])
            .arg(self.folder.path().join("mirror"))
            .arg("--rehearse")
            .arg(self.root())
            .args(more)
            .output()
            .unwrap()
    }
}

#[track_caller]
fn told(output: &Output, status: i32, words: &[&str]) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
    assert_eq!(output.status.code(), Some(status), "{text}");
}

#[test]
fn every_story_that_a_rehearsal_can_tell_is_told_and_leaves_nothing() {
    let bench = Bench::new();
    let skipped = [
        "skipped the-server-answers: it needs a real machine",
        "skipped port-80-taken-is-refused: it needs a real machine",
        "skipped portacl-rc-owns-the-rules: the package portacl-rc is not installed",
        "skipped log-rotation: it needs a real machine",
    ];
    let first = bench.tell(&[]);
    told(&first, 0, &[" passed, 0 failed, 9 skipped", "ok      install-from-the-mirror"]);
    told(&first, 0, &skipped);
    // The machine was put back, so everything can be told once more.
    told(&bench.tell(&["clean-stop", "upgrade-and-no-way-back"]), 0, &["2 passed, 0 failed, 0 skipped"]);
}

#[test]
fn the_boot_story_has_two_halves() {
    let bench = Bench::new();
    told(&bench.tell(&["--after-reboot"]), 1, &["there is no /var/db/gts-acceptance"]);
    let bench = Bench::new();
    told(&bench.tell(&["--before-reboot"]), 0, &["now reboot this machine", "1 passed, 0 failed, 0 skipped"]);
    let reboot = Command::new(PROGRAM).arg("--rehearse").arg(bench.root()).args(["rehearsal", "reboot"]).output();
    assert!(reboot.unwrap().status.success());
    told(&bench.tell(&["--after-reboot"]), 0, &["ok      boot-after-the-reboot", "1 passed, 0 failed, 0 skipped"]);
    told(&bench.tell(&["--after-reboot"]), 1, &["there was no --before-reboot"]);
}

#[test]
fn a_program_that_does_nothing_fails_the_stories() {
    let bench = Bench::new();
    let output = Command::new(env!("CARGO_BIN_EXE_acceptance"))
        .args(["--program", "/usr/bin/true", "--mirror"])
        .arg(bench.folder.path().join("mirror"))
        .arg("--rehearse")
        .arg(bench.root())
        .output()
        .unwrap();
    told(&output, 1, &["FAILED  install-from-the-mirror", "0 passed, 15 failed"]);
}

#[test]
fn a_machine_that_is_not_fresh_is_refused() {
    let bench = Bench::new();
    fs::create_dir_all(bench.root()).unwrap();
    let started = Command::new(PROGRAM).arg("--rehearse").arg(bench.root()).args(["rehearsal", "reboot"]).output();
    assert!(started.unwrap().status.success());
    fs::create_dir_all(bench.root().join("var/db/gotosocial")).unwrap();
    told(&bench.tell(&[]), 2, &["no fresh machine", "there is /var/db/gotosocial"]);
}
