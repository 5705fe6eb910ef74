//! How a download reports its progress, without knowing what becomes of the report.

use std::time::Duration;

/// Watches a download.
///
/// The methods take `&self`, so that one watcher can be shared. They must not fail: a broken terminal is no reason
/// to break off an installation.
pub trait Progress {
    /// A download begins: what it is, and how many bytes it will have if the server said so.
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    /// That many more bytes have arrived.
    fn advance(&self, _bytes: u64) {}
    /// An attempt failed for this reason; the next one comes after `wait`. This also happens with no download begun:
    /// while the list of releases or the checksums are being fetched, and at the first connection.
    fn retry(&self, _reason: &str, _wait: Duration) {}
    /// That many bytes of the download that began last are there from an earlier run; they are told of as arriving, too.
    fn resumes(&self, _bytes: u64) {}
    /// Whether to break off, asked some ten times a second for as long as anything is waited for or read. It may take
    /// its time to answer; the download then goes on where it was.
    fn stops(&self) -> bool {
        false
    }
    /// The download that began last is complete. Not called if it failed: the error says so.
    fn done(&self) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
