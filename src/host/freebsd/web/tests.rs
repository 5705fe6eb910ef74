//! Tests against servers on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::*;
use crate::host::Carried;

/// Made for these tests only: self-signed, for social.example.org and *.example.org, until 2126.
const CERTIFICATE: &[u8] = include_bytes!("test-certificate.der");
const KEY: &[u8] = include_bytes!("test-key.der");
/// What a client says of it.
const UNTRUSTED: &str = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";

fn request(tls: bool, address: SocketAddr) -> WebRequest {
    WebRequest {
        tls,
        host: "social.example.org".to_owned(),
        address: Some(address),
        path: "/readyz?x=1".to_owned(),
        carries: Carried::default(),
        verify: false,
        timeout: Duration::from_secs(20),
    }
}

/// A server for one connection; it returns the address and, when joined, the head of the request.
fn server(
    answer: Vec<u8>,
    wrap: impl FnOnce(TcpStream) -> Box<dyn Stream> + Send + 'static,
) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(wrap(connection));
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            // The other side may hang up: some tests are about that.
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let _ = reader.get_mut().write_all(&answer);
        let _ = reader.get_mut().flush();
        head
    });
    (address, thread)
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn plain(connection: TcpStream) -> Box<dyn Stream> {
    Box::new(connection)
}

fn with_tls(connection: TcpStream) -> Box<dyn Stream> {
    with_key(KEY, connection)
}

/// With the certificate, whether or not the key is that of it.
fn with_key(key: &[u8], connection: TcpStream) -> Box<dyn Stream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = provider.key_provider.load_private_key(key.clone_key()).unwrap();
    let shown = CertifiedKey::new(vec![CertificateDer::from(CERTIFICATE)], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    Box::new(rustls::StreamOwned::new(session, connection))
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_plain_request_says_who_asks_and_whom() {
    let (address, server) = server(ok("ready"), plain);
    let answer = get(&request(false, address)).unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.certificate), (200, b"ready".as_slice(), None));
    let head = server.join().unwrap();
    assert_eq!(head[0], "GET /readyz?x=1 HTTP/1.1");
    assert!(head.contains(&"host: social.example.org".to_owned()), "{head:?}");
    assert!(head.contains(&format!("user-agent: {USER_AGENT}")), "{head:?}");
    assert!(USER_AGENT.starts_with("gts-bootstrap/"));
}

#[test]
fn a_form_is_posted_with_cookie_and_token_and_a_cookie_comes_back() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: old=1; Path=/\r\nSet-Cookie: new=2; Path=/; Secure\r\n\
                  Content-Length: 0\r\n\r\n";
    let (address, server) = server(answer.into(), with_tls);
    let [form, cookie, token] = ["a=b&c=%2F", "session=x", "secret"].map(|text| Some(text.to_owned()));
    let request = WebRequest { carries: Carried { form, cookie, token }, ..request(true, address) };
    let answer = get(&request).unwrap();
    assert_eq!((answer.location.as_deref(), answer.cookie.as_deref()), (Some("/next"), Some("new=2")));
    let head = server.join().unwrap();
    assert_eq!(head[0], "POST /readyz?x=1 HTTP/1.1");
    for line in [
        "content-type: application/x-www-form-urlencoded",
        "content-length: 9",
        "cookie: session=x",
        "authorization: Bearer secret",
    ] {
        assert!(head.contains(&line.to_owned()), "{line} is not in {head:?}");
    }
    assert!(!format!("{request:?}").contains("secret"));
}

#[test]
fn a_body_that_drips_does_not_outlast_the_time_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        while connection.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let began = std::time::Instant::now();
    let short = WebRequest { timeout: Duration::from_millis(400), ..request(false, address) };
    assert_eq!(get(&short).unwrap_err(), WebFailure::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let answer = "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
    let (address, _server) = server(answer.into(), plain);
    let answer = get(&request(false, address)).unwrap();
    assert_eq!((answer.status, answer.location.as_deref()), (301, Some("https://elsewhere.example/")));
}

#[test]
fn a_body_without_end_is_cut() {
    let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    answer.resize(answer.len() + 3 * 1024 * 1024, b'x');
    let (address, _server) = server(answer, plain);
    assert_eq!(get(&request(false, address)).unwrap().body.len(), 1024 * 1024);
}

