//! Has a child fetch what comes from the network: this program itself takes none of it apart.
//!
//! The child speaks TLS and HTTP, reads catalogues and checksums, and repeats what failed. It has nobody's rights, and
//! writes no file. What it says is typed and limited in length, and of what it fetches only the digest is believed.

use std::io::{self, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use reqwest::Url;

use super::fetch_child::FETCH;
use super::source::BaseUrl;
use super::wire::{Frame, Order, Told, Wish};
use super::{Error, HttpSettings, Progress, Published, Sha256Digest};
use crate::child::{self, Confinement, Ids, Running};
use crate::net::web::environment;

/// How much it may tell besides the bytes of a file. Some hundred releases, with their files and with what their notes
/// say about upgrading, are well below one mebibyte.
const MOST_TOLD: usize = 16 * 1024 * 1024;

/// What it may be silent for, beyond its own time-outs.
const GRACE: Duration = Duration::from_secs(60);

/// What an error says that it does.
const FETCHES: &str = "fetches";

/// How the pipe is read, in bytes.
const PIECE: usize = 256 * 1024;

/// Fetches from the network, and knows who the children are that do it. Making one costs nothing.
pub struct Fetcher<'a> {
    settings: HttpSettings,
    pub(super) ids: Option<Ids>,
    pub(super) progress: &'a dyn Progress,
}

impl<'a> Fetcher<'a> {
    /// With these settings and children with these ids (`None`: those of this process), whose work is told to `progress`.
    pub fn new(settings: HttpSettings, ids: Option<Ids>, progress: &'a dyn Progress) -> Self {
        Self { settings, ids, progress }
    }

    /// All releases of a server, in its order.
    pub(super) fn catalogue(&self, base: &BaseUrl) -> Result<Vec<Published>, Error> {
        let mut fetching = self.start(Wish::Catalogue(base.clone()))?;
        let mut releases = Vec::new();
        loop {
            match fetching.next()? {
                Frame::Told(Told::Release(release)) => releases.push(release),
                Frame::Told(Told::Ends) => return Ok(releases),
                _ => return Err(fetching.unexpected()),
            }
        }
    }

    /// The digest of an archive from the `checksums.txt` at an address.
    pub(super) fn checksum(&self, url: &Url, asset: &str) -> Result<Sha256Digest, Error> {
        let mut fetching = self.start(Wish::Checksum { url: url.to_string(), asset: asset.to_owned() })?;
        match fetching.next()? {
            Frame::Told(Told::Digest(digest)) => Ok(digest),
            _ => Err(fetching.unexpected()),
        }
    }

    /// A file of at most `limit` bytes, the first `have` of which are there already, and how many it has in all. Errors
    /// of reading it carry an [`Error`].
    pub(super) fn file(&self, url: &Url, have: u64, limit: u64) -> Result<(Option<u64>, Fetching<'a>), Error> {
        let mut fetching = self.start(Wish::File { url: url.to_string(), have, limit })?;
        match fetching.next()? {
            Frame::Told(Told::Begins(total)) => Ok((total, fetching)),
            _ => Err(fetching.unexpected()),
        }
    }

    fn start(&self, wish: Wish) -> Result<Fetching<'a>, Error> {
        let HttpSettings { connect, idle, retry } = self.settings;
        let confinement = Confinement::of(self.ids.clone());
        let order = Order { settings: self.settings, wish };
        let start = |stderr| child::start(FETCH.0, &confinement, &order, &environment(), Stdio::piped(), stderr);
        let child =
            tempfile::tempfile().and_then(start).map_err(|error| Error::child(FETCHES, &error, self.progress))?;
        let silence = connect + idle + retry.longest_wait + GRACE;
        let output = Output { child, progress: self.progress, silence };
        Ok(Fetching { output: BufReader::with_capacity(PIECE, output), left: 0, may_tell: MOST_TOLD })
    }
}

/// What a child says, as it comes.
struct Output<'a> {
    child: Running,
    progress: &'a dyn Progress,
    silence: Duration,
}

impl Read for Output<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let progress = self.progress;
        self.child.read(buffer, self.silence, &mut || match progress.stops() {
            true => Err(io::Error::other(Error::Stopped)),
            false => Ok(()),
        })
    }
}

/// A child that fetches. It ends when this is dropped.
pub(super) struct Fetching<'a> {
    output: BufReader<Output<'a>>,
    /// How many bytes of the file are still to be read from this frame.
    left: usize,
    /// How much it may still tell besides.
    may_tell: usize,
}

impl Fetching<'_> {
    /// The next frame. What failed is an error, and a repetition is told of.
    fn next(&mut self) -> Result<Frame, Error> {
        loop {
            match Frame::read(&mut self.output, &mut self.may_tell) {
                Ok(Frame::Told(Told::Failed(error))) => return Err(error),
                Ok(Frame::Told(Told::Retries(reason, wait))) => self.output.get_ref().progress.retry(&reason, wait),
                // A sign of life.
                Ok(Frame::Bytes(0)) => {}
                Ok(frame) => return Ok(frame),
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// What it means that the output cannot be read.
    fn failed(&mut self, error: io::Error) -> Error {
        let progress = self.output.get_ref().progress;
        match error.kind() {
            io::ErrorKind::InvalidData => self.unexpected(),
            io::ErrorKind::UnexpectedEof => match self.output.get_mut().child.failure() {
                Ok(Some(why)) => Error::child(FETCHES, &why, progress),
                Ok(None) => self.unexpected(),
                Err(error) => Error::child(FETCHES, &error, progress),
            },
            _ => error.downcast().unwrap_or_else(|error| Error::child(FETCHES, &error, progress)),
        }
    }

    fn unexpected(&self) -> Error {
        Error::child(FETCHES, &"what it says cannot be understood", self.output.get_ref().progress)
    }
}

impl Read for Fetching<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            match self.next().map_err(io::Error::other)? {
                Frame::Bytes(count) => self.left = count,
                Frame::Told(Told::Ends) => return Ok(0),
                Frame::Told(_) => return Err(io::Error::other(self.unexpected())),
            }
        }
        let wanted = buffer.len().min(self.left);
        let count = match self.output.read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::Error::other(self.failed(io::ErrorKind::UnexpectedEof.into()))),
            Ok(count) => count,
            Err(error) => return Err(io::Error::other(self.failed(error))),
        };
        self.left -= count;
        Ok(count)
    }
}
