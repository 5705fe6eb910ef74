//! From a lock to a folder: staging, one rename, and nothing left behind.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::download::{Stream, stream_error};
use super::partial::Partial;
use super::source::Place;
use super::unpack::{Incomplete, sync_folder, unpack};
use super::{Error, HttpClient, Limits, LockedRelease, Manifest, Progress, Source};
use crate::operation::{Operation, about_to};

/// A release in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The folder.
    pub path: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
}

/// Where a release goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder in which its own is to be. It must exist, and nobody but its owner should be able to write to it.
    pub parent: &'a Path,
    /// The name of its folder.
    pub name: &'a str,
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
/// not what it should be; [`Error::DestinationExists`] and [`Error::BadDestinationName`]; the lock's own checks
/// ([`LockedRelease::check_fits`]); [`Error::File`]; and those of the network. In every case nothing is left.
/// [`Error::Stopped`] if `progress` wants that; then only what was downloaded stays, in [`Target::partial`].
pub fn fetch(
    locked: &LockedRelease,
    source: &Source,
    target: Target<'_>,
    limits: &Limits,
    http: &HttpClient,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    locked.check_fits(source)?;
    source.check_transport(true)?;
    check_name(target.name)?;
    refuse_existing(&target.parent.join(target.name))?;

    let place = source.place(&locked.version, &locked.asset)?;
    let mut partial = match (&place, target.partial) {
        (Place::Url(_), Some(folder)) => Some(Partial::open(folder, &locked.sha256)?),
        _ => None,
    };
    let attempt = |partial: Option<&mut Partial>| {
        let stream = Open { locked, place: &place, limits, http, progress };
        stream.unpack(target, partial)
    };
    let mut fetched = attempt(partial.as_mut());
    if let Some(partial) = partial.as_mut().filter(|partial| partial.had > 0)
        && fetched.as_ref().is_err_and(is_of_content)
    {
        // What was kept may be damaged, or that of an archive that has been replaced since.
        partial.restart()?;
        fetched = attempt(Some(partial));
    }
    match (fetched, partial) {
        (Err(Error::Stopped), Some(partial)) => partial.keep().and(Err(Error::Stopped)),
        (Ok(unpacked), Some(partial)) => partial.discard().map(|()| unpacked),
        (Err(error), Some(partial)) => {
            // What went wrong is what has to be told; the caller or the next download removes what is left.
            let _ = partial.discard();
            Err(error)
        }
        (fetched, None) => fetched,
    }
}

/// Whether it is the bytes that are wrong, or what the server says of them.
fn is_of_content(error: &Error) -> bool {
    matches!(
        error,
        Error::WrongDigest { .. }
            | Error::WrongSize { .. }
            | Error::Truncated { .. }
            | Error::Archive { .. }
            | Error::TooLarge { .. }
            | Error::BadRange { .. }
            | Error::ChangedMeanwhile { .. }
    )
}

/// An archive that is about to be fetched.
struct Open<'a> {
    locked: &'a LockedRelease,
    place: &'a Place,
    limits: &'a Limits,
    http: &'a HttpClient,
    progress: &'a dyn Progress,
}

impl Open<'_> {
    fn unpack(&self, target: Target<'_>, partial: Option<&mut Partial>) -> Result<Unpacked, Error> {
        let Self { locked, place, limits, http, progress } = *self;
        let have = partial.as_ref().map_or(0, |partial| partial.had);
        let stream = Stream::open(place, have, limits.archive_bytes, http, progress)?;
        if let (Some(expected), Some(actual)) = (locked.size, stream.size())
            && expected != actual
        {
            return Err(Error::WrongSize { asset: locked.asset.clone(), expected, actual });
        }

        let staging = Staging::create(target.parent, target.name)?;
        progress.begin(&locked.asset, stream.size().or(locked.size));
        if have > 0 {
            progress.resumes(have);
        }
        let watched = Watched { partial, stream, progress };
        let pass = unpack(watched, &staging.path, limits, |error| stream_error(error, place))?;
        progress.done();

        let asset = || locked.asset.clone();
        if let Some(expected) = locked.size
            && expected != pass.bytes
        {
            return Err(Error::WrongSize { asset: asset(), expected, actual: pass.bytes });
        }
        let files = match pass.files {
            Err(Incomplete::Short) if pass.digest != locked.sha256 => {
                return Err(Error::Truncated { asset: asset(), received: pass.bytes });
            }
            _ if pass.digest != locked.sha256 => {
                return Err(Error::WrongDigest { asset: asset(), expected: locked.sha256, actual: pass.digest });
            }
            Err(Incomplete::Short) => {
                return Err(Error::Archive { asset: asset(), refusal: super::Refusal::NoEndMark });
            }
            Err(Incomplete::Refused(refusal)) => {
                return Err(Error::Archive { asset: asset(), refusal });
            }
            Ok(files) => files,
        };
        let manifest = Manifest::new(pass.digest, files);
        manifest.write(&staging.path)?;
        let destination = target.parent.join(target.name);
        staging.publish(&destination)?;
        sync_folder(target.parent)?;
        Ok(Unpacked { path: destination, manifest })
    }
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

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') || name.contains(char::is_control) {
        return Err(Error::BadDestinationName { name: name.escape_debug().to_string() });
    }
    Ok(())
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::DestinationExists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}

/// Where a release is unpacked before it is renamed to its folder.
pub fn staging(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".staging-{name}"))
}

/// The folder that is being filled. It vanishes when dropped, unless it was published.
#[must_use = "it ends when it is dropped"]
struct Staging {
    path: PathBuf,
    is_published: bool,
}

impl Staging {
    fn create(parent: &Path, name: &str) -> Result<Self, Error> {
        let path = staging(&parent.join(name));
        remove_leftover(&path)?;
        // Closed to others until it is complete.
        about_to(Operation::MakeFolder, || path.clone())
            .and_then(|()| DirBuilder::new().mode(0o700).create(&path))
            .map_err(Error::file("create", &path))?;
        Ok(Self { path, is_published: false })
    }

    fn publish(mut self, destination: &Path) -> Result<(), Error> {
        fs::set_permissions(&self.path, Permissions::from_mode(0o755))
            .map_err(Error::file("set the mode of", &self.path))?;
        sync_folder(&self.path)?;
        // rename(2) would replace an empty folder.
        refuse_existing(destination)?;
        about_to(Operation::Rename(destination.to_owned()), || self.path.clone())
            .and_then(|()| fs::rename(&self.path, destination))
            .map_err(Error::file("create", destination))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_published {
            // Nobody is there to be told; the next run removes what is left.
            let _ = remove_leftover(&self.path);
        }
    }
}

/// Removes whatever has the name of the staging folder. A link is removed, not followed.
fn remove_leftover(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => about_to(Operation::Unlink, || path.to_owned())
            .and_then(|()| fs::remove_dir_all(path))
            .map_err(Error::file("remove", path)),
        Ok(_) => fs::remove_file(path).map_err(Error::file("remove", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_one_plain_name() {
        assert!(check_name("0.19.2").is_ok());
        for name in ["", ".", "..", ".hidden", "a/b", "/a", "a\nb"] {
            assert!(matches!(check_name(name), Err(Error::BadDestinationName { .. })), "{name:?}");
        }
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refuse_existing(&folder.path().join("new")).is_ok());
        assert!(matches!(refuse_existing(folder.path()), Err(Error::DestinationExists { .. })));
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        assert!(refuse_existing(&dangling).is_err());
    }
}
