//! What `upgrade` says where there is nothing to do, no source to ask, or no instance left that runs.

use std::path::PathBuf;

use super::upgrade::{changed, furnished, upgrade};
use crate::machine::differences;

#[test]
fn who_has_a_candidate_is_not_refused_a_way_down_that_nobody_asked_for() {
    let machine = furnished("0.19.2");
    upgrade(&machine).exits(0);
    let before = machine.system_files();
    machine
        .run(&["upgrade", "--yes"])
        .exits(0)
        .says("GoToSocial 0.20.0-rc1 is installed, which is newer than the newest release, 0.19.2")
        .says("there is nothing to upgrade to");
    machine.run(&["upgrade", "--yes", "--release", "0.19.2"]).exits(1).says("is older");
    assert_eq!(changed(&before, &machine), Vec::<PathBuf>::new());
}

#[test]
fn an_instance_that_is_still_down_is_not_said_to_have_been() {
    let machine = furnished("0.19.2");
    machine.edit(|model| model.faults.dies_after_start = true);
    upgrade(&machine)
        .exits(1)
        .says("The instance has been down for")
        .says("and still is.")
        .says("GoToSocial 0.19.2 does NOT serve as before")
        .does_not_say("The instance was down for");
}

#[test]
fn a_source_that_cannot_be_asked_is_told_in_whole_sentences() {
    let machine = furnished("0.19.2");
    let before = machine.snapshot();
    let outcome = machine.run(&["upgrade", "--yes", "--mirror", "http://127.0.0.1:9"]).exits(1);
    let outcome = outcome.says("Name a version, for example 0.19.2. Or name the version with --release");
    outcome.does_not_say("..");
    let nowhere = ["upgrade", "--yes", "--mirror", "/nowhere/at/all"];
    machine.run(&nowhere).exits(1).says("Cannot read /nowhere/at/all: No such file or directory");
    machine
        .run(&[&nowhere[..], &["--release", "0.20.0-rc1"]].concat())
        .exits(1)
        .says("about upgrading: Cannot read /nowhere/at/all: No such file or directory")
        .says("There is no /nowhere/at/all/v0.20.0-rc1/checksums.txt");
    let after = machine.snapshot();
    let different = differences(&before, &after);
    assert!(different.iter().all(|path| path.starts_with(".rehearsal")), "{different:?}");
}
