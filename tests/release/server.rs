//! A server on the loopback that does what it is told, right or wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    /// The start of the range that was asked for.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What is sent back, byte for byte.
#[derive(Clone, Debug)]
pub struct Reply {
    head: String,
    body: Vec<u8>,
    stalls: bool,
    /// What comes when this has become true.
    later: Option<(Vec<u8>, Arc<AtomicBool>)>,
}

impl Reply {
    /// A status line such as "404 Not Found", with nothing more.
    pub fn status(status: &str) -> Self {
        Self { head: format!("HTTP/1.1 {status}\r\n"), body: Vec::new(), stalls: false, later: None }
    }

    pub fn ok(body: &[u8]) -> Self {
        Self::status("200 OK").body(body)
    }

    /// The rest from `start`, announced as such.
    pub fn partial(whole: &[u8], start: usize) -> Self {
        let (end, total) = (whole.len() - 1, whole.len());
        Self::status("206 Partial Content")
            .header("Content-Range", &format!("bytes {start}-{end}/{total}"))
            .body(&whole[start..])
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// A body with its right length.
    pub fn body(self, body: &[u8]) -> Self {
        self.header("Content-Length", &body.len().to_string()).bare_body(body)
    }

    /// A body whose length is not announced, or was announced before.
    pub fn bare_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The connection breaks after this many bytes of the body.
    pub fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }

    /// After what it has, the server falls silent with the connection open.
    pub fn stalled(mut self) -> Self {
        self.stalls = true;
        self
    }

    /// After this many bytes of the body the rest comes only when `gate` has become true.
    pub fn gated(mut self, bytes: usize, gate: &Arc<AtomicBool>) -> Self {
        self.later = Some((self.body.split_off(bytes), Arc::clone(gate)));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Reads a request up to its empty line.
pub fn read_request(reader: impl std::io::Read) -> Asked {
    let mut reader = BufReader::new(reader);
    let mut asked = Asked::default();
    if reader.read_line(&mut asked.line).is_err() {
        return asked;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        if let Some((name, value)) = line.split_once(':') {
            asked.headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        line.clear();
    }
    asked
}

pub struct Server {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request as `script` says, which is given the request and its number from 0.
    pub fn start(script: impl Fn(&Asked, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let is_ending = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (asked, is_ending) = (Arc::clone(&asked), Arc::clone(&is_ending));
            move || {
                let mut stalled = Vec::new();
                for (number, connection) in listener.incoming().enumerate() {
                    if is_ending.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut connection = connection.unwrap();
                    let request = read_request(&connection);
                    let reply = script(&request, number);
                    asked.lock().unwrap().push(request);
                    // The client may have gone already; it is the client that is being tested.
                    let _ = connection.write_all(&reply.bytes());
                    if let Some((rest, gate)) = &reply.later {
                        while !gate.load(Ordering::SeqCst) {
                            thread::sleep(Duration::from_millis(5));
                        }
                        let _ = connection.write_all(rest);
                    }
                    if reply.stalls {
                        stalled.push(connection);
                    }
                }
            }
        });
        Self { port, asked, is_ending, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || thread::panicking(), "the test's server panicked");
    }
}
