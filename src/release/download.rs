//! Bytes from a source: whole small files, and large ones as a reader that survives broken connections.

use std::fs::File;
use std::io::{self, Read};

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};

use super::answer::{Body, Silence, pause};
use super::http::{Failure, deepest_cause};
use super::source::Place;
use super::{Error, HttpClient, Progress};

/// How much a download must get on for the count of failed attempts to start anew.
const REAL_PROGRESS: u64 = 1024 * 1024;

/// A file that is being read from its place. Errors of its `Read` carry an [`Error`].
pub(super) enum Stream<'a> {
    Url(Box<Download<'a>>),
    File { file: File, size: u64, progress: &'a dyn Progress },
}

impl<'a> Stream<'a> {
    /// Opens a file of at most `limit` bytes. Of one that is downloaded the first `have` bytes are there already.
    pub(super) fn open(
        place: &Place,
        have: u64,
        limit: u64,
        http: &'a HttpClient,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let stream = match place {
            Place::Url(url) => Self::Url(Box::new(Download::open(url.clone(), have, limit, http, progress)?)),
            Place::File(path) => {
                let file = File::open(path).map_err(Error::file("open", path))?;
                let size = file.metadata().map_err(Error::file("read", path))?.len();
                Self::File { file, size, progress }
            }
        };
        if stream.size().is_some_and(|size| size > limit) {
            return Err(Error::TooLarge { url: place.to_string(), limit });
        }
        Ok(stream)
    }

    /// How many bytes there will be, if that is known beforehand.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Url(download) => download.total,
            Self::File { size, .. } => Some(*size),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Url(download) => download.read(buffer),
            Self::File { progress, .. } if progress.stops() => Err(io::Error::other(Error::Stopped)),
            Self::File { file, .. } => file.read(buffer),
        }
    }
}

/// Turns an error of a [`Stream`] back into what it carries.
pub(super) fn stream_error(error: io::Error, place: &Place) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(source) => Error::File { action: "read", path: place.to_string().into(), source },
    }
}

/// Reads a small file whole. `Ok(None)` says that there is no such file.
pub(super) fn read_small(
    place: &Place,
    limit: u64,
    http: &HttpClient,
    progress: &dyn Progress,
) -> Result<Option<Vec<u8>>, Error> {
    let mut stream = match Stream::open(place, 0, limit, http, progress) {
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        opened => opened?,
    };
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| stream_error(error, place))?;
    Ok(Some(bytes))
}

/// A download that goes on where it broke off, with a range request (RFC 9110, section 14).
///
/// `If-Range` with the strong `ETag` of the first answer makes a server that has replaced the file in between send
/// it from the start, which is then noticed. A server that knows no ranges and sends everything again is taken too:
/// what was there already is skipped.
pub(super) struct Download<'a> {
    url: Url,
    http: &'a HttpClient,
    progress: &'a dyn Progress,
    limit: u64,
    body: Option<Body>,
    total: Option<u64>,
    etag: Option<HeaderValue>,
    received: u64,
    failures: u32,
    received_at_failure: u64,
}

impl<'a> Download<'a> {
    fn open(url: Url, have: u64, limit: u64, http: &'a HttpClient, progress: &'a dyn Progress) -> Result<Self, Error> {
        let mut download = Self {
            url,
            http,
            progress,
            limit,
            body: None,
            total: None,
            etag: None,
            received: have,
            failures: 0,
            received_at_failure: have,
        };
        while download.body.is_none() {
            if let Err(failure) = download.connect() {
                download.recover(failure)?;
            }
        }
        Ok(download)
    }

