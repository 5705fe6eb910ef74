//! How often one may come: nginx alone.

use super::client::Answer;
use super::front::{Front, Kind};

/// So many requests within a rate of one a minute that time plays no part.
fn answers(front: &Front, address: &str, path: &str, count: usize) -> Vec<Answer> {
    (0..count).map(|_| front.get(address, "", path)).collect()
}

fn statuses(front: &Front, address: &str, path: &str, count: usize) -> Vec<u16> {
    answers(front, address, path, count).iter().map(|answer| answer.status).collect()
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let front = Front::start(Kind::Nginx, "rate /api 1/m burst 2\nrate /api/v2 2/m burst 0\n");
    let given = answers(&front, "192.0.2.1", "/api/v1/x", 5);
    assert_eq!(given.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 200, 429, 429]);
    assert_eq!(given[0].header("Retry-After"), None);
    assert_eq!(given[3].header("Retry-After"), Some("60"));
    let given = answers(&front, "192.0.2.1", "/api/v2/x", 2);
    assert_eq!((given[0].status, given[1].status), (200, 429), "the longer path counts for itself");
    assert_eq!(given[1].header("Retry-After"), Some("30"));
    assert_eq!(statuses(&front, "192.0.2.1", "/apis", 4), [200; 4], "another path");
    assert_eq!(statuses(&front, "192.0.2.2", "/api", 2), [200; 2], "another client");
    assert_eq!(statuses(&front, "127.0.0.1", "/api", 9), [200; 9], "this machine");
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let front = Front::start(Kind::Nginx, "rate / 1/m burst 1\n");
    assert_eq!(front.status("2001:db8:0:a0a::1", "", "/"), 200);
    assert_eq!(front.status("2001:db8:0:a0a::2", "", "/"), 200);
    assert_eq!(front.status("2001:db8:0:a0a:ffff::3", "", "/"), 429);
    assert_eq!(front.status("2001:db8:0:a0b::1", "", "/"), 200);
}

#[test]
fn who_is_refused_is_not_counted() {
    let front = Front::start(Kind::Nginx, "rate / 1/m burst 0\ndeny 192.0.2.1\nprotect /settings from 10.0.0.0/8\n");
    assert_eq!(statuses(&front, "192.0.2.1", "/", 3), [403; 3]);
    assert_eq!(statuses(&front, "192.0.2.2", "/settings", 3), [403; 3]);
    assert_eq!(statuses(&front, "192.0.2.2", "/", 2), [200, 429]);
}
