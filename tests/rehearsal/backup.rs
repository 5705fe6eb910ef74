//! Backups: what is in one, what happens where one fails or is cut off, and what comes of one that is put back.

use std::fs;
use std::path::{Path, PathBuf};

use gts_bootstrap::host::rehearsal::ChangeFault;

use super::machine::{ANSWERS, Machine};

const FOLDER: &str = "/var/backups/gotosocial";
const PICTURE: &str = "/var/db/gotosocial/storage/01ACCOUNT/attachment/original/01PICTURE.png";

/// An instance with a post and a picture.
fn instance() -> Machine {
    let machine = Machine::installed(ANSWERS);
    machine.run(&["rehearsal", "post", "hello"]).exits(0);
    machine.write(PICTURE, "not much of a picture");
    machine
}

fn backups(machine: &Machine) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(machine.path(FOLDER)) else { return Vec::new() };
    let mut names: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// Makes a backup, which is the only one.
fn backup(machine: &Machine) -> PathBuf {
    machine.run(&["backup", "--yes"]).exits(0);
    let found = backups(machine);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn member(backup: &Path, path: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(fs::File::open(backup).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().as_ref() == path.as_bytes() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("{path} is not in {}", backup.display());
}

#[test]
fn t() {
    let machine = instance();
    let out = machine.run(&["backup", "--yes"]);
    println!("{}\n{}", out.stdout, out.stderr);
    println!("{:?}", backups(&machine));
    let _ = (member, backup, ANSWERS, None::<ChangeFault>);
}
