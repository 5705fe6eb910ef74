//! What the program under test did, and whether that is what a story wants.

use serde_json::Value;

/// A run of the program.
#[derive(Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Exit status.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Everything it said, with line breaks and indents folded.
    fn said(&self) -> String {
        format!("{} {}", self.stdout, self.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn wrong(&self, what: &str) -> String {
        format!("`{}`: {what}\n--- standard output\n{}\n--- standard error\n{}", self.command, self.stdout, self.stderr)
    }

    /// It ended with this exit status.
    pub fn exits(self, code: i32) -> Result<Self, String> {
        if self.code == Some(code) {
            return Ok(self);
        }
        let ended = self.code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
        Err(self.wrong(&format!("ended {ended}, not with {code}")))
    }

    /// It said this.
    pub fn says(self, text: &str) -> Result<Self, String> {
        if self.said().contains(text) { Ok(self) } else { Err(self.wrong(&format!("does not say {text:?}"))) }
    }

    /// It did not say this.
    pub fn does_not_say(self, text: &str) -> Result<Self, String> {
        if self.said().contains(text) { Err(self.wrong(&format!("says {text:?}"))) } else { Ok(self) }
    }

    /// The object that `--json` prints.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.stdout).map_err(|error| self.wrong(&format!("prints no JSON: {error}")))
    }

    /// The status of the check of that name, from `--json`.
    pub fn check(&self, name: &str) -> Result<String, String> {
        let json = self.json()?;
        let checks = json["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let status = checks.iter().find(|check| check["name"] == name).and_then(|check| check["status"].as_str());
        status.map(str::to_owned).ok_or_else(|| self.wrong(&format!("has no check {name:?}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn outcome(code: Option<i32>, stdout: &str) -> Outcome {
        Outcome { command: "program".into(), code, stdout: stdout.into(), stderr: "one\n   two\n".into() }
    }

    #[test]
    fn what_is_wanted_is_told_from_what_is_not() {
        assert!(outcome(Some(3), "").exits(3).unwrap().says("one two").unwrap().does_not_say("three").is_ok());
        assert!(outcome(Some(3), "").exits(0).unwrap_err().contains("ended with 3, not with 0"));
        assert!(outcome(None, "").exits(0).unwrap_err().contains("by a signal"));
        assert!(outcome(Some(0), "").says("three").unwrap_err().contains("does not say \"three\""));
        assert!(outcome(Some(0), "").does_not_say("one two").unwrap_err().contains("says \"one two\""));
    }

    #[test]
    fn checks_are_found_by_name() {
        let json = r#"{"checks": [{"name": "readyz", "status": "pass"}]}"#;
        assert_eq!(outcome(Some(0), json).check("readyz").unwrap(), "pass");
        assert!(outcome(Some(0), json).check("livez").unwrap_err().contains("no check \"livez\""));
        assert!(outcome(Some(0), "text").check("livez").unwrap_err().contains("prints no JSON"));
    }
}
