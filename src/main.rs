//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::host::{BIND_PROBE_ARGUMENT, DATABASE_PROBE_ARGUMENT, bind_probe_child, database_probe_child};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    // Children of this program that take on another user's ids for good, do one thing, and end.
    match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some((BIND_PROBE_ARGUMENT, probe)) => return bind_probe_child(probe),
        Some((DATABASE_PROBE_ARGUMENT, examination)) => return database_probe_child(examination),
        _ => {}
    }
    gts_bootstrap::cli::run(std::env::args_os())
}
