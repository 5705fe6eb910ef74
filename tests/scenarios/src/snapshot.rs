//! What stands on the host, as far as the program could touch it: to tell what a run has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bench::{Bench, MODULE, OWN_FOLDER, RESERVED_HIGH, RULES, USER};

/// Where the program writes.
const PLACES: [&str; 15] = [
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
    "/var/db/gotosocial",
    "/var/db/gts-bootstrap",
];

/// What stands at a path: mode, owner, modification time in nanoseconds, content or link target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    mode: u32,
    owner: (u32, u32),
    time: i128,
    content: Vec<u8>,
}

/// The files, and what the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Spot>,
    kernel: Vec<(String, String)>,
}

impl Snapshot {
    /// Takes one. A rehearsal is looked at as a whole, its model included.
    pub fn take(bench: &Bench) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for place in if bench.is_rehearsal() { &["/"][..] } else { &PLACES[..] } {
            walk(&bench.local(place)?, Path::new(place), &mut files)?;
        }
        // Whoever reads the database leaves a mark in its shared memory.
        let shared = Path::new("/var/db/gotosocial/sqlite.db-shm");
        files.retain(|path, _| !path.starts_with(OWN_FOLDER) && path != shared);
        let host = bench.host()?;
        let said = |error: gts_bootstrap::host::HostError| error.to_string();
        let kernel = vec![
            (MODULE.to_owned(), host.module_loaded(MODULE).map_err(said)?.to_string()),
            (RULES.to_owned(), bench.sysctl(RULES)?),
            (RESERVED_HIGH.to_owned(), bench.sysctl(RESERVED_HIGH)?),
            (USER.to_owned(), format!("{:?}", host.user(USER).map_err(said)?)),
        ];
        Ok(Self { files, kernel })
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
        let has = |spot: &Spot| spot.content.windows(text.len()).any(|window| window == text.as_bytes());
        self.files.iter().filter(|(_, spot)| has(spot)).map(|(path, _)| path.as_path()).collect()
    }

    /// Nothing is different from this one.
    pub fn is_still(&self, now: &Self) -> Result<(), String> {
        let files = self.files.keys().chain(now.files.keys());
        let mut different: Vec<String> = files
            .filter(|path| self.files.get(*path) != now.files.get(*path))
            .map(|path| path.display().to_string())
            .collect();
        different.sort_unstable();
        different.dedup();
        for ((name, before), (_, after)) in self.kernel.iter().zip(&now.kernel) {
            if before != after {
                different.push(format!("{name}: {before:?} is now {after:?}"));
            }
        }
        if different.is_empty() { Ok(()) } else { Err(format!("this has changed:\n{}", different.join("\n"))) }
    }
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
        content: Vec::new(),
    };
    if metadata.is_symlink() {
        spot.content = fs::read_link(local).map_err(failed)?.into_os_string().into_encoded_bytes();
    } else if metadata.is_dir() {
        for entry in fs::read_dir(local).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            walk(&local.join(&name), &path.join(&name), files)?;
        }
        // A folder's time moves with what is made and removed in it.
        spot.time = 0;
    } else if metadata.is_file() {
        spot.content = fs::read(local).map_err(failed)?;
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
        Snapshot { files, kernel: vec![("name".into(), "1".into())] }
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
        let spot = Spot { mode: 0, owner: (0, 0), time: 1, content: Vec::new() };
        let paths = ["/.rehearsal/state.json", "/etc/rc.conf", "/var/db/gotosocial/sqlite.db", "/var/db/gts-bootstrap"];
        let files = paths.map(|path| (PathBuf::from(path), spot.clone())).into();
        let system = Snapshot { files, kernel: Vec::new() }.system();
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
