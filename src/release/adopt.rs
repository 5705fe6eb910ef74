//! Takes over what a child has unpacked, if it is what the child reported.
//!
//! The archive may have taken over the child. So its report is checked first, and then every folder and file by its
//! descriptor: nothing else is there, a file has one name and the child's owner, and what is opened is what is owned and
//! synced afterwards. No link is followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::thread;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mode_t};
use nix::unistd::geteuid;

use super::archive_path::clean;
use super::files::perform;
use super::unpack::{LONGEST_TEXT, MODES, MOST_NAMES, PROGRAM};
use super::{Error, Limits, ManifestEntry, Progress, Refusal};
use crate::child::Ids;
use crate::operation::{Operation, about_to};

/// How many threads sync files. A file system writes what is waiting for it in one go.
const SYNCING: usize = 8;

/// How many files are open while they wait to be synced. Some systems allow 256 in all.
const BATCH: usize = 64;

/// What should be in a folder, by name; `None`: another folder.
type Names<'a> = BTreeMap<&'a str, Option<&'a ManifestEntry>>;

/// Makes what a child with these ids (`None`: those of this process) unpacked into `path` this process's own, with its
/// modes, and puts it on the disk.
pub(super) fn adopt(
    path: &Path,
    asset: &str,
    files: &BTreeMap<String, ManifestEntry>,
    limits: &Limits,
    ids: Option<&Ids>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let uid = ids.map_or_else(|| geteuid().as_raw(), |ids| ids.uid);
    let mut adoption = Adoption { path, asset, uid, changes_owner: ids.is_some(), progress, unsynced: Vec::new() };
    let top = open(path, FOLDER, Mode::empty()).map_err(|errno| Error::file("open", path)(errno.into()))?;
    for (folder, names) in folders(files, limits).map_err(|path| adoption.unfaithful(path))? {
        adoption.folder(&top, folder, &names)?;
    }
    adoption.sync()
}

/// The folders that a report makes, with what should be in them; or the path of what it should not have.
fn folders<'a>(
    files: &'a BTreeMap<String, ManifestEntry>,
    limits: &Limits,
) -> Result<BTreeMap<&'a str, Names<'a>>, &'a str> {
    let total = files.values().fold(0_u64, |total, file| total.saturating_add(file.size));
    if !files.contains_key(PROGRAM) || files.len() as u64 > limits.entries || total > limits.unpacked_bytes {
        return Err(PROGRAM);
    }
    let mut folders: BTreeMap<&str, Names<'_>> = BTreeMap::new();
    for (path, file) in files {
        let is_allowed = clean(path.as_bytes(), false).is_ok_and(|clean| clean == *path)
            && path.split('/').count() <= MOST_NAMES
            && MODES.contains(&file.mode)
            && file.size <= limits.file_bytes;
        let (mut folder, mut name) = path.rsplit_once('/').unwrap_or(("", path));
        let earlier = folders.entry(folder).or_default().insert(name, Some(file));
        if !is_allowed || earlier.is_some() {
            return Err(path);
        }
        while !folder.is_empty() {
            (folder, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            if folders.entry(folder).or_default().insert(name, None).flatten().is_some() {
                return Err(path);
            }
        }
        // The top folder is no entry.
        if (files.len() + folders.len()) as u64 > limits.entries.saturating_add(1) {
            return Err(path);
        }
    }
    Ok(folders)
}

/// How a folder is opened.
pub(super) const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// Not blocking: there may be a FIFO.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

struct Adoption<'a> {
    path: &'a Path,
    asset: &'a str,
    /// Who made everything.
    uid: u32,
    changes_owner: bool,
    progress: &'a dyn Progress,
    unsynced: Vec<(File, Operation, PathBuf)>,
}

