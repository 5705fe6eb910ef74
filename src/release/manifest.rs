//! What was installed, file by file, so that a later run can tell without a network whether it is still intact.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::digest::Hashing;
use super::files::list;
use super::{Error, Sha256Digest};
use crate::operation::{self, Operation, about_to};

/// The manifest's own name, in the folder that it describes.
pub(super) const FILE_NAME: &str = ".manifest";

/// The first line, with the version of the format.
const HEADING: &str = "gts-bootstrap manifest 1";

/// One installed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The size in bytes.
    pub size: u64,
    /// The digest of the content.
    pub sha256: Sha256Digest,
    /// The permission bits, such as `0o755`.
    pub mode: u32,
}

/// Everything that was unpacked from one archive.
///
/// As a file, `.manifest`, it is text: a heading, a line `archive <sha256>`, then a line
/// `<mode> <size> <sha256> <path>` for each file, sorted by path. The same archive always gives the same manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of the archive that the files are from.
    pub archive: Sha256Digest,
    /// The files, by their path below the folder, with slashes.
    pub files: BTreeMap<String, ManifestEntry>,
}

impl Manifest {
    fn to_text(&self) -> String {
        let mut text = format!("{HEADING}\narchive {}\n", self.archive);
        for (path, file) in &self.files {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:04o} {} {} {path}", file.mode, file.size, file.sha256);
        }
        text
    }

    /// Reads the manifest of a folder.
    ///
    /// # Errors
    ///
    /// [`Error::NoManifest`] if there is none, [`Error::BadManifest`] if it is not one of this program's, and
    /// [`Error::File`] if it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoManifest(folder.to_owned()),
            _ => Error::file("read", &path)(error),
        })?;
        parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, reason)| Error::BadManifest { path, line, reason })
    }

    /// Writes the manifest into its folder, and makes sure that it is on the disk.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE_NAME);
        let write = || -> io::Result<()> {
            about_to(Operation::Create, || path.clone())?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            operation::write_all(&mut file, self.to_text().as_bytes(), || path.clone())?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            about_to(Operation::Sync, || path.clone())?;
            file.sync_all()
        };
        write().map_err(Error::file("write", &path))
    }
}

fn parse(text: &str) -> Result<Manifest, (usize, &'static str)> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADING) {
        return Err((1, "it is not the heading of a manifest of this version"));
    }
    let archive = lines.next().and_then(|line| line.strip_prefix("archive ")?.parse().ok());
    let archive = archive.ok_or((2, "it does not give the digest of the archive"))?;
    let mut files = BTreeMap::new();
    for (line, number) in lines.zip(3..) {
        let (path, file) = parse_file(line).ok_or((number, "it is not a mode, a size, a digest and a path"))?;
        if files.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return Err((number, "it is out of order"));
        }
        files.insert(path, file);
    }
    Ok(Manifest { archive, files })
}

fn parse_file(line: &str) -> Option<(String, ManifestEntry)> {
    let mut fields = line.splitn(4, ' ');
    let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
    let size = fields.next()?.parse().ok()?;
    let sha256 = fields.next()?.parse().ok()?;
    // What is read here becomes a path below the folder.
    let path = super::archive_path::clean(fields.next()?.as_bytes(), false).ok()?;
    Some((path, ManifestEntry { size, sha256, mode }))
}

/// How a folder compares with its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The digest of the archive that the files are from: to be compared with the lock.
    pub archive: Sha256Digest,
    /// Files that are not there, sorted.
    pub missing: Vec<String>,
    /// Files whose content, mode or kind is not the installed one, and folders that not only their owner may write
    /// to, sorted.
    pub changed: Vec<String>,
    /// Files, links and empty folders that were not installed, sorted. Odd characters in them are escaped.
    pub extra: Vec<String>,
}

impl Verification {
    /// Whether everything is as it was installed.
    pub fn is_intact(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.extra.is_empty()
    }

    /// Compares what is in one folder, and takes from `files` what is there. Returns the folders in it.
    fn look_into(
        &mut self,
        root: &Path,
        files: &mut BTreeMap<String, ManifestEntry>,
        folder: &str,
    ) -> Result<Vec<String>, Error> {
        let full = root.join(folder);
        let mode = fs::symlink_metadata(&full).map_err(Error::file("read", &full))?.permissions().mode();
        if mode & 0o7022 != 0 {
            self.changed.push(if folder.is_empty() { "." } else { folder }.to_owned());
        }
        let below = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let (entries, mut folders) = (list(&full)?, Vec::new());
        if entries.is_empty() && !folder.is_empty() {
            self.extra.push(folder.escape_debug().to_string());
        }
        for entry in entries {
            let kind = entry.file_type().map_err(Error::file("read", &entry.path()))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.extra.push(below(&name.as_encoded_bytes().escape_ascii().to_string()));
                continue;
            };
            let path = below(name);
            match files.remove(&path) {
                _ if path == FILE_NAME => {}
                Some(file) if kind.is_file() && is_unchanged(&entry.path(), &file)? => {}
                Some(_) => self.changed.push(path),
                None if kind.is_dir() => folders.push(path),
                None => self.extra.push(path.escape_debug().to_string()),
            }
        }
        Ok(folders)
    }
}

/// Hashes everything in a folder anew and compares it with the folder's manifest. Follows no links, and needs no
/// network.
///
/// # Errors
///
/// As [`Manifest::read`], and [`Error::File`] if a file cannot be read.
pub fn verify(folder: &Path) -> Result<Verification, Error> {
    let Manifest { archive, mut files } = Manifest::read(folder)?;
    let mut found = Verification { archive, missing: Vec::new(), changed: Vec::new(), extra: Vec::new() };
    let mut ahead = vec![String::new()];
    while let Some(next) = ahead.pop() {
        ahead.extend(found.look_into(folder, &mut files, &next)?);
    }
    found.missing = files.into_keys().collect();
    found.changed.sort();
    found.extra.sort();
    Ok(found)
}