    /// Asks for the rest (at first: for all) of the file.
    fn connect(&mut self) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if self.received > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.received))
                .map_err(|_| Failure::lasting(self.bad_range()))?;
            headers.insert(header::RANGE, range);
            if let Some(etag) = &self.etag {
                headers.insert(header::IF_RANGE, etag.clone());
            }
        }
        let mut answer = self.http.get(&self.url, headers, self.progress).map_err(|failure| match *failure.error {
            Error::UnexpectedStatus { status: 416, .. } => Failure::lasting(self.bad_range()),
            _ => failure,
        })?;
        let head = &answer.head;
        let etag = strong_etag(&head.headers);
        let total = if self.received == 0 {
            if head.status == StatusCode::PARTIAL_CONTENT {
                return Err(Failure::lasting(self.bad_range()));
            }
            head.length
        } else {
            if self.etag.is_some() && etag.is_some() && self.etag != etag {
                return Err(Failure::lasting(self.changed()));
            }
            if head.status == StatusCode::PARTIAL_CONTENT {
                let (start, total) = content_range(&head.headers).ok_or_else(|| Failure::lasting(self.bad_range()))?;
                if start != self.received {
                    return Err(Failure::lasting(self.bad_range()));
                }
                self.check_total(total)?;
                total
            } else {
                let total = head.length;
                self.check_total(total)?;
                self.skip_received(&mut answer.body)?;
                total
            }
        };
        // Of what an earlier run has begun neither is known at first.
        self.total = self.total.or(total);
        self.etag = self.etag.take().or(etag);
        self.body = Some(answer.body);
        Ok(())
    }

    fn check_total(&self, total: Option<u64>) -> Result<(), Failure> {
        match (self.total, total) {
            (Some(before), Some(now)) if before != now => Err(Failure::lasting(self.changed())),
            _ => Ok(()),
        }
    }

    /// The server sends everything again: reads past what was there already.
    fn skip_received(&self, body: &mut Body) -> Result<(), Failure> {
        let mut buffer = [0; 64 * 1024];
        let mut left = self.received;
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match body.read(&mut buffer[..wanted], self.progress).map_err(|silence| self.silence(silence))? {
                0 => return Err(Failure::lasting(self.changed())),
                count => left -= count as u64,
            }
        }
        Ok(())
    }

    /// After a failure: waits for the next attempt, or gives up.
    fn recover(&mut self, failure: Failure) -> Result<(), Error> {
        self.body = None;
        if !failure.transient {
            return Err(*failure.error);
        }
        if self.received - self.received_at_failure >= REAL_PROGRESS {
            self.failures = 0;
        }
        self.received_at_failure = self.received;
        self.failures += 1;
        match self.http.settings().retry.wait(self.failures, failure.asked_wait) {
            Some(wait) => {
                self.progress.retry(&failure.error.to_string(), wait);
                if pause(wait, self.progress) { Ok(()) } else { Err(Error::Stopped) }
            }
            None => Err(*failure.error),
        }
    }

    fn bad_range(&self) -> Error {
        Error::BadRange { url: self.url.to_string() }
    }

    fn changed(&self) -> Error {
        Error::ChangedMeanwhile { url: self.url.to_string() }
    }

    fn silence(&self, silence: Silence<io::Error>) -> Failure {
        match silence {
            Silence::Left => Failure::lasting(Error::Stopped),
            Silence::Failed(error) | Silence::Thread(error) => self.broken(&error),
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let timed_out = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<reqwest::Error>())
            .is_some_and(reqwest::Error::is_timeout);
        Failure::passing(if timed_out {
            Error::TimedOut { url: self.url.to_string(), idle: self.http.settings().timeouts.idle }
        } else {
            Error::BrokenOff { url: self.url.to_string(), received: self.received, reason: deepest_cause(error) }
        })
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let failure = match &mut self.body {
                None => match self.connect() {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
                Some(body) => match body.read(buffer, self.progress) {
                    Ok(count) => {
                        self.received += count as u64;
                        if self.received > self.limit {
                            return Err(io::Error::other(Error::TooLarge {
                                url: self.url.to_string(),
                                limit: self.limit,
                            }));
                        }
                        return Ok(count);
                    }
                    Err(silence) => self.silence(silence),
                },
            };
            self.recover(failure).map_err(io::Error::other)?;
        }
    }
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
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
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
