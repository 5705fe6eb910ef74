//! Rules that would cut the instance off from the fediverse.

use ipnet::IpNet;

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
pub struct Danger {
    /// In words.
    pub text: String,
    /// Whether it concerns everybody, so that the rule has to be forced. The rest is told and done.
    pub must_be_forced: bool,
}

/// Everything about the rules that endangers federation, those that must be forced and those that are only told.
pub fn dangerous(filters: &Filters, lists: &Lists) -> Vec<Danger> {
    let forced = |text: String| Danger { text, must_be_forced: true };
    let table = table(filters, lists);
    let refused = mostly_denied(&table).map(|family| {
        forced(format!(
            "the rules and lists together refuse more than half of all {family} addresses, and so most other servers"
        ))
    });
    let mut dangers: Vec<Danger> = refused.collect();
    for (_, rule) in filters.rules() {
        match rule {
            Rule::Protect { path, from } if !is_open(from) => {
                let others: Vec<_> = filters.protected().into_iter().map(|(_, _, path, _)| path).collect();
                dangers.extend(touched(path, &others).map(|path| {
                    forced(format!(
                        "{rule}: other servers come to {path} from everywhere; nobody else could follow, write to or \
                         look up your accounts"
                    ))
                }));
            }
            Rule::Rate { path, rate, .. } if rate.is_slow() => {
                let others: Vec<_> = filters.limited().into_iter().map(|(_, _, path, _)| path).collect();
                dangers.extend(touched(path, &others).map(|path| {
                    forced(format!(
                        "{rule}: large servers come to {path} many times a second, and would get through less than \
                         once a second"
                    ))
                }));
            }
            Rule::DenyAgent(pattern) => {
                let fitting = SERVERS.iter().filter(|(_, agent)| pattern.fits(agent)).map(|(name, _)| *name);
                let servers: Vec<&str> = fitting.collect();
                if servers.len() == SERVERS.len() {
                    dangers.push(forced(format!("{rule}: this fits every other server that there is")));
                } else if !servers.is_empty() {
                    let text = format!("{rule}: this shuts out other servers, those of {}", servers.join(", "));
                    dangers.push(Danger { text, must_be_forced: false });
                }
            }
            _ => {}
        }
    }
    dangers
}

/// The families of which more than half is denied.
fn mostly_denied(table: &[(Network, Verdict)]) -> impl Iterator<Item = &'static str> {
    let spaces = SPACES.into_iter().filter_map(|(family, space)| Some((family, space.parse::<Network>().ok()?)));
    spaces.filter(|(_, space)| denied_share(table, space) * 2 > space.share()).map(|(family, _)| family)
}

/// Whether networks together are more than half of both families.
fn is_open(from: &[Network]) -> bool {
    let disjoint = IpNet::aggregate(&from.iter().map(|network| network.0).collect());
    let table: Vec<_> = disjoint.into_iter().map(|net| (Network(net), Verdict::Deny)).collect();
    mostly_denied(&table).count() == SPACES.len()
}

/// The paths of federation that a rule about this path decides, given the paths of all rules of its kind: those it lies
/// in, and those that lie in it and in no longer one.
fn touched(path: &UrlPath, others: &[&UrlPath]) -> impl Iterator<Item = &'static str> {
    FEDERATION.into_iter().filter(move |place| {
        let decider = others.iter().find(|other| other.covers(place));
        place.parse::<UrlPath>().is_ok_and(|place| place.covers(path.as_str())) || decider == Some(&path)
    })
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
            assert!(!dangers.is_empty() && dangers.iter().all(|danger| danger.must_be_forced), "{text}: {dangers:?}");
            assert!(dangers.iter().all(|danger| !danger.text.is_empty()));
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
        let dangers = dangerous(&filters, &lists);
        assert!(dangers.len() == 1 && dangers[0].text.contains("more than half of all IPv4 addresses"), "{dangers:?}");
    }

    #[test]
    fn some_servers_are_told_only() {
        let dangers = dangers("deny agent mastodon");
        assert!(dangers.iter().all(|danger| !danger.must_be_forced));
        assert_eq!(
            dangers[0].text,
            "deny agent mastodon: this shuts out other servers, those of Mastodon, Mastodon before 4.3"
        );
        assert!(!super::dangerous(&Filters::parse("deny agent GoToSocial").unwrap(), &Lists::default()).is_empty());
    }
}
