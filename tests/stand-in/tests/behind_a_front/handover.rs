//! The ports change hands between a direct server and a real web server that stands by.

use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gts_bootstrap::deployment::PortNumber;
use gts_bootstrap::front::Front;
use gts_bootstrap::host::freebsd::FreeBsd;
use gts_bootstrap::host::{Host, WatchedPort};

use super::server::{HOST, Server};
use super::{AGENT, backend};
use crate::instance::Instance;

with_both!(a_web_server_that_stands_by_takes_the_ports_in_a_moment,);

/// What Go says of each handshake that is not finished.
const FAILED: &str = "TLS handshake error";

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn a_web_server_that_stands_by_takes_the_ports_in_a_moment(front: Front) {
    let instance = Instance::direct("0.20.0-rc1");
    let behind = Instance::proxied("0.20.0-rc1");
    let running = instance.started();
    assert_eq!(instance.https("/livez").unwrap().status(), 200);
    let ports = [instance.plain_port, instance.port];
    let server = Server::stand_by(front, backend(&behind), |settings, _| {
        [settings.http_port, settings.https_port] = ports.map(|port| PortNumber::try_from(i64::from(port)).unwrap());
        settings.addresses.retain(|address| address.is_ipv4());
        settings.addresses = vec!["127.0.0.1".parse().unwrap()];
        settings.missing_listens = vec![settings.http_port, settings.https_port];
    });
    assert_eq!(instance.https("/livez").unwrap().status(), 200, "it serves, and the web server stands by");

    let host = FreeBsd::rooted(Path::new("/nonexistent"));
    let watched = [(ports[0], None), (ports[1], Some(HOST.to_owned()))];
    let watch = host.watch_ports(&watched.map(|(port, tls)| WatchedPort { port, tls })).unwrap();
    // It is quiet for as long as it is not needed.
    thread::sleep(Duration::from_millis(500));
    running.signal("-TERM");
    let begun = Instant::now();
    while !ports.iter().all(|port| is_free(*port)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", instance.log());
        thread::sleep(Duration::from_millis(10));
    }
    server.reload();
    // Nobody is behind it yet.
    let answer = loop {
        if std::net::TcpStream::connect(server.https()).is_ok() && !is_free(ports[0]) {
            break server.get_with(HOST, "/", &[AGENT]);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{} does not take the ports", front.name);
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("10")), "{answer:?}");
    let _behind = behind.started();
    assert_eq!(server.get_with(HOST, "/nodeinfo/2.0", &[AGENT]).status, 200);
    watch.ease();
    let refusals = watch.finish();
    println!("{}: refused for {:?}, {refusals:?}", front.name, refusals.longest());
    // Not half a second, after which nginx would try a port again that was taken; on a busy machine a little more.
    assert!(refusals.longest() > Duration::ZERO && refusals.longest() < Duration::from_secs(5), "{refusals:?}");
    assert!(refusals.free() < refusals.bound(), "{refusals:?}");
    assert_eq!(running.end(), 0);
    assert!(!instance.log().contains(FAILED), "{}", instance.log());
    // One request, and what the test itself asked.
    assert_eq!(instance.log().matches("=/livez").count(), 3, "{}", instance.log());
}
