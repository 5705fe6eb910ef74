use std::net::TcpListener;
use std::sync::Mutex;

use rcgen::generate_simple_self_signed;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;

fn plain(port: u16) -> WatchedPort {
    WatchedPort { port, tls: None }
}

#[test]
fn what_is_refused_counts_and_what_is_open_does_not() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [open.local_addr().unwrap().port(), closed.local_addr().unwrap().port()];
    drop(closed);
    let started = Instant::now();
    let watch = start(&ports.map(plain)).unwrap();
    // Until two more tries have arrived, however slow the machine is.
    for _ in 0..3 {
        drop(open.accept().unwrap());
    }
    assert!(watch.elapsed() > OPEN);
    let refusals = Box::new(watch).finish();
    let most = started.elapsed();
    assert_eq!(refusals.0[&ports[0]], Refused::default());
    let refused = refusals.0[&ports[1]];
    assert!(refused.total >= OPEN && refused.total <= most, "{refused:?} of {most:?}");
    assert_eq!((refusals.longest(), refusals.free(), refusals.bound()), (refused.total, refused.from, None));
}

#[test]
fn an_eased_watch_ends_by_itself_once_the_ports_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let watch = start(&[plain(address.port())]).unwrap();
    watch.ease();
    let opened = TcpListener::bind(address).unwrap();
    let taken = thread::spawn(move || {
        // Accepts every connection until there are no more.
        opened.set_nonblocking(false).unwrap();
        for connection in opened.incoming() {
            drop(connection);
        }
    });
    // If the watch did not end on its own, this would run for ever.
    while !watch.threads.iter().all(|(_, thread)| thread.is_finished()) {
        thread::sleep(OPEN);
    }
    assert!(Box::new(watch).finish().longest() > Duration::ZERO);
    drop(taken);
}

#[test]
fn the_end_of_a_watch_does_not_wait_for_a_handshake_that_nobody_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let watch = start(&[WatchedPort { port, tls: Some("social.example.org".into()) }]).unwrap();
    let _connection = silent.accept().unwrap();
    let asked = Instant::now();
    Box::new(watch).finish();
    assert!(asked.elapsed() < HANDSHAKE / 4, "{:?}", asked.elapsed());
}

#[test]
fn a_port_that_opens_ends_the_count() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let started = Instant::now();
    let watch = start(&[plain(address.port())]).unwrap();
    let opened = TcpListener::bind(address).unwrap();
    drop(opened.accept().unwrap());
    let until_open = started.elapsed();
    for _ in 0..3 {
        drop(opened.accept().unwrap());
    }
    let refusals = Box::new(watch).finish();
    let refused = refusals.longest();
    assert!(refused > Duration::ZERO && refused <= until_open, "{refused:?} of {until_open:?}");
    assert!(refusals.bound().unwrap() >= refused, "{refusals:?}");
    drop(opened);
    let none = Box::new(start(&[]).unwrap()).finish();
    assert_eq!(none.longest(), Duration::ZERO);
}

/// A server that keeps its connections, and writes down how each handshake went, as Go does of those that failed.
fn serve(listener: TcpListener, log: &Arc<Mutex<Vec<String>>>) -> thread::JoinHandle<()> {
    let made = generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (config, log) = (Arc::new(config), Arc::clone(log));
    thread::spawn(move || {
        // One connection, until its client ends it or it has been quiet for a while.
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut request = [0; 512];
        let told = match tls.read(&mut request) {
            Ok(count) => {
                tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                String::from_utf8_lossy(&request[..count]).into_owned()
            }
            Err(error) => format!("http: TLS handshake error: {error}"),
        };
        log.lock().unwrap().push(told);
        let _ = tls.read(&mut request);
    })
}

#[test]
fn where_tls_is_spoken_one_connection_is_kept_and_each_handshake_is_finished() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = serve(listener, &log);
    let watch = start(&[WatchedPort { port: address.port(), tls: Some("a.example".into()) }]).unwrap();
    // The server closes its door first, and the kept connection some time later: as one that ends in order.
    first.join().unwrap();
    thread::sleep(Duration::from_millis(60));
    let second = serve(TcpListener::bind(address).unwrap(), &log);
    second.join().unwrap();
    let refusals = Box::new(watch).finish();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log.iter().all(|line| line.starts_with("GET /livez HTTP/1.1\r\nHost: a.example\r\n")), "{log:?}");
    let refused = refusals.longest();
    assert!(refused >= Duration::from_millis(50), "{refused:?}");
}
