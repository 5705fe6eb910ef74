//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::host::{BIND_PROBE_ARGUMENT, DATABASE_PROBE_ARGUMENT, bind_probe_child, database_probe_child};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    match arguments.split_first() {
        // Children of this program that take on another user's ids for good, do one thing, and end.
        Some((first, probe)) if first == BIND_PROBE_ARGUMENT => bind_probe_child(probe),
        Some((first, examination)) if first == DATABASE_PROBE_ARGUMENT => database_probe_child(examination),
        _ => gts_bootstrap::cli::run(std::env::args_os()),
    }
}
