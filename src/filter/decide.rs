//! What would happen to a request, and which rule decides: written from the meaning of the rules, and not from what is
//! rendered, so that the two can be held against each other.

use std::fmt;
use std::net::IpAddr;

use super::file::Filters;
use super::list::Lists;
use super::path::requested;
use super::rate::Rate;
use super::rule::Rule;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on to `GoToSocial`.
    Passed,
    /// It goes on as long as the client does not ask too often, otherwise it is answered 429.
    Limited {
        /// How often.
        rate: Rate,
        /// How many at once beyond it.
        burst: u32,
    },
    /// It is answered 403.
    Refused,
}

/// An answer to "what would happen".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub outcome: Outcome,
    /// The line of the rule that decided, if one did. For a request that passes: the `allow` that let it in.
    pub line: Option<usize>,
    /// What decided, in words.
    pub reason: String,
}

impl Decision {
    fn by_line(outcome: Outcome, line: usize, what: impl fmt::Display) -> Self {
        Self { outcome, line: Some(line), reason: format!("line {line}: {what}") }
    }

    fn without_line(outcome: Outcome, reason: &str) -> Self {
        Self { outcome, line: None, reason: reason.to_owned() }
    }
}

/// What the web server does with a request from this address, with this `User-Agent` (empty for none), for this path.
/// Lists that are missing count as empty.
pub fn decide(filters: &Filters, lists: &Lists, address: IpAddr, agent: &str, path: &str) -> Decision {
    let address = address.to_canonical();
    if address.is_loopback() {
        return Decision::without_line(Outcome::Passed, "this machine itself is never filtered");
    }
    let by_address = by_address(filters, lists, address);
    if let Some(refused) = by_address.as_ref().filter(|decision| decision.outcome == Outcome::Refused) {
        return refused.clone();
    }
    let fits = |rule: &Rule| matches!(rule, Rule::DenyAgent(pattern) if pattern.fits(agent));
    if by_address.is_none()
        && let Some((line, rule)) = filters.rules().find(|(_, rule)| fits(rule))
    {
        return Decision::by_line(Outcome::Refused, line, rule);
    }
    let (path, dots) = requested(path);
    let protected = filters.protected();
    if dots && !protected.is_empty() {
        let reason = "the path goes through . or .., which could lead into a protected one";
        return Decision::without_line(Outcome::Refused, reason);
    }
    if let Some((line, rule, _, from)) = protected.into_iter().find(|(_, _, prefix, _)| prefix.covers(&path))
        && !from.iter().any(|network| network.contains(address))
    {
        return Decision::by_line(Outcome::Refused, line, rule);
    }
    let limited = filters.limited().into_iter().find(|(_, _, prefix, _)| prefix.covers(&path));
    if let Some((line, rule, _, (rate, burst))) = limited {
        return Decision::by_line(Outcome::Limited { rate, burst }, line, rule);
    }
    by_address.unwrap_or_else(|| Decision::without_line(Outcome::Passed, "no rule is about it"))
}

