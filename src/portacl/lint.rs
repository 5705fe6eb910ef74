//! Finds what is wrong with a host's rules and with what its next boot will set.
//!
//! Each finding says what is wrong, why it matters, and how to fix it. The codes are stable, because other programs
//! read them. A fresh FreeBSD, an installation of this program, and a correct use of portacl-rc have no findings.

mod boot;
mod places;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};

use serde::Serialize;

use super::boot::{NextBoot, next_boot};
use super::boot_settings::{BootScope, BootSettings};
use super::names::Names;
use super::rule::{Rule, Subject};
use super::state::State;
use Severity::{Alarm, Error, Warning};

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

impl Display for Severity {
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

/// Every kind of finding: its code, its severity, and why it matters.
const KINDS: [(&str, Severity, &str); 31] = [
    ("open-ports", Alarm, "The reserved range is lowered, and mac_portacl does not guard the ports that this opens."),
    ("port-high-low", Alarm, "The reserved range is lowered, and mac_portacl does not look at ports above port_high."),
    ("module-not-loaded", Error, "Without it the rules are dropped silently, and a lowered reserved range is open."),
    ("module-missing", Error, "Without it the rules are dropped silently, and a lowered reserved range is open."),
    ("kld-list", Error, "The range is lowered first, and the rules come with the late pass, after the services."),
    ("not-enforcing", Error, "No rule has an effect, and a lowered reserved range would be open to everybody."),
    ("rules-in-several-places", Error, "Each of them replaces the whole list; nothing is merged."),
    ("portacl-rc-leaves-out", Error, "It reports this on the console at boot and continues without it."),
    ("portacl-rc-overwritten", Error, "sysctl.conf is read once more at the end of each boot, after portacl-rc."),
    ("line-cut", Error, "The rest of the last rule may be a rule for another port, and the rules after it are lost."),
    ("list-too-long", Error, "The kernel takes a list as a whole or not at all: the one before it stays in force."),
    ("list-refused", Error, "The kernel takes a list as a whole or not at all: the one before it stays in force."),
    ("blank-in-list", Error, "No space may be between rules or after a number: the list before it stays in force."),
    ("value-refused", Error, "The setting stays as it was before."),
    ("uid-matches-nobody", Error, "The kernel compares it whole, with all 64 bits."),
    ("empty-id", Error, "It is a rule for root (or the group wheel), and the intended user does not get the port."),
    ("gid-cut", Error, "The rule is for another group than it says."),
    ("port-cut", Error, "The rule is for another port than it says. Ports go from 1 to 65535."),
    ("port-reserved", Error, "A rule opens only the first of two gates; the reserved range keeps the second closed."),
    ("root-needs-rules", Warning, "That prevents sshd, syslogd and others from starting."),
    ("kld-conf-not-read", Warning, "rc(8) reads it only for a module that it loads itself, from FreeBSD 14 on."),
    ("open-during-boot", Warning, "The reserved range is lowered before mac_portacl is in force."),
    ("fail-open", Warning, "The module can be missing after an upgrade, and no boot guard closes the lowered range."),
    ("module-differs", Warning, "What is in force now is not what will be in force after the next boot."),
    ("settings-differ", Warning, "What works now may not work then, and the other way round."),
    ("rules-differ", Warning, "The running kernel and the files do not say the same."),
    ("duplicate", Warning, "It has no effect, and takes room in a list of limited length."),
    ("not-a-tunable", Warning, "Only enabled, port_high, suser_exempt and autoport_exempt are mac_portacl's tunables."),
    ("unknown-id", Warning, "A user who gets that number one day may bind the port at once."),
    ("port-zero", Warning, "It grants nothing: a program that binds port 0 gets any free port, and needs no rule."),
    ("above-port-high", Warning, "mac_portacl does not look at ports above port_high, with or without a rule."),
];

/// Returns everything that is wrong, the worst first.
///
/// `now` is what is in force, if it could be read. In a jail the rules belong to the host. So the jail's own files do
/// not count for them, and names of ids are not looked up.
pub fn lint(now: Option<&State>, boot: &BootSettings, names: &dyn Names) -> Vec<Finding> {
    let next = &next_boot(boot);
    let mut lint = Lint { now, settings: boot, next, names, findings: Vec::new() };
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
    next: &'a NextBoot,
    names: &'a dyn Names,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    /// Adds a finding of one of the [`KINDS`]: about what, what is wrong, how to fix it.
    fn found(&mut self, code: &'static str, subject: impl Display, what: impl Display, mend: impl Display) {
        let kind = KINDS.into_iter().find(|kind| kind.0 == code);
        let (severity, why) = kind.map_or((Error, ""), |(_, severity, why)| (severity, why));
        // One line without control characters, whatever the files contain.
        let plain = |text: &dyn Display| text.to_string().replace(char::is_control, "\u{fffd}");
        let (subject, what, mend) = (plain(&subject), plain(&what), plain(&mend));
        self.findings.push(Finding { code, severity, subject, what, why: why.to_owned(), mend });
    }

    fn has(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }

    /// Whether the kernel's settings belong to this host.
    fn is_host(&self) -> bool {
        self.settings.scope == BootScope::Host
    }

    /// The command that does something with a rule.
    fn command(&self, verb: &str, rule: Rule) -> String {
        let who = match rule.subject {
            Subject::Uid(uid) => self.names.user(uid),
            Subject::Gid(gid) => self.names.group(gid).map(|name| format!("@{name}")),
        };
        let who = who.unwrap_or_else(|| rule.subject.to_string());
        format!("gts-bootstrap portacl {verb} {who} {}/{}", rule.port, rule.protocol)
    }

    fn revoke(&self, rule: Rule) -> String {
        self.command("revoke", rule)
    }

    fn grant(&self, rule: Rule) -> String {
        self.command("grant", rule)
    }
}

/// Which of the two.
fn when(now: bool, boot: bool) -> &'static str {
    match (now, boot) {
        (true, true) => "now and after the next boot",
        (true, false) => "now",
        _ => "after the next boot",
    }
}
