//! Downloads, as the child that fetches makes them: whole small files, and large ones that survive broken connections.

use std::io::{self, Read};
use std::thread;

use reqwest::blocking::Response;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};

use super::Error;
use super::http::HttpClient;
use crate::net::web::{deepest_cause, find_cause};

/// How much a download must get on for the count of failed attempts to start anew.
const REAL_PROGRESS: u64 = 1024 * 1024;

/// How much is read at a time of what is not handed on piece by piece, in bytes.
const PIECE: usize = 64 * 1024;

/// Reads a small file whole.
pub(super) fn read_small(url: &Url, limit: u64, http: &HttpClient<'_>) -> Result<Vec<u8>, Error> {
    let mut download = Download::open(url, 0, limit, http)?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        match download.read(&mut piece)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&piece[..count]),
        }
        (http.lives)();
    }
}

/// A download that goes on where it broke off, with a range request (RFC 9110, section 14).
///
/// `If-Range` with the strong `ETag` of the first answer makes a server that has replaced the file in between send
/// it from the start, which is then noticed. A server that knows no ranges and sends everything again is taken too:
/// what was there already is skipped.
pub(super) struct Download<'a> {
    url: &'a Url,
    http: &'a HttpClient<'a>,
    limit: u64,
    answer: Option<Response>,
    /// How many bytes there are in all, if that is known.
    pub(super) total: Option<u64>,
    etag: Option<HeaderValue>,
    received: u64,
    failures: u32,
    received_at_failure: u64,
}

impl<'a> Download<'a> {
    /// Opens a file of at most `limit` bytes, the first `have` of which are there already.
    pub(super) fn open(url: &'a Url, have: u64, limit: u64, http: &'a HttpClient<'_>) -> Result<Self, Error> {
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
        if download.total.is_some_and(|total| total > limit) {
            return Err(download.too_large());
        }
        Ok(download)
    }

    /// Asks for the rest (at first: for all) of the file. Only the rest is left to be read from the answer.
    fn connect(&mut self) -> Result<Response, Error> {
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
        let etag = strong_etag(answer.headers());
        if goes_on && differ(self.etag.as_ref(), etag.as_ref()) {
            return Err(changed());
        }
        let is_rest = answer.status() == StatusCode::PARTIAL_CONTENT;
        let total = match content_range(answer.headers()) {
            Some((start, total)) if is_rest && goes_on && start == self.received => total,
            _ if is_rest => return Err(bad_range()),
            _ => answer.content_length(),
        };
        if goes_on && differ(self.total, total) {
            return Err(changed());
        }
        if !is_rest {
            let (mut skipped, mut piece) = (answer.by_ref().take(self.received), vec![0; PIECE]);
            while skipped.read(&mut piece).map_err(|error| self.broken(error))? > 0 {
                (self.http.lives)();
            }
            if skipped.limit() > 0 {
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
            return Err(self.too_large());
        }
        Ok(count)
    }

    fn too_large(&self) -> Error {
        Error::TooLarge(self.url.to_string(), self.limit)
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
                (self.http.retries)(error.to_string(), wait);
                thread::sleep(wait);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// What broke an answer off.
    fn broken(&self, error: io::Error) -> Error {
        let url = self.url.to_string();
        if find_cause(&error).is_some_and(reqwest::Error::is_timeout) {
            return Error::TimedOut(url, self.http.settings.idle);
        }
        Error::BrokenOff { url, received: self.received, reason: deepest_cause(&error) }
    }

    /// Reads on; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.piece(buffer) {
                Ok(count) => return Ok(count),
                Err(error) => self.recover(error)?,
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
    use crate::release::HttpSettings;
    use std::cell::Cell;
    use std::io::Write;
    use std::net::TcpListener;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn what_is_read_whole_and_what_is_skipped_are_signs_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/a", listener.local_addr().unwrap())).unwrap();
        // It knows no ranges.
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().unwrap();
                assert_ne!(connection.read(&mut [0; 4096]).unwrap(), 0);
                connection
                    .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabcdef")
                    .unwrap();
            }
        });
        let signs = Cell::new(0);
        let (retries, lives) = (|_: String, _: std::time::Duration| {}, || signs.set(signs.get() + 1));
        let http = HttpClient::new(HttpSettings::default(), &retries, &lives);
        assert_eq!(read_small(&url, 9, &http).unwrap(), b"abcdef");
        assert_ne!(signs.replace(0), 0);
        let mut download = Download::open(&url, 4, 9, &http).unwrap();
        assert_ne!(signs.get(), 0);
        let mut rest = [0; 9];
        assert_eq!((download.read(&mut rest).unwrap(), &rest[..2]), (2, &b"ef"[..]));
        server.join().unwrap();
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
