//! Finds what is wrong with a host's rules and with what its next boot will set.
//!
//! Each finding says what is so, why it matters, and how to mend it. The codes are stable: other programs read them.
//! Nothing is found on a fresh FreeBSD, on an installation of this program, or where portacl-rc is used as it is meant.

mod boot;
mod places;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use super::boot::{NextBoot, next_boot};
use super::boot_settings::{BootScope, BootSettings};
use super::names::Names;
use super::rule::{Rule, Subject};
use super::state::State;

/// How bad a finding is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Low ports are open to any user.
    Alarm,
    /// Something does not do what it says.
    Error,
    /// Worth knowing, or bad only when something else fails too.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alarm => "alarm",
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something that is wrong. None of the texts has a line break in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind it is, in a word that does not change.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The rule or setting, with the places where it stands.
    pub subject: String,
    /// What is so.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// How to mend it.
    pub mend: String,
}

/// Everything that is wrong, the worst first.
///
/// `now` is what is in force, if that could be read. In a jail the rules are the host's: what the jail's own files say
/// of them is not looked at, and whether an id has a name is not asked.
#[must_use]
pub fn lint(now: Option<&State>, boot: &BootSettings, names: &dyn Names) -> Vec<Finding> {
    let mut lint = Lint { now, settings: boot, next: next_boot(boot), names, findings: Vec::new() };
    lint.open_ports();
    lint.lists();
    lint.values();
    lint.elements();
    lint.effects();
    lint.switches();
    lint.loading();
    lint.rules_in_several_places();
    lint.portacl_rc();
    lint.fail_open();
    lint.differences();
    lint.findings.sort_by_key(|finding| finding.severity);
    lint.findings
}

/// What is looked at, and what has been found.
struct Lint<'a> {
    now: Option<&'a State>,
    settings: &'a BootSettings,
    next: NextBoot,
    names: &'a dyn Names,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn found(
        &mut self,
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (subject, what, why, mend) = (plain(subject), plain(what), plain(why), plain(mend));
        self.findings.push(Finding { code, severity, subject, what, why, mend });
    }

    fn has(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }

    /// Whether the kernel's settings are this host's own.
    fn is_host(&self) -> bool {
        self.settings.scope == BootScope::Host
    }

    /// A user or group as `gts-bootstrap portacl` takes it.
    fn target(&self, subject: Subject) -> String {
        match subject {
            Subject::Uid(uid) => self.names.user(uid).unwrap_or_else(|| format!("uid:{uid}")),
            Subject::Gid(gid) => self.names.group(gid).map_or_else(|| format!("gid:{gid}"), |name| format!("@{name}")),
        }
    }

    /// The arguments that name a rule.
    fn arguments(&self, rule: Rule) -> String {
        format!("{} {}/{}", self.target(rule.subject), rule.port, rule.protocol)
    }

    fn revoke(&self, rule: Rule) -> String {
        format!("gts-bootstrap portacl revoke {}", self.arguments(rule))
    }

    fn grant(&self, rule: Rule) -> String {
        format!("gts-bootstrap portacl grant {}", self.arguments(rule))
    }
}

/// One line without control characters, whatever stands in the files.
fn plain(text: impl Into<String>) -> String {
    text.into().replace(|character: char| character.is_control(), "\u{fffd}")
}

/// Which of the two.
fn when(now: bool, boot: bool) -> &'static str {
    match (now, boot) {
        (true, true) => "now and after the next boot",
        (true, false) => "now",
        _ => "after the next boot",
    }
}