/// What rules and lists say of an address.
fn by_address(filters: &Filters, lists: &Lists, address: IpAddr) -> Option<Decision> {
    let rules = filters.rules().filter_map(|(line, rule)| match rule {
        Rule::Deny(network) if network.contains(address) => Some((network.length(), Outcome::Refused, line, rule)),
        Rule::Allow(network) if network.contains(address) => Some((network.length(), Outcome::Passed, line, rule)),
        _ => None,
    });
    if let Some((_, outcome, line, rule)) = rules.max_by_key(|(length, ..)| *length) {
        return Some(Decision::by_line(outcome, line, rule));
    }
    filters.lists().find_map(|(line, name)| {
        let network = lists.0.get(name)?.networks().iter().find(|network| network.contains(address))?;
        Some(Decision::by_line(Outcome::Refused, line, format!("deny file {name}, which has {network}")))
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passes to GoToSocial"),
            Self::Limited { rate, burst } => {
                write!(f, "passes to GoToSocial, up to {rate} for each client and {burst} at once beyond it; then 429")
            }
            Self::Refused => f.write_str("is refused with 403"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::list::List;
    use super::*;

    const TEXT: &str = "allow 192.0.2.0/24\ndeny 192.0.2.7\ndeny file drop\ndeny agent GPTBot\nprotect /settings from 192.0.2.0/24 2001:db8::/32\nprotect /settings/open from 0.0.0.0/0 ::/0\nrate /api 10/s\nrate /api/v2 30/m burst 3\ndeny 0.0.0.0/8\n";

    fn said(address: &str, agent: &str, path: &str) -> String {
        let lists = Lists([("drop".parse().unwrap(), List::parse("192.0.2.0/25\n203.0.113.0/24\n").unwrap())].into());
        let decision = decide(&Filters::parse(TEXT).unwrap(), &lists, address.parse().unwrap(), agent, path);
        format!("{} ({})", decision.outcome, decision.reason)
    }

    #[test]
    fn the_most_specific_rule_decides_then_the_lists() {
        assert_eq!(said("192.0.2.7", "", "/"), "is refused with 403 (line 2: deny 192.0.2.7)");
        assert_eq!(said("::ffff:192.0.2.7", "", "/"), "is refused with 403 (line 2: deny 192.0.2.7)");
        assert_eq!(said("192.0.2.8", "", "/"), "passes to GoToSocial (line 1: allow 192.0.2.0/24)");
        assert_eq!(
            said("203.0.113.9", "", "/"),
            "is refused with 403 (line 3: deny file drop, which has 203.0.113.0/24)"
        );
        assert_eq!(said("198.51.100.1", "", "/"), "passes to GoToSocial (no rule is about it)");
    }

    #[test]
    fn agents_are_refused_unless_the_address_is_let_in() {
        assert_eq!(said("198.51.100.1", "x gptbot/1", "/"), "is refused with 403 (line 4: deny agent GPTBot)");
        assert_eq!(said("192.0.2.8", "x gptbot/1", "/"), "passes to GoToSocial (line 1: allow 192.0.2.0/24)");
    }

    #[test]
    fn protected_paths_are_for_their_networks() {
        let refused = "is refused with 403 (line 5: protect /settings from 192.0.2.0/24 2001:db8::/32)";
        for path in ["/settings", "/settings/user?x", "//settings/", "/%73ettings", "/settings%2Fuser"] {
            assert_eq!(said("198.51.100.1", "", path), refused, "{path}");
        }
        assert_eq!(said("2001:db8::1", "", "/settings"), "passes to GoToSocial (no rule is about it)");
        assert_eq!(said("198.51.100.1", "", "/settings/open/x"), "passes to GoToSocial (no rule is about it)");
        assert_eq!(said("198.51.100.1", "", "/settingsx"), "passes to GoToSocial (no rule is about it)");
        assert!(said("198.51.100.1", "", "/settings/../x").starts_with("is refused with 403 (the path goes through"));
        assert!(
            decide(&Filters::default(), &Lists::default(), "1.1.1.1".parse().unwrap(), "", "/a/../b").outcome
                == Outcome::Passed
        );
    }

    #[test]
    fn the_longest_path_has_the_rate() {
        assert!(
            said("192.0.2.8", "", "/api/v1/x")
                .contains("up to 10/s for each client and 10 at once beyond it; then 429 (line 7")
        );
        assert!(said("192.0.2.8", "", "/api/v2").contains("up to 30/m for each client and 3 at once"));
    }

    #[test]
    fn this_machine_always_passes() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let filters = Filters::parse("deny 0.0.0.0/0\ndeny ::/0\ndeny agent *\nprotect / from 1.1.1.1").unwrap();
            let decision = decide(&filters, &Lists::default(), address.parse().unwrap(), "x", "/../settings");
            assert_eq!((decision.outcome, decision.line), (Outcome::Passed, None));
            assert!(decision.reason.starts_with("this machine itself"), "{}", decision.reason);
        }
    }
}
