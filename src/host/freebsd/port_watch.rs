//! Measures how long connections to a port are refused.
//!
//! A port is tried again and again, one that refuses every [`CLOSED`]. A failed try counts for the time until the next one. A
//! connection that the kernel accepts counts, whether or not the program behind it answers.
//!
//! A connection to plain http that is closed at once leaves nothing in any log. A TLS handshake that is not finished does: Go
//! writes a line of each. So where TLS is spoken the handshake is finished, one request is sent, and the connection is kept: it
//! ends when its server does, and only then is there another one. Without a request GoToSocial would take it for one that is
//! about to send one, and wait at its end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::host::{HostError, PortWatch, Refusals, Refused, WatchedPort};

/// The time between two tries of a port that answers, and of one that does not.
const OPEN: Duration = Duration::from_millis(20);
const CLOSED: Duration = Duration::from_millis(5);
/// The time between two connections to a server that keeps none.
const UNKEPT: Duration = Duration::from_millis(250);
/// On the loopback interface a longer time counts as refused.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a handshake that has begun may take: the server may have to order its certificate.
const HANDSHAKE: Duration = Duration::from_secs(120);

/// Once eased, the watch of a port ends when it has answered for this long. Once ended, a handshake may go on for as long.
const CALM: Duration = Duration::from_secs(2);

/// How a watch goes on.
const WATCHING: u8 = 0;
const EASED: u8 = 1;
const ENDING: u8 = 2;

/// A thread for each port, which tries it until it is told to end, or until it was eased and the port answers.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    course: Arc<AtomicU8>,
    threads: Vec<(u16, JoinHandle<Refused>)>,
}

/// Starts to watch ports on 127.0.0.1. Each port has been tried once when this returns.
pub(super) fn start(ports: &[WatchedPort]) -> Result<Watch, HostError> {
    let (began, course) = (Instant::now(), Arc::new(AtomicU8::new(WATCHING)));
    let (tried, tries) = mpsc::channel::<()>();
    let mut watch = Watch { began, course, threads: Vec::new() };
    for WatchedPort { port, tls } in ports {
        let name = tls.clone().and_then(|name| Some((ServerName::try_from(name.clone()).ok()?, name)));
        let port_seen = Port {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
            began,
            course: Arc::clone(&watch.course),
            tried: Some(tried.clone()),
            refused: Refused::default(),
            last: None,
            answered_since: began,
        };
        let work = move || match name {
            Some((server, host)) => port_seen.watch_tls(&server, &host),
            None => port_seen.watch_plain(),
        };
        let thread = thread::Builder::new().name("port-watch".into()).spawn(work);
        let thread = thread.map_err(|source| HostError::Start { command: "a watch on the ports".into(), source })?;
        watch.threads.push((*port, thread));
    }
    drop(tried);
    // Ends when each thread has dropped its end of the channel.
    while tries.recv().is_ok() {}
    Ok(watch)
}

/// A port as its thread sees it.
struct Port {
    address: SocketAddr,
    began: Instant,
    course: Arc<AtomicU8>,
    tried: Option<Sender<()>>,
    refused: Refused,
    /// The last try, and whether it was answered.
    last: Option<(bool, Instant)>,
    answered_since: Instant,
}

impl Port {
    fn watch_plain(mut self) -> Refused {
        loop {
            let answers = self.attempt().is_some();
            if self.is_over() {
                return self.end();
            }
            thread::sleep(if answers { OPEN } else { CLOSED });
        }
    }

    fn watch_tls(mut self, server: &ServerName<'static>, host: &str) -> Refused {
        let config = client();
        loop {
            let pause = match (self.attempt(), &config) {
                (Some(stream), Ok(config)) => {
                    let connected = Instant::now();
                    // However it ended: the next try tells what has become of the port.
                    let _ = self.keep(stream, config, server, host);
                    if connected.elapsed() < UNKEPT { UNKEPT } else { Duration::ZERO }
                }
                (Some(_), Err(_)) => UNKEPT,
                (None, _) => CLOSED,
            };
            if self.is_over() {
                return self.end();
            }
            thread::sleep(pause);
        }
    }

    /// Tries to connect, and takes note of what has been the case since the last try.
    fn attempt(&mut self) -> Option<TcpStream> {
        let began = Instant::now();
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).ok();
        self.note(began);
        if stream.is_none() {
            self.answered_since = Instant::now();
        }
        self.last = Some((stream.is_some(), began));
        if stream.is_some() {
            self.refused.note(true, began - self.began, began - self.began);
        }
        drop(self.tried.take());
        stream
    }

    /// A failed try counts until now.
    fn note(&mut self, now: Instant) {
        if let Some((false, since)) = self.last {
            self.refused.note(false, since - self.began, now - self.began);
        }
    }

    fn is_over(&self) -> bool {
        match self.course.load(Ordering::SeqCst) {
            WATCHING => false,
            EASED => self.answered_since.elapsed() >= CALM,
            _ => true,
        }
    }

    fn end(mut self) -> Refused {
        self.note(Instant::now());
        self.refused
    }

    /// Finishes the handshake, sends a request, and keeps the connection until either side ends it.
    fn keep(
        &self,
        stream: TcpStream,
        config: &Arc<ClientConfig>,
        server: &ServerName<'static>,
        host: &str,
    ) -> io::Result<()> {
        stream.set_read_timeout(Some(OPEN))?;
        let connection = ClientConnection::new(Arc::clone(config), server.clone()).map_err(io::Error::other)?;
        let (mut tls, began) = (StreamOwned::new(connection, stream), Instant::now());
        // A handshake that has begun is not left in its midst, unless somebody waits for the end of the watch.
        let mut ending = None;
        while tls.conn.is_handshaking() {
            if self.course.load(Ordering::SeqCst) == ENDING {
                ending = ending.or_else(|| Some(Instant::now()));
            }
            let is_late = began.elapsed() >= HANDSHAKE || ending.is_some_and(|since| since.elapsed() >= CALM);
            match tls.conn.complete_io(&mut tls.sock) {
                Err(error) if !is_pause(&error) || is_late => return Err(error),
                _ => {}
            }
        }
        let agent = concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION"));
        // In one record.
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n");
        tls.write_all(request.as_bytes())?;
        tls.flush()?;
        loop {
            match tls.read(&mut [0; 4096]) {
                Ok(0) => return Ok(()),
                Err(error) if !is_pause(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            if self.is_over() {
                tls.conn.send_close_notify();
                return tls.flush();
            }
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A client that takes any certificate: it says nothing and believes nothing.
fn client() -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth()))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl PortWatch for Watch {
    fn ease(&self) {
        self.course.store(EASED, Ordering::SeqCst);
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn finish(self: Box<Self>) -> Refusals {
        self.course.store(ENDING, Ordering::SeqCst);
        // Nothing in the threads panics. If it did, only the list of ports would be known.
        Refusals(self.threads.into_iter().map(|(port, thread)| (port, thread.join().unwrap_or_default())).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
