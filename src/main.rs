//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::child::{self, CHILD_ARGUMENT};
use gts_bootstrap::host::CHILD_ROLES;

fn main() -> ExitCode {
    // A child of this program that gives up its rights for good, does one thing, and ends.
    if std::env::args_os().nth(1).is_some_and(|first| first == CHILD_ARGUMENT) {
        return child::main(CHILD_ROLES);
    }
    gts_bootstrap::cli::run(std::env::args_os())
}
