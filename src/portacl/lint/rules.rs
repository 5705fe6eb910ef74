//! Findings about the rules and lists themselves, and about rules that have no effect.

use super::super::boot::number;
use super::super::boot_settings::{Assignment, BootScope, Variable};
use super::super::evaluate::Policy;
use super::super::kernel::{KernelId, KernelRefusal, KernelRule, parse_kernel};
use super::super::merge::{KERNEL_LIMIT, SYSCTL_CONF_LIMIT};
use super::super::rule::{Rule, Subject};
use super::{Lint, when};

impl<'a> Lint<'a> {
    /// The lines of the files that sysctl(8) applies, if this host may set them.
    fn sysctl_lines(&self) -> impl Iterator<Item = &'a Assignment> + use<'a> {
        let settings = self.settings;
        let may_be_set = |line: &&Assignment| match settings.scope {
            BootScope::Host => true,
            BootScope::SharedJail { .. } => false,
            BootScope::VnetJail { .. } => matches!(line.variable, Variable::ReservedLow | Variable::ReservedHigh),
        };
        settings.sysctl_conf.iter().chain(&settings.kld_conf).filter(may_be_set)
    }

    /// Lists that are truncated, refused or contain repetitions.
    pub(super) fn lists(&mut self) {
        let mut cut = Vec::new();
        for line in self.sysctl_lines() {
            let Some(length) = line.overlong.filter(|_| !cut.contains(&&line.place)) else { continue };
            self.found(
                "line-cut",
                line,
                format!("the line has {length} bytes, and sysctl(8) cuts it at 1023, the name included"),
                format!("remove rules that are no longer needed: {SYSCTL_CONF_LIMIT} bytes are left for the list"),
            );
            cut.push(&line.place);
        }
        let mut twice: Vec<((String, String), Vec<String>)> = Vec::new();
        for list in self.all_lists() {
            match parse_kernel(list.text) {
                Err(refusal) => self.refused(&list.place(), &refusal),
                Ok(rules) => {
                    for pair in duplicates(&rules) {
                        match twice.iter_mut().find(|there| there.0 == pair) {
                            Some((_, places)) => places.push(list.place()),
                            None => twice.push((pair, vec![list.place()])),
                        }
                    }
                }
            }
        }
        for ((text, first), places) in twice {
            let places = places.join(", ");
            self.found(
                "duplicate",
                format!("{text} ({places})"),
                format!("it says the same as “{first}” before it"),
                format!("take one of the two out of {places}"),
            );
        }
    }

    fn refused(&mut self, place: &str, refusal: &KernelRefusal) {
        let refused = format!("the kernel will refuse the list: {refusal}");
        let (code, what, mend) = match refusal {
            KernelRefusal::TooLong { length } => (
                "list-too-long",
                format!("the list has {length} bytes, and the kernel takes at most {KERNEL_LIMIT}"),
                "remove rules that are no longer needed".to_owned(),
            ),
            KernelRefusal::Element { element, .. } if element.contains(char::is_whitespace) => {
                ("blank-in-list", refused, format!("take the blanks out of “{element}” in {place}"))
            }
            KernelRefusal::Element { element, .. } => {
                ("list-refused", refused, format!("write “{element}” in {place} like uid:209:tcp:80, in numbers"))
            }
            KernelRefusal::NulByte => ("line-cut", refusal.to_string(), format!("take it out of {place}")),
        };
        self.found(code, format!("{} ({place})", Variable::Rules), what, mend);
    }

    /// Invalid numbers, and lines of the loader that set nothing.
    pub(super) fn values(&mut self) {
        let tunables = if self.is_host() { &self.settings.tunables[..] } else { &[] };
        let (tunables, others): (Vec<_>, Vec<_>) = tunables.iter().partition(|line| line.variable.is_tunable());
        for line in others {
            self.found(
                "not-a-tunable",
                line,
                "the loader cannot set it, so the line has no effect",
                format!("move the line to /etc/sysctl.conf: {}={}", line.variable, line.value),
            );
        }
        for line in self.sysctl_lines().chain(tunables) {
            if line.variable != Variable::Rules && number(&line.value).is_none() {
                self.found(
                    "value-refused",
                    line,
                    format!("“{}” is not a number, so the line has no effect", line.value),
                    format!("correct the number in {}, or take the line out", line.place),
                );
            }
        }
    }

