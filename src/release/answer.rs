//! An answer that a thread of its own waits for and reads, so that whoever wants it can leave at any moment.
//!
//! Nothing ends a call of the HTTP library before its own time-outs, which are long on purpose; a run that is asked to stop
//! meanwhile must not wait for them. A thread that nobody listens to any more ends by itself.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::RequestBuilder;
use reqwest::header::HeaderMap;

use super::Progress;

/// How often it is looked whether to leave.
const LOOK: Duration = Duration::from_millis(100);
/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces are read ahead.
const AHEAD: usize = 4;

/// An answer whose head has come.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// What stands before the content.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The length of the content in bytes, if the server says it.
    pub(super) length: Option<u64>,
}

/// The content, as it comes.
pub(super) struct Body {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

/// Why there is no answer, or no more of it.
pub(super) enum Silence<E> {
    /// Nobody wants it any more.
    Left,
    /// It failed.
    Failed(E),
    /// The thread could not be made, or is gone.
    Thread(io::Error),
}

/// Sends a request and waits for the head of the answer.
pub(super) fn send(request: RequestBuilder, progress: &dyn Progress) -> Result<Answer, Silence<reqwest::Error>> {
    let (head, comes) = sync_channel(1);
    let (piece, pieces) = sync_channel(AHEAD);
    thread::Builder::new()
        .name("download".to_owned())
        .spawn(move || transfer(request, &head, &piece))
        .map_err(Silence::Thread)?;
    let head = next(&comes, progress)?.map_err(Silence::Failed)?;
    Ok(Answer { head, body: Body { pieces, piece: Vec::new(), used: 0 } })
}

impl Body {
    /// Reads some of it, as [`Read::read`] does.
    pub(super) fn read(&mut self, buffer: &mut [u8], progress: &dyn Progress) -> Result<usize, Silence<io::Error>> {
        if self.used == self.piece.len() {
            self.piece = next(&self.pieces, progress)?.map_err(Silence::Failed)?;
            self.used = 0;
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

/// Waits that long; `false` if somebody does not want to wait any more.
pub(super) fn pause(wait: Duration, progress: &dyn Progress) -> bool {
    let until = Instant::now() + wait;
    loop {
        if progress.stops() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(LOOK));
    }
}

fn next<T, E>(comes: &Receiver<T>, progress: &dyn Progress) -> Result<T, Silence<E>> {
    loop {
        if progress.stops() {
            return Err(Silence::Left);
        }
        match comes.recv_timeout(LOOK) {
            Ok(what) => return Ok(what),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Silence::Thread(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// What the thread does. An empty piece is the end. A piece that nobody takes ends it.
fn transfer(
    request: RequestBuilder,
    head: &SyncSender<Result<Head, reqwest::Error>>,
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
    if head.send(Ok(Head { status, headers, length })).is_err() {
        return;
    }
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match response.read(&mut buffer) {
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = piece.as_ref().map_or(true, Vec::is_empty);
        if pieces.send(piece).is_err() || is_last {
            return;
        }
    }
}
