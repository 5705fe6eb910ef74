//! A web server that serves a mirror on a port of this machine, or takes a connection and says nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// For somebody to connect.
const PATIENCE: Duration = Duration::from_secs(60);

fn bind() -> Result<(TcpListener, SocketAddr), String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no port to listen on: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, address))
}

/// Serves a folder for as long as this program runs; its URL.
pub fn serve(folder: PathBuf) -> Result<String, String> {
    let (listener, address) = bind()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever went away has nothing to be told.
            let _ = answer(&stream, &folder);
        }
    });
    Ok(format!("http://{address}"))
}

fn answer(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = Path::new(request.split(' ').nth(1).unwrap_or_default());
    let below: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let mut stream = stream;
    match fs::read(folder.join(below)) {
        Ok(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
            stream.write_all(&bytes)
        }
        Err(_) => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}

/// A server that says nothing.
#[derive(Debug)]
pub struct Silent {
    listener: TcpListener,
    /// Where it is.
    pub address: SocketAddr,
}

impl Silent {
    /// Starts it.
    pub fn start() -> Result<Self, String> {
        let (listener, address) = bind()?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self { listener, address })
    }

    /// Waits until somebody connects, who then waits for an answer for as long as this is kept.
    pub fn accept(&self) -> Result<TcpStream, String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Ok((stream, _)) = self.listener.accept() {
                return Ok(stream);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("nobody has connected to {}", self.address))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn files_of_the_folder_are_served_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mirror")).unwrap();
        fs::write(folder.path().join("mirror/file"), "bytes").unwrap();
        fs::write(folder.path().join("secret"), "no").unwrap();
        let url = serve(folder.path().join("mirror")).unwrap();
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(ask("/file").ends_with("\r\n\r\nbytes"));
        assert!(ask("/../secret").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn a_silent_one_takes_a_connection() {
        let silent = Silent::start().unwrap();
        let _client = TcpStream::connect(silent.address).unwrap();
        silent.accept().unwrap();
    }
}
