//! Where the program works: in a folder of its own, or on FreeBSD.

use crate::machine::{ANSWERS, Machine};

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let machine = Machine::fresh();
    let other = machine.beside("photos");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("cat.jpg"), "cat").unwrap();
    machine.run(&["install", "--yes", "--rehearse", other.to_str().unwrap()]).exits(2);
    let outcome = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["--rehearse", other.to_str().unwrap(), "check"])
        .output()
        .unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("not empty"));
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn on_another_system_only_rehearsals_are_possible() {
    if gts_bootstrap::host::this_machine().is_ok() {
        return;
    }
    let outcome = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["install", "--yes", "--set", "host=a.example"])
        .output()
        .unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("--rehearse DIR"));
}

#[test]
fn others_than_root_are_told_what_to_do() {
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.euid = 1001);
    for command in [
        &["install", "--yes"][..],
        &["install", "--plan"],
        &["switch-to-proxy", "nginx", "--yes"],
        &["upgrade", "--plan"],
        &["rollback", "--yes"],
        &["backup", "--yes"],
        &["restore", "any.tar", "--yes"],
        &["uninstall", "--plan"],
        &["recover", "--undo", "--yes"],
    ] {
        machine.run(command).exits(1).says("only root can").says("run it as root");
    }
    machine.run(&["check"]).exits(3).says("only root can read all that this needs: run it as root");
}
