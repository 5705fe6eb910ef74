//! For how long ports are refused.

use super::*;

#[test]
fn the_clock_counts_while_nobody_listens() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let watch = host.watch_ports(&[80, 443, 8080]).unwrap();
    host.sleep(Duration::from_secs(5));
    host.stop();
    host.sleep(Duration::from_secs(3));
    host.start().unwrap();
    host.sleep(Duration::from_secs(60));
    let refusals = watch.finish();
    // The stop itself takes a second, the start another, in which the ports are there already.
    assert_eq!(refusals.0[&80], Duration::from_secs(4));
    assert_eq!(refusals.0[&443], Duration::from_secs(4));
    assert_eq!((refusals.0[&8080], refusals.longest()), (Duration::from_secs(70), Duration::from_secs(70)));
    // A watch that is dropped is forgotten, and a new one begins with nothing.
    drop(host.watch_ports(&[80]).unwrap());
    assert_eq!(host.watch_ports(&[80]).unwrap().finish().longest(), Duration::ZERO);
}

#[test]
fn a_socket_for_another_address_does_not_count() {
    let host = fresh();
    host.install("0.19.2", &config("bind-address: \"203.0.113.10\"\nport: 8080\n"));
    host.start().unwrap();
    let watch = host.watch_ports(&[8080]).unwrap();
    host.sleep(Duration::from_secs(2));
    assert_eq!(watch.finish().longest(), Duration::from_secs(2));
}