impl Adoption<'_> {
    /// Takes over a folder, and the files in it.
    fn folder(&mut self, top: &OwnedFd, path: &str, names: &Names<'_>) -> Result<(), Error> {
        let mut folder = top.try_clone().map_err(Error::file("open", self.path))?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder = openat(&folder, name, FOLDER, Mode::empty()).map_err(|errno| self.unopened(path, errno))?;
        }
        if !self.is(&folder, path, SFlag::S_IFDIR, 0o700)? {
            return Err(self.unfaithful(path));
        }
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let listed = Dir::openat(&folder, ".", FOLDER, Mode::empty());
        let mut listed = listed.map_err(|errno| Error::file("read", &self.path.join(path))(errno.into()))?;
        for entry in listed.iter() {
            let entry = entry.map_err(|errno| Error::file("read", &self.path.join(path))(errno.into()))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_known = name == "." || name == ".." || name.to_str().is_some_and(|name| names.contains_key(name));
            if !is_known {
                return Err(self.unfaithful(&below(&name.to_string_lossy())));
            }
        }
        for (name, file) in names.iter().filter_map(|(name, file)| Some((*name, (*file)?))) {
            let path = below(name);
            let opened = openat(&folder, name, FILE, Mode::empty()).map_err(|errno| self.unopened(&path, errno))?;
            let stat = self.stat(&opened, &path)?;
            let is_faithful = self.is(&opened, &path, SFlag::S_IFREG, 0o600)?
                && stat.st_nlink == 1
                && u64::try_from(stat.st_size).is_ok_and(|size| size == file.size);
            if !is_faithful {
                return Err(self.unfaithful(&path));
            }
            self.own(opened, &path, file.mode, Operation::Sync)?;
        }
        self.own(folder, path, 0o755, Operation::SyncFolder)
    }

    /// Something else is at this path than what was reported.
    fn unfaithful(&self, path: &str) -> Error {
        Error::Archive(self.asset.to_owned(), Refusal::Unfaithful(path.escape_debug().take(LONGEST_TEXT).collect()))
    }

    /// What cannot be opened is nothing, a link or something special; or the system is at fault.
    fn unopened(&self, path: &str, errno: Errno) -> Error {
        match errno {
            Errno::ENOENT | Errno::ELOOP | Errno::EMLINK | Errno::ENXIO | Errno::EOPNOTSUPP | Errno::ENOTDIR => {
                self.unfaithful(path)
            }
            _ => Error::file("open", &self.path.join(path))(errno.into()),
        }
    }

    fn stat(&self, opened: &OwnedFd, path: &str) -> Result<FileStat, Error> {
        fstat(opened).map_err(|errno| Error::file("look at", &self.path.join(path))(errno.into()))
    }

    /// Whether something is of this kind and has this mode, and the child made it.
    fn is(&self, opened: &OwnedFd, path: &str, kind: SFlag, mode: mode_t) -> Result<bool, Error> {
        let stat = self.stat(opened, path)?;
        let found = (SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT, stat.st_mode & 0o7777);
        Ok(found == (kind, mode) && stat.st_uid == self.uid)
    }

    /// Owner before mode, as a change of owner clears some of it.
    fn own(&mut self, opened: OwnedFd, path: &str, mode: u32, sync: Operation) -> Result<(), Error> {
        if self.progress.stops() {
            return Err(Error::Stopped);
        }
        let full = self.path.join(path);
        if self.changes_owner {
            perform(Operation::Owner(0, 0), "change the owner of", &full, || fchown(&opened, Some(0), Some(0)))?;
        }
        let bits = Mode::from_bits_truncate((mode & 0o7777) as mode_t);
        perform(Operation::Mode, "set the mode of", &full, || Ok(fchmod(opened.as_fd(), bits)?))?;
        self.unsynced.push((opened.into(), sync, full));
        if self.unsynced.len() >= BATCH { self.sync() } else { Ok(()) }
    }

    /// Puts on the disk what was taken over.
    fn sync(&mut self) -> Result<(), Error> {
        for (_, operation, path) in &self.unsynced {
            about_to(operation.clone(), || path.clone()).map_err(Error::file("sync", path))?;
        }
        let sync = |part: &[(File, Operation, PathBuf)]| {
            part.iter().try_for_each(|(file, _, path)| file.sync_all().map_err(Error::file("sync", path)))
        };
        let share = self.unsynced.len().div_ceil(SYNCING).max(1);
        let synced: Result<(), Error> = thread::scope(|scope| {
            let threads: Vec<_> = self.unsynced.chunks(share).map(|part| scope.spawn(move || sync(part))).collect();
            let broken = || Err(Error::file("sync", self.path)(io::Error::other("a thread ended early")));
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| broken()))
        });
        self.unsynced.clear();
        synced
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::release::{NoProgress, Sha256Digest};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    const ASSET: &str = "archive.tar.gz";

    /// A folder as an honest child leaves it: the program, and `web/a.css`.
    fn unpacked() -> (tempfile::TempDir, BTreeMap<String, ManifestEntry>) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("web")).unwrap();
        for name in ["", "web"] {
            fs::set_permissions(path(name), Permissions::from_mode(0o700)).unwrap();
        }
        let mut files = BTreeMap::new();
        for (name, content, mode) in [("gotosocial", "program", 0o755), ("web/a.css", "css", 0o644)] {
            fs::write(path(name), content).unwrap();
            fs::set_permissions(path(name), Permissions::from_mode(0o600)).unwrap();
            let sha256 = Sha256Digest::of(content.as_bytes());
            files.insert(name.to_owned(), ManifestEntry { size: content.len() as u64, sha256, mode });
        }
        (folder, files)
    }

    fn adopted(path: &Path, files: &BTreeMap<String, ManifestEntry>) -> Result<(), Error> {
        adopt(path, ASSET, files, &Limits::default(), None, &NoProgress)
    }

    #[track_caller]
    fn is_caught(path: &Path, files: &BTreeMap<String, ManifestEntry>, at: &str) {
        let error = adopted(path, files).unwrap_err();
        let named =
            matches!(&error, Error::Archive(asset, Refusal::Unfaithful(found)) if asset == ASSET && found == at);
        assert!(named, "{at}: {error:?}");
    }

    #[test]
    fn what_is_as_it_was_reported_gets_its_modes() {
        let (folder, files) = unpacked();
        adopted(folder.path(), &files).unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode(""), mode("gotosocial"), mode("web"), mode("web/a.css")], [0o755, 0o755, 0o755, 0o644]);
    }

    #[test]
    fn a_report_of_what_may_not_be_is_caught() {
        let limits = Limits::default();
        let deep = ["n"; MOST_NAMES + 1].join("/");
        let entry = |size, mode| ManifestEntry { size, sha256: Sha256Digest::of(b""), mode };
        for (name, file) in [
            // A file that is a folder.
            ("gotosocial/a", entry(0, 0o644)),
            (deep.as_str(), entry(0, 0o644)),
            ("../a", entry(0, 0o644)),
            ("/a", entry(0, 0o644)),
            ("a//b", entry(0, 0o644)),
            ("./a", entry(0, 0o644)),
            (".manifest", entry(0, 0o644)),
            ("a\nb", entry(0, 0o644)),
            ("a", entry(0, 0o4755)),
            ("a", entry(0, 0o666)),
            ("a", entry(limits.file_bytes + 1, 0o644)),
        ] {
            let (folder, mut files) = unpacked();
            files.insert(name.to_owned(), file);
            is_caught(folder.path(), &files, &name.escape_debug().to_string());
        }
        let (folder, mut files) = unpacked();
        files.remove("gotosocial");
        is_caught(folder.path(), &files, "gotosocial");
        let (folder, files) = unpacked();
        // The folder counts, too.
        for limits in
            [Limits { entries: 1, ..limits }, Limits { entries: 2, ..limits }, Limits { unpacked_bytes: 9, ..limits }]
        {
            assert!(adopt(folder.path(), ASSET, &files, &limits, None, &NoProgress).is_err());
        }
        let limits = Limits { entries: 3, ..limits };
        adopt(folder.path(), ASSET, &files, &limits, None, &NoProgress).unwrap();
    }

    #[test]
    fn what_is_not_there_or_was_not_reported_is_caught() {
        let (folder, files) = unpacked();
        fs::remove_file(folder.path().join("web/a.css")).unwrap();
        is_caught(folder.path(), &files, "web/a.css");
        let (folder, files) = unpacked();
        fs::remove_dir_all(folder.path().join("web")).unwrap();
        is_caught(folder.path(), &files, "web");
        for name in ["more", "web/more", "web/a.css.more"] {
            let (folder, files) = unpacked();
            fs::write(folder.path().join(name), "").unwrap();
            is_caught(folder.path(), &files, name);
        }
        for name in ["more", "web/more"] {
            let (folder, files) = unpacked();
            fs::create_dir(folder.path().join(name)).unwrap();
            is_caught(folder.path(), &files, name);
        }
    }

    #[test]
    fn what_is_something_else_is_caught() {
        type Spoil = fn(&Path);
        let spoil: [(&str, Spoil); 8] = [
            ("web/a.css", |path| symlink("/etc/hosts", path).unwrap()),
            ("web/a.css", |path| symlink("../gotosocial", path).unwrap()),
            ("web/a.css", |path| fs::create_dir(path).unwrap()),
            ("web/a.css", |path| nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap()),
            ("web/a.css", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
            ("web/a.css", |path| fs::write(path, "css").unwrap()),
            ("web/a.css", |path| {
                fs::write(path, "larger").unwrap();
                fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
            }),
            ("gotosocial", |path| {
                fs::write(path, "program").unwrap();
                fs::set_permissions(path, Permissions::from_mode(0o4700)).unwrap();
            }),
        ];
        for (name, spoil) in spoil {
            let (folder, files) = unpacked();
            let path = folder.path().join(name);
            fs::remove_file(&path).unwrap();
            spoil(&path);
            is_caught(folder.path(), &files, name);
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let (folder, files) = unpacked();
        fs::hard_link(folder.path().join("gotosocial"), elsewhere.path().join("link")).unwrap();
        is_caught(folder.path(), &files, "gotosocial");
        let (folder, files) = unpacked();
        fs::rename(folder.path().join("web"), elsewhere.path().join("web")).unwrap();
        symlink(elsewhere.path().join("web"), folder.path().join("web")).unwrap();
        is_caught(folder.path(), &files, "web");
    }

    #[test]
    fn what_somebody_else_made_is_caught() {
        let (folder, files) = unpacked();
        let somebody = Ids { uid: geteuid().as_raw() + 1, gid: 0, groups: Vec::new() };
        let error = adopt(folder.path(), ASSET, &files, &Limits::default(), Some(&somebody), &NoProgress);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Archive(_, Refusal::Unfaithful(_))), "{error:?}");
    }

    #[test]
    fn a_stop_is_heard_on_the_way() {
        struct Stops;
        impl Progress for Stops {
            fn stops(&self) -> bool {
                true
            }
        }
        let (folder, files) = unpacked();
        let adopted = adopt(folder.path(), ASSET, &files, &Limits::default(), None, &Stops);
        assert!(matches!(adopted, Err(Error::Stopped)), "{adopted:?}");
    }
}
