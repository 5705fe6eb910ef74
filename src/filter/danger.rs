//! Rules that would cut the instance off from the fediverse.

use std::fmt;

use super::file::Filters;
use super::list::Lists;
use super::network::Network;
use super::path::UrlPath;
use super::rule::Rule;
use super::table::{Verdict, denied_share, table};

/// Where other servers come to, as `GoToSocial` routes it: actors, their inboxes and what they published, who is who
/// (RFC 7033, `NodeInfo`), custom emojis, and media.
const FEDERATION: [&str; 6] = ["/users", "/inbox", "/.well-known", "/nodeinfo", "/emoji", "/fileserver"];

/// How other servers call themselves.
const SERVERS: [(&str, &str); 10] = [
    ("GoToSocial", "gotosocial/0.19.2 (+https://gts.example.org)"),
    ("Mastodon", "Mastodon/4.4.1 (http.rb/5.3.1; +https://mastodon.example.org/)"),
    ("Mastodon before 4.3", "http.rb/5.1.1 (Mastodon/4.2.20; +https://mastodon.example.org/)"),
    ("Misskey", "Misskey/2025.1.0 (https://misskey.example.net)"),
    ("Pleroma", "Pleroma 2.9.1; https://pleroma.example.com <admin@example.com>"),
    ("Akkoma", "Akkoma 3.15.2; https://akkoma.example.org <admin@example.org>"),
    ("Lemmy", "Lemmy/0.19.11; +https://lemmy.example.net"),
    ("PeerTube", "PeerTube/7.1.1 (+https://peertube.example.org)"),
    ("Pixelfed", "(Pixelfed/0.12.5; +https://pixelfed.example.org)"),
    ("WordPress", "WordPress/6.8; https://blog.example.com; ActivityPub"),
];

/// All of IPv4, and the part of IPv6 that is given out to anybody (RFC 4291, 2.5.4).
const SPACES: [(&str, &str); 2] = [("IPv4", "0.0.0.0/0"), ("IPv6", "2000::/3")];

/// What rules would do to federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Danger {
    /// Rules and lists together refuse more than half of all addresses.
    Addresses {
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// A rule keeps a path of federation to some networks.
    Protect {
        /// The rule.
        rule: Rule,
        /// The path.
        path: &'static str,
    },
    /// A rule lets each server come to a path of federation less than once a second.
    Rate {
        /// The rule.
        rule: Rule,
        /// The path.
        path: &'static str,
    },
    /// A pattern fits every server that there is.
    EveryAgent {
        /// The rule.
        rule: Rule,
    },
    /// A pattern fits some servers. That may be meant.
    SomeAgents {
        /// The rule.
        rule: Rule,
        /// Their software.
        servers: Vec<&'static str>,
    },
}

impl Danger {
    /// Whether it concerns everybody, so that the rule has to be forced. The rest is told and done.
    pub fn must_be_forced(&self) -> bool {
        !matches!(self, Self::SomeAgents { .. })
    }
}

/// Everything about the rules that endangers federation, those that must be forced and those that are only told.
pub fn dangerous(filters: &Filters, lists: &Lists) -> Vec<Danger> {
    let mut dangers: Vec<Danger> =
        mostly_denied(&table(filters, lists)).map(|family| Danger::Addresses { family }).collect();
    for (_, rule) in filters.rules() {
        match rule {
            Rule::Protect { path, from } if !is_open(from) => {
                let others = filters.rules().filter_map(|(_, rule)| match rule {
                    Rule::Protect { path, .. } => Some(path),
                    _ => None,
                });
                dangers.extend(touched(path, others).map(|path| Danger::Protect { rule: rule.clone(), path }));
            }
            Rule::Rate { path, rate, .. } if rate.is_slow() => {
                let others = filters.rules().filter_map(|(_, rule)| match rule {
                    Rule::Rate { path, .. } => Some(path),
                    _ => None,
                });
                dangers.extend(touched(path, others).map(|path| Danger::Rate { rule: rule.clone(), path }));
            }
            Rule::DenyAgent(pattern) => {
                let servers: Vec<&'static str> =
                    SERVERS.iter().filter(|(_, agent)| pattern.fits(agent)).map(|(name, _)| *name).collect();
                if servers.len() == SERVERS.len() {
                    dangers.push(Danger::EveryAgent { rule: rule.clone() });
                } else if !servers.is_empty() {
                    dangers.push(Danger::SomeAgents { rule: rule.clone(), servers });
                }
            }
            _ => {}
        }
    }
    dangers
}

/// The families of which more than half is denied.
fn mostly_denied(table: &[(Network, Verdict)]) -> impl Iterator<Item = &'static str> {
    let spaces =
        SPACES.into_iter().filter_map(|(family, space)| space.parse::<Network>().ok().map(|space| (family, space)));
    spaces.filter(|(_, space)| denied_share(table, space) * 2 > space.share()).map(|(family, _)| family)
}

