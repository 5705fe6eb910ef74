//! From a lock to a folder: staging, one rename, and nothing left behind.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::download::{Stream, stream_error};
use super::files::{self, make_folder, perform, sync_folder};
use super::partial::Partial;
use super::source::Place;
use super::unpack::unpack;
use super::{Error, HttpClient, Limits, LockedRelease, Manifest, Progress, Refusal, Source};
use crate::error_code::{Coded, ErrorCode};
use crate::operation::{Operation, about_to};

/// Where a release goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder that it becomes. The one above must exist, and nobody but its owner should be able to write to it.
    pub directory: &'a Path,
    /// A folder, used for nothing else, for what of the archive has been downloaded; one above it must exist. With it, a
    /// download that was stopped goes on in the next call. It takes as much room as the archive, and is gone in the end.
    pub partial: Option<&'a Path>,
}

/// Downloads a locked release and unpacks it.
///
/// The archive is unpacked on the way, into `.staging-<name>` beside the destination (so on the same file system),
/// and renamed once, after its size and digest matched and both its streams ended as they should. A staging folder
/// that an earlier crash left is removed first. Folders get the mode 0755; files 0755 if they are executable in the
/// archive, and 0644 if not, whatever the umask is. Everything is on the disk (fsync(2)) before this returns.
///
/// # Errors
///
/// [`Error::WrongDigest`], [`Error::WrongSize`], [`Error::Truncated`] and [`Error::Archive`] for an archive that is
/// not what it should be; [`Error::DestinationExists`]; the lock's own checks ([`LockedRelease::check_fits`]);
/// [`Error::File`]; and those of the network. In every case nothing is left. [`Error::Stopped`] if `http` is told to
/// stop; then only what was downloaded stays, in [`Target::partial`].
pub fn fetch(
    locked: &LockedRelease,
    source: &Source,
    target: Target<'_>,
    limits: &Limits,
    http: &HttpClient<'_>,
) -> Result<(), Error> {
    locked.check_fits(source)?;
    refuse_existing(target.directory)?;
    let place = source.place(&locked.version, &locked.asset)?;
    let attempt = |partial: Option<&mut Partial>| install(locked, &place, target.directory, partial, limits, http);
    let (Place::Url(_), Some(folder)) = (&place, target.partial) else { return attempt(None) };

    let mut partial = Partial::open(folder, &locked.sha256)?;
    let mut fetched = attempt(Some(&mut partial));
    if partial.had > 0 && fetched.as_ref().is_err_and(is_of_content) {
        // What was kept may be damaged, or that of an archive that has been replaced since.
        partial.restart()?;
        fetched = attempt(Some(&mut partial));
    }
    match fetched {
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

fn install(
    locked: &LockedRelease,
    place: &Place,
    directory: &Path,
    partial: Option<&mut Partial>,
    limits: &Limits,
    http: &HttpClient<'_>,
) -> Result<(), Error> {
    let have = partial.as_ref().map_or(0, |partial| partial.had);
    let stream = Stream::open(place, have, limits.archive_bytes, http)?;
    locked.check_size(stream.size)?;
    let staging = staging(directory);
    remove_leftover(&staging)?;
    make_folder(&staging)?;
    http.progress.begin(&locked.asset, stream.size.or(locked.size));
    if have > 0 {
        http.progress.resumes(have);
    }
    let watched = Watched { partial, stream, progress: http.progress };
    let installed = unpack_into(&staging, watched, locked, place, limits).and_then(|()| publish(&staging, directory));
    if installed.is_err() {
        // The message is for what went wrong first; the next run removes what is left.
        let _ = remove_leftover(&staging);
    }
    installed
}

fn unpack_into(
    staging: &Path,
    archive: Watched<'_, '_>,
    locked: &LockedRelease,
    place: &Place,
    limits: &Limits,
) -> Result<(), Error> {
    let progress = archive.progress;
    let pass = unpack(archive, staging, limits, |error| stream_error(error, place))?;
    progress.done();
    locked.check_size(Some(pass.bytes))?;
    let asset = locked.asset.clone();
    let files = match pass.files {
        Err(None) if pass.digest != locked.sha256 => return Err(Error::Truncated(asset, pass.bytes)),
        _ if pass.digest != locked.sha256 => {
            return Err(Error::WrongDigest { asset, expected: locked.sha256, actual: pass.digest });
        }
        Err(refusal) => return Err(Error::Archive(asset, refusal.unwrap_or(Refusal::NoEndMark))),
        Ok(files) => files,
    };
    Manifest { archive: pass.digest, files }.write(staging)
}

fn publish(staging: &Path, directory: &Path) -> Result<(), Error> {
    fs::set_permissions(staging, Permissions::from_mode(0o755)).map_err(Error::file("set the mode of", staging))?;
    sync_folder(staging)?;
    // rename(2) would replace an empty folder.
    refuse_existing(directory)?;
    let rename = Operation::Rename(directory.to_owned());
    about_to(rename, || staging.to_owned())
        .and_then(|()| fs::rename(staging, directory))
        .map_err(Error::file("create", directory))?;
    sync_folder(directory.parent().unwrap_or(directory))
}

/// First what is there already, then what comes, which is kept; tells of every byte on its way.
struct Watched<'a, 'p> {
    partial: Option<&'p mut Partial>,
    stream: Stream<'a>,
    progress: &'a dyn Progress,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        if let Some(partial) = &mut self.partial {
            count = partial.read(buffer).map_err(io::Error::other)?;
        }
        if count == 0 {
            count = self.stream.read(buffer)?;
            if let Some(partial) = &mut self.partial {
                partial.add(&buffer[..count]).map_err(io::Error::other)?;
            }
        }
        self.progress.advance(count as u64);
        Ok(count)
    }
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::DestinationExists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}

/// Where a release is unpacked before it is renamed to its folder.
pub fn staging(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".staging-{name}"))
}

/// Removes whatever has the name of the staging folder. A link is removed, not followed.
fn remove_leftover(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => perform(Operation::Unlink, "remove", path, || fs::remove_dir_all(path)),
        Ok(_) => files::remove(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}
