//! The release: what is there to choose from, what room it needs, and a switch to a newer one that fails.

use std::fs;

use super::machine::{ANSWERS, Machine};

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
