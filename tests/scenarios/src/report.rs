//! The report: a line a story, and the sum of them. `docs/acceptance.md` explains it.

use std::process::ExitCode;
use std::time::Duration;

use super::meter::Used;
use super::stories::Verdict;

/// Where the last column begins.
const WIDTH: usize = 48;

/// How many stories ended how, and what they used.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
    used: Used,
}

impl Tally {
    /// Counts a story, and prints its line.
    pub fn count(&mut self, name: &str, verdict: &Verdict, used: &Used) {
        println!("{}", line(name, verdict, used));
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
        let sum = &mut self.used;
        sum.time += used.time;
        sum.cpu += used.cpu;
        sum.processes = match (sum.processes, used.processes) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        sum.peak = sum.peak.max(used.peak);
    }

    /// The last line.
    pub fn sum(&self, installations: u32) -> String {
        let Self { passed, failed, skipped, used } = self;
        let extra = match installations {
            1 => "1 extra installation".to_owned(),
            many => format!("{many} extra installations"),
        };
        format!("{passed} passed, {failed} failed, {skipped} skipped in {}; {extra}", told(used))
    }

    /// Whether one failed.
    pub fn has_failures(&self) -> bool {
        self.failed > 0
    }

    /// 0 if no story failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.has_failures()))
    }
}

/// A story's line; the reason of a failure stands indented below it.
fn line(name: &str, verdict: &Verdict, used: &Used) -> String {
    let used = told(used);
    match verdict {
        Verdict::Passed => format!("ok      {name:<WIDTH$} {used}"),
        Verdict::Skipped(why) => format!("skipped {name}: {why}"),
        Verdict::Failed(why) => {
            format!("FAILED  {name:<WIDTH$} {used}\n    {}", why.trim_end().replace('\n', "\n    "))
        }
    }
}

/// Time, processes, CPU time and memory.
fn told(used: &Used) -> String {
    let mut text = time(used.time);
    if let Some(processes) = used.processes {
        text += &format!(", {processes} processes");
    }
    text += &format!(", CPU {}", time(used.cpu));
    if used.peak > 0 {
        text += &format!(", {:.1} MiB", mebibytes(used.peak));
    }
    text
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 100.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// KiB as MiB.
#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn used(millis: u64, processes: u64, cpu: u64, peak: u64) -> Used {
        let (time, cpu) = (Duration::from_millis(millis), Duration::from_millis(cpu));
        Used { time, cpu, processes: Some(processes), peak }
    }

    #[test]
    fn stories_are_counted_and_a_failure_is_an_exit_status() {
        let mut tally = Tally::default();
        tally.count("one", &Verdict::Passed, &used(1000, 10, 500, 1024));
        tally.count("two", &Verdict::Skipped("no package".into()), &Used::default());
        let sum = "1 passed, 0 failed, 1 skipped in 1.0 s, 10 processes, CPU 0.5 s, 1.0 MiB; 1 extra installation";
        assert_eq!((tally.sum(1).as_str(), tally.exit_code()), (sum, ExitCode::SUCCESS));
        tally.count("three", &Verdict::Failed("why".into()), &used(1000, 5, 500, 512));
        let sum = "1 passed, 1 failed, 1 skipped in 2.0 s, 15 processes, CPU 1.0 s, 1.0 MiB; 2 extra installations";
        assert_eq!((tally.sum(2).as_str(), tally.exit_code()), (sum, ExitCode::FAILURE));
    }

    /// What a reader finds in the documentation is what is printed.
    #[test]
    fn the_documentation_shows_the_lines_as_they_are() {
        let page = include_str!("../../../docs/acceptance.md");
        let refused = "`gts-bootstrap install --plan`: ended with 1, not with 0\n--- standard output\n\n--- standard \
                       error\nerror: …\n";
        let mut tally = Tally::default();
        let mut example = String::new();
        for (name, verdict, used) in [
            ("install-from-the-mirror", Verdict::Passed, used(11_230, 214, 3_810, 9_912)),
            ("second-run-changes-nothing", Verdict::Passed, used(2_120, 29, 640, 9_428)),
            ("plan-touches-nothing", Verdict::Failed(refused.to_owned()), used(1_540, 22, 410, 9_216)),
            ("to-nginx-and-back", Verdict::Skipped("the package nginx is not installed".into()), Used::default()),
        ] {
            example += &format!("{}\n", line(name, &verdict, &used));
            tally.count(name, &verdict, &used);
        }
        example += &format!("{}\n", tally.sum(0));
        assert!(page.contains(&example), "docs/acceptance.md does not show:\n{example}");
        assert!(page.contains("FAILED  ") && page.contains(super::super::FAILED_FOLDER), "nor where to look");
    }

    #[test]
    fn the_reason_of_a_failure_is_indented() {
        let used = Used { time: Duration::from_millis(125_400), ..Used::default() };
        let text = line("name", &Verdict::Failed("one\ntwo\n".into()), &used);
        assert_eq!(text, format!("FAILED  {:<48} 2 min 05 s, CPU 0.0 s\n    one\n    two", "name"));
        assert_eq!(line("name", &Verdict::Skipped("why".into()), &used), "skipped name: why");
    }
}
