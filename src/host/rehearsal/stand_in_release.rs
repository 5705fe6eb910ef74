//! A stand-in for GoToSocial's release, so that a rehearsal needs no network.
//!
//! It is written to a mirror folder of the rehearsal, and is verified and unpacked like the real one. Its content is small
//! and depends only on the version, architecture and build, so its digest is always the same.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use semver::Version;

use super::Rehearsal;
use crate::release::{Arch, Error, NOTES_FILE, Sha256Digest, Source, Variant, asset_name};

/// The versions that are always in the stand-in's catalogue: an old one, the newest, and a prerelease.
const VERSIONS: [&str; 3] = ["0.19.1", "0.19.2", "0.20.0-rc1"];

/// The builds that upstream makes for FreeBSD.
const BUILDS: [(Arch, Variant); 3] =
    [(Arch::Amd64, Variant::Default), (Arch::Amd64, Variant::Nowasm), (Arch::Arm64, Variant::Default)];

/// The time of every file, in seconds since 1970: 2025-01-01.
const MTIME: u64 = 1_735_689_600;

impl Rehearsal {
    /// The stand-in release, in a folder next to the state of the rehearsal: the versions that always exist (0.19.1,
    /// 0.19.2 and 0.20.0-rc1), and those asked for.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn stand_in(&self, asked_for: &[Version]) -> Result<Source, Error> {
        let folder = self.state_folder().join("mirror");
        let mut versions: BTreeSet<Version> = VERSIONS.iter().filter_map(|text| text.parse().ok()).collect();
        versions.extend(asked_for.iter().cloned());
        for version in &versions {
            write_release(&folder.join(format!("v{version}")), version)?;
        }
        Ok(Source::StandIn { path: folder, versions })
    }
}

/// Writes the release of one version, unless it exists. The checksums come last and show that it is complete.
fn write_release(folder: &Path, version: &Version) -> Result<(), Error> {
    let mut files = vec![(NOTES_FILE.to_owned(), notes(version).into_bytes())];
    let mut checksums = Vec::new();
    for (arch, variant) in BUILDS {
        let name = asset_name(version, arch, variant)?;
        let archive = stand_in_archive(version, arch, variant)?;
        checksums.push(format!("{}  {name}\n", Sha256Digest::of(&archive)));
        files.push((name, archive));
    }
    checksums.sort();
    let last = "checksums.txt".to_owned();
    let checksums = checksums.concat().into_bytes();
    if fs::read(folder.join(&last)).is_ok_and(|there| there == checksums) {
        return Ok(());
    }
    files.push((last, checksums));
    fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// The archive that stands in for a release, laid out like upstream's: files at its root, no entries for folders.
///
/// # Errors
///
/// [`Error::NoNowasmBuild`] for a build that upstream does not make. Other errors cannot happen in memory.
pub fn stand_in_archive(version: &Version, arch: Arch, variant: Variant) -> Result<Vec<u8>, Error> {
    let asset = asset_name(version, arch, variant)?;
    // Stored, not compressed: the bytes do not depend on a compressor's choices.
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::none());
    let mut archive = tar::Builder::new(gzip);
    let mut pack = || -> io::Result<()> {
        for (path, mode, content) in files(version, arch, variant) {
            let mut header = tar::Header::new_ustar();
            header.set_path(path)?;
            header.set_size(content.len() as u64);
            header.set_mode(mode);
            header.set_mtime(MTIME);
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            archive.append(&header, content.as_bytes())?;
        }
        archive.finish()
    };
    pack().and_then(|()| archive.into_inner()?.finish()).map_err(|source| Error::File {
        action: "make the stand-in",
        path: asset.into(),
        source,
    })
}

