//! Which releases there are.
//!
//! Upstream's server runs Forgejo, whose interface lists releases in pages:
//! `GET /api/v1/repos/{owner}/{repo}/releases?limit=&page=`, newest first by date. The date is no guide to the
//! newest version (a fix for an old branch may come later), so versions are compared as semver.org says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::download::read_small;
use super::files::{list, open};
use super::http::HttpClient;
use super::notes::about_upgrading;
use super::source::{BaseUrl, REPOSITORY};
use super::{Error, Fetcher, Source};

/// How many releases are asked for at once: Forgejo's own upper limit unless its administrator changed it
/// (`MAX_RESPONSE_ITEMS`).
const PAGE_SIZE: u32 = 50;

/// A page that never ends is not believed.
const MAX_PAGES: u32 = 100;

/// The largest page taken, in bytes. A release has some 40 assets and long notes: 50 of them stay under 2 MiB.
const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// The file of a mirror folder that holds the release notes of a version, where it has them.
pub const NOTES_FILE: &str = "NOTES.md";

/// How much is read of that, in bytes.
const MAX_NOTES_FILE_BYTES: u64 = 1024 * 1024;

/// How much is kept of what the notes of a release say, in bytes.
const MAX_NOTES_BYTES: usize = 64 * 1024;

/// How many files of a release are kept.
const MAX_ASSETS: usize = 1000;

/// The longest name of a file that is kept, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// A release that a catalogue lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The version, without the `v` of its tag.
    pub version: Version,
    /// Whether upstream marks it as a prerelease, or its version says so (`-rc1`).
    pub prerelease: bool,
    /// The files, with their sizes in bytes where the source tells them.
    pub assets: BTreeMap<String, u64>,
    /// What the release notes say about upgrading; empty where the source has none.
    pub notes: String,
}

/// A release as Forgejo describes it; the fields that are of use.
#[derive(Deserialize)]
struct ForgejoRelease {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    #[serde(default)]
    assets: Vec<ForgejoAsset>,
    /// Forgejo has `null` for none.
    #[serde(default)]
    body: Option<String>,
}

#[derive(Deserialize)]
struct ForgejoAsset {
    name: String,
    #[serde(default)]
    size: u64,
}

/// All releases of a source, newest version first, without drafts and without tags that are not versions.
///
/// # Errors
///
/// [`Error::NoCatalogue`] for a mirror on the web; [`Error::CatalogueUnreadable`] if the answer is not a list of
/// releases; [`Error::Status`], [`Error::Unreachable`] and their kin from the network; [`Error::File`] for a mirror
/// folder that cannot be read.
pub fn catalogue(source: &Source, fetcher: &Fetcher<'_>) -> Result<Vec<Published>, Error> {
    let mut releases = match source {
        Source::Upstream(base_url) => fetcher.catalogue(base_url)?,
        Source::MirrorUrl(_) => return Err(Error::NoCatalogue(source.to_string())),
        Source::MirrorDir(path) | Source::StandIn { path, .. } => from_folder(path)?,
    };
    if let Source::StandIn { versions, .. } = source {
        releases.retain(|release| versions.contains(&release.version));
    }
    releases.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(releases)
}

/// The newest release of a source; prereleases count only if `prereleases` says so.
///
/// # Errors
///
/// As [`catalogue`], and [`Error::CatalogueEmpty`] if nothing is left to choose from.
pub fn newest(source: &Source, prereleases: bool, fetcher: &Fetcher<'_>) -> Result<Published, Error> {
    let releases = catalogue(source, fetcher)?;
    let only = if releases.is_empty() { "" } else { " but prereleases, which are taken only if asked for" };
    let newest = releases.into_iter().find(|release| prereleases || !release.prerelease);
    newest.ok_or_else(|| Error::CatalogueEmpty(source.to_string(), only))
}

fn version_of(tag: &str) -> Option<Version> {
    tag.strip_prefix('v').and_then(|text| text.parse().ok())
}

/// All releases of a server, in its order: for the child that fetches.
pub(super) fn from_forgejo(base_url: &BaseUrl, http: &HttpClient<'_>) -> Result<Vec<Published>, Error> {
    let mut releases = Vec::new();
    // The server may allow fewer releases a page than were asked for, so the first page is the measure.
    let mut full = 1;
    for number in 1..=MAX_PAGES {
        let page = format!("api/v1/repos/{REPOSITORY}/releases?limit={PAGE_SIZE}&page={number}");
        let url = base_url.join(&page)?;
        let page: Vec<ForgejoRelease> = serde_json::from_slice(&read_small(&url, MAX_PAGE_BYTES, http)?)
            .map_err(|error| Error::CatalogueUnreadable(url.to_string(), error.to_string()))?;
        let length = page.len();
        releases.extend(page.into_iter().filter_map(published));
        if length < full {
            break;
        }
        full = if number == 1 { length } else { full };
    }
    Ok(releases)
}

