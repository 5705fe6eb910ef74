//! From what is wanted to a lock.

use std::io::{self, Read};

use super::catalogue::newest;
use super::checksums::digest_of;
use super::files::open;
use super::source::Place;
use super::{Arch, Error, Fetcher, LockedRelease, Sha256Digest, Source, Variant, asset_name};
use crate::deployment::VersionWish;

/// The largest `checksums.txt` taken, in bytes. Upstream's has some 40 lines of about 110 bytes.
pub(super) const MAX_CHECKSUMS_BYTES: u64 = 1024 * 1024;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Which version. Naming a prerelease is enough to get it.
    pub version: VersionWish,
    /// Whether "latest" may be a prerelease.
    pub prereleases: bool,
    /// For which processor.
    pub arch: Arch,
    /// How built.
    pub variant: Variant,
    /// The digest of the archive, if the administrator knows it.
    pub pinned: Option<Sha256Digest>,
    /// The lock of an earlier run. It decides what "latest" is; a lock of another version, architecture or build
    /// than the wanted one is set aside.
    pub locked: Option<&'a LockedRelease>,
}

impl Request<'_> {
    /// Whether a lock is of the version, architecture and build that are wanted.
    fn applies(&self, lock: &LockedRelease) -> bool {
        self.version.is_met_by(&lock.version) && lock.arch == self.arch && lock.variant == self.variant
    }

    /// Whether a lock is all that is wanted, digest included.
    pub fn is_met_by(&self, lock: &LockedRelease) -> bool {
        self.applies(lock) && self.pinned.is_none_or(|pin| pin == lock.sha256)
    }
}

