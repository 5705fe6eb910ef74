//! How long a second run takes that finds nothing to do: the median of 25, in milliseconds. `cargo bench`.
//!
//! The aim is below 50 ms (the program's own time, without the checks' waits for a real server).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const RUNS: usize = 25;
    let folder = tempfile::tempdir()?;
    let run = || -> Result<Duration, Box<dyn std::error::Error>> {
        let began = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(folder.path().join("root"))
            .args(["install", "--answers", "examples/direct.toml", "--yes"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("install ended with {status}").into());
        }
        Ok(began.elapsed())
    };
    println!("first run: {} ms", run()?.as_millis());
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    println!("second run: {:.1} ms (median of {RUNS})", times[RUNS / 2].as_secs_f64() * 1000.0);
    Ok(())
}