fn published(release: ForgejoRelease) -> Option<Published> {
    let version = version_of(&release.tag_name).filter(|_| !release.draft)?;
    Some(Published {
        prerelease: release.prerelease || !version.pre.is_empty(),
        version,
        assets: release
            .assets
            .into_iter()
            .filter(|asset| asset.name.len() <= MAX_NAME_BYTES)
            .take(MAX_ASSETS)
            .map(|asset| (asset.name, asset.size))
            .collect(),
        notes: told(&release.body.unwrap_or_default()),
    })
}

/// What is kept of release notes.
fn told(notes: &str) -> String {
    let mut told = about_upgrading(notes);
    let end = (0..=MAX_NOTES_BYTES.min(told.len())).rev().find(|end| told.is_char_boundary(*end));
    told.truncate(end.unwrap_or_default());
    told
}

fn from_folder(path: &Path) -> Result<Vec<Published>, Error> {
    let mut releases = Vec::new();
    for entry in list(path)? {
        let folder = entry.path();
        let Some(version) = entry.file_name().to_str().and_then(version_of).filter(|_| folder.is_dir()) else {
            continue;
        };
        let mut assets = BTreeMap::new();
        for file in list(&folder)? {
            let size = fs::metadata(file.path()).map_err(Error::file("read", &file.path()))?.len();
            if let Ok(name) = file.file_name().into_string() {
                assets.insert(name, size);
            }
        }
        let mut notes = Vec::new();
        // A release without notes can be installed, too.
        let _ = open(&folder.join(NOTES_FILE)).and_then(|file| file.take(MAX_NOTES_FILE_BYTES).read_to_end(&mut notes));
        let notes = told(&String::from_utf8_lossy(&notes));
        releases.push(Published { prerelease: !version.pre.is_empty(), version, assets, notes });
    }
    Ok(releases)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::release::{HttpSettings, NoProgress};

    fn folder(names: &[&str]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let source = Source::MirrorDir(folder.path().to_owned());
        (folder, source)
    }

    fn newest_of(source: &Source, prereleases: bool) -> Result<Version, Error> {
        newest(source, prereleases, &Fetcher::new(HttpSettings::default(), None, &NoProgress))
            .map(|release| release.version)
    }

    #[test]
    fn tags_are_versions_with_a_v() {
        assert_eq!(version_of("v0.20.0-rc1"), Some("0.20.0-rc1".parse().unwrap()));
        assert_eq!(version_of("0.20.0"), None);
        assert_eq!(version_of("vnext"), None);
    }

    #[test]
    fn a_folder_lists_its_versions() {
        let (path, source) = folder(&["v0.9.0", "v0.19.2", "v0.20.0-rc1", "other", "v"]);
        fs::write(path.path().join("v0.99.0"), "a file, not a folder").unwrap();
        fs::write(path.path().join("v0.19.2/a.tar.gz"), "12345").unwrap();
        let releases = catalogue(&source, &Fetcher::new(HttpSettings::default(), None, &NoProgress)).unwrap();
        let versions: Vec<String> = releases.iter().map(|release| release.version.to_string()).collect();
        assert_eq!(versions, ["0.20.0-rc1", "0.19.2", "0.9.0"]);
        assert_eq!(releases[1].assets["a.tar.gz"], 5);
        assert_eq!(newest_of(&source, false).unwrap().to_string(), "0.19.2");
        assert_eq!(newest_of(&source, true).unwrap().to_string(), "0.20.0-rc1");
    }

    #[test]
    fn notes_that_are_a_fifo_are_not_waited_for() {
        let (path, source) = folder(&["v0.19.2"]);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&path.path().join("v0.19.2").join(NOTES_FILE), mode).unwrap();
        assert_eq!(newest_of(&source, false).unwrap().to_string(), "0.19.2");
    }

    #[test]
    fn an_empty_choice_is_told_in_words() {
        let (_path, source) = folder(&["v0.20.0-rc1"]);
        let error = newest_of(&source, false).unwrap_err();
        assert!(matches!(error, Error::CatalogueEmpty { .. }));
        assert!(error.to_string().contains("prereleases"));
        let (_path, source) = folder(&[]);
        let error = newest_of(&source, true).unwrap_err();
        assert!(!error.to_string().contains("prereleases"));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let source = Source::mirror("/nonexistent/mirror").unwrap();
        assert!(matches!(newest_of(&source, false), Err(Error::File { .. })));
    }

    #[test]
    fn a_mirror_on_the_web_has_no_catalogue() {
        let source = Source::mirror("https://mirror.example.org").unwrap();
        let error = newest_of(&source, false).unwrap_err();
        assert!(matches!(error, Error::NoCatalogue { .. }));
        assert!(error.to_string().contains("0.19.2"));
    }
}
