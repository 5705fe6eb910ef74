//! The places of rules, and their origin.

use super::super::boot::SetBy;
use super::super::boot_settings::{Assignment, Variable};
use super::super::kernel::{KernelRule, parse_kernel};
use super::super::rule::Rule;
use super::Lint;

/// The name of the running kernel in lists of places.
pub(super) const RUNNING: &str = "the running kernel";
/// The name of portacl-rc in lists of places.
pub(super) const PORTACL_RC: &str = "portacl-rc's variables in rc.conf";

/// A list of rules, and its place.
pub(super) struct List {
    /// File and line, or one of the names above.
    pub(super) place: String,
    /// The list as it is there.
    pub(super) text: String,
    /// What would set it at boot; `None` for the running kernel.
    pub(super) by: Option<SetBy>,
}

impl Lint<'_> {
    /// Every list that is in force or may be at boot, in the order of the boot.
    pub(super) fn all_lists(&self) -> Vec<List> {
        let mut lists = Vec::new();
        if self.is_host() {
            let of_file = |assignments: &[Assignment], by: fn(usize) -> SetBy| -> Vec<List> {
                let rules = assignments.iter().enumerate().filter(|(_, line)| line.variable == Variable::Rules);
                rules
                    .map(|(index, line)| List {
                        place: line.place.to_string(),
                        text: line.value.clone(),
                        by: Some(by(index)),
                    })
                    .collect()
            };
            lists.extend(of_file(&self.settings.kld_conf, SetBy::KldConf));
            if let Some(rc) = &self.settings.portacl_rc {
                let by = Some(SetBy::PortaclRc);
                lists.push(List { place: PORTACL_RC.to_owned(), text: rc.list.clone(), by });
            }
            lists.extend(of_file(&self.settings.sysctl_conf, SetBy::SysctlConf));
        }
        if let Some(now) = self.now {
            lists.push(List { place: RUNNING.to_owned(), text: now.list.clone(), by: None });
        }
        lists
    }

    /// Every element of every list that the kernel would accept, once for each spelling, with its places.
    pub(super) fn all_elements(&self) -> Vec<(KernelRule, Vec<String>)> {
        let mut elements: Vec<(KernelRule, Vec<String>)> = Vec::new();
        for list in self.all_lists() {
            for rule in parse_kernel(&list.text).unwrap_or_default() {
                match elements.iter_mut().find(|(there, _)| there.text == rule.text) {
                    Some((_, places)) if places.contains(&list.place) => {}
                    Some((_, places)) => places.push(list.place.clone()),
                    None => elements.push((rule, vec![list.place.clone()])),
                }
            }
        }
        elements
    }

    /// The origin of the value that a variable has after the boot; its name if nothing sets it.
    pub(super) fn origin(&self, variable: Variable) -> String {
        let line = |assignment: Option<&Assignment>| assignment.map(|line| format!("{variable} ({})", line.place));
        let place = match self.next.set_by.get(&variable) {
            Some(SetBy::Tunable(index)) => line(self.settings.tunables.get(*index)),
            Some(SetBy::SysctlConf(index)) => line(self.settings.sysctl_conf.get(*index)),
            Some(SetBy::KldConf(index)) => line(self.settings.kld_conf.get(*index)),
            Some(SetBy::PortaclRc) => Some(format!("{variable} ({PORTACL_RC})")),
            Some(SetBy::Guard) => Some(format!("{variable} (the boot guard)")),
            None => None,
        };
        place.unwrap_or_else(|| variable.name().to_owned())
    }
}

/// What the rules permit, without order, spelling and repetition.
pub(super) fn meaning(rules: &[KernelRule]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = rules.iter().filter_map(KernelRule::effective).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Places as a text.
pub(super) fn joined(places: &[String]) -> String {
    places.join(", ")
}
