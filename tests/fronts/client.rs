//! A client of the web server: raw enough to send what a browser would not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longer than any answer takes; a web server that hangs fails the test instead of holding it up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection, with TLS or without.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The values of a header, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(there, _)| there.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// A header that is there once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} more than once: {}", self.head);
        all.first().copied()
    }

    /// What the backend was sent under a name.
    pub fn sent(&self, name: &str) -> Option<&str> {
        let lines = self.body.lines().filter_map(|line| line.split_once(':'));
        let all: Vec<&str> =
            lines.filter(|(there, _)| there.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect();
        assert!(all.len() <= 1, "{name} more than once: {}", self.body);
        all.first().copied()
    }
}

pub fn plain(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A TLS connection for a name, and the protocol that was agreed on.
pub fn tls(
    address: SocketAddr,
    name: &str,
    root: &CertificateDer<'static>,
    protocols: &[&str],
) -> io::Result<(impl Stream + use<>, Option<String>)> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = plain(address);
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let agreed = connection.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
    Ok((StreamOwned::new(connection, stream), agreed))
}

/// Sends a request and reads the answer. The lines of the head come without their ends.
pub fn exchange(stream: &mut impl Stream, head: &[&str], body: &mut dyn Read) -> Answer {
    send(stream, head);
    io::copy(body, stream).unwrap();
    stream.flush().unwrap();
    receive(stream)
}

pub fn send(stream: &mut impl Stream, head: &[&str]) {
    stream.write_all(format!("{}\r\n\r\n", head.join("\r\n")).as_bytes()).unwrap();
    stream.flush().unwrap();
}

/// Reads an answer: its head, and as much of a body as that announces.
pub fn receive(stream: &mut impl Stream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: String::new() };
    let mut body = Vec::new();
    let length = answer.header("content-length").map(|length| length.parse().unwrap());
    match length {
        _ if status == 101 => {}
        Some(length) => drop(stream.take(length).read_to_end(&mut body).unwrap()),
        None => match stream.read_to_end(&mut body) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => panic!("{error}"),
        },
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    answer
}

/// What a server says to a client that knows no TLS newer than `version` (0x0302 is 1.1, 0x0303 is 1.2): the type of the
/// first record, and the last byte of that, which is the reason if the record is an alert (RFC 5246, sections 6.2.1, 7.2,
/// 7.4.1.2).
pub fn old_hello(address: SocketAddr, name: &str, version: u16) -> (u8, u8) {
    let sixteen = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let with_length = |bytes: &[u8]| [&sixteen(bytes.len())[..], bytes].concat();
    // Suites of TLS 1.2 (ECDHE with AES-128-GCM) and of 1.1 (ECDHE with AES-128-CBC), with ECDSA and RSA.
    let suites: Vec<u8> = [0xc02b_u16, 0xc02f, 0xc009, 0xc013].iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let host = [&[0][..], &with_length(name.as_bytes())].concat();
    let extension = |number: u16, inside: &[u8]| [&number.to_be_bytes()[..], &with_length(inside)].concat();
    let extensions = [
        extension(0, &with_length(&host)),
        // Curve P-256, uncompressed points, ECDSA and RSA with SHA-256.
        extension(10, &with_length(&[0, 23])),
        extension(11, &[1, 0]),
        extension(13, &with_length(&[4, 3, 4, 1])),
    ]
    .concat();
    let hello = [&version.to_be_bytes()[..], &[7; 32], &[0], &with_length(&suites), &[1, 0], &with_length(&extensions)]
        .concat();
    let message = [&[1, 0][..], &with_length(&hello)].concat();
    let record = [&[22, 3, 1][..], &with_length(&message)].concat();
    let mut stream = plain(address);
    stream.write_all(&record).unwrap();
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut inside = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut inside).unwrap();
    (header[0], *inside.last().unwrap())
}