/// Finds the release and everything known about its bytes. Downloads no archive.
///
/// A lock that applies is returned unchanged, after checking that the source still publishes the same digest.
///
/// # Errors
///
/// [`Error::HttpWithoutPin`] for a plain `http` source with neither pin nor lock; [`Error::ReleaseChanged`] if the
/// source publishes another digest than the lock has; [`Error::DigestsDisagree`] if the pin differs;
/// [`Error::NoDigest`] and [`Error::MissingChecksum`] if nobody knows the digest; [`Error::RehearsalLock`] and
/// [`Error::RealReleaseInRehearsal`] if rehearsal and reality are mixed; and those of [`newest`].
pub fn resolve(request: &Request<'_>, source: &Source, fetcher: &Fetcher<'_>) -> Result<LockedRelease, Error> {
    let lock = request.locked.filter(|lock| request.applies(lock));
    if let Some(lock) = lock {
        lock.check_fits(source)?;
    }
    source.check_transport(request.pinned.is_some() || lock.is_some())?;

    let (version, sizes) = match (&request.version, lock) {
        (_, Some(lock)) => (lock.version.clone(), None),
        (VersionWish::Exact(version), None) => (version.clone(), None),
        (VersionWish::Latest, None) => {
            let release = newest(source, request.prereleases, fetcher)?;
            (release.version, Some(release.assets))
        }
    };
    let asset = asset_name(&version, request.arch, request.variant)?;

    let checksums = source.place(&version, "checksums.txt")?;
    let place = checksums.to_string();
    let published = match published(&asset, &checksums, fetcher) {
        Ok(digest) => Some(digest),
        Err(Error::Status { status: 404 | 410, .. }) => None,
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (origin, known) = match (lock, published) {
        (Some(lock), Some(published)) if lock.sha256 != published => {
            return Err(Error::ReleaseChanged { asset, locked: lock.sha256, published, place });
        }
        (Some(lock), _) => ("the lock file", Some(lock.sha256)),
        (None, published) => ("checksums.txt", published),
    };
    let sha256 = match (known, request.pinned) {
        (Some(known), Some(pinned)) if known != pinned => {
            return Err(match source {
                Source::StandIn { .. } => Error::RealReleaseInRehearsal("pinned digest"),
                _ => Error::DigestsDisagree { asset, origin, known, pinned },
            });
        }
        (known, pinned) => known.or(pinned).ok_or_else(|| Error::NoDigest(place, asset.clone()))?,
    };
    if let Some(lock) = lock {
        return Ok(lock.clone());
    }

    let size = match source.place(&version, &asset)? {
        Place::File(path) => Some(std::fs::metadata(&path).map_err(Error::file("read", &path))?.len()),
        Place::Url(_) => sizes.and_then(|sizes| sizes.get(&asset).copied()),
    };
    Ok(LockedRelease {
        url: source.label(&version, &asset)?,
        version,
        variant: request.variant,
        arch: request.arch,
        asset,
        size: size.filter(|size| *size > 0),
        sha256,
    })
}

/// The digest of an archive that a `checksums.txt` gives.
fn published(asset: &str, checksums: &Place, fetcher: &Fetcher<'_>) -> Result<Sha256Digest, Error> {
    match checksums {
        Place::Url(url) => fetcher.checksum(url, asset),
        Place::File(path) => {
            let mut bytes = Vec::new();
            let read = open(path).and_then(|file| file.take(MAX_CHECKSUMS_BYTES + 1).read_to_end(&mut bytes));
            if read.map_err(Error::file("read", path))? as u64 > MAX_CHECKSUMS_BYTES {
                return Err(Error::TooLarge(checksums.to_string(), MAX_CHECKSUMS_BYTES));
            }
            digest_of(asset, &String::from_utf8_lossy(&bytes), &checksums.to_string())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::release::{HttpSettings, NoProgress};
    use semver::Version;
    use std::fs;

    const ASSET: &str = "gotosocial_0.19.2_freebsd_amd64.tar.gz";

    struct Mirror {
        folder: tempfile::TempDir,
        source: Source,
    }

    /// A mirror folder whose archive is the text "archive".
    fn mirror() -> Mirror {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("v0.19.2");
        fs::create_dir(&release).unwrap();
        fs::write(release.join(ASSET), "archive").unwrap();
        let source = Source::MirrorDir(folder.path().to_owned());
        let mirror = Mirror { folder, source };
        mirror.publish(&format!("{}  {ASSET}\n", digest("archive")));
        mirror
    }

    impl Mirror {
        fn publish(&self, checksums: &str) {
            fs::write(self.folder.path().join("v0.19.2/checksums.txt"), checksums).unwrap();
        }

        fn unpublish(&self) {
            fs::remove_file(self.folder.path().join("v0.19.2/checksums.txt")).unwrap();
        }

        fn resolve(&self, request: &Request<'_>) -> Result<LockedRelease, Error> {
            resolve(request, &self.source, &Fetcher::new(HttpSettings::default(), None, &NoProgress))
        }
    }

    fn digest(text: &str) -> Sha256Digest {
        Sha256Digest::of(text.as_bytes())
    }

    fn request() -> Request<'static> {
        Request {
            version: VersionWish::Latest,
            prereleases: false,
            arch: Arch::Amd64,
            variant: Variant::Default,
            pinned: None,
            locked: None,
        }
    }

    #[test]
    fn the_latest_release_is_locked() {
        let mirror = mirror();
        let lock = mirror.resolve(&request()).unwrap();
        assert_eq!(lock.version, Version::new(0, 19, 2));
        assert_eq!(lock.asset, ASSET);
        assert_eq!(lock.size, Some(7));
        assert_eq!(lock.sha256, digest("archive"));
        assert!(lock.url.starts_with("file:///") && lock.url.ends_with(ASSET));
        let exact = Request { version: VersionWish::Exact(lock.version.clone()), ..request() };
        assert_eq!(mirror.resolve(&exact).unwrap(), lock);
    }

    #[test]
    fn a_lock_that_applies_is_kept_and_decides_what_latest_is() {
        let mirror = mirror();
        let lock = mirror.resolve(&request()).unwrap();
        fs::create_dir(mirror.folder.path().join("v0.19.3")).unwrap();
        let again = Request { locked: Some(&lock), ..request() };
        assert_eq!(mirror.resolve(&again).unwrap(), lock);
    }

    #[test]
    fn a_lock_of_something_else_is_set_aside() {
        let mirror = mirror();
        let mut other = mirror.resolve(&request()).unwrap();
        other.variant = Variant::Nowasm;
        other.sha256 = digest("other");
        let again = Request { locked: Some(&other), ..request() };
        assert_eq!(mirror.resolve(&again).unwrap().sha256, digest("archive"));
    }

    #[test]
    fn a_release_that_changed_after_it_was_locked_is_refused() {
        let mirror = mirror();
        let lock = mirror.resolve(&request()).unwrap();
        mirror.publish(&format!("{}  {ASSET}\n", digest("another")));
        let again = Request { locked: Some(&lock), ..request() };
        let error = mirror.resolve(&again).unwrap_err();
        assert!(matches!(error, Error::ReleaseChanged { .. }));
        let text = error.to_string();
        assert!(text.contains(&digest("archive").to_string()) && text.contains(&digest("another").to_string()));
    }

    #[test]
    fn a_pin_must_agree_with_what_is_published_and_with_the_lock() {
        let mirror = mirror();
        let lock = mirror.resolve(&request()).unwrap();
        let right = Request { pinned: Some(digest("archive")), ..request() };
        assert_eq!(mirror.resolve(&right).unwrap(), lock);
        let wrong = Request { pinned: Some(digest("another")), ..request() };
        let with_lock = Request { locked: Some(&lock), ..wrong.clone() };
        for (request, expected) in [(wrong, "checksums.txt"), (with_lock, "the lock file")] {
            let error = mirror.resolve(&request).unwrap_err();
            assert!(matches!(error, Error::DigestsDisagree { origin, .. } if origin == expected));
        }
    }

    #[test]
    fn without_checksums_a_pin_or_a_lock_is_needed() {
        let mirror = mirror();
        let lock = mirror.resolve(&request()).unwrap();
        mirror.unpublish();
        assert!(matches!(mirror.resolve(&request()), Err(Error::NoDigest { .. })));
        let pinned = Request { pinned: Some(digest("archive")), ..request() };
        assert_eq!(mirror.resolve(&pinned).unwrap(), lock);
        let locked = Request { locked: Some(&lock), ..request() };
        assert_eq!(mirror.resolve(&locked).unwrap(), lock);
    }

    #[test]
    fn a_checksums_file_without_the_archive_is_refused_even_with_a_pin() {
        let mirror = mirror();
        mirror.publish(&format!("{}  other.tar.gz\n", digest("other")));
        let pinned = Request { pinned: Some(digest("archive")), ..request() };
        assert!(matches!(mirror.resolve(&pinned), Err(Error::MissingChecksum { .. })));
    }

    #[test]
    fn a_version_or_an_archive_that_is_not_there_is_an_error() {
        let mirror = mirror();
        let exact = Request { version: VersionWish::Exact(Version::new(9, 9, 9)), ..request() };
        assert!(matches!(mirror.resolve(&exact), Err(Error::NoDigest { .. })));
        fs::remove_file(mirror.folder.path().join("v0.19.2").join(ASSET)).unwrap();
        assert!(matches!(mirror.resolve(&request()), Err(Error::File { .. })));
    }

    #[test]
    fn nowasm_for_arm64_is_refused() {
        let odd = Request { arch: Arch::Arm64, variant: Variant::Nowasm, ..request() };
        assert!(matches!(mirror().resolve(&odd), Err(Error::NoNowasmBuild { .. })));
    }

    #[test]
    fn plain_http_without_a_pin_is_refused_before_anything_is_asked() {
        let source = Source::mirror("http://mirror.example.org").unwrap();
        let exact = Request { version: VersionWish::Exact(Version::new(0, 19, 2)), ..request() };
        let fetcher = Fetcher::new(HttpSettings::default(), None, &NoProgress);
        assert!(matches!(resolve(&exact, &source, &fetcher), Err(Error::HttpWithoutPin(_))));
    }

    #[test]
    fn a_lock_of_a_rehearsal_is_refused_in_a_real_run() {
        let mirror = mirror();
        let mut lock = mirror.resolve(&request()).unwrap();
        lock.url = format!("rehearsal:v0.19.2/{ASSET}");
        let again = Request { locked: Some(&lock), ..request() };
        assert!(matches!(mirror.resolve(&again), Err(Error::RehearsalLock { .. })));
    }
}