/// The stand-in's files: path, mode, content.
fn files(version: &Version, arch: Arch, variant: Variant) -> Vec<(&'static str, u32, String)> {
    let page = |title: &str| format!("<!-- stand-in for rehearsals, {version} -->\n<title>{title}</title>\n");
    vec![
        ("LICENSE", 0o644, "This is a stand-in for rehearsals. GoToSocial itself is under the AGPL-3.0.\n".into()),
        (
            "README.md",
            0o644,
            format!("# Stand-in for GoToSocial {version}\n\nMade by gts-bootstrap for rehearsals. It does nothing.\n"),
        ),
        ("example/config.yaml", 0o644, "# Stand-in for rehearsals.\nhost: \"localhost\"\n".into()),
        ("gotosocial", 0o755, program(version, arch, variant)),
        ("web/assets/dist/base.css", 0o644, "/* stand-in for rehearsals */\n".into()),
        ("web/assets/logo.svg", 0o644, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n".into()),
        ("web/template/404.tmpl", 0o644, page("Not found")),
        ("web/template/index.tmpl", 0o644, page("Stand-in")),
        ("web/template/page.tmpl", 0o644, page("Page")),
    ]
}

/// A program that only answers `--version` like the real one, and says that it is a stand-in.
fn program(version: &Version, arch: Arch, variant: Variant) -> String {
    format!(
        "#!/bin/sh\n\
         # Stand-in for GoToSocial {version} (freebsd, {arch}, {variant}), made for rehearsals.\n\
         if [ \"$1\" = \"--version\" ]; then\n\
         \techo \"gotosocial version {version}\"\n\
         \texit 0\n\
         fi\n\
         echo \"This is a stand-in for rehearsals, not GoToSocial. Install the real release to run a server.\" >&2\n\
         exit 1\n"
    )
}

/// Release notes in upstream's form.
fn notes(version: &Version) -> String {
    format!(
        "# v{version} Stand-in Sloth\n\nNothing new.\n\n# Migration notes\n\nThis is what the notes of {version} say about \
         upgrading: back up your database, and do not interrupt migrations.\n\n# Changelog\n\n- Something else.\n"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::deployment::VersionWish;
    use crate::release::{Fetcher, HttpSettings, LockedRelease, NoProgress, Request, newest, resolve};

    fn fetcher() -> Fetcher<'static> {
        Fetcher::new(HttpSettings::default(), None, &NoProgress)
    }

    /// A stand-in with these versions besides its own.
    fn start(asked_for: &[Version]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let source = Rehearsal::open(folder.path()).unwrap().stand_in(asked_for).unwrap();
        (folder, source)
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

    fn lock(stand_in: &Source, request: &Request<'_>) -> Result<LockedRelease, Error> {
        resolve(request, stand_in, &fetcher())
    }

    #[test]
    fn the_same_release_has_the_same_lock_in_any_folder() {
        let ((_one, first), (_two, second)) = (start(&[]), start(&[]));
        assert_ne!(first, second);
        assert_eq!(lock(&first, &request()).unwrap(), lock(&second, &request()).unwrap());
    }

    #[test]
    fn a_release_that_was_written_in_part_is_written_again() {
        let (folder, stand_in) = start(&[]);
        let whole = lock(&stand_in, &request()).unwrap();
        let release = folder.path().join(".rehearsal/mirror/v0.19.2");
        fs::write(release.join(&whole.asset), "cut").unwrap();
        fs::remove_file(release.join("checksums.txt")).unwrap();
        let again = Rehearsal::open(folder.path()).unwrap().stand_in(&[]).unwrap();
        assert_eq!(lock(&again, &request()).unwrap(), whole);
        assert_eq!(fs::metadata(release.join(&whole.asset)).unwrap().len(), whole.size.unwrap());
    }

    #[test]
    fn each_build_is_another_archive() {
        let version = Version::new(0, 19, 2);
        let digests: BTreeSet<Sha256Digest> = BUILDS
            .iter()
            .map(|(arch, variant)| Sha256Digest::of(&stand_in_archive(&version, *arch, *variant).unwrap()))
            .collect();
        assert_eq!(digests.len(), 3);
    }

    #[test]
    fn versions_asked_for_are_there_and_others_are_not() {
        let asked = Version::new(0, 18, 7);
        let (_folder, stand_in) = start(std::slice::from_ref(&asked));
        let exact = |version| Request { version: VersionWish::Exact(version), ..request() };
        assert_eq!(lock(&stand_in, &exact(asked.clone())).unwrap().version, asked);
        assert!(matches!(lock(&stand_in, &exact(Version::new(0, 17, 0))), Err(Error::NoDigest { .. })));
    }

    #[test]
    fn the_prerelease_is_the_newest_only_if_wanted() {
        let (folder, stand_in) = start(&[]);
        let newest = |prereleases| newest(&stand_in, prereleases, &fetcher()).unwrap().version.to_string();
        assert_eq!(newest(false), "0.19.2");
        // What another run has asked for does not count.
        let other = Rehearsal::open(folder.path()).unwrap().stand_in(&[Version::new(0, 19, 9)]).unwrap();
        assert_ne!(other, stand_in);
        assert_eq!(newest(false), "0.19.2");
        assert_eq!(newest(true), "0.20.0-rc1");
    }

    #[test]
    fn a_lock_or_a_pin_of_the_real_release_is_refused_with_advice() {
        let (_folder, stand_in) = start(&[]);
        let mut real = lock(&stand_in, &request()).unwrap();
        real.url = "https://codeberg.org/x".into();
        let with_lock = Request { locked: Some(&real), ..request() };
        let with_pin = Request { pinned: Some(Sha256Digest::of(b"the real one")), ..request() };
        for request in [with_lock, with_pin] {
            let error = lock(&stand_in, &request).unwrap_err();
            assert!(matches!(error, Error::RealReleaseInRehearsal { .. }));
            assert!(error.to_string().contains("--mirror"));
        }
    }
}
