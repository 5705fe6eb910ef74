//! What stands on the host, as far as the program could touch it: to tell what a run has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gts_bootstrap::host::{Host, HostError, Owner};
use gts_bootstrap::release::Sha256Digest;

use super::bench::{Bench, MODULE, OWN_FOLDER, RESERVED_HIGH, RULES, USER, remove};
use super::restore::is_an_account;

/// Where the program writes.
const PLACES: [&str; 16] = [
    "/boot/loader.conf",
    "/boot/loader.conf.d",
    "/boot/loader.conf.local",
    "/etc/group",
    "/etc/master.passwd",
    "/etc/passwd",
    "/etc/rc.conf",
    "/etc/sysctl.conf",
    "/etc/sysctl.conf.local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/libexec",
    "/usr/local/www/gts-bootstrap",
    "/var/backups/gotosocial",
    "/var/db/gotosocial",
    "/var/db/gts-bootstrap",
];

/// Above this size, in bytes, the digest of a file is enough: the server itself has a hundred million.
const LARGE: u64 = 4 << 20;
/// The ports that the stories are about.
const PORTS: [u16; 4] = [80, 443, 8080, 8081];

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Folder,
    File(Vec<u8>),
    LargeFile(Sha256Digest),
    Link(PathBuf),
    Other,
}

/// The same with its mode, its owner, and its modification time in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    mode: u32,
    owner: (u32, u32),
    time: i128,
    content: Content,
}

/// The files, and what the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Spot>,
    kernel: Vec<(String, String)>,
    listeners: Vec<(u16, String)>,
}