#[test]
fn the_served_certificate_is_told_where_it_need_not_be_valid() {
    let (address, server) = server(ok("secret"), with_tls);
    let answer = get(&request(true, address)).unwrap();
    assert_eq!(answer.body, b"secret");
    let certificate = answer.certificate.unwrap();
    assert_eq!(certificate.names, ["social.example.org", "*.example.org"]);
    assert_eq!(certificate.issuer, "CN=gts-bootstrap test");
    // 2126 or so.
    assert!((4_900_000_000..5_000_000_000).contains(&certificate.not_after), "{}", certificate.not_after);
    assert!(server.join().unwrap().contains(&"host: social.example.org".to_owned()));
}

/// Like every test of verdicts this one wants a machine with CA certificates.
#[test]
fn a_certificate_that_must_be_valid_and_is_not_is_a_failure_of_tls_after_the_handshake() {
    let (address, server) = server(ok("secret"), with_tls);
    let failure = get(&WebRequest { verify: true, ..request(true, address) }).unwrap_err();
    assert_eq!(failure, WebFailure::Tls(UNTRUSTED.to_owned()));
    // A server that hears the question has no failed handshake to tell of.
    assert_eq!(server.join().unwrap()[0], "GET /readyz?x=1 HTTP/1.1");
}

#[test]
fn what_is_secret_waits_for_the_verdict() {
    let secret = || Some("secret".to_owned());
    for carries in [
        Carried { form: secret(), ..Carried::default() },
        Carried { cookie: secret(), ..Carried::default() },
        Carried { token: secret(), ..Carried::default() },
    ] {
        let (address, server) = server(ok("secret"), with_tls);
        let failure = get(&WebRequest { verify: true, carries, ..request(true, address) }).unwrap_err();
        assert_eq!(failure, WebFailure::Tls(UNTRUSTED.to_owned()));
        assert_eq!(server.join().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_server_without_the_key_of_its_certificate_hears_nothing() {
    let other = rcgen::KeyPair::generate().unwrap().serialize_der();
    let (address, server) = server(ok("secret"), move |connection| with_key(&other, connection));
    let failure = get(&WebRequest { verify: true, ..request(true, address) }).unwrap_err();
    assert!(matches!(&failure, WebFailure::Tls(_)), "{failure:?}");
    assert_eq!(server.join().unwrap(), Vec::<String>::new());
}

#[test]
fn something_that_does_not_speak_tls_is_a_failure_of_tls() {
    let (address, _server) = server(b"SSH-2.0-OpenSSH\r\n".to_vec(), plain);
    let failure = get(&request(true, address)).unwrap_err();
    assert!(matches!(&failure, WebFailure::Tls(_)), "{failure:?}");
}

#[test]
fn nobody_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(get(&request(false, address)).unwrap_err(), WebFailure::Refused);
    assert_eq!(get(&request(true, address)).unwrap_err(), WebFailure::Refused);
}

#[test]
fn silence_is_told() {
    // The kernel accepts connections, and nothing answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let short = WebRequest { timeout: Duration::from_millis(200), ..request(false, address) };
    assert_eq!(get(&short).unwrap_err(), WebFailure::TimedOut);
    assert_eq!(get(&WebRequest { tls: true, ..short }).unwrap_err(), WebFailure::TimedOut);
}

#[test]
fn a_name_without_address_is_told() {
    // RFC 6761: .invalid is never resolved.
    let unknown = WebRequest {
        address: None,
        host: "no-such-host.invalid".to_owned(),
        ..request(false, ([127, 0, 0, 1], 1).into())
    };
    assert_eq!(get(&unknown).unwrap_err(), WebFailure::Unresolved);
}

#[test]
fn causes_are_found_deep_in_the_chain() {
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName);
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, alert));
    assert_eq!(failure(&wrapped), WebFailure::Tls("received fatal alert: UnrecognisedName".to_owned()));
    assert_eq!(failure(&io::Error::other(io::Error::from(io::ErrorKind::TimedOut))), WebFailure::TimedOut);
    assert_eq!(failure(&io::Error::other("something else")), WebFailure::Other("something else".to_owned()));
}

#[test]
fn addresses_as_names_are_written_as_urls_want_them() {
    let six = WebRequest { host: "::1".to_owned(), address: None, ..request(true, ([127, 0, 0, 1], 8443).into()) };
    assert_eq!(url(&six), "https://[::1]/readyz?x=1");
    assert_eq!(url(&request(false, ([127, 0, 0, 1], 8080).into())), "http://social.example.org:8080/readyz?x=1");
}

#[test]
fn a_certificate_that_is_none_tells_nothing() {
    assert_eq!(ServedCertificate::of_der(b"not a certificate"), None);
}
