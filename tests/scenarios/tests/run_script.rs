//! The script `run` of the bundle: what it refuses, and what it starts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// One test at a time: a script that is being written would be inherited by what another test starts at that moment, and
/// could then not be run (ETXTBSY).
static TURN: Mutex<()> = Mutex::new(());

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("run")
}

/// A bundle with stories that only tell their arguments, on a machine that says of itself what it is told to.
struct Bundle {
    folder: TempDir,
}

impl Bundle {
    fn on(system: &str, cpu: &str, uid: u32) -> Self {
        let bundle = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bundle.folder.path().join("bin")).unwrap();
        fs::copy(script(), bundle.folder.path().join("run")).unwrap();
        fs::write(bundle.folder.path().join("cpu"), "arm64\n").unwrap();
        bundle.add("acceptance", "echo \"told: $*\"; exit 7");
        bundle.add("bin/uname", &format!("[ \"$1\" = -s ] && echo {system} || echo {cpu}"));
        bundle.add("bin/id", &format!("echo {uid}"));
        bundle
    }

    fn add(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the script from elsewhere.
    fn run(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        let script = self.folder.path().join("run");
        Command::new("/bin/sh").arg(script).args(arguments).env("PATH", path).current_dir("/").output().unwrap()
    }
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(words), "{words:?} is not in {text}");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn it_is_a_clean_script_for_sh() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(Command::new("/bin/sh").arg("-n").arg(script()).status().unwrap().success());
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/acceptance-bundle");
    let checked = Command::new("shellcheck").arg(script()).arg(bundle).output();
    let checked = checked.expect("shellcheck(1) is needed; tests/run installs it");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn nothing_is_done_without_consent_or_on_the_wrong_machine() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Bundle::on("FreeBSD", "aarch64", 0);
    refused(&machine.run(&[]), "./run --yes-change-this-machine");
    refused(&machine.run(&["--before-reboot"]), "./run --yes-change-this-machine");
    let consent = ["--yes-change-this-machine"];
    refused(&Bundle::on("Linux", "aarch64", 0).run(&consent), "this is Linux");
    refused(&Bundle::on("FreeBSD", "amd64", 0).run(&consent), "this bundle is for arm64, and this machine is amd64");
    refused(&Bundle::on("FreeBSD", "aarch64", 1001).run(&consent), "run this as root");
}

#[test]
fn a_list_and_a_rehearsal_need_neither_consent_nor_this_machine() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for arguments in [&["--list", "--from", "clean-stop"][..], &["--rehearse", "folder"]] {
        let output = Bundle::on("Linux", "x86_64", 1001).run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.ends_with(&format!("/mirror {}\n", arguments.join(" "))), "{said}");
    }
}

#[test]
fn the_stories_are_started_with_program_and_mirror_and_their_exit_status_counts() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bundle = Bundle::on("FreeBSD", "aarch64", 0);
    let output = bundle.run(&["--yes-change-this-machine", "--mirror", "mine", "clean-stop"]);
    // What is named on the command line is found from where it was typed.
    let folder = bundle.folder.path().display();
    let told = format!(
        "told: --program {folder}/gts-bootstrap --mirror {folder}/mirror --yes-change-this-machine --mirror mine \
         clean-stop\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), told);
    assert_eq!(output.status.code(), Some(7));
}
