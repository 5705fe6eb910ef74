//! The release: verified, unpacked into its own folder, and nothing left behind when it is not what it should be.

use std::fs;
use std::path::PathBuf;

use super::machine::{ANSWERS, Machine, differences};
use gts_bootstrap::host::rehearsal::stand_in_release::stand_in_archive;
use gts_bootstrap::release::{Arch, Sha256Digest, Variant};

const ASSET: &str = "gotosocial_0.19.2_freebsd_amd64.tar.gz";

/// A mirror beside the machine, with this archive and these checksums.
fn mirror(machine: &Machine, archive: &[u8], checksums: &str) -> PathBuf {
    let folder = machine.beside("mirror").join("v0.19.2");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(ASSET), archive).unwrap();
    fs::write(folder.join("checksums.txt"), checksums).unwrap();
    machine.beside("mirror")
}

fn archive() -> Vec<u8> {
    stand_in_archive(&"0.19.2".parse().unwrap(), Arch::Amd64, Variant::Default).unwrap()
}

fn line(archive: &[u8]) -> String {
    format!("{}  {ASSET}\n", Sha256Digest::of(archive))
}

fn install(machine: &Machine) -> super::machine::Outcome {
    machine.install_with(ANSWERS, &["--yes", "--mirror", "mirror"])
}

#[test]
fn a_mirror_in_a_folder_serves_machines_without_internet() {
    let machine = Machine::fresh();
    mirror(&machine, &archive(), &line(&archive()));
    install(&machine).exits(0);
    assert!(machine.exists("/usr/local/libexec/gotosocial/0.19.2/web/template/index.tmpl"));
    let latest = Machine::fresh();
    mirror(&latest, &archive(), &line(&archive()));
    latest.install_with(&ANSWERS.replace("0.19.2", "latest"), &["--yes", "--mirror", "mirror"]).exits(0);
}

#[test]
fn what_is_not_what_it_should_be_leaves_nothing_behind() {
    let good = archive();
    let cut = &good[..good.len() / 2];
    for (what, bytes, checksums, word) in [
        ("wrong digest", good.clone(), format!("{}  {ASSET}\n", "0".repeat(64)), "SHA-256"),
        ("missing line", good.clone(), format!("{}  other.tar.gz\n", "0".repeat(64)), "checksums.txt"),
        ("truncated", cut.to_vec(), line(cut), ASSET),
    ] {
        let machine = Machine::fresh();
        mirror(&machine, &bytes, &checksums);
        let before = machine.system_files();
        let outcome = install(&machine).exits(1);
        assert!(outcome.said().contains(word), "{what}: {}", outcome.said());
        assert_eq!(differences(&before, &machine.system_files()), Vec::<PathBuf>::new(), "{what}");
    }
}

#[test]
fn a_pinned_digest_must_agree() {
    let machine = Machine::fresh();
    let answers = ANSWERS.to_owned();
    machine.install_with(&answers, &["--yes", "--sha256", &"0".repeat(64)]).exits(1).says("stand-in");
    mirror(&machine, &archive(), &line(&archive()));
    machine
        .install_with(&answers, &["--yes", "--mirror", "mirror", "--sha256", &"0".repeat(64)])
        .exits(1)
        .says("0000000000000000");
    let digest = Sha256Digest::of(&archive()).to_string();
    machine.install_with(&answers, &["--yes", "--mirror", "mirror", "--sha256", &digest]).exits(0);
}

#[test]
fn a_locked_release_that_changed_upstream_is_refused() {
    let machine = Machine::fresh();
    mirror(&machine, &archive(), &line(&archive()));
    install(&machine).exits(0);
    fs::remove_dir_all(machine.path("/usr/local/libexec/gotosocial/0.19.2")).unwrap();
    let mut other = archive();
    let last = other.len() - 1;
    other[last] ^= 1;
    mirror(&machine, &other, &line(&other));
    let before = machine.snapshot();
    install(&machine).exits(1).says(&Sha256Digest::of(&other).to_string());
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_release_is_put_right() {
    let machine = Machine::installed(ANSWERS);
    machine.write("/usr/local/libexec/gotosocial/0.19.2/web/template/index.tmpl", "defaced\n");
    machine.install(ANSWERS).exits(0).says("update release").says("stop service gotosocial");
    assert_ne!(machine.read("/usr/local/libexec/gotosocial/0.19.2/web/template/index.tmpl"), "defaced\n");
    assert!(!machine.exists("/usr/local/libexec/gotosocial/.replaced-0.19.2"));
}

#[test]
fn a_newer_version_is_switched_to_and_an_older_one_refused() {
    let machine = Machine::installed(&ANSWERS.replace("0.19.2", "0.19.1"));
    machine.install(ANSWERS).exits(0).says("migrates the database");
    assert_eq!(
        fs::read_link(machine.path("/usr/local/libexec/gotosocial/current")).unwrap(),
        std::path::Path::new("0.19.2")
    );
    machine.run(&["check"]).exits(0).says("gotosocial 0.19.2");
    machine.install(&ANSWERS.replace("0.19.2", "0.19.1")).exits(1).says("0.19.1 is older");
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
fn a_mirror_over_plain_http_needs_a_pinned_digest() {
    Machine::fresh()
        .install_with(ANSWERS, &["--yes", "--mirror", "http://127.0.0.1:9/gotosocial"])
        .exits(1)
        .says("plain http")
        .says("pin the SHA-256");
}

#[test]
fn a_full_disk_is_found_beforehand() {
    let machine = Machine::with(|model| model.free_bytes = 10 << 20);
    machine.install(ANSWERS).exits(1).says("disk for the release");
}

#[test]
fn a_newer_version_is_tried_on_the_configuration_before_it_is_switched_to() {
    let answers =
        |version: &str| format!("{}\n[config]\ninstance-expose-suspended = true\n", ANSWERS.replace("0.19.2", version));
    let machine = Machine::installed(&answers("0.19.2"));
    // 0.20 has dropped that key, and would ignore it in silence.
    machine
        .install(&answers("0.20.0-rc1"))
        .exits(0)
        .says("test configuration")
        .says("does not know `instance-expose-suspended`");
}

#[test]
fn a_failed_switch_to_a_newer_version_says_what_cannot_be_taken_back() {
    let machine = Machine::installed(&ANSWERS.replace("0.19.2", "0.19.1"));
    machine.edit(|model| model.faults.dies_after_start = true);
    machine
        .install(ANSWERS)
        .exits(1)
        .says("NOT everything could be taken back")
        .says("GoToSocial 0.19.2 was started and may have migrated the database")
        .says("gotosocial was started again and died");
    assert_eq!(
        fs::read_link(machine.path("/usr/local/libexec/gotosocial/current")).unwrap(),
        std::path::Path::new("0.19.1")
    );
}