impl Snapshot {
    /// Takes one. A rehearsal is looked at as a whole, its model included.
    pub fn take(bench: &Bench) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for place in if bench.is_rehearsal() { &["/"][..] } else { &PLACES[..] } {
            walk(&bench.local(place)?, Path::new(place), &mut files)?;
        }
        if let Some(rehearsal) = bench.rehearsal()? {
            // Those on disk have no meaning there.
            let owners = rehearsal.model().owners;
            for (path, spot) in &mut files {
                let owner = owners.get(path).copied().unwrap_or(Owner::ROOT);
                spot.owner = (owner.uid, owner.gid);
            }
        }
        // Whoever reads the database leaves a mark in its shared memory.
        let shared = Path::new("/var/db/gotosocial/sqlite.db-shm");
        files.retain(|path, _| !path.starts_with(OWN_FOLDER) && path != shared);
        let host = bench.host()?;
        let kernel = vec![
            (MODULE.to_owned(), host.module_loaded(MODULE).map_err(said)?.to_string()),
            (RULES.to_owned(), bench.sysctl(RULES)?),
            (RESERVED_HIGH.to_owned(), bench.sysctl(RESERVED_HIGH)?),
            (USER.to_owned(), format!("{:?}", host.user(USER).map_err(said)?)),
        ];
        Ok(Self { files, kernel, listeners: Vec::new() })
    }

    /// With who listens on the ports that the stories are about.
    pub fn with_listeners(mut self, bench: &Bench) -> Result<Self, String> {
        let all = bench.host()?.listeners().map_err(said)?;
        let ours = all.iter().filter(|listener| PORTS.contains(&listener.port));
        self.listeners = ours.map(|listener| (listener.port, listener.command.clone())).collect();
        self.listeners.sort_unstable();
        self.listeners.dedup();
        Ok(self)
    }

    /// Who listens.
    pub fn listeners(&self) -> &[(u16, String)] {
        &self.listeners
    }

    /// Whether a program of that name listens.
    pub fn has_listener(&self, command: &str) -> bool {
        self.listeners.iter().any(|(_, name)| name == command)
    }

    /// What the kernel says to a name.
    pub fn kernel(&self, name: &str) -> Option<&str> {
        self.kernel.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The text of a file; empty if there is none.
    pub fn text(&self, path: &str) -> String {
        match self.files.get(Path::new(path)).map(|spot| &spot.content) {
            Some(Content::File(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// The paths at which something else stands now.
    pub fn different(&self, now: &Self) -> Vec<PathBuf> {
        let paths = self.files.keys().chain(now.files.keys());
        let different: BTreeSet<_> = paths.filter(|path| self.files.get(*path) != now.files.get(*path)).collect();
        different.into_iter().cloned().collect()
    }

    /// Has the files again as they are here. Accounts cannot be had so, nor files of which there is but the digest.
    pub fn write_back(&self, host: &dyn Host, now: &Self) -> Result<(), String> {
        let different = self.different(now);
        let named = |path: &Path, why: &str| format!("{}: {why}", path.display());
        if let Some(path) = different.iter().find(|path| is_an_account(path)) {
            return Err(named(path, "accounts are not put back file by file"));
        }
        // What is in a folder goes before the folder.
        for path in different.iter().rev() {
            let kind = |spot: &Spot| std::mem::discriminant(&spot.content);
            let stands = now.files.get(path);
            if stands.is_some() && stands.map(kind) != self.files.get(path).map(kind) {
                remove(host, &path.to_string_lossy()).map_err(said)?;
            }
        }
        for path in &different {
            let Some(spot) = self.files.get(path) else { continue };
            let (mode, owner) = (spot.mode & 0o7777, Owner { uid: spot.owner.0, gid: spot.owner.1 });
            match &spot.content {
                Content::Folder => host.make_directory(path, mode, owner),
                Content::File(bytes) => host.write_file(path, bytes, mode, owner),
                Content::Link(target) => host.make_symlink(path, target),
                Content::LargeFile(_) | Content::Other => return Err(named(path, "only its digest is kept")),
            }
            .map_err(said)?;
        }
        Ok(())
    }

    /// Without modification times.
    pub fn without_times(mut self) -> Self {
        self.files.values_mut().for_each(|spot| spot.time = 0);
        self
    }

    /// Without what stands below a folder.
    pub fn without(mut self, folder: &str) -> Self {
        self.files.retain(|path, _| !path.starts_with(folder));
        self
    }

    /// Only these files.
    pub fn only(mut self, paths: &[&str]) -> Self {
        self.files.retain(|path, _| paths.iter().any(|one| path == Path::new(one)));
        self
    }

    /// Without these folders themselves; what is in them stays.
    pub fn without_folders(mut self, folders: &[&str]) -> Self {
        self.files.retain(|path, _| !folders.iter().any(|folder| path == Path::new(folder)));
        self
    }

    /// What a host is, without how it came about: no times, no receipts of the program, no clock of a model.
    pub fn system(self) -> Self {
        self.without_times().without("/var/db/gts-bootstrap").without("/.rehearsal")
    }

    /// Without data, log and pid folder of GoToSocial itself, which stay when an installation is taken back: nobody but
    /// GoToSocial knows what they are worth.
    pub fn without_data(self) -> Self {
        self.without("/var/db/gotosocial").without("/var/log/gotosocial").without("/var/run/gotosocial")
    }

    /// The files with this text in them.
    pub fn containing(&self, text: &str) -> Vec<&Path> {
        let has = |spot: &Spot| match &spot.content {
            Content::File(bytes) => bytes.windows(text.len()).any(|window| window == text.as_bytes()),
            _ => false,
        };
        self.files.iter().filter(|(_, spot)| has(spot)).map(|(path, _)| path.as_path()).collect()
    }

    /// Nothing is different from this one.
    pub fn is_still(&self, now: &Self) -> Result<(), String> {
        let mut different: Vec<String> = self.different(now).iter().map(|path| path.display().to_string()).collect();
        for ((name, before), (_, after)) in self.kernel.iter().zip(&now.kernel) {
            if before != after {
                different.push(format!("{name}: {before:?} is now {after:?}"));
            }
        }
        if self.listeners != now.listeners {
            different.push(format!("listeners: {:?} are now {:?}", self.listeners, now.listeners));
        }
        if different.is_empty() { Ok(()) } else { Err(format!("this has changed:\n{}", different.join("\n"))) }
    }
}

fn said(error: HostError) -> String {
    error.to_string()
}

fn walk(local: &Path, path: &Path, files: &mut BTreeMap<PathBuf, Spot>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot look at {}: {error}", path.display());
    let metadata = match local.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut spot = Spot {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        time: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        content: Content::Other,
    };
    if metadata.is_symlink() {
        spot.content = Content::Link(fs::read_link(local).map_err(failed)?);
    } else if metadata.is_dir() {
        for entry in fs::read_dir(local).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            walk(&local.join(&name), &path.join(&name), files)?;
        }
        // A folder's time moves with what is made and removed in it.
        spot.time = 0;
        spot.content = Content::Folder;
    } else if metadata.is_file() {
        let bytes = fs::read(local).map_err(failed)?;
        let is_large = metadata.len() > LARGE;
        spot.content = if is_large { Content::LargeFile(Sha256Digest::of(&bytes)) } else { Content::File(bytes) };
    }
    files.insert(path.to_owned(), spot);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn snapshot(folder: &Path) -> Snapshot {
        let mut files = BTreeMap::new();
        walk(folder, Path::new("/x"), &mut files).unwrap();
        Snapshot { files, kernel: vec![("name".into(), "1".into())], listeners: Vec::new() }
    }

    #[test]
    fn what_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/file"), "one").unwrap();
        let before = snapshot(folder.path());
        before.is_still(&snapshot(folder.path())).unwrap();
        fs::write(folder.path().join("sub/file"), "two").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        let mut after = snapshot(folder.path());
        after.kernel[0].1 = "2".into();
        let told = before.is_still(&after).unwrap_err();
        assert_eq!(told, "this has changed:\n/x/link\n/x/sub/file\nname: \"1\" is now \"2\"");
        assert_eq!(after.containing("tw"), [Path::new("/x/sub/file")]);
        assert!(before.containing("two").is_empty());
        let told = before.clone().without("/x/sub").is_still(&after.clone().without("/x/sub")).unwrap_err();
        assert!(!told.contains("/x/sub/file"), "{told}");
    }

    #[test]
    fn a_system_is_more_than_its_records_and_data() {
        let spot = Spot { mode: 0, owner: (0, 0), time: 1, content: Content::File(Vec::new()) };
        let paths = ["/.rehearsal/state.json", "/etc/rc.conf", "/var/db/gotosocial/sqlite.db", "/var/db/gts-bootstrap"];
        let files = paths.map(|path| (PathBuf::from(path), spot.clone())).into();
        let system = Snapshot { files, kernel: Vec::new(), listeners: Vec::new() }.system();
        assert_eq!(system.files.keys().collect::<Vec<_>>(), [Path::new(paths[1]), Path::new(paths[2])]);
        let system = system.without_data();
        assert_eq!(system.files.keys().collect::<Vec<_>>(), [Path::new(paths[1])]);
        assert_eq!(system.clone().without_folders(&["/etc"]), system);
        assert!(system.without_folders(&[paths[1]]).files.is_empty());
    }

    #[test]
    fn a_time_alone_counts_unless_it_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let before = snapshot(folder.path());
        fs::File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let after = snapshot(folder.path());
        assert!(before.is_still(&after).unwrap_err().contains("/x/file"));
        before.without_times().is_still(&after.without_times()).unwrap();
    }
}
