//! No temporary file outlives the next run, wherever and whenever a run that wrote it was killed.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gts_bootstrap::change::settle;
use gts_bootstrap::host::is_temporary;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::operation::{Operation, Step};

use super::{plans, watched};
use crate::image::Image;
use crate::machine::Machine;
use crate::rehearsal::main_file_link::linked;
use crate::rehearsal::switch_others::{BACK, beside, there};

/// Those on a machine. What the model writes for itself is none of the host's.
fn temporary(machine: &Machine) -> Vec<PathBuf> {
    let is_ours = |path: &&PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_temporary);
    let image = Image::of(&machine.root());
    image.0.keys().filter(|path| !path.starts_with(".rehearsal")).filter(is_ours).cloned().collect()
}

/// Runs a command; wherever a temporary file is about to get its name, a machine as that moment leaves it is settled.
fn swept(machine: &Machine, command: &[&str]) {
    let folder = machine.root().parent().map(Path::to_path_buf).unwrap_or_default();
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    let told = command.join(" ");
    let watcher = move |step: &Step| {
        if matches!(step.operation, Operation::Rename(_)) {
            let killed = Machine::at(&folder).copy();
            let there = temporary(&killed);
            if !there.is_empty() {
                count.set(count.get() + 1);
                settle::settle(&Rehearsal::open(killed.root()).unwrap()).unwrap();
                let left = temporary(&killed);
                assert!(left.is_empty(), "{told}, killed with {there:?}, of which {left:?} is left: {step:?}");
            }
        }
        Ok(())
    };
    watched::run(machine, command, Box::new(watcher)).exits(0);
    assert!(seen.get() > 5, "only {} temporary files were seen", seen.get());
}

#[test]
fn nothing_temporary_outlives_the_next_run() {
    swept(&plans::fresh(), plans::INSTALL);
    swept(&plans::in_postgres(), plans::UPGRADE);
    let behind_nginx = plans::behind_nginx();
    swept(&behind_nginx, &["uninstall", "--purge", "--yes", "--host-name", "social.example.org"]);
}

/// The main file is a link to one in a folder of somebody else's.
#[test]
fn nothing_temporary_stays_where_a_main_file_leads() {
    for program in ["nginx", "httpd"] {
        let machine = beside(program);
        linked(&machine, program);
        swept(&machine, &there(program));
        swept(&machine, BACK);
    }
}
