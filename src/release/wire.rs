//! What a program and the child that fetches for it tell each other.
//!
//! The child answers in frames on its standard output: a letter, a length (four bytes, the first one the most
//! significant), and so many bytes. They are bytes of the file that is fetched, or what else there is to tell, as JSON. No
//! bytes at all are a sign of life.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::source::BaseUrl;
use super::{Error, HttpSettings, Published, Sha256Digest};

/// The longest content of a frame, in bytes.
pub(super) const LONGEST_FRAME: usize = 1024 * 1024;

const BYTES: u8 = b'b';
const TOLD: u8 = b't';

/// What to fetch, and how.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) settings: HttpSettings,
    pub(super) wish: Wish,
}

/// What to fetch.
#[derive(Serialize, Deserialize)]
pub(super) enum Wish {
    /// All releases of a server.
    Catalogue(BaseUrl),
    /// The digest that a `checksums.txt` gives for an archive.
    Checksum {
        /// Its address.
        url: String,
        /// The archive.
        asset: String,
    },
    /// A file of at most `limit` bytes, the first `have` of which are there already.
    File {
        /// Its address.
        url: String,
        have: u64,
        limit: u64,
    },
}

/// What a child tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The head of the answer has come: how many bytes the file has, if the server says it.
    Begins(Option<u64>),
    /// An attempt failed for this reason; the next one comes after the wait.
    Retries(String, Duration),
    Release(Published),
    Digest(Sha256Digest),
    /// Nothing more comes, because of this.
    Failed(Error),
    /// Everything has come.
    Ends,
}

/// A frame, as far as it has been read.
pub(super) enum Frame {
    /// So many bytes of the file follow.
    Bytes(usize),
    Told(Told),
}

impl Frame {
    /// Reads the next one. What is told, heads included, is taken from `left`. An error of the kind `InvalidData` is for
    /// what is no frame, or too much.
    pub(super) fn read(input: &mut impl Read, left: &mut usize) -> io::Result<Self> {
        let mut head = [0; 5];
        input.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        let told = head.len() + if kind == TOLD { length } else { 0 };
        *left = left.checked_sub(told).filter(|_| length <= LONGEST_FRAME).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            BYTES => Ok(Self::Bytes(length)),
            TOLD => {
                let mut text = vec![0; length];
                input.read_exact(&mut text)?;
                serde_json::from_slice(&text).map(Self::Told).map_err(|_| io::ErrorKind::InvalidData.into())
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The child's side.
pub(super) struct Teller(File);

impl Teller {
    /// Tells on standard output, which nothing buffers.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    pub(super) fn tell(&self, told: &Told) {
        self.send(TOLD, serde_json::to_vec(told).map_err(io::Error::other));
    }

    pub(super) fn bytes(&self, bytes: &[u8]) {
        self.send(BYTES, Ok(bytes));
    }

    /// Sends a frame. If nobody listens any more, there is nothing left to do.
    fn send(&self, kind: u8, content: io::Result<impl AsRef<[u8]>>) {
        let send = |content: &[u8]| {
            let length = u32::try_from(content.len()).map_err(io::Error::other)?.to_be_bytes();
            let mut output = &self.0;
            output.write_all(&[&[kind], &length[..]].concat())?;
            output.write_all(content)
        };
        if content.and_then(|content| send(content.as_ref())).is_err() {
            process::exit(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::error_code::Coded;

    fn read(kind: u8, length: u32, content: &[u8]) -> io::Result<Frame> {
        Frame::read(&mut [&[kind], &length.to_be_bytes()[..], content].concat().as_slice(), &mut 100)
    }

    #[test]
    fn only_whole_frames_of_a_known_kind_and_a_modest_length_are_read() {
        assert!(matches!(read(BYTES, 3, b"abc"), Ok(Frame::Bytes(3))));
        assert!(matches!(read(TOLD, 6, b"\"Ends\""), Ok(Frame::Told(Told::Ends))));
        let kind = |kind, length, content: &[u8]| read(kind, length, content).err().unwrap().kind();
        assert_eq!(kind(b'x', 3, b"abc"), io::ErrorKind::InvalidData);
        assert_eq!(kind(BYTES, 1 << 30, b"abc"), io::ErrorKind::InvalidData);
        assert_eq!(kind(TOLD, 1 << 30, b"abc"), io::ErrorKind::InvalidData);
        assert_eq!(kind(TOLD, 96, &[b' '; 96]), io::ErrorKind::InvalidData);
        assert_eq!(kind(TOLD, 4, b"\"End"), io::ErrorKind::InvalidData);
        assert_eq!(kind(TOLD, 5, b"\"End\""), io::ErrorKind::InvalidData);
        assert_eq!(kind(TOLD, 9, b"\"Ends\""), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn every_error_of_the_network_arrives_as_it_was() {
        let text = || "https://example.org/a".to_owned();
        for error in [
            Error::BadSource(text(), text()),
            Error::MissingChecksum(text(), text()),
            Error::CatalogueUnreadable(text(), text()),
            Error::Status { url: text(), status: 429, wait: Some(Duration::from_secs(7)) },
            Error::Unreachable(text(), text()),
            Error::TooManyRedirects(text()),
            Error::TimedOut(text(), Duration::from_millis(100)),
            Error::BrokenOff { url: text(), received: 7, reason: text() },
            Error::ChangedMeanwhile(text()),
            Error::BadRange(text()),
            Error::Certificate(text(), text()),
            Error::NoCaCertificates(text()),
            Error::InsecureRedirect(text(), text()),
            Error::TooLarge(text(), 7),
            Error::MalformedChecksums { place: text(), line: 7, reason: text() },
            Error::ConflictingChecksums(text(), text()),
        ] {
            let (code, said) = (error.code(), format!("{error:?} {error}"));
            let sent = serde_json::to_string(&Told::Failed(error)).unwrap();
            let Told::Failed(come) = serde_json::from_str(&sent).unwrap() else { panic!("{sent}") };
            assert_eq!((come.code(), format!("{come:?} {come}")), (code, said));
        }
    }
}
