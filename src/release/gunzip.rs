//! gunzip in a thread of its own, beside whoever hashes and writes what it unpacks.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use flate2::bufread::GzDecoder;

/// The kind of the error for what follows the end of the stream: nothing else here has it.
pub(super) const TRAILING: io::ErrorKind = io::ErrorKind::NotSeekable;

/// How much is unpacked at a time, in bytes, and how many such pieces there are.
const PIECE: usize = 128 * 1024;
const PIECES: usize = 6;

/// What a gzip stream holds.
pub(super) struct Gunzip {
    /// Pieces, and how much of each is filled.
    full: Receiver<io::Result<(Vec<u8>, usize)>>,
    /// They go back to be filled again.
    empty: Sender<Vec<u8>>,
    piece: Vec<u8>,
    filled: usize,
    read: usize,
    has_begun: bool,
}

impl Gunzip {
    /// Starts the thread, which waits until something is asked for.
    pub(super) fn start(source: impl Read + Send + 'static) -> io::Result<Self> {
        let ((fill, full), (empty, pieces)) = (channel(), channel());
        thread::Builder::new().name("gunzip".to_owned()).spawn(move || gunzip(source, pieces, &fill))?;
        Ok(Self { full, empty, piece: Vec::new(), filled: 0, read: 0, has_begun: false })
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.has_begun {
            self.has_begun = true;
            (0..PIECES).for_each(|_| drop(self.empty.send(vec![0; PIECE])));
        }
        if self.read == self.filled {
            // The thread has ended after the last piece.
            let Ok(come) = self.full.recv() else { return Ok(0) };
            let (piece, filled) = come?;
            let used = std::mem::replace(&mut self.piece, piece);
            (self.filled, self.read) = (filled, 0);
            if !used.is_empty() {
                // If nobody takes it, there is no more to unpack.
                let _ = self.empty.send(used);
            }
        }
        let count = buffer.len().min(self.filled - self.read);
        buffer[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

/// What the thread does, until the end of the stream or of those who ask.
fn gunzip(source: impl Read, pieces: Receiver<Vec<u8>>, fill: &Sender<io::Result<(Vec<u8>, usize)>>) {
    let mut pieces = pieces.into_iter();
    let Some(mut piece) = pieces.next() else { return };
    // Its header is read here.
    let mut stream = GzDecoder::new(BufReader::with_capacity(2 * PIECE, source));
    loop {
        let last = match stream.read(&mut piece) {
            Ok(0) => match stream.get_mut().fill_buf() {
                Ok([]) => return,
                Ok(_) => Err(TRAILING.into()),
                Err(error) => Err(error),
            },
            Ok(count) => {
                let Some(next) = fill.send(Ok((piece, count))).ok().and_then(|()| pieces.next()) else { return };
                piece = next;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let _ = fill.send(last);
        return;
    }
}