/// Whether networks together are more than half of both families.
fn is_open(from: &[Network]) -> bool {
    let mut table: Vec<(Network, Verdict)> = Vec::new();
    let mut from = from.to_vec();
    from.sort_unstable();
    for network in from {
        if !table.iter().any(|(wider, _)| wider.covers(&network)) {
            table.push((network, Verdict::Deny));
        }
    }
    mostly_denied(&table).count() == SPACES.len()
}

/// The paths of federation that a rule about this path decides, given the paths of all rules of its kind: those it lies
/// in, and those that lie in it and in no longer one.
fn touched<'a>(path: &UrlPath, others: impl Iterator<Item = &'a UrlPath>) -> impl Iterator<Item = &'static str> {
    let longer: Vec<&UrlPath> =
        others.filter(|other| path.covers(other.as_str()) && other.as_str().len() > path.as_str().len()).collect();
    let decides = move |place: &&'static str| {
        let within = place.parse::<UrlPath>().is_ok_and(|place| place.covers(path.as_str()));
        within || (path.covers(place) && !longer.iter().any(|longer| longer.covers(place)))
    };
    FEDERATION.into_iter().filter(decides).collect::<Vec<_>>().into_iter()
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { family } => write!(
                f,
                "the rules and lists together refuse more than half of all {family} addresses, and so most other servers"
            ),
            Self::Protect { rule, path } => write!(
                f,
                "{rule}: other servers come to {path} from everywhere; nobody else could follow, write to or look up your accounts"
            ),
            Self::Rate { rule, path } => write!(
                f,
                "{rule}: large servers come to {path} many times a second, and would get through less than once a second"
            ),
            Self::EveryAgent { rule } => write!(f, "{rule}: this fits every other server that there is"),
            Self::SomeAgents { rule, servers } => {
                write!(f, "{rule}: this shuts out other servers, those of {}", servers.join(", "))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::list::List;
    use super::*;

    fn dangers(text: &str) -> Vec<Danger> {
        dangerous(&Filters::parse(text).unwrap(), &Lists::default())
    }

    #[test]
    fn rules_for_everybody_must_be_forced() {
        for text in [
            "deny 0.0.0.0/0",
            "deny ::/0",
            "deny 2000::/3",
            "deny 0.0.0.0/1\ndeny 128.0.0.0/2",
            "protect /.well-known from 10.0.0.0/8",
            "protect /.well-known/webfinger from 10.0.0.0/8",
            "protect / from 10.0.0.0/8 fd00::/8",
            "protect /users/alice/inbox from 192.0.2.0/24",
            "protect /inbox from 0.0.0.0/0",
            "deny agent *",
            "deny agent /",
            "deny agent e*X*a",
            "rate /users 5/m",
            "rate / 30/m",
        ] {
            let dangers = dangers(text);
            assert!(!dangers.is_empty() && dangers.iter().all(Danger::must_be_forced), "{text}: {dangers:?}");
            assert!(dangers.iter().all(|danger| !danger.to_string().is_empty()));
        }
    }

    #[test]
    fn everyday_rules_are_no_danger() {
        for text in [
            "deny 10.0.0.0/8\ndeny 2001:db8::/32\ndeny 0.0.0.0/1",
            "deny 0.0.0.0/0\nallow 0.0.0.0/1",
            "allow 0.0.0.0/0",
            "protect /settings from 10.0.0.0/8",
            "protect /admin from 10.0.0.0/8",
            "protect /userswork from 10.0.0.0/8",
            "protect /users from 0.0.0.0/0 ::/0",
            "deny agent GPTBot",
            "deny agent curl",
            "rate /users 10/s",
            "rate /auth 5/m",
        ] {
            assert_eq!(dangers(text), [], "{text}");
        }
    }

    #[test]
    fn longer_paths_take_their_part_out() {
        let open: String = FEDERATION.iter().map(|path| format!("protect {path} from 0.0.0.0/0 ::/0\n")).collect();
        assert_eq!(dangers(&format!("{open}protect / from 10.0.0.0/8\n")), []);
        let rates: String = FEDERATION.iter().map(|path| format!("rate {path} 20/s\n")).collect();
        assert_eq!(dangers(&format!("{rates}rate / 30/m\n")), []);
    }

    #[test]
    fn lists_count() {
        let filters = Filters::parse("deny file all").unwrap();
        let lists = Lists([("all".parse().unwrap(), List::parse("0.0.0.0/0").unwrap())].into());
        assert_eq!(dangerous(&filters, &lists), [Danger::Addresses { family: "IPv4" }]);
    }

    #[test]
    fn some_servers_are_told_only() {
        let dangers = dangers("deny agent mastodon");
        assert!(dangers.iter().all(|danger| !danger.must_be_forced()));
        assert_eq!(
            dangers[0].to_string(),
            "deny agent mastodon: this shuts out other servers, those of Mastodon, Mastodon before 4.3"
        );
        assert!(!super::dangerous(&Filters::parse("deny agent GoToSocial").unwrap(), &Lists::default()).is_empty());
    }
}
