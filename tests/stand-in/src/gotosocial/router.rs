//! The listeners: the server's own, with or without TLS, and with Let's Encrypt the one for plain http, which redirects.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::server::Acceptor;
use rustls::{ServerConnection, StreamOwned};

use super::client_address::TrustedProxies;
use super::log::Logger;
use super::pages::Site;
use super::request::{Answer, Request};
use super::{certificate, door};
use gts_bootstrap::gotosocial::loading::{Failure, Settings};

/// How long one client may keep a thread waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks whether to end.
const TICK: Duration = Duration::from_millis(20);
/// First byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// A TLS record: a fatal alert, internal_error.
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// What is listened to.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    address: Option<IpAddr>,
    port: u16,
    lets_encrypt: Option<LetsEncrypt>,
    /// Whether the log names clients.
    tells_clients: bool,
    proxies: TrustedProxies,
}

/// The built-in Let's Encrypt client.
#[derive(Debug, Clone)]
struct LetsEncrypt {
    port: u16,
    folder: PathBuf,
    /// Why it gets no certificate, if it is to get none.
    trouble: Option<String>,
}

impl Plan {
    /// What the configuration says.
    pub(super) fn of(
        settings: &Settings,
        no_certificate: Option<String>,
        proxies: TrustedProxies,
    ) -> Result<Self, Failure> {
        let lets_encrypt = if settings.flag("letsencrypt-enabled") {
            Some(LetsEncrypt {
                port: door::port(settings, "letsencrypt-port")?,
                folder: settings.text("letsencrypt-cert-dir").into(),
                trouble: no_certificate,
            })
        } else {
            None
        };
        Ok(Self {
            address: door::address(settings)?,
            port: door::port(settings, "port")?,
            lets_encrypt,
            tells_clients: settings.flag("log-client-ip"),
            proxies,
        })
    }
}

/// What answers a connection.
struct Desk {
    site: Site,
    plan: Plan,
    logger: Logger,
    /// One order at a time.
    ordering: Mutex<()>,
    /// The connections, by the port that they come from.
    open: Mutex<BTreeMap<SocketAddr, TcpStream>>,
}

/// Listeners at work.
pub(super) struct Router {
    is_ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    desk: Arc<Desk>,
    logger: Logger,
}

impl Router {
    /// Opens the listeners.
    pub(super) fn start(plan: &Plan, site: Site, logger: Logger) -> Result<Self, Failure> {
        let main = door::open(plan.address, plan.port).map_err(|why| Failure::Panic(format!("listen: {why}")))?;
        let redirect = match &plan.lets_encrypt {
            None => None,
            Some(lets_encrypt) => Some(
                door::open(plan.address, lets_encrypt.port)
                    .map_err(|why| Failure::Panic(format!("letsencrypt: listen: {why}")))?,
            ),
        };
        let shown = plan.address.map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
        logger.info("router.(*Router).Start.func1", &format!("listening on {shown}:{}", plan.port));
        if let Some(LetsEncrypt { port, .. }) = &plan.lets_encrypt {
            let text = format!("letsencrypt listening on {shown}:{port}");
            logger.info("router.(*Router).letsEncryptTLS.func2", &text);
        }
        let desk =
            Arc::new(Desk { site, plan: plan.clone(), logger, ordering: Mutex::new(()), open: Mutex::default() });
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut threads = vec![serve(main, Arc::clone(&is_ending), Arc::clone(&desk), Desk::answer)?];
        if let Some(redirect) = redirect {
            let desk = Arc::clone(&desk);
            threads.push(serve(redirect, Arc::clone(&is_ending), desk, |_, stream| redirect_to_https(stream))?);
        }
        Ok(Self { is_ending, threads, desk, logger })
    }

    /// Closes them.
    pub(super) fn stop(self) {
        self.logger.info("router.stopServer", "shutting down http server with 30s grace period");
        self.is_ending.store(true, Ordering::SeqCst);
        for thread in self.threads {
            // A listener whose thread panicked is closed as well.
            let _ = thread.join();
        }
        // First nobody can come any more, and then those go who are there.
        for stream in self.desk.open.lock().iter().flat_map(|open| open.values()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.logger.info("router.stopServer", "http server closed connections and shut down gracefully");
    }
}

fn serve(
    listener: TcpListener,
    is_ending: Arc<AtomicBool>,
    desk: Arc<Desk>,
    answer: fn(&Desk, TcpStream) -> io::Result<()>,
) -> Result<JoinHandle<()>, Failure> {
    let failed = |error: io::Error| Failure::Error(format!("error starting router: {error}"));
    // So that the thread can look now and then whether it is to end.
    listener.set_nonblocking(true).map_err(failed)?;
    let work = move || {
        while !is_ending.load(Ordering::SeqCst) {
            let Ok((stream, from)) = listener.accept() else {
                thread::sleep(TICK);
                continue;
            };
            let desk = Arc::clone(&desk);
            thread::spawn(move || {
                let prepared = stream
                    .set_nonblocking(false)
                    .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
                    .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
                let own = stream.try_clone();
                if let (Ok(mut open), Ok(own)) = (desk.open.lock(), own) {
                    open.insert(from, own);
                }
                // A client that has gone is the client's affair.
                let _ = prepared.and_then(|()| answer(&desk, stream));
                let ended = desk.open.lock().ok().and_then(|mut open| open.remove(&from));
                let _ = ended.map(|stream| stream.shutdown(Shutdown::Both));
            });
        }
    };
    thread::Builder::new().name("listener".into()).spawn(work).map_err(failed)
}

impl Desk {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        let from = stream.peer_addr()?;
        let Some(lets_encrypt) = &self.plan.lets_encrypt else { return self.converse(stream, from.ip()) };
        let mut first = [0];
        if stream.peek(&mut first)? == 1 && first[0] != HANDSHAKE {
            self.logger.handshake_error(from, "client sent an HTTP request to an HTTPS server");
            return refuse_plain_http(stream);
        }
        match self.greet(stream, lets_encrypt) {
            Ok(tls) => self.converse(tls, from.ip()),
            Err(why) => {
                self.logger.handshake_error(from, &why);
                Ok(())
            }
        }
    }

