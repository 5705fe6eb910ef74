//! Answers to challenges as files in a folder, and the small web server that serves them.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use gts_bootstrap::certificate::acme::Challenge;
use tempfile::TempDir;

/// What becomes of an answer on its way to the authority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Right,
    Wrong,
    /// It is never written, as on a full disk.
    Unwritable,
}

/// The folder, and a record of what came and went.
pub struct Webroot {
    folder: TempDir,
    answers: Answers,
    pub published: usize,
}

impl Webroot {
    pub fn new(answers: Answers) -> Self {
        Self { folder: TempDir::new().unwrap(), answers, published: 0 }
    }

    /// Serves it on a free port of loopback.
    pub fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let folder = self.folder.path().to_owned();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&folder, stream);
            }
        });
        address
    }

    fn file(&self, token: &str) -> PathBuf {
        self.folder.path().join(token)
    }

    /// Names of the answers that lie there now.
    pub fn left(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

fn answer(folder: &Path, mut stream: std::net::TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let content = path.strip_prefix("/.well-known/acme-challenge/").and_then(|token| fs::read(folder.join(token)).ok());
    let (status, body) = content.map_or(("404 Not Found", b"nothing here".to_vec()), |body| ("200 OK", body));
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

impl Challenge for Webroot {
    fn publish(&mut self, token: &str, key_authorization: &str) -> Result<(), Box<dyn Error>> {
        self.published += 1;
        match self.answers {
            Answers::Right => fs::write(self.file(token), key_authorization)?,
            Answers::Wrong => fs::write(self.file(token), "somebody else's answer")?,
            Answers::Unwritable => return Err("no space left on device".into()),
        }
        Ok(())
    }

    fn withdraw(&mut self, token: &str) {
        let _ = fs::remove_file(self.file(token));
    }
}
