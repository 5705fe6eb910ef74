//! The release: what is there to choose from, and what room it needs.

use crate::machine::{ANSWERS, Machine};

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