    /// The start of a handshake, as far as the name that is asked for; the certificate is had then. Any other name but the
    /// host's own gets an alert.
    fn greet(
        &self,
        mut stream: TcpStream,
        lets_encrypt: &LetsEncrypt,
    ) -> Result<StreamOwned<ServerConnection, TcpStream>, String> {
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            match acceptor.read_tls(&mut stream) {
                Ok(0) => return Err("EOF".into()),
                Ok(_) => {}
                Err(error) => return Err(told(&error)),
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => break accepted,
                Ok(None) => {}
                Err((error, mut alert)) => {
                    // The client is told if it still listens.
                    let _ = alert.write_all(&mut stream);
                    return Err(error.to_string());
                }
            }
        };
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let config = self.order(name.as_deref(), lets_encrypt).inspect_err(|_| {
            let _ = stream.write_all(&INTERNAL_ERROR);
        })?;
        let mut connection = accepted.into_connection(config).map_err(|(error, mut alert)| {
            let _ = alert.write_all(&mut stream);
            error.to_string()
        })?;
        // To its end, as Go does before it reads a request, and tells how that failed.
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(|error| told(&error))?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    fn order(&self, name: Option<&str>, lets_encrypt: &LetsEncrypt) -> Result<Arc<rustls::ServerConfig>, String> {
        let host = &self.site.host;
        match name {
            None | Some("") => return Err("acme/autocert: missing server name".into()),
            Some(name) if !name.eq_ignore_ascii_case(host) => {
                return Err(format!("acme/autocert: host \"{name}\" not configured in HostWhitelist"));
            }
            Some(_) => {}
        }
        let _one_at_a_time = self.ordering.lock().map_err(|_| "another order has failed badly")?;
        match &lets_encrypt.trouble {
            Some(why) if !lets_encrypt.folder.join(host).exists() => Err(why.clone()),
            _ => certificate::server_config(&lets_encrypt.folder, host),
        }
    }

    fn converse(&self, mut stream: impl Read + Write, peer: IpAddr) -> io::Result<()> {
        while let Some(request) = Request::read(&mut stream) {
            let answer = self.site.answer(&request);
            let sent = answer.send(&mut stream, request.is_head(), request.keeps);
            // Of the maintenance page's requests it is not known how they are logged.
            if self.site.database.is_some() {
                let client = self.plan.tells_clients.then(|| self.plan.proxies.client(peer, &request));
                self.logger.request(&request, &answer, client);
            }
            sent?;
            if !request.keeps {
                break;
            }
        }
        Ok(())
    }
}

/// Why a handshake failed, in Go's words.
fn told(error: &io::Error) -> String {
    use rustls::AlertDescription as Alert;
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "EOF".into();
    }
    let alert = error.get_ref().and_then(|inner| match inner.downcast_ref() {
        Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    });
    match alert {
        Some(Alert::BadCertificate) => "remote error: tls: bad certificate".into(),
        Some(Alert::UnknownCA) => "remote error: tls: unknown certificate authority".into(),
        Some(Alert::CertificateExpired) => "remote error: tls: expired certificate".into(),
        Some(other) => format!("remote error: tls: {other:?}"),
        None if error.kind() == io::ErrorKind::ConnectionReset => "read: connection reset by peer".into(),
        None => error.to_string(),
    }
}

fn refuse_plain_http(mut stream: TcpStream) -> io::Result<()> {
    if Request::read(&mut stream).is_none() {
        return Ok(());
    }
    Answer::of(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n").send(&mut stream, false, false)
}

/// The plain http port with Let's Encrypt: challenges are answered there, everything else is sent to https.
fn redirect_to_https(mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = Request::read(&mut stream) else { return Ok(()) };
    let answer = if request.target.starts_with("/.well-known/acme-challenge/") {
        Answer::bare(404)
    } else {
        Answer::bare(307).with("Location", format!("https://{}{}", request.host, request.target))
    };
    answer.send(&mut stream, request.is_head(), false)
}
