//! Findings about the rules and lists themselves, and about rules that have no effect.

use super::super::boot::{Ignored, check_value};
use super::super::boot_settings::{Assignment, Variable};
use super::super::evaluate::Policy;
use super::super::kernel::{KernelId, KernelRefusal, KernelRule, parse_kernel};
use super::super::merge::{KERNEL_LIMIT, SYSCTL_CONF_LIMIT};
use super::super::rule::{Rule, Subject};
use super::places::joined;
use super::{Lint, Severity, when};

const KEEPS: &str = "The kernel takes a list as a whole or not at all: the one before it stays in force.";

impl Lint<'_> {
    /// The lines of the files that sysctl(8) applies, if this host may set them.
    fn sysctl_lines(&self) -> Vec<Assignment> {
        let lines = self.settings.sysctl_conf.iter().chain(&self.settings.kld_conf);
        lines.filter(|line| self.is_host() || self.is_vnets(line.variable)).cloned().collect()
    }

    fn is_vnets(&self, variable: Variable) -> bool {
        let vnet = matches!(self.settings.scope, super::BootScope::VnetJail { .. });
        vnet && matches!(variable, Variable::ReservedLow | Variable::ReservedHigh)
    }

    /// Lists that are truncated, refused or contain repetitions.
    pub(super) fn lists(&mut self) {
        let mut cut = Vec::new();
        for line in self.sysctl_lines() {
            let Some(length) = line.overlong.filter(|_| !cut.contains(&line.place)) else { continue };
            self.found(
                "line-cut",
                Severity::Error,
                format!("{} ({})", line.variable, line.place),
                format!("the line has {length} bytes, and sysctl(8) cuts it at 1023, the name included"),
                "What is left of the last rule may be a rule for another port, and the rules after it are lost.",
                format!("remove rules that are no longer needed: {SYSCTL_CONF_LIMIT} bytes are left for the list"),
            );
            cut.push(line.place);
        }
        let mut twice: Vec<(String, String, Vec<String>)> = Vec::new();
        for list in self.all_lists() {
            match parse_kernel(&list.text) {
                Err(refusal) => self.refused(&list.place, &refusal),
                Ok(rules) => {
                    for (text, first) in duplicates(&rules) {
                        match twice.iter_mut().find(|there| there.0 == text && there.1 == first) {
                            Some((_, _, places)) => places.push(list.place.clone()),
                            None => twice.push((text, first, vec![list.place.clone()])),
                        }
                    }
                }
            }
        }
        for (text, first, places) in twice {
            self.found(
                "duplicate",
                Severity::Warning,
                format!("{text} ({})", joined(&places)),
                format!("it says the same as “{first}” before it"),
                "It has no effect, and takes room in a list of limited length.",
                format!("take one of the two out of {}", joined(&places)),
            );
        }
    }

    fn refused(&mut self, place: &str, refusal: &KernelRefusal) {
        let subject = format!("{} ({place})", Variable::Rules);
        match refusal {
            KernelRefusal::TooLong { length } => self.found(
                "list-too-long",
                Severity::Error,
                subject,
                format!("the list has {length} bytes, and the kernel takes at most {KERNEL_LIMIT}"),
                KEEPS,
                "remove rules that are no longer needed",
            ),
            KernelRefusal::Element { element, .. } if element.contains(char::is_whitespace) => self.found(
                "blank-in-list",
                Severity::Error,
                subject,
                format!("the kernel will refuse the list: {refusal}"),
                format!("No space is allowed between rules or after a number. {KEEPS}"),
                format!("take the blanks out of “{element}” in {place}"),
            ),
            KernelRefusal::Element { element, .. } => self.found(
                "list-refused",
                Severity::Error,
                subject,
                format!("the kernel will refuse the list: {refusal}"),
                KEEPS,
                format!("write “{element}” in {place} like uid:209:tcp:80, in numbers"),
            ),
            KernelRefusal::NulByte => self.found(
                "list-refused",
                Severity::Error,
                subject,
                format!("{refusal}"),
                "What follows it is lost without a word.",
                format!("take it out of {place}"),
            ),
        }
    }

    /// Invalid numbers, and lines of the loader that set nothing.
    pub(super) fn values(&mut self) {
        let tunables = if self.is_host() { self.settings.tunables.clone() } else { Vec::new() };
        for line in &tunables {
            if !line.variable.is_tunable() {
                self.found(
                    "not-a-tunable",
                    Severity::Warning,
                    format!("{} ({})", line.variable, line.place),
                    "the loader cannot set it, so the line has no effect",
                    "Only enabled, port_high, suser_exempt and autoport_exempt are tunables of mac_portacl.",
                    format!("move the line to /etc/sysctl.conf: {}={}", line.variable, line.value),
                );
            }
        }
        for line in self.sysctl_lines().iter().chain(tunables.iter().filter(|line| line.variable.is_tunable())) {
            if check_value(line.variable, &line.value) == Err(Ignored::NotANumber) {
                self.found(
                    "value-refused",
                    Severity::Error,
                    format!("{} ({})", line.variable, line.place),
                    format!("“{}” is not a number, so the line has no effect", line.value),
                    "The setting stays as it was before.",
                    format!("correct the number in {}, or take the line out", line.place),
                );
            }
        }
    }

    /// Elements that do not mean what they seem to mean, or match no user.
    pub(super) fn elements(&mut self) {
        for (rule, places) in self.all_elements() {
            let subject = format!("{} ({})", rule.text, joined(&places));
            self.id(&rule, &subject, &places);
            self.port(&rule, &subject, &places);
        }
    }

    fn id(&mut self, rule: &KernelRule, subject: &str, places: &[String]) {
        let take_out = format!("take “{}” out of {}", rule.text, joined(places));
        let Some(meant) = rule.effective() else {
            return self.found(
                "uid-matches-nobody",
                Severity::Error,
                subject,
                "no uid is negative or larger than 4294967295, so the rule matches no user",
                "The kernel compares it whole, with all 64 bits.",
                take_out,
            );
        };
        if rule.text.split(':').nth(1) == Some("") {
            return self.found(
                "empty-id",
                Severity::Error,
                subject,
                "the id is empty, which the kernel takes for 0",
                "It is a rule for root (or the group wheel), and the intended user does not get the port.",
                format!("{}; then grant the port to the intended user", self.revoke(meant)),
            );
        }
        if let (KernelId::Gid(id), Subject::Gid(gid)) = (rule.id, meant.subject)
            && i64::from(gid) != id
        {
            return self.found(
                "gid-cut",
                Severity::Error,
                subject,
                format!("the kernel cuts gid {id} to 32 bits: it is {gid}"),
                "The rule is for another group than it says.",
                self.revoke(meant),
            );
        }
        // In a jail the names are the jail's, but the rules are not.
        let (kind, has_name) = match meant.subject {
            Subject::Uid(uid) => ("account has uid", self.names.user(uid).is_some()),
            Subject::Gid(gid) => ("group has gid", self.names.group(gid).is_some()),
        };
        if self.is_host() && !has_name {
            let (Subject::Uid(id) | Subject::Gid(id)) = meant.subject;
            self.found(
                "unknown-id",
                Severity::Warning,
                subject,
                format!("no {kind} {id}"),
                "A user who gets that number one day may bind the port at once.",
                if meant.port == 0 { take_out } else { self.revoke(meant) },
            );
        }
    }

    fn port(&mut self, rule: &KernelRule, subject: &str, places: &[String]) {
        let written = rule.text.splitn(4, ':').nth(3).unwrap_or_default().trim_start();
        let number = written.parse::<i128>();
        let is_cut = !written.is_empty() && number != Ok(i128::from(rule.port));
        let meant = rule.effective().filter(|rule| rule.port != 0);
        let mend =
            meant.map_or_else(|| format!("take “{}” out of {}", rule.text, joined(places)), |rule| self.revoke(rule));
        if is_cut {
            self.found(
                "port-cut",
                Severity::Error,
                subject,
                format!("the kernel cuts port {written} to 16 bits: it is {}", rule.port),
                "The rule is for another port than it says. Ports go from 1 to 65535.",
                mend,
            );
        } else if rule.port == 0 {
            self.found(
                "port-zero",
                Severity::Warning,
                subject,
                "the rule is for port 0, which is not a port",
                "It grants nothing: a program that binds port 0 gets any free port, and needs no rule.",
                mend,
            );
        }
    }

    /// Rules that another gate makes ineffective, now or after the boot.
    pub(super) fn effects(&mut self) {
        let nothing = Policy::default();
        let now = self.now.map_or(&nothing, |now| &now.policy).clone();
        let boot = self.next.state.policy.clone();
        let mut seen: Vec<Rule> = Vec::new();
        for (rule, places) in self.all_elements() {
            let Some(meant) = rule.effective().filter(|rule| rule.port != 0) else { continue };
            if seen.contains(&meant) {
                continue;
            }
            seen.push(meant);
            let subject = format!("{} ({})", rule.text, joined(&places));
            let above = |policy: &Policy| in_force(policy, meant) && i32::from(meant.port) > policy.port_high;
            let covered = |policy: &Policy| {
                let port = i32::from(meant.port);
                // Root has the privilege that opens the reserved range.
                let reserved = policy.reservedlow <= port && port <= policy.reservedhigh;
                in_force(policy, meant) && meant.subject != Subject::Uid(0) && reserved
            };
            if above(&now) || above(&boot) {
                let high = if above(&boot) { boot.port_high } else { now.port_high };
                self.found(
                    "above-port-high",
                    Severity::Warning,
                    subject.clone(),
                    format!(
                        "{}, it has no effect: the port is above port_high, {high}",
                        when(above(&now), above(&boot))
                    ),
                    "mac_portacl does not look at ports above port_high, with or without a rule.",
                    self.revoke(meant),
                );
            }
            if covered(&now) || covered(&boot) {
                let high = if covered(&boot) { boot.reservedhigh } else { now.reservedhigh };
                let when = when(covered(&now), covered(&boot));
                self.found(
                    "port-reserved",
                    Severity::Error,
                    subject,
                    format!("{when}, it has no effect: ports up to {high} are reserved for root"),
                    format!(
                        "A rule opens the first gate only; {} keeps the second one closed.",
                        Variable::ReservedHigh
                    ),
                    format!("{}, which lowers it as far as needed", self.grant(meant)),
                );
            }
        }
    }
}

fn in_force(policy: &Policy, rule: Rule) -> bool {
    policy.loaded && policy.enabled != 0 && policy.rules.iter().any(|there| there.effective() == Some(rule))
}

/// Elements that repeat an earlier one, each with the first such element, once for each spelling.
fn duplicates(rules: &[KernelRule]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let same = |other: &&KernelRule| other.effective().is_some() && other.effective() == rule.effective();
        if let Some(first) = rules[..index].iter().find(same) {
            let pair = (rule.text.clone(), first.text.clone());
            if !found.contains(&pair) {
                found.push(pair);
            }
        }
    }
    found
}
