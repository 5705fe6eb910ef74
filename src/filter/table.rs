//! The rules and lists about addresses put into one table of networks, in which the most specific one decides.

use super::file::Filters;
use super::list::Lists;
use super::network::Network;
use super::rule::Rule;

/// What becomes of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in.
    Allow,
    /// It is refused.
    Deny,
}

impl Verdict {
    /// The word for it in both configurations.
    pub fn word(self) -> &'static str {
        if self == Self::Allow { "allow" } else { "deny" }
    }
}

/// The table, in the order of networks. What changes nothing is left out: entries of lists within networks that rules
/// decide about, and networks within others with the same verdict. Lists that are missing count as empty.
pub fn table(filters: &Filters, lists: &Lists) -> Vec<(Network, Verdict)> {
    let rules = filters.rules().filter_map(|(_, rule)| match rule {
        Rule::Deny(network) => Some((*network, false, Verdict::Deny)),
        Rule::Allow(network) => Some((*network, false, Verdict::Allow)),
        _ => None,
    });
    let named = filters.lists().filter_map(|(_, name)| lists.0.get(name));
    let listed = named.flat_map(|list| list.networks().iter().map(|network| (*network, true, Verdict::Deny)));
    // A network's own rule comes before its entry in a list.
    let mut all: Vec<(Network, bool, Verdict)> = rules.chain(listed).collect();
    all.sort_by_key(|(network, listed, _)| (*network, *listed));

    let mut table = Vec::new();
    // What covers the entry that is looked at, the widest first.
    let mut around: Vec<(Network, bool, Verdict)> = Vec::new();
    for (network, listed, verdict) in all {
        while around.pop_if(|(wider, ..)| !wider.covers(&network)).is_some() {}
        // An entry of a list never counts within a rule's network. A rule that was left out covers nothing that this
        // would have to know: it denies, as what is around it does.
        let ruled = around.iter().any(|(_, listed, _)| !listed);
        let changes = around.last().is_none_or(|(.., around)| *around != verdict);
        if changes && !(listed && ruled) {
            around.push((network, listed, verdict));
            table.push((network, verdict));
        }
    }
    table
}

/// How much of a part of the address space the table denies, in units of which [`Network::share`] is.
pub(super) fn denied_share(table: &[(Network, Verdict)], space: &Network) -> u128 {
    let overlaps = |network: &Network| network.covers(space) || space.covers(network);
    let share = |network: &Network| if overlaps(network) { network.share().min(space.share()) } else { 0 };
    let mut denied: u128 = 0;
    let mut around: Vec<&Network> = Vec::new();
    for (network, verdict) in table {
        while around.pop_if(|wider| !wider.covers(network)).is_some() {}
        match verdict {
            Verdict::Deny => denied += share(network),
            // Only within a network that is denied does it take something away.
            Verdict::Allow if !around.is_empty() => denied = denied.saturating_sub(share(network)),
            Verdict::Allow => {}
        }
        around.push(network);
    }
    denied
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::decide::{Outcome, decide};
    use super::super::network::tests::any_network;
    use super::super::{List, ListName};
    use super::*;

    fn lists(name: &str, text: &str) -> Lists {
        Lists([(name.parse::<ListName>().unwrap(), List::parse(text).unwrap())].into())
    }

    fn said(filters: &str, list: &str) -> String {
        let table = table(&Filters::parse(filters).unwrap(), &lists("l", list));
        table.iter().map(|(network, verdict)| format!("{} {network}, ", verdict.word())).collect()
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        assert_eq!(said("", "192.0.2.1"), "", "a list that no rule names");
        assert_eq!(said("deny file other", "192.0.2.1"), "", "a list that is missing");
        assert_eq!(said("deny file l", "192.0.2.1\n192.0.2.0/24\n"), "deny 192.0.2.0/24, ");
        assert_eq!(
            said("deny file l\nallow 192.0.2.0/24\ndeny 192.0.2.8/29", "192.0.2.1\n192.0.0.0/16\n192.0.2.9"),
            "deny 192.0.0.0/16, allow 192.0.2.0/24, deny 192.0.2.8/29, "
        );
        assert_eq!(said("deny file l\nallow 192.0.2.1", "192.0.2.1"), "allow 192.0.2.1, ");
        assert_eq!(said("allow 192.0.2.0/24\nallow 192.0.2.1", ""), "allow 192.0.2.0/24, ");
    }

    #[test]
    fn shares_are_those_of_what_is_denied() {
        let share = |filters: &str| {
            denied_share(&table(&Filters::parse(filters).unwrap(), &Lists::default()), &"0.0.0.0/0".parse().unwrap())
        };
        assert_eq!(share("deny 0.0.0.0/0"), 1 << 64);
        assert_eq!(share("deny 0.0.0.0/0\nallow 128.0.0.0/1"), 1 << 63);
        assert_eq!(share("deny 0.0.0.0/0\nallow 128.0.0.0/1\ndeny 128.0.0.0/2"), (1 << 63) + (1 << 62));
        assert_eq!(share("allow 0.0.0.0/0\ndeny 128.0.0.0/1\nallow ::/0"), 1 << 63);
        assert_eq!(share("allow 128.0.0.0/1\ndeny ::/0"), 0);
    }

    proptest! {
        /// The table says of every address what [`decide`] says, which knows no table.
        #[test]
        fn the_table_decides_as_the_rules_do(
            rules in prop::collection::vec((any_network(), any::<bool>()), 0..8),
            listed in prop::collection::vec(any_network(), 0..8),
            more in any_network(),
        ) {
            let mut filters = Filters::parse("deny file l").unwrap();
            for (network, deny) in &rules {
                let rule = if *deny { Rule::Deny(*network) } else { Rule::Allow(*network) };
                filters = filters.add(&[rule]).map_or(filters, |added| added.filters);
            }
            let list: String = listed.iter().map(|network| format!("{network}\n")).collect();
            let lists = lists("l", &list);
            let table = table(&filters, &lists);
            let networks = rules.iter().map(|(network, _)| network).chain(&listed).chain([&more]);
            for address in networks.map(Network::address).filter(|address| !address.is_loopback()) {
                let narrowest = table.iter().rev().find(|(network, _)| network.contains(address));
                let decision = decide(&filters, &lists, address, "", "/");
                prop_assert_eq!(narrowest.map(|(_, verdict)| *verdict), match decision {
                    d if d.outcome == Outcome::Refused => Some(Verdict::Deny),
                    d if d.line.is_none() => None,
                    _ => Some(Verdict::Allow),
                });
            }
        }
    }
}
