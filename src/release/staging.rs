//! The folder that a release is unpacked into before it gets its name, and the child that does it.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::open;
use nix::sys::stat::Mode;

use super::adopt::{FOLDER, adopt};
use super::archive_path::clean;
use super::digest::Hashing;
use super::files::{self, make_folder, perform, sync_folder};
use super::unpack::{Fault, Report};
use super::{Error, Fetcher, Limits, LockedRelease, Manifest, NoProgress, Progress};
use crate::child::{self, Confinement};
use crate::descent;
use crate::operation::{Operation, about_to};

/// The role of the child, see [`super::unpack_child`].
const UNPACK: &str = "unpack";

/// What an error says that it does.
const UNPACKS: &str = "unpacks";

/// In the staging folder, the one that is unpacked into: the folder above it keeps others with the child's uid out.
const UNPACKED: &str = "release";

/// The longest report, in bytes: 10,000 entries with the longest paths are below 12 MB.
const LONGEST_REPORT: usize = 16 * 1024 * 1024;

/// How long the child may neither take nor say anything: a disk can be slow.
const SILENCE: Duration = Duration::from_secs(300);

/// Where a release is unpacked before it is renamed to its folder.
pub fn staging(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".staging-{name}"))
}

/// Unpacks an archive, whose digest was found to be right, and puts the result in place.
pub(super) fn install(
    archive: &File,
    locked: &LockedRelease,
    directory: &Path,
    limits: &Limits,
    fetcher: &Fetcher<'_>,
) -> Result<(), Error> {
    let staging = staging(directory);
    remove_leftover(&staging, fetcher.progress)?;
    make_folder(&staging)?;
    let folder = staging.join(UNPACKED);
    let installed =
        unpack(archive, locked, &folder, limits, fetcher).and_then(|()| publish(&staging, &folder, directory));
    if installed.is_err() {
        // The message is for what went wrong first; the next run removes what is left.
        let _ = remove_leftover(&staging, &NoProgress);
    }
    installed
}

fn unpack(
    mut archive: &File,
    locked: &LockedRelease,
    folder: &Path,
    limits: &Limits,
    fetcher: &Fetcher<'_>,
) -> Result<(), Error> {
    make_folder(folder)?;
    let ids = fetcher.ids.clone();
    if let Some(ids) = &ids {
        let owner = Operation::Owner(ids.uid, ids.gid);
        perform(owner, "change the owner of", folder, || chown(folder, Some(ids.uid), Some(ids.gid)))?;
    }
    // Everything that the child does is one operation.
    about_to(Operation::Command, || folder.to_owned()).map_err(Error::file("unpack into", folder))?;
    let whole = folder.canonicalize().map_err(Error::file("look at", folder))?;
    let (root, directory) = match &ids {
        Some(_) => (Some(whole), "/".into()),
        // Only root can change the root folder.
        None => (None, whole),
    };
    let confinement =
        Confinement { root, directory, largest_file: Some(limits.file_bytes), ..Confinement::of(ids.clone()) };
    archive.rewind().map_err(Error::file("read", folder))?;
    // It may lie where others can write, and be another one by now.
    let mut hashing = Hashing::new(archive);
    let mut run = || -> io::Result<_> {
        let mut child = child::start(UNPACK, &confinement, limits, &[], Stdio::piped(), tempfile::tempfile()?)?;
        let report = child.exchange(&mut hashing, LONGEST_REPORT, SILENCE, &mut || match fetcher.progress.stops() {
            true => Err(io::Error::other(Error::Stopped)),
            false => Ok(()),
        })?;
        Ok((report, child.failure()?))
    };
    let progress = fetcher.progress;
    let failed = |error: io::Error| error.downcast().unwrap_or_else(|error| Error::child(UNPACKS, &error, progress));
    let (report, failure) = run().map_err(failed)?;
    if let Some(why) = failure {
        return Err(Error::child(UNPACKS, &why, progress));
    }
    let asset = || locked.asset.clone();
    let files = match serde_json::from_slice::<Report>(&report) {
        Err(_) => return Err(Error::child(UNPACKS, &"its report cannot be understood", progress)),
        Ok(Err(Fault::Write(path, errno))) => {
            // The archive may have taken over the child.
            let path = clean(path.as_bytes(), false).map_or_else(|_| folder.to_owned(), |path| folder.join(path));
            return Err(Error::file("write", &path)(io::Error::from_raw_os_error(errno)));
        }
        Ok(Err(Fault::Refused(refusal))) => return Err(Error::Archive(asset(), refusal.cut())),
        Ok(Ok(files)) => files,
    };
    let actual = hashing.digest();
    if actual != locked.sha256 {
        return Err(Error::WrongDigest { asset: asset(), expected: locked.sha256, actual });
    }
    adopt(folder, &locked.asset, &files, limits, ids.as_ref(), progress)?;
    Manifest { archive: actual, files }.write(folder)
}

fn publish(staging: &Path, folder: &Path, directory: &Path) -> Result<(), Error> {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::file("set the mode of", folder))?;
    sync_folder(folder)?;
    // rename(2) would replace an empty folder.
    refuse_existing(directory)?;
    let rename = Operation::Rename(directory.to_owned());
    about_to(rename, || folder.to_owned())
        .and_then(|()| fs::rename(folder, directory))
        .map_err(Error::file("create", directory))?;
    perform(Operation::Unlink, "remove", staging, || fs::remove_dir(staging))?;
    sync_folder(directory.parent().unwrap_or(directory))
}

pub(super) fn refuse_existing(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::DestinationExists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}

/// Removes whatever has the name of the staging folder. A link is removed, not followed.
fn remove_leftover(path: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let may_go_on = || match progress.stops() {
        true => Err(io::Error::other(Error::Stopped)),
        false => Ok(()),
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let removed = open(path, FOLDER, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|folder| descent::empty(folder, path.to_owned(), &may_go_on));
            removed.map_err(|error| error.downcast().unwrap_or_else(Error::file("remove", path)))?;
            perform(Operation::Unlink, "remove", path, || fs::remove_dir(path))
        }
        Ok(_) => files::remove(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}
