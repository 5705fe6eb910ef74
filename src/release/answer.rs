//! An answer that a thread of its own waits for and reads, so that a download can be left at any moment.
//!
//! Nothing ends a call of the HTTP library before its own time-outs, which are long on purpose; a run that is asked to stop
//! meanwhile must not wait for them. A thread that nobody listens to any more ends by itself.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::RequestBuilder;
use reqwest::header::HeaderMap;

use super::{Error, Progress};

/// How often it is looked whether to leave.
const LOOK: Duration = Duration::from_millis(100);
/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces are read ahead.
const AHEAD: usize = 4;

/// An answer whose head has come. Its content comes by reading.
pub(super) struct Answer<'a> {
    pub(super) head: Head,
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    progress: &'a dyn Progress,
}

/// What stands before the content.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The length of the content in bytes, if the server says it.
    pub(super) length: Option<u64>,
}

/// Sends a request and waits for the head of the answer.
pub(super) fn send(request: RequestBuilder, progress: &dyn Progress) -> io::Result<Answer<'_>> {
    let (head, comes) = sync_channel(1);
    let (piece, pieces) = sync_channel(AHEAD);
    thread::Builder::new().name("download".to_owned()).spawn(move || transfer(request, &head, &piece))?;
    let head = next(&comes, progress)?.map_err(io::Error::other)?;
    Ok(Answer { head, pieces, piece: Cursor::default(), progress })
}

impl Read for Answer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.fill_buf()?.is_empty() {
            self.piece = Cursor::new(next(&self.pieces, self.progress)??);
        }
        self.piece.read(buffer)
    }
}

/// Waits that long, unless the download is to stop.
pub(super) fn pause(wait: Duration, progress: &dyn Progress) -> Result<(), Error> {
    let until = Instant::now() + wait;
    loop {
        if progress.stops() {
            return Err(Error::Stopped);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK));
    }
}

fn next<T>(comes: &Receiver<T>, progress: &dyn Progress) -> io::Result<T> {
    loop {
        if progress.stops() {
            return Err(io::Error::other(Error::Stopped));
        }
        match comes.recv_timeout(LOOK) {
            Ok(what) => return Ok(what),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// What the thread does. It ends when nobody takes the next piece; after the last one, these are empty.
fn transfer(
    request: RequestBuilder,
    head: &SyncSender<reqwest::Result<Head>>,
    pieces: &SyncSender<io::Result<Vec<u8>>>,
) {
    let mut response = match request.send() {
        Ok(response) => response,
        Err(error) => {
            let _ = head.send(Err(error));
            return;
        }
    };
    let (status, headers, length) = (response.status(), response.headers().clone(), response.content_length());
    let _ = head.send(Ok(Head { status, headers, length }));
    let mut buffer = vec![0; PIECE];
    while pieces.send(response.read(&mut buffer).map(|count| buffer[..count].to_vec())).is_ok() {}
}
