//! For how long ports are refused.

use super::*;
use crate::host::{Refusals, WatchedPort};

fn watch(host: &Rehearsal, ports: &[u16]) -> Box<dyn crate::host::PortWatch> {
    let ports: Vec<WatchedPort> = ports.iter().map(|port| WatchedPort { port: *port, tls: None }).collect();
    host.watch_ports(&ports).unwrap()
}

fn total(refusals: &Refusals, port: u16) -> Duration {
    refusals.0[&port].total
}

#[test]
fn the_clock_counts_while_nobody_listens() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let watched = watch(&host, &[80, 443, 8080]);
    host.sleep(Duration::from_secs(5));
    host.stop();
    host.sleep(Duration::from_secs(3));
    host.start().unwrap();
    host.sleep(Duration::from_secs(60));
    let refusals = watched.finish();
    // The stop itself takes a second, the start another, in which the ports are there already.
    assert_eq!(total(&refusals, 80), Duration::from_secs(4));
    assert_eq!(total(&refusals, 443), Duration::from_secs(4));
    assert_eq!((total(&refusals, 8080), refusals.longest()), (Duration::from_secs(70), Duration::from_secs(70)));
    // A watch that is dropped is forgotten, and a new one begins with nothing.
    drop(watch(&host, &[80]));
    assert_eq!(watch(&host, &[80]).finish().longest(), Duration::ZERO);
}

#[test]
fn a_socket_for_another_address_does_not_count() {
    let host = fresh();
    host.install("0.19.2", &config("bind-address: \"203.0.113.10\"\nport: 8080\n"));
    host.start().unwrap();
    let watched = watch(&host, &[8080]);
    host.sleep(Duration::from_secs(2));
    assert_eq!(watched.finish().longest(), Duration::from_secs(2));
}

#[test]
fn a_watch_leaves_in_the_log_what_the_real_one_would() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let log = |name: Option<&str>| {
        host.write(LOG, "");
        let watched = host.watch_ports(&[WatchedPort { port: 443, tls: name.map(str::to_owned) }]).unwrap();
        let begun = host.text(LOG);
        host.sleep(Duration::from_secs(60));
        drop(watched);
        (begun, host.text(LOG))
    };
    let silent = (String::new(), String::new());
    assert_eq!(log(Some("gts.example.org")), silent);
    let (begun, in_all) = log(None);
    assert!(begun.contains("TLS handshake error") && begun.ends_with(": EOF\n"), "{begun}");
    assert!(in_all.len() > begun.len(), "{in_all}");
    assert!(log(Some("other.example.org")).0.contains("HostWhitelist"));
}