fn is_unchanged(path: &Path, expected: &ManifestEntry) -> Result<bool, Error> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let metadata = file.metadata().map_err(Error::file("read", path))?;
    if metadata.len() != expected.size || metadata.permissions().mode() & 0o7777 != expected.mode {
        return Ok(false);
    }
    let mut hashing = Hashing::new(file);
    io::copy(&mut hashing, &mut io::sink()).map_err(Error::file("read", path))?;
    Ok(hashing.digest() == expected.sha256)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    /// A folder with `gotosocial` and `web/a.css`, and its manifest.
    fn installed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("web")).unwrap();
        fs::set_permissions(root.join("web"), Permissions::from_mode(0o755)).unwrap();
        let mut files = BTreeMap::new();
        for (path, content, mode) in [("web/a.css", "css", 0o644), ("gotosocial", "program", 0o755)] {
            fs::write(root.join(path), content).unwrap();
            fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
            let sha256 = Sha256Digest::of(content.as_bytes());
            files.insert(path.into(), ManifestEntry { size: content.len() as u64, sha256, mode });
        }
        Manifest { archive: Sha256Digest::of(b"archive"), files }.write(root).unwrap();
        folder
    }

    #[test]
    fn an_untouched_folder_is_intact() {
        let folder = installed();
        let verification = verify(folder.path()).unwrap();
        assert!(verification.is_intact(), "{verification:?}");
        assert_eq!(verification.archive, Sha256Digest::of(b"archive"));
    }

    #[test]
    fn the_text_is_sorted_and_the_same_each_time() {
        let manifest = Manifest::read(installed().path()).unwrap();
        let digest = Sha256Digest::of;
        assert_eq!(
            manifest.to_text(),
            format!(
                "gts-bootstrap manifest 1\narchive {}\n0755 7 {} gotosocial\n0644 3 {} web/a.css\n",
                digest(b"archive"),
                digest(b"program"),
                digest(b"css")
            )
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = installed();
        fs::remove_dir_all(folder.path().join("web")).unwrap();
        let verification = verify(folder.path()).unwrap();
        assert_eq!(verification.missing, ["web/a.css"]);
        assert!(!verification.is_intact());
    }

    #[test]
    fn what_is_changed_is_named() {
        let folder = installed();
        let root = folder.path();
        fs::write(root.join("web/a.css"), "CSS").unwrap();
        assert_eq!(verify(root).unwrap().changed, ["web/a.css"]);
        fs::write(root.join("web/a.css"), "css").unwrap();
        fs::set_permissions(root.join("gotosocial"), Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(verify(root).unwrap().changed, ["gotosocial"]);
        fs::set_permissions(root.join("gotosocial"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(root.join("web"), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(verify(root).unwrap().changed, ["web"]);
    }

    #[test]
    fn a_link_in_place_of_a_file_is_a_change() {
        let folder = installed();
        let root = folder.path();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::copy(root.join("gotosocial"), elsewhere.path().join("same")).unwrap();
        fs::remove_file(root.join("gotosocial")).unwrap();
        symlink(elsewhere.path().join("same"), root.join("gotosocial")).unwrap();
        assert_eq!(verify(root).unwrap().changed, ["gotosocial"]);
    }

    #[test]
    fn a_folder_behind_a_link_is_not_followed() {
        let folder = installed();
        let root = folder.path();
        fs::rename(root.join("web"), root.join("web2")).unwrap();
        symlink("web2", root.join("web")).unwrap();
        let verification = verify(root).unwrap();
        assert_eq!(verification.missing, ["web/a.css"]);
        assert_eq!(verification.extra, ["web", "web2/a.css"]);
    }

    #[test]
    fn what_is_extra_is_named() {
        let folder = installed();
        fs::write(folder.path().join("web/b\n.css"), "").unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        assert_eq!(verify(folder.path()).unwrap().extra, ["empty", "web/b\\n.css"]);
    }

    #[test]
    fn a_folder_without_a_manifest_is_not_verified() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(verify(folder.path()), Err(Error::NoManifest { .. })));
    }

    #[test]
    fn a_damaged_manifest_is_refused_with_the_line() {
        let good = Manifest::read(installed().path()).unwrap().to_text();
        for (bad, expected) in [
            (String::new(), 1),
            (good.replace("manifest 1", "manifest 2"), 1),
            (good.replace("archive ", "archiv "), 2),
            (good.replace("0755 7", "rwx 7"), 3),
            (good.replace("0644 3", "0644"), 4),
            (good.replace("web/a.css", "../a.css"), 4),
            (good.replace("web/a.css", "a.css"), 4),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE_NAME), bad).unwrap();
            let error = verify(folder.path()).unwrap_err();
            assert!(matches!(error, Error::BadManifest { line, .. } if line == expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_manifest_is_read_as_it_was_written(
            files in proptest::collection::btree_map("[a-z ä]{1,8}(/[a-z.]{3,8})?", (any::<u64>(), any::<[u8; 4]>()), 0..8)
        ) {
            let entry = |size, content: [u8; 4]| ManifestEntry { size, sha256: Sha256Digest::of(&content), mode: 0o644 };
            let files = files.into_iter().map(|(path, (size, content))| (path, entry(size, content)));
            let manifest = Manifest { archive: Sha256Digest::of(b"archive"), files: files.collect() };
            prop_assert_eq!(parse(&manifest.to_text()), Ok(manifest));
        }
    }
}
