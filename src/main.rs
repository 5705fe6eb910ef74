//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::host::{PROBE_ARGUMENT, probe_child};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    match arguments.split_first() {
        // A child of this program that takes on another user's ids for good, does one thing, and ends.
        Some((first, probe)) if first == PROBE_ARGUMENT => probe_child(probe),
        _ => gts_bootstrap::cli::run(std::env::args_os()),
    }
}
