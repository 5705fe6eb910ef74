//! Where the tests install to and from.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gts_bootstrap::child::{self, Ids};
use gts_bootstrap::release::{
    Arch, Error, Fetcher, HttpSettings, Limits, LockedRelease, Manifest, NoProgress, Progress, Retry, Sha256Digest,
    Source, Target, Variant, fetch,
};
use tempfile::TempDir;

pub const ASSET: &str = "gotosocial_0.19.2_freebsd_amd64.tar.gz";

/// A lock for an archive with these bytes.
pub fn lock(archive: &[u8]) -> LockedRelease {
    LockedRelease {
        version: semver::Version::new(0, 19, 2),
        variant: Variant::Default,
        arch: Arch::Amd64,
        asset: ASSET.into(),
        url: "https://example.org/".into(),
        size: None,
        sha256: Sha256Digest::of(archive),
    }
}

/// A mirror folder with an archive.
pub fn mirror(archive: &[u8]) -> (TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("v0.19.2")).unwrap();
    fs::write(folder.path().join("v0.19.2").join(ASSET), archive).unwrap();
    let source = Source::MirrorDir(folder.path().to_owned());
    (folder, source)
}

/// Fetches with children that are this user's.
pub fn fetcher(settings: HttpSettings, progress: &dyn Progress) -> Fetcher<'_> {
    fetcher_as(None, settings, progress)
}

/// Fetches with children that have these ids.
pub fn fetcher_as(ids: Option<Ids>, settings: HttpSettings, progress: &dyn Progress) -> Fetcher<'_> {
    child::use_program(env!("CARGO_BIN_EXE_gts-bootstrap"));
    Fetcher::new(settings, ids, progress)
}

/// Neither waits long nor tries often.
pub fn soon(attempts: u32) -> HttpSettings {
    let retry = Retry { attempts, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) };
    HttpSettings { connect: Duration::from_secs(5), idle: Duration::from_secs(5), retry }
}

/// One that neither waits long nor tries often.
pub fn hasty(attempts: u32) -> Fetcher<'static> {
    watched(attempts, &NoProgress)
}

/// The same, watched.
pub fn watched(attempts: u32, progress: &dyn Progress) -> Fetcher<'_> {
    fetcher(soon(attempts), progress)
}

/// A release in its place.
#[derive(Debug)]
pub struct Unpacked {
    pub path: PathBuf,
    pub manifest: Manifest,
}

/// Installs from a mirror folder with these limits, and if that fails, sees to it that nothing is left.
pub fn install_with(archive: &[u8], limits: &Limits) -> Result<(TempDir, Unpacked), Error> {
    let (_mirror, source) = mirror(archive);
    install_from(&source, &lock(archive), limits, &hasty(1))
}

pub fn install(archive: &[u8]) -> Result<(TempDir, Unpacked), Error> {
    install_with(archive, &Limits::default())
}

pub fn install_from(
    source: &Source,
    lock: &LockedRelease,
    limits: &Limits,
    fetcher: &Fetcher<'_>,
) -> Result<(TempDir, Unpacked), Error> {
    let (parent, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = parent.path().join("0.19.2");
    let target = Target { directory: &path, partial: &store.path().join("download") };
    let result = fetch(lock, source, target, limits, fetcher);
    let names = names_in(parent.path());
    assert!(names_in(store.path()).is_empty(), "of the download something is left");
    match result {
        Ok(()) => {
            assert_eq!(names, ["0.19.2"]);
            let manifest = Manifest::read(&path).unwrap();
            Ok((parent, Unpacked { path, manifest }))
        }
        Err(error) => {
            assert!(names.is_empty(), "left behind after \"{error}\": {names:?}");
            Err(error)
        }
    }
}

pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
