//! Finds what is wrong with a host's rules and with what its next boot will set.
//!
//! Each finding says what is wrong, why it matters, and how to fix it. The codes are stable, because other programs
//! read them. A fresh FreeBSD, an installation of this program, and a correct use of portacl-rc have no findings.

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

/// The severity of a finding. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Low ports are open to any user.
    Alarm,
    /// A setting does not do what it says.
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

/// Something that is wrong. None of the texts contains a line break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of finding, as a stable word.
    pub code: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The rule or setting, with its places.
    pub subject: String,
    /// What is wrong.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// How to fix it.
    pub mend: String,
}

/// Returns everything that is wrong, the worst first.
///
/// `now` is what is in force, if it could be read. In a jail the rules belong to the host. So the jail's own files do
/// not count for them, and names of ids are not looked up.
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

/// The input, and the findings so far.
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

    /// Whether the kernel's settings belong to this host.
    fn is_host(&self) -> bool {
        self.settings.scope == BootScope::Host
    }

    /// A user or group as `gts-bootstrap portacl` accepts it.
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

/// One line without control characters, whatever the files contain.
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
