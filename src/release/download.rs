//! Bytes from a source: whole small files, and large ones as a reader that survives broken connections.

use std::fs::File;
use std::io::{self, Read};

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};

use super::answer::{Answer, pause};
use super::source::Place;
use super::{Error, HttpClient, Progress};
use crate::net::web::{deepest_cause, find_cause};

/// How much a download must get on for the count of failed attempts to start anew.
const REAL_PROGRESS: u64 = 1024 * 1024;

/// A file that is being read from its place. Errors of its `Read` carry an [`Error`].
pub(super) struct Stream<'a> {
    /// How many bytes there will be, if that is known beforehand.
    pub(super) size: Option<u64>,
    content: Box<dyn Read + 'a>,
    progress: &'a dyn Progress,
}

impl<'a> Stream<'a> {
    /// Opens a file of at most `limit` bytes. Of one that is downloaded the first `have` bytes are there already.
    pub(super) fn open(place: &'a Place, have: u64, limit: u64, http: &'a HttpClient<'_>) -> Result<Self, Error> {
        let (size, content): (_, Box<dyn Read>) = match place {
            Place::Url(url) => {
                let download = Download::open(url, have, limit, http)?;
                (download.total, Box::new(download))
            }
            Place::File(path) => {
                let file = File::open(path).map_err(Error::file("open", path))?;
                (Some(file.metadata().map_err(Error::file("read", path))?.len()), Box::new(file))
            }
        };
        if size.is_some_and(|size| size > limit) {
            return Err(Error::TooLarge(place.to_string(), limit));
        }
        Ok(Self { size, content, progress: http.progress })
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.stops() {
            return Err(io::Error::other(Error::Stopped));
        }
        self.content.read(buffer)
    }
}

/// Turns an error of a [`Stream`] back into what it carries.
pub(super) fn stream_error(error: io::Error, place: &Place) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(source) => Error::File { action: "read", path: place.to_string().into(), source },
    }
}

/// Reads a small file whole.
pub(super) fn read_small(place: &Place, limit: u64, http: &HttpClient<'_>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = Stream::open(place, 0, limit, http)?.read_to_end(&mut bytes);
    read.map_err(|error| stream_error(error, place))?;
    Ok(bytes)
}

/// A download that goes on where it broke off, with a range request (RFC 9110, section 14).
///
/// `If-Range` with the strong `ETag` of the first answer makes a server that has replaced the file in between send
/// it from the start, which is then noticed. A server that knows no ranges and sends everything again is taken too:
/// what was there already is skipped.
struct Download<'a> {
    url: &'a Url,
    http: &'a HttpClient<'a>,
    limit: u64,
    answer: Option<Answer<'a>>,
    total: Option<u64>,
    etag: Option<HeaderValue>,
    received: u64,
    failures: u32,
    received_at_failure: u64,
}

impl<'a> Download<'a> {
    fn open(url: &'a Url, have: u64, limit: u64, http: &'a HttpClient<'_>) -> Result<Self, Error> {
        let mut download = Self {
            url,
            http,
            limit,
            answer: None,
            total: None,
            etag: None,
            received: have,
            failures: 0,
            received_at_failure: have,
        };
        while download.answer.is_none() {
            match download.connect() {
                Ok(answer) => download.answer = Some(answer),
                Err(error) => download.recover(error)?,
            }
        }
        Ok(download)
    }

    /// Asks for the rest (at first: for all) of the file. Only the rest is left to be read from the answer.
    fn connect(&mut self) -> Result<Answer<'a>, Error> {
        let bad_range = || Error::BadRange(self.url.to_string());
        let changed = || Error::ChangedMeanwhile(self.url.to_string());
        let goes_on = self.received > 0;
        let mut request = self.http.get(self.url)?;
        if goes_on {
            request = request.header(header::RANGE, format!("bytes={}-", self.received));
            if let Some(etag) = &self.etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        let mut answer = self.http.send(self.url, request).map_err(|error| match error {
            Error::Status { status: 416, .. } => bad_range(),
            error => error,
        })?;
        let etag = strong_etag(&answer.head.headers);
        if goes_on && differ(self.etag.as_ref(), etag.as_ref()) {
            return Err(changed());
        }
        let is_rest = answer.head.status == StatusCode::PARTIAL_CONTENT;
        let total = match content_range(&answer.head.headers) {
            Some((start, total)) if is_rest && goes_on && start == self.received => total,
            _ if is_rest => return Err(bad_range()),
            _ => answer.head.length,
        };
        if goes_on && differ(self.total, total) {
            return Err(changed());
        }
        if !is_rest {
            let skipped = io::copy(&mut answer.by_ref().take(self.received), &mut io::sink());
            if skipped.map_err(|error| self.broken(error))? < self.received {
                return Err(changed());
            }
        }
        // Of what an earlier run has begun neither is known at first.
        self.total = self.total.or(total);
        self.etag = self.etag.take().or(etag);
        Ok(answer)
    }

    /// Reads on. After a failure there is no answer any more.
    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.connect()?,
        };
        let count = answer.read(buffer).map_err(|error| self.broken(error))?;
        self.answer = Some(answer);
        self.received += count as u64;
        if self.received > self.limit {
            return Err(Error::TooLarge(self.url.to_string(), self.limit));
        }
        Ok(count)
    }

    /// After a failure: waits for the next attempt, or gives up.
    fn recover(&mut self, error: Error) -> Result<(), Error> {
        if self.received - self.received_at_failure >= REAL_PROGRESS {
            self.failures = 0;
        }
        self.received_at_failure = self.received;
        self.failures += 1;
        let asked = if let Error::Status { wait, .. } = error { wait } else { None };
        match self.http.settings.retry.wait(self.failures, asked) {
            Some(wait) if error.may_pass() => {
                self.http.progress.retry(&error.to_string(), wait);
                pause(wait, self.http.progress)
            }
            _ => Err(error),
        }
    }

    /// What broke an answer off.
    fn broken(&self, error: io::Error) -> Error {
        let url = self.url.to_string();
        match error.downcast() {
            Ok(stopped) => stopped,
            Err(error) if find_cause(&error).is_some_and(reqwest::Error::is_timeout) => {
                Error::TimedOut(url, self.http.settings.idle)
            }
            Err(error) => Error::BrokenOff { url, received: self.received, reason: deepest_cause(&error) },
        }
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece(buffer) {
                Ok(count) => return Ok(count),
                Err(error) => self.recover(error).map_err(io::Error::other)?,
            }
        }
    }
}

fn differ<T: PartialEq>(before: Option<T>, now: Option<T>) -> bool {
    before.is_some() && now.is_some() && before != now
}

/// The `ETag`, if it is a strong one: `If-Range` takes no other (RFC 9110, section 13.1.5).
fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\"")).cloned()
}

/// Start and total of a `Content-Range: bytes 100-199/200`; the total may be unknown (`*`).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    end.parse::<u64>().ok()?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn content_ranges_are_read() {
        let read = |value| content_range(&headers(header::CONTENT_RANGE, value));
        assert_eq!(read("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(read("bytes 100-199/*"), Some((100, None)));
        for odd in ["bytes */200", "100-199/200", "bytes 100/200", "bytes a-b/c", ""] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(content_range(&HeaderMap::new()), None);
    }

    #[test]
    fn only_strong_etags_are_kept() {
        assert!(strong_etag(&headers(header::ETAG, "\"abc\"")).is_some());
        assert!(strong_etag(&headers(header::ETAG, "W/\"abc\"")).is_none());
        assert!(strong_etag(&HeaderMap::new()).is_none());
    }
}
