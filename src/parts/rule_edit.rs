//! A change of the mac_portacl(4) rules, and what follows from it for the reserved range.

use crate::portacl::{self, Meaning, MergeError, Rule};

/// The reserved range as FreeBSD has it where nobody lowers it: `IPPORT_RESERVED` less one, `sys/netinet/in.h`.
pub const RESERVED_BY_DEFAULT: i64 = 1023;

/// Which list: that of the running kernel, or that of the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The running kernel.
    Now,
    /// The next boot.
    Boot,
}

/// A change of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleEdit {
    /// Brings these rules into force, with an effect. Every other rule stays.
    Grant(Vec<Rule>),
    /// Removes these rules. Every other rule stays.
    Revoke(Vec<Rule>),
    /// Replaces the lists.
    Replace {
        /// In the running kernel.
        now: Vec<Meaning>,
        /// At the next boot.
        boot: Vec<Meaning>,
        /// Rules that come in with it.
        granted: Vec<Rule>,
        /// Rules that go.
        revoked: Vec<Rule>,
    },
}

impl RuleEdit {
    /// The list that the present one becomes.
    ///
    /// # Errors
    /// The kernel would refuse the present list, or the new one.
    pub fn list(&self, when: When, old: &str) -> Result<String, MergeError> {
        match (self, when) {
            (Self::Grant(rules), _) => portacl::with_rules(old, rules),
            (Self::Revoke(rules), _) => portacl::without_rules(old, rules),
            (Self::Replace { now, .. }, When::Now) => portacl::replace(old, now),
            (Self::Replace { boot, .. }, When::Boot) => portacl::replace(old, boot),
        }
    }

    /// Whether it gives anybody a permission, for which module, boot settings and guard have to be there.
    pub fn grants(&self) -> bool {
        !self.granted().is_empty()
    }

    /// The rules that come.
    pub fn granted(&self) -> &[Rule] {
        match self {
            Self::Grant(rules) | Self::Replace { granted: rules, .. } => rules,
            Self::Revoke(_) => &[],
        }
    }

    /// The rules that go.
    pub fn revoked(&self) -> &[Rule] {
        match self {
            Self::Revoke(rules) | Self::Replace { revoked: rules, .. } => rules,
            Self::Grant(_) => &[],
        }
    }

    /// The new reservedhigh where it is `current` and the lists change from `old` to `new`: low enough for the granted rules, and no
    /// lower; back up as far as the remaining rules allow. If somebody has lowered it further than the old rules needed, it is
    /// theirs, and never raised.
    ///
    /// The lists of the running kernel and of the boot count together: it was lowered for both, and must not differ between now and
    /// the next boot just because the two lists do.
    pub fn reserved_high(&self, old: &[&str], new: &[&str], current: i64) -> i64 {
        let least = |lists: &[&str]| lists.iter().map(|list| needed(list)).min().unwrap_or(RESERVED_BY_DEFAULT);
        let theirs = current < least(old);
        let restored = if theirs || self.revoked().is_empty() { current } else { current.max(least(new)) };
        restored.min(below(self.granted().iter().map(|rule| rule.port)))
    }
}

/// The rules of a kernel's list that have an effect; none of a list that the kernel would refuse.
pub(super) fn effective(list: &str) -> Vec<Rule> {
    portacl::parse_kernel(list).unwrap_or_default().iter().filter_map(|rule| rule.effective()).collect()
}

/// The highest reserved port with which every rule of a list has an effect.
pub fn needed(list: &str) -> i64 {
    below(effective(list).iter().map(|rule| rule.port).filter(|port| *port > 0))
}

pub(crate) fn below(ports: impl Iterator<Item = u16>) -> i64 {
    ports.map(|port| i64::from(port) - 1).min().unwrap_or(RESERVED_BY_DEFAULT).min(RESERVED_BY_DEFAULT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        portacl::parse_strict(text).unwrap()
    }

    fn grant(text: &str, current: i64) -> i64 {
        let edit = RuleEdit::Grant(rules(text));
        edit.reserved_high(&[""], &[&edit.list(When::Now, "").unwrap()], current)
    }

    fn revoke(text: &str, old: &str, current: i64) -> i64 {
        let edit = RuleEdit::Revoke(rules(text));
        edit.reserved_high(&[old], &[&edit.list(When::Boot, old).unwrap()], current)
    }

    #[test]
    fn a_grant_lowers_just_below_the_lowest_port_and_never_raises() {
        assert_eq!(grant("uid:209:tcp:443,uid:209:tcp:80", 1023), 79);
        assert_eq!(grant("uid:209:tcp:443", 1023), 442);
        assert_eq!(grant("uid:209:tcp:443", 79), 79);
        assert_eq!(grant("uid:53:udp:1", 1023), 0);
        assert_eq!(grant("uid:209:tcp:8080", 1023), 1023);
    }

    #[test]
    fn a_revocation_raises_as_far_as_the_other_rules_allow() {
        let both = "uid:209:tcp:80,uid:209:tcp:443";
        assert_eq!(revoke("uid:209:tcp:80", both, 79), 442);
        assert_eq!(revoke("uid:209:tcp:443", both, 79), 79);
        assert_eq!(revoke(both, both, 79), 1023);
        assert_eq!(revoke(both, "uid:209:tcp:80,uid:209:tcp:443,uid:53:udp:53", 52), 52);
    }

    #[test]
    fn both_lists_count() {
        let both = "uid:209:tcp:80,uid:209:tcp:443";
        let edit = RuleEdit::Revoke(rules(both));
        assert_eq!(edit.reserved_high(&[both, ""], &["", ""], 79), 1023, "the kernel has lost its list");
        assert_eq!(edit.reserved_high(&[both, "uid:53:udp:53"], &["", "uid:53:udp:53"], 52), 52);
        assert_eq!(edit.reserved_high(&[both, ""], &["", ""], 20), 20);
    }

    #[test]
    fn what_somebody_has_lowered_further_is_theirs() {
        let both = "uid:209:tcp:80,uid:209:tcp:443";
        assert_eq!(revoke(both, both, 20), 20);
        assert_eq!(revoke(both, both, 0), 0);
        // And what is higher than the rules need is not lowered by taking one away.
        assert_eq!(revoke("uid:209:tcp:443", both, 1023), 1023);
    }
}
