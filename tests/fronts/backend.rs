//! A server behind the web server: it tells what it has been sent, and speaks enough websocket for one message.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};

/// RFC 6455, section 1.3: the sample key, and the answer that belongs to it.
pub const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A port of loopback at which connections are refused: bound, so that nobody else gets it, but not listening.
pub struct Absent {
    socket: std::os::fd::OwnedFd,
    pub address: SocketAddr,
}

impl Absent {
    pub fn new() -> Self {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))).unwrap();
        let bound: SockaddrIn = getsockname(socket.as_raw_fd()).unwrap();
        Self { socket, address: SocketAddr::from((Ipv4Addr::LOCALHOST, bound.port())) }
    }

    /// Starts to listen and to answer, for as long as the tests run.
    pub fn arrive(self) {
        listen(&self.socket, Backlog::new(64).unwrap()).unwrap();
        serve(TcpListener::from(self.socket));
    }
}

/// Starts a server that answers for as long as the tests run.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener);
    address
}

fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle of its request is nobody's trouble.
            thread::spawn(move || answer(stream).ok());
        }
    });
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let found = head.iter().skip(1).filter_map(|line| line.split_once(':'));
        found.into_iter().find(|(there, _)| there.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    if header("upgrade").is_some_and(|protocol| protocol == "websocket") {
        let key = header("sec-websocket-key");
        assert_eq!(key.as_deref(), Some(WEBSOCKET_KEY));
        write!(
            writer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
        )?;
        return echo(&mut reader, &mut writer);
    }
    let length = match (header("content-length"), header("transfer-encoding")) {
        (Some(length), _) => std::io::copy(&mut reader.by_ref().take(length.parse().unwrap()), &mut std::io::sink())?,
        (None, Some(_)) => chunked(&mut reader)?,
        (None, None) => 0,
    };
    let body = format!("{}\nreceived: {length}\n", head.join("\n"));
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a body in chunks, and gives its length.
fn chunked(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim_end(), 16).unwrap();
        length += std::io::copy(&mut reader.by_ref().take(size), &mut std::io::sink())?;
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(length);
        }
    }
}

/// Sends short masked messages (RFC 6455, section 5.2) back as unmasked ones until the client goes.
fn echo(reader: &mut impl Read, writer: &mut impl Write) -> std::io::Result<()> {
    loop {
        let mut start = [0; 6];
        reader.read_exact(&mut start)?;
        assert_eq!(start[1] & 0x80, 0x80, "a client masks what it sends");
        let mut text = vec![0; usize::from(start[1] & 0x7f)];
        reader.read_exact(&mut text)?;
        let plain: Vec<u8> = text.iter().enumerate().map(|(at, byte)| byte ^ start[2 + at % 4]).collect();
        writer.write_all(&[&[start[0], start[1] & 0x7f], &plain[..]].concat())?;
    }
}
