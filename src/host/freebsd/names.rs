//! Addresses of names. A child asks the resolver: anybody may answer it.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use super::probe::reply;
use crate::child::{Confinement, Conversation, Ids, NETWORK, Role};
use crate::host::HostError;

/// Asks the resolver for a name; its answer is the addresses.
pub const RESOLVE: Role = ("resolve", NETWORK, |task| reply(task, |name: &String| addresses(name)));

/// A resolver asks several servers several times, for some seconds each.
const LIMIT: Duration = Duration::from_secs(120);

/// What getaddrinfo(3) says of a name that is not there, or has no address: FreeBSD before and from 14 on, and others.
const NOTHING_THERE: [&str; 3] = ["Name does not resolve", "not known", "No address associated"];

/// Has a child ask for the addresses of a name.
pub(super) fn resolve_as(ids: Option<Ids>, name: &str) -> Result<Vec<IpAddr>, HostError> {
    let found = Conversation::ask::<BTreeSet<IpAddr>>(RESOLVE.0, &Confinement::of(ids), &name, &[], LIMIT);
    let failed = |error: io::Error| HostError::Lookup { name: name.to_owned(), why: error.to_string() };
    Ok(found.map_err(failed)?.into_iter().collect())
}

fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    match (name, 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => told(&error.to_string()),
    }
}

/// What the words of an error say of the addresses. The library hides its number.
fn told(words: &str) -> Result<Vec<IpAddr>, String> {
    if NOTHING_THERE.iter().any(|nothing| words.contains(nothing)) { Ok(Vec::new()) } else { Err(words.to_owned()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_or_not() {
        assert!(addresses("127.0.0.1").unwrap().contains(&"127.0.0.1".parse::<IpAddr>().unwrap()));
        assert_eq!(addresses("two words").unwrap(), Vec::<IpAddr>::new());
        assert!(addresses("a\0b").is_err());
    }

    #[test]
    fn a_resolver_that_does_not_answer_says_nothing_of_the_name() {
        // The words of 13, of 14 and later, and of glibc.
        for nothing in
            ["hostname nor servname provided, or not known", "Name does not resolve", "Name or service not known"]
        {
            assert_eq!(told(&format!("failed to lookup address information: {nothing}")), Ok(Vec::new()));
        }
        for failure in [
            "Temporary failure in name resolution",
            "Name could not be resolved at this time",
            "Memory allocation failure",
        ] {
            assert!(told(failure).unwrap_err().contains(failure));
        }
    }
}
