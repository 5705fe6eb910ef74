//! The program: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use gts_bootstrap::child::{self, CHILD_ARGUMENT};
use gts_bootstrap::host::CHILD_ROLES;
use gts_bootstrap::shown;

fn main() -> ExitCode {
    // The message of a panic may have anything in it. If it cannot be written, the panic is still one, with its exit code.
    std::panic::set_hook(Box::new(|info| {
        let _ = writeln!(std::io::stderr(), "{}", shown::text(&info.to_string()).replace('\n', "\n    "));
    }));
    // A child of this program that gives up its rights for good, does one thing, and ends.
    if std::env::args_os().nth(1).is_some_and(|first| first == CHILD_ARGUMENT) {
        return child::main(CHILD_ROLES);
    }
    gts_bootstrap::cli::run(std::env::args_os())
}
