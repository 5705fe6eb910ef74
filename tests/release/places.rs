//! Where the tests install to and from.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gts_bootstrap::release::{
    Arch, Error, HttpClient, HttpSettings, Limits, LockedRelease, NoProgress, Retry, Sha256Digest, Source, Target,
    Timeouts, Unpacked, Variant, fetch,
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
    let source = Source::MirrorDir { path: folder.path().to_owned() };
    (folder, source)
}

/// A client that neither waits long nor tries often.
pub fn hasty(attempts: u32) -> HttpClient {
    HttpClient::new(HttpSettings {
        timeouts: Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(5) },
        retry: Retry { attempts, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) },
    })
}

/// The place in this folder, with nothing kept of a download.
pub fn target(parent: &Path) -> Target<'_> {
    Target { parent, name: "0.19.2", partial: None }
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
    http: &HttpClient,
) -> Result<(TempDir, Unpacked), Error> {
    let (parent, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = Target { partial: Some(&store.path().join("download")), ..target(parent.path()) };
    let result = fetch(lock, source, target, limits, http, &NoProgress);
    let names = names_in(parent.path());
    assert!(names_in(store.path()).is_empty(), "of the download something is left");
    match result {
        Ok(unpacked) => {
            assert_eq!(names, ["0.19.2"]);
            Ok((parent, unpacked))
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
