//! The report: a line a story, and the sum of them.

use std::process::ExitCode;

use super::stories::Verdict;

/// How many stories ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    /// Counts a story, and prints its line.
    pub fn count(&mut self, name: &str, verdict: &Verdict) {
        println!("{}", line(name, verdict));
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }

    /// Prints the last line.
    pub fn print(&self) {
        println!("{}", self.sum());
    }

    fn sum(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }

    /// 0 if no story failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed > 0))
    }
}

/// A story's line; the reason of a failure stands indented below it.
fn line(name: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => format!("ok      {name}"),
        Verdict::Skipped(why) => format!("skipped {name}: {why}"),
        Verdict::Failed(why) => format!("FAILED  {name}\n    {}", why.trim_end().replace('\n', "\n    ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn stories_are_counted_and_a_failure_is_an_exit_status() {
        let mut tally = Tally::default();
        tally.count("one", &Verdict::Passed);
        tally.count("two", &Verdict::Skipped("no package".into()));
        assert_eq!((tally.sum().as_str(), tally.exit_code()), ("1 passed, 0 failed, 1 skipped", ExitCode::SUCCESS));
        tally.count("three", &Verdict::Failed("why".into()));
        assert_eq!((tally.sum().as_str(), tally.exit_code()), ("1 passed, 1 failed, 1 skipped", ExitCode::FAILURE));
    }

    #[test]
    fn the_reason_of_a_failure_is_indented() {
        let text = line("name", &Verdict::Failed("one\ntwo\n".into()));
        assert_eq!(text, "FAILED  name\n    one\n    two");
        assert_eq!(line("name", &Verdict::Skipped("why".into())), "skipped name: why");
    }
}
