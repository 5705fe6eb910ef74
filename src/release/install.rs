//! From a lock to a folder: an archive with the right digest, what is in it, one rename, and nothing left behind.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use reqwest::Url;

use super::digest::Hashing;
use super::fetcher::Fetching;
use super::files;
use super::partial::Partial;
use super::source::Place;
use super::staging::{install, refuse_existing};
use super::{Error, Fetcher, Limits, LockedRelease, Progress, Sha256Digest, Source};
use crate::error_code::{Coded, ErrorCode};
use crate::shown::Shown;

/// How much is read, hashed and stored at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// Where a release goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder that it becomes. The one above must exist, and nobody but its owner should be able to write to it.
    pub directory: &'a Path,
    /// A folder, used for nothing else, that an archive from the network is downloaded to; one above it must exist. A
    /// download that was stopped goes on in the next call. It takes as much room as the archive, and is gone in the end.
    pub partial: &'a Path,
}

/// Downloads a locked release and unpacks it.
///
/// The archive is stored as a whole first, and read again only if its digest is right. A child that has nothing else
/// unpacks it into `.staging-<name>` beside the destination (so on the same file system); what it made is looked at,
/// taken over, and renamed once. A staging folder that an earlier crash left is removed first. Folders get the mode
/// 0755; files 0755 if they are executable in the archive, and 0644 if not, whatever the umask is. Everything is on the
/// disk (fsync(2)) before this returns.
///
/// # Errors
///
/// [`Error::WrongDigest`], [`Error::WrongSize`], [`Error::Truncated`] and [`Error::Archive`] for an archive that is
/// not what it should be; [`Error::DestinationExists`]; the lock's own checks ([`LockedRelease::check_fits`]);
/// [`Error::File`]; [`Error::Child`]; and those of the network. In every case nothing is left. [`Error::Stopped`] if the
/// fetcher is told to stop; then only what was downloaded stays, in [`Target::partial`].
pub fn fetch(
    locked: &LockedRelease,
    source: &Source,
    target: Target<'_>,
    limits: &Limits,
    fetcher: &Fetcher<'_>,
) -> Result<(), Error> {
    locked.check_fits(source)?;
    refuse_existing(target.directory)?;
    let url = match source.place(&locked.version, &locked.asset)? {
        Place::Url(url) => url,
        Place::File(path) => {
            let archive = look_at(locked, &path, limits, fetcher.progress)?;
            return install(&archive, locked, target.directory, limits, fetcher);
        }
    };
    let mut partial = Partial::open(target.partial, &locked.sha256)?;
    let is_there = partial.had > 0 && partial.is_whole(&locked.sha256)?;
    let mut fetched = if is_there { Ok(()) } else { download(locked, &url, &mut partial, limits, fetcher) };
    if partial.had > 0 && fetched.as_ref().is_err_and(is_of_content) {
        // What was kept may be damaged, or that of an archive that has been replaced since.
        partial.restart()?;
        fetched = download(locked, &url, &mut partial, limits, fetcher);
    }
    match fetched.and_then(|()| install(partial.file(), locked, target.directory, limits, fetcher)) {
        Ok(()) => partial.discard(),
        Err(Error::Stopped) => partial.keep().and(Err(Error::Stopped)),
        Err(error) => {
            // The message is for what went wrong first; the caller or the next download removes what is left.
            let _ = partial.discard();
            Err(error)
        }
    }
}

/// Whether it is the bytes that are wrong, or what the server says of them.
fn is_of_content(error: &Error) -> bool {
    error.code() == ErrorCode::ReleaseDigest || matches!(error, Error::BadRange(_) | Error::ChangedMeanwhile(_))
}

/// Opens the archive in a mirror folder, and judges it.
fn look_at(locked: &LockedRelease, path: &Path, limits: &Limits, progress: &dyn Progress) -> Result<File, Error> {
    let archive = files::open(path).map_err(Error::file("open", path))?;
    let size = archive.metadata().map_err(Error::file("read", path))?.len();
    if size > limits.archive_bytes {
        return Err(Error::TooLarge(path.shown().into_owned(), limits.archive_bytes));
    }
    locked.check_size(Some(size))?;
    progress.begin(&locked.asset, Some(size));
    let hashed = hash(&archive, path, limits, progress)?;
    judge(locked, &archive, hashed)?;
    Ok(archive)
}

/// Stores the archive from the network, as far as it is not there yet, and judges it.
fn download(
    locked: &LockedRelease,
    url: &Url,
    partial: &mut Partial,
    limits: &Limits,
    fetcher: &Fetcher<'_>,
) -> Result<(), Error> {
    let have = partial.had;
    let (size, rest) = fetcher.file(url, have, limits.archive_bytes)?;
    locked.check_size(size)?;
    fetcher.progress.begin(&locked.asset, size.or(locked.size));
    if have > 0 {
        fetcher.progress.resumes(have);
    }
    let stored = Stored { partial, rest };
    let hashed = hash(stored, Path::new(url.as_str()), limits, fetcher.progress)?;
    judge(locked, partial.file(), hashed)
}

/// First what is there already, then what comes, which is kept.
struct Stored<'a, 'p> {
    partial: &'p mut Partial,
    rest: Fetching<'a>,
}

impl Read for Stored<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.partial.read(buffer).map_err(io::Error::other)? {
            0 => {}
            count => return Ok(count),
        }
        let count = self.rest.read(buffer)?;
        self.partial.add(&buffer[..count]).map_err(io::Error::other)?;
        Ok(count)
    }
}

/// Digest and size of what is read, which comes from `place`. Tells of every byte on its way.
fn hash(
    content: impl Read,
    place: &Path,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<(Sha256Digest, u64), Error> {
    let (mut hashing, mut piece) = (Hashing::new(content), vec![0; PIECE]);
    loop {
        if progress.stops() {
            return Err(Error::Stopped);
        }
        match hashing.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => progress.advance(count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let error = hashing.failure.unwrap_or(error);
                return Err(error.downcast().unwrap_or_else(Error::file("read", place)));
            }
        }
        if hashing.count > limits.archive_bytes {
            return Err(Error::TooLarge(place.shown().into_owned(), limits.archive_bytes));
        }
    }
    progress.done();
    let bytes = hashing.count;
    Ok((hashing.digest(), bytes))
}

/// Whether an archive is the locked one.
fn judge(locked: &LockedRelease, archive: &File, (actual, bytes): (Sha256Digest, u64)) -> Result<(), Error> {
    locked.check_size(Some(bytes))?;
    let asset = || locked.asset.clone();
    match actual == locked.sha256 {
        true => Ok(()),
        false if is_cut_off(archive, bytes) => Err(Error::Truncated(asset(), bytes)),
        false => Err(Error::WrongDigest { asset: asset(), expected: locked.sha256, actual }),
    }
}

/// Whether an archive begins as one and does not end as one. gzip ends with the length of what was packed (RFC 1952,
/// section 2.3.1), and tar comes in blocks of 512 bytes. Nothing is unpacked to find that out, as the digest is wrong.
fn is_cut_off(archive: &File, bytes: u64) -> bool {
    let (mut first, mut last) = ([0; 2], [0; 4]);
    let end = bytes.saturating_sub(last.len() as u64);
    let read = archive.read_exact_at(&mut first, 0).and_then(|()| archive.read_exact_at(&mut last, end));
    read.is_ok() && first == [0x1f, 0x8b] && u32::from_le_bytes(last) % 512 != 0
}
