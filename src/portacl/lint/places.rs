//! The places of rules, and their origin.

use super::super::boot::SetBy;
use super::super::boot_settings::{Assignment, Variable};
use super::super::kernel::{KernelRule, parse_kernel};
use super::super::rule::Rule;
use super::Lint;

/// A list of rules.
pub(super) struct List<'a> {
    /// What would set it at boot; `None` for the running kernel.
    pub(super) by: Option<SetBy>,
    /// The list as it is there.
    pub(super) text: &'a str,
}

impl List<'_> {
    /// Where it is.
    pub(super) fn place(&self) -> String {
        self.by.as_ref().map_or_else(|| "the running kernel".to_owned(), SetBy::to_string)
    }
}

impl<'a> Lint<'a> {
    /// Every list that is in force or may be at boot, in the order of the boot.
    pub(super) fn all_lists(&self) -> Vec<List<'a>> {
        let of_file = |lines: &'a [Assignment]| {
            let rules = lines.iter().filter(|line| line.variable == Variable::Rules);
            rules.map(|line| List { by: Some(SetBy::Line(line.clone())), text: &line.value })
        };
        let mut lists = Vec::new();
        if self.is_host() {
            lists.extend(of_file(&self.settings.kld_conf));
            let portacl_rc = self.settings.portacl_rc.iter();
            lists.extend(portacl_rc.map(|rc| List { by: Some(SetBy::PortaclRc), text: &rc.list }));
            lists.extend(of_file(&self.settings.sysctl_conf));
        }
        lists.extend(self.now.map(|now| List { by: None, text: &now.list }));
        lists
    }

    /// Every element of every list that the kernel would accept, once for each spelling, with its places.
    pub(super) fn all_elements(&self) -> Vec<(KernelRule, String)> {
        let mut elements: Vec<(KernelRule, Vec<String>)> = Vec::new();
        for list in self.all_lists() {
            for rule in parse_kernel(list.text).unwrap_or_default() {
                match elements.iter_mut().find(|(there, _)| there.text == rule.text) {
                    Some((_, places)) if places.contains(&list.place()) => {}
                    Some((_, places)) => places.push(list.place()),
                    None => elements.push((rule, vec![list.place()])),
                }
            }
        }
        elements.into_iter().map(|(rule, places)| (rule, places.join(", "))).collect()
    }

    /// The origin of the value that a variable has after the boot; its name if nothing sets it.
    pub(super) fn origin(&self, variable: Variable) -> String {
        self.next.set_by.get(&variable).map_or_else(|| variable.to_string(), |by| format!("{variable} ({by})"))
    }
}

/// What the rules permit, without order, spelling and repetition.
pub(super) fn meaning(rules: &[KernelRule]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = rules.iter().filter_map(KernelRule::effective).collect();
    rules.sort();
    rules.dedup();
    rules
}
