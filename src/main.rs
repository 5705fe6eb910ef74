//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::host::{PROBE_ARGUMENT, probe_child};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    // A child of this program that takes on another user's ids for good, does one thing, and ends.
    if let Some((PROBE_ARGUMENT, probe)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return probe_child(probe);
    }
    gts_bootstrap::cli::run(std::env::args_os())
}
