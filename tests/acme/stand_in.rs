//! A stand-in for an ACME server that gives whatever answers a test wants. It checks no signature and issues nothing.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::authority::{Authority, TestAuthority};
use crate::children::peer_uid;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// The user agent.
    pub agent: String,
    /// What was signed, if it is JSON.
    pub payload: Value,
}

/// An answer.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, kind: "application/json", headers: Vec::new(), body: body.to_string() }
    }

    pub fn html(status: u16) -> Self {
        Self { status, kind: "text/html", headers: Vec::new(), body: "<h1>Hello</h1>".into() }
    }

    pub fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status });
        Self { kind: "application/problem+json", ..Self::json(status, &body) }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Script = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

pub struct StandIn {
    authority: TestAuthority,
    url: String,
    scripts: Arc<Mutex<HashMap<String, Script>>>,
    seen: Arc<Mutex<Vec<Request>>>,
    peers: Arc<Mutex<Vec<Option<u32>>>>,
}

impl StandIn {
    /// One that takes every request, and whose orders stay pending.
    pub fn start() -> Self {
        let authority = TestAuthority::new();
        let own = authority.issue("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.certificate_der], own.key_der)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let this = Self { authority, url, scripts: Arc::default(), seen: Arc::default(), peers: Arc::default() };
        this.lay_out();
        let (tls, scripts, seen) = (Arc::new(tls), this.scripts.clone(), this.seen.clone());
        let peers = this.peers.clone();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                peers.lock().unwrap().push(peer_uid(&stream));
                let (tls, scripts, seen) = (tls.clone(), scripts.clone(), seen.clone());
                thread::spawn(move || {
                    let connection = ServerConnection::new(tls).unwrap();
                    let _ = serve(StreamOwned::new(connection, stream), &scripts, &seen);
                });
            }
        });
        this
    }

    fn lay_out(&self) {
        let url = &self.url;
        self.answer("/dir", Answer::json(200, &self.directory()));
        self.answer("/nonce", Answer::json(200, &json!({})));
        self.answer("/account", Answer::json(201, &json!({})).with("Location", &format!("{url}/account/1")));
        self.answer("/order", Answer::json(201, &self.order("pending")).with("Location", &format!("{url}/order/1")));
        self.answer("/order/1", Answer::json(200, &self.order("pending")));
        self.answer("/authz", Answer::json(200, &self.authorization("pending", "http-01", "a-token")));
        self.answer("/challenge", Answer::json(200, &self.challenge("http-01", "a-token")));
    }

    pub fn directory(&self) -> Value {
        let url = &self.url;
        json!({ "newNonce": format!("{url}/nonce"), "newAccount": format!("{url}/account"), "newOrder": format!("{url}/order") })
    }

    pub fn order(&self, status: &str) -> Value {
        let url = &self.url;
        json!({
            "status": status,
            "authorizations": [format!("{url}/authz")],
            "finalize": format!("{url}/finalize"),
            "certificate": format!("{url}/certificate"),
        })
    }

    pub fn authorization(&self, status: &str, challenge: &str, token: &str) -> Value {
        json!({
            "status": status,
            "identifier": { "type": "dns", "value": "social.example.org" },
            "challenges": [self.challenge(challenge, token)],
        })
    }

    fn challenge(&self, kind: &str, token: &str) -> Value {
        json!({ "type": kind, "url": format!("{}/challenge", self.url), "status": "pending", "token": token })
    }

    /// From now on, this answer at this path.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.script(path, move |_| answer.clone());
    }

    /// From now on, what this function says at this path.
    pub fn script(&self, path: &str, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.scripts.lock().unwrap().insert(path.to_owned(), Box::new(script));
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was asked at a path.
    pub fn asked(&self, path: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }

    /// The uid of each connection's other end, where it can be known.
    pub fn peers(&self) -> Vec<Option<u32>> {
        self.peers.lock().unwrap().clone()
    }

    /// The newest request.
    pub fn asked_last(&self) -> Request {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }

    pub fn issuer(&self) -> &TestAuthority {
        &self.authority
    }

    pub fn as_authority(&self) -> Authority {
        let (request, order, look) = (Duration::from_secs(20), Duration::from_secs(60), Duration::from_millis(10));
        Authority::new(format!("{}/dir", self.url)).trusting(self.authority.root()).patient_for(request, order, look)
    }
}

fn serve(
    stream: StreamOwned<ServerConnection, TcpStream>,
    scripts: &Mutex<HashMap<String, Script>>,
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut agent) = (0, String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "user-agent" => value.trim().clone_into(&mut agent),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let signed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let payload = from_base64url(signed["payload"].as_str().unwrap_or_default());
    let request = Request { method, path, agent, payload: serde_json::from_slice(&payload).unwrap_or_default() };
    seen.lock().unwrap().push(request.clone());
    let answer =
        scripts.lock().unwrap().get(&request.path).map_or_else(|| Answer::html(404), |script| script(&request));
    let mut head = format!("HTTP/1.1 {} X\r\nReplay-Nonce: bm9uY2U\r\nConnection: close\r\n", answer.status);
    head += &format!("Content-Type: {}\r\nContent-Length: {}\r\n", answer.kind, answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let stream = reader.get_mut();
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(answer.body.as_bytes())?;
    }
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn from_base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut value) = (Vec::new(), 0, 0_u32);
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|&letter| letter == byte).unwrap();
        value = value << 6 | u32::try_from(digit).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(value >> bits & 0xff).unwrap());
        }
    }
    bytes
}
