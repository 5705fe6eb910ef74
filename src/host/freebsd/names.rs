//! Addresses of names. A child asks the resolver: anybody may answer it.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use super::lasting::{self, Lasting};
use crate::child::{Confinement, Conversation, Ids, Role};

/// Asks the resolver for names; its answers are the addresses.
pub const RESOLVE: Role = ("resolve", |task| lasting::answers(task, |name: &String| addresses(name)));

/// A resolver asks several servers several times, for some seconds each.
const LIMIT: Duration = Duration::from_secs(120);

/// Has a child ask for the addresses of a name; none if that fails.
pub(super) fn resolve_as(ids: Option<Ids>, name: &str, child: &Lasting) -> Vec<IpAddr> {
    let begin = || Conversation::begin(RESOLVE.0, &Confinement::of_network(ids), &name, &[], LIMIT);
    child.ask(&name, LIMIT, begin).unwrap_or_default()
}

fn addresses(name: &str) -> Vec<IpAddr> {
    (name, 0).to_socket_addrs().into_iter().flatten().map(|address| address.ip()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_or_not() {
        assert!(addresses("127.0.0.1").contains(&"127.0.0.1".parse::<IpAddr>().unwrap()));
        assert_eq!(addresses("two words"), Vec::<IpAddr>::new());
    }
}
