//! What a run of the program costs: its largest memory, as `time -l` has it, and the processes and CPU time of a story.
//!
//! - Memory: `ru_maxrss` of one run with everything that it has waited for. getrusage(2) tells it of all children at once, so
//!   each run has a parent of its own, which is this very program once more.
//! - Processes: how many fork(2), vfork(2) and rfork(2) the kernel counts meanwhile, as `vmstat -f` has them. That is exact and needs
//!   neither accounting nor tracing, and counts what the machine does besides.
//! - CPU time: that of all children that were waited for.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use super::bench::Bench;

/// The first argument of the parent of a run. A file for what it finds, the program and its arguments follow.
pub const METER: &str = "--meter";

/// The kernel's counts of new processes; kernel threads are not among them.
const FORKS: [&str; 3] = ["vm.stats.vm.v_forks", "vm.stats.vm.v_vforks", "vm.stats.vm.v_rforks"];

/// What a run was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Exit status; `None` after a signal.
    pub code: Option<i32>,
    /// Its largest memory, in KiB.
    pub peak: u64,
}

fn children() -> Result<Usage, String> {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage: {error}"))
}

/// The parent of a run.
pub fn main(arguments: &[String]) -> ExitCode {
    let [file, program, rest @ ..] = arguments else { return ExitCode::from(2) };
    let run = || -> Result<(), String> {
        let status = Command::new(program).args(rest).status().map_err(|error| format!("{program}: {error}"))?;
        let found = json!({ "code": status.code(), "peak": children()?.max_rss() });
        fs::write(file, found.to_string()).map_err(|error| format!("{file}: {error}"))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("acceptance: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the parent of a run has found.
pub fn read(file: &Path) -> Result<Run, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("the run was not measured: {}: {error}", file.display()))?;
    fs::remove_file(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let found: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let peak = found["peak"].as_u64().filter(|peak| *peak > 0).ok_or("the system does not tell the memory of a run")?;
    Ok(Run { code: found["code"].as_i64().and_then(|code| i32::try_from(code).ok()), peak })
}

/// What has been used since it was started.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    cpu: Duration,
    forks: Option<u64>,
}

/// What a story has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// How long it took.
    pub time: Duration,
    /// CPU time of all its processes.
    pub cpu: Duration,
    /// How many processes were started, where the kernel counts them: a model has none.
    pub processes: Option<u64>,
    /// The largest memory of a run of the program, in KiB; 0 if there was none.
    pub peak: u64,
}

impl Meter {
    /// Starts one.
    pub fn start(bench: &Bench) -> Result<Self, String> {
        Ok(Self { began: Instant::now(), cpu: cpu()?, forks: forks(bench)? })
    }

    /// What was used since.
    pub fn used(&self, bench: &Bench) -> Result<Used, String> {
        let processes = forks(bench)?.zip(self.forks).map(|(now, then)| now.saturating_sub(then));
        let cpu = cpu()?.saturating_sub(self.cpu);
        Ok(Used { time: self.began.elapsed(), cpu, processes, peak: bench.take_peak() })
    }
}

fn cpu() -> Result<Duration, String> {
    let used = children()?;
    let micros = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// The sum of the kernel's counts. On a real machine there must be all of them.
fn forks(bench: &Bench) -> Result<Option<u64>, String> {
    if bench.is_rehearsal() {
        return Ok(None);
    }
    let mut sum: u64 = 0;
    for name in FORKS {
        sum += bench.sysctl(name)?.parse::<u64>().map_err(|error| format!("sysctl {name}: {error}"))?;
    }
    Ok(Some(sum))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_exit_status_are_those_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run");
        let measure = |script: &str| {
            let words = [file.to_str().unwrap(), "/bin/sh", "-c", script].map(str::to_owned);
            assert_eq!(format!("{:?}", main(&words)), format!("{:?}", ExitCode::SUCCESS));
            read(&file).unwrap()
        };
        let small = measure("exit 3");
        assert_eq!(small.code, Some(3));
        assert!((1..64 * 1024).contains(&small.peak), "{small:?}");
        assert_eq!(measure("kill -TERM $$").code, None);
        // It is that of a process below the run, too.
        let large = measure("sh -c 'head -c 100000000 /dev/zero | tail -n 1 | wc -c' >/dev/null");
        assert!(large.peak > small.peak + 50 * 1024, "{large:?}");
        assert!(read(&file).unwrap_err().contains("was not measured"));
    }
}