    /// Elements that do not mean what they seem to mean, or match no user.
    pub(super) fn elements(&mut self) {
        for (rule, places) in self.all_elements() {
            let subject = format!("{} ({places})", rule.text);
            let take_out = format!("take “{}” out of {places}", rule.text);
            self.id(&rule, &subject, &take_out);
            self.port(&rule, &subject, take_out);
        }
    }

    fn id(&mut self, rule: &KernelRule, subject: &str, take_out: &str) {
        let Some(meant) = rule.effective() else {
            let what = "no uid is negative or larger than 4294967295, so the rule matches no user";
            return self.found("uid-matches-nobody", subject, what, take_out);
        };
        let revoke = self.revoke(meant);
        if rule.text.split(':').nth(1) == Some("") {
            let mend = format!("{revoke}; then grant the port to the intended user");
            return self.found("empty-id", subject, "the id is empty, which the kernel takes for 0", mend);
        }
        // In a jail the names are the jail's, but the rules are not.
        let (kind, id, has_name) = match (meant.subject, rule.id) {
            (Subject::Gid(gid), KernelId::Gid(id)) if i64::from(gid) != id => {
                let what = format!("the kernel cuts gid {id} to 32 bits: it is {gid}");
                return self.found("gid-cut", subject, what, revoke);
            }
            (Subject::Gid(gid), _) => ("group has gid", gid, self.names.group(gid).is_some()),
            (Subject::Uid(uid), _) => ("account has uid", uid, self.names.user(uid).is_some()),
        };
        if self.is_host() && !has_name {
            let mend = if meant.port == 0 { take_out } else { &revoke };
            self.found("unknown-id", subject, format!("no {kind} {id}"), mend);
        }
    }

    fn port(&mut self, rule: &KernelRule, subject: &str, take_out: String) {
        let written = rule.text.splitn(4, ':').nth(3).unwrap_or_default().trim_start();
        let is_cut = !written.is_empty() && written.parse() != Ok(i128::from(rule.port));
        let meant = rule.effective().filter(|rule| rule.port != 0);
        let mend = meant.map_or(take_out, |rule| self.revoke(rule));
        if is_cut {
            let what = format!("the kernel cuts port {written} to 16 bits: it is {}", rule.port);
            self.found("port-cut", subject, what, mend);
        } else if rule.port == 0 {
            self.found("port-zero", subject, "the rule is for port 0, which is not a port", mend);
        }
    }

    /// Rules that another gate makes ineffective, now or after the boot.
    pub(super) fn effects(&mut self) {
        let (nothing, boot) = (Policy::default(), &self.next.state.policy);
        let now = self.now.map_or(&nothing, |now| &now.policy);
        let mut seen: Vec<Rule> = Vec::new();
        for (rule, places) in self.all_elements() {
            let Some(meant) = rule.effective().filter(|rule| rule.port != 0 && !seen.contains(rule)) else { continue };
            seen.push(meant);
            let subject = format!("{} ({places})", rule.text);
            let in_force = |policy: &Policy| {
                policy.enforces() && policy.rules.iter().any(|there| there.effective() == Some(meant))
            };
            let above = |policy: &Policy| in_force(policy) && i32::from(meant.port) > policy.port_high;
            // Root has the privilege that opens the reserved range.
            let covered =
                |policy: &Policy| in_force(policy) && meant.subject != Subject::Uid(0) && policy.reserves(meant.port);
            if above(now) || above(boot) {
                let high = if above(boot) { boot.port_high } else { now.port_high };
                let when = when(above(now), above(boot));
                let what = format!("{when}, it has no effect: the port is above port_high, {high}");
                self.found("above-port-high", &subject, what, self.revoke(meant));
            }
            if covered(now) || covered(boot) {
                let high = if covered(boot) { boot.reservedhigh } else { now.reservedhigh };
                let when = when(covered(now), covered(boot));
                let what = format!("{when}, it has no effect: ports up to {high} are reserved for root");
                let mend = format!("{}, which lowers it as far as needed", self.grant(meant));
                self.found("port-reserved", subject, what, mend);
            }
        }
    }
}

/// Elements that repeat an earlier one, each with the first such element, once for each spelling.
fn duplicates(rules: &[KernelRule]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let same = |other: &&KernelRule| other.effective().is_some() && other.effective() == rule.effective();
        let pair = rules[..index].iter().find(same).map(|first| (rule.text.clone(), first.text.clone()));
        found.extend(pair.filter(|pair| !found.contains(pair)));
    }
    found
}
