//! The program: arguments in, exit code out.

use std::process::ExitCode;

use gts_bootstrap::host::{BIND_PROBE_ARGUMENT, bind_probe_child};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    // The bind check's child: it takes on another user's ids for good, binds, and ends.
    if let Some((BIND_PROBE_ARGUMENT, probe)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return bind_probe_child(probe);
    }
    gts_bootstrap::cli::run(std::env::args_os())
}
