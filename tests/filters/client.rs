//! A client that sends paths as they are, without putting them in order first.

use std::io::{Read, Write};
use std::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Asks the web server, as a client from this address and with this name; without a `User-Agent` if that is empty.
pub fn get(port: u16, address: &str, agent: &str, path: &str) -> Answer {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let agent = if agent.is_empty() { String::new() } else { format!("User-Agent: {agent}\r\n") };
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: social.example.org\r\nX-Test-Address: {address}\r\n{agent}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {path}: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
