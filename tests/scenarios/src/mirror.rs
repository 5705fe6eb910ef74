//! The mirror that the stories install from: releases of the stand-in, or upstream's own.

use std::fs;
use std::path::{Path, PathBuf};

use gts_bootstrap::certificate::Bundle;
use gts_bootstrap::host::{Host, HostError, Owner};
use semver::Version;

use super::bench::{Bench, HOST};

/// A file beside the releases that says that they are the stand-in's.
const STAND_IN: &str = "stand-in";
/// Where the certificate is kept that the server is given.
const KEPT: &str = "/var/db/gts-acceptance/server.pem";
/// Who owns what the server is given: its account may not be there yet.
const SERVER: Owner = Owner { uid: 209, gid: 209 };

/// The mirror: a folder for each release, `v` and its version, with upstream's archives and `checksums.txt` in it.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    /// The oldest release.
    pub oldest: String,
    /// The usual one.
    pub middle: String,
    /// The newest one, which may be a prerelease.
    pub newest: String,
    /// What `latest` is: the newest one that is none.
    pub latest: String,
    /// Whether they are releases of the stand-in, which does what it is told to.
    pub is_stand_in: bool,
}

impl Mirror {
    /// Looks which releases there are.
    pub fn open(folder: PathBuf) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the mirror {}: {error}", folder.display());
        let mut versions = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.strip_prefix('v').and_then(|text| text.parse::<Version>().ok());
            versions.extend(version.filter(|_| entry.path().join("checksums.txt").is_file()));
        }
        versions.sort();
        let latest = versions.iter().rev().find(|version| version.pre.is_empty());
        match (&versions[..], latest) {
            ([oldest, between @ .., newest], Some(latest)) if !between.is_empty() => Ok(Self {
                oldest: oldest.to_string(),
                middle: between[between.len() / 2].to_string(),
                newest: newest.to_string(),
                latest: latest.to_string(),
                is_stand_in: folder.join(STAND_IN).exists(),
                folder,
            }),
            _ => Err(format!(
                "the mirror {} needs three releases at least, each in a folder such as v0.20.3 with upstream's archives and \
                 checksums.txt; there are {}",
                folder.display(),
                versions.len()
            )),
        }
    }

    /// Where it is.
    pub fn place(&self) -> String {
        self.folder.display().to_string()
    }

    /// The folder of a release.
    pub fn release(&self, version: &str) -> PathBuf {
        self.folder.join(format!("v{version}"))
    }

    /// Gives a server that is not the stand-in a certificate, as Let's Encrypt cannot reach such a machine.
    pub fn give_certificate(&self, bench: &Bench) -> Result<(), String> {
        if self.is_stand_in { Ok(()) } else { give(bench.host()?.as_ref()) }
    }
}

/// The same one each time.
fn give(host: &dyn Host) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let bytes = match host.read(Path::new(KEPT)).map_err(said)? {
        Some(bytes) => bytes,
        None => {
            let made = certificate()?.autocert_pem().map_err(|error| error.to_string())?;
            let bytes = made.expose().as_bytes().to_vec();
            host.write_file(Path::new(KEPT), &bytes, 0o600, Owner::ROOT).map_err(said)?;
            bytes
        }
    };
    let mut folder = PathBuf::from("/var/db/gotosocial");
    for name in ["", "storage", "certs"] {
        folder.push(name);
        host.make_directory(&folder, 0o750, SERVER).map_err(said)?;
    }
    host.write_file(&folder.join(HOST), &bytes, 0o600, SERVER).map_err(said)
}

/// A certificate that nobody but its holder vouches for.
pub fn certificate() -> Result<Bundle, String> {
    let made = || -> Result<(String, String), rcgen::Error> {
        let mut params = rcgen::CertificateParams::new([HOST.to_owned()])?;
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2045, 1, 1);
        let key = rcgen::KeyPair::generate()?;
        Ok((key.serialize_pem(), params.self_signed(&key)?.pem()))
    };
    let (key, chain) = made().map_err(|error| format!("no certificate can be made: {error}"))?;
    Bundle::from_files(key.as_bytes(), chain.as_bytes()).map_err(|error| error.to_string())
}

/// A release without the folder that it is in.
pub fn in_releases(version: &str) -> String {
    Path::new("/usr/local/libexec/gotosocial").join(version).display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn mirror(versions: &[&str]) -> Result<Mirror, String> {
        let folder = tempfile::tempdir().unwrap();
        for version in versions {
            fs::create_dir(folder.path().join(format!("v{version}"))).unwrap();
            fs::write(folder.path().join(format!("v{version}/checksums.txt")), "").unwrap();
        }
        fs::create_dir(folder.path().join("v9.9.9")).unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        Mirror::open(folder.path().to_owned())
    }

    #[test]
    fn the_stories_take_the_releases_that_are_there() {
        let upstream = mirror(&["0.21.2", "0.19.2", "0.20.3"]).unwrap();
        let versions = [&upstream.oldest, &upstream.middle, &upstream.newest, &upstream.latest];
        assert_eq!(versions, ["0.19.2", "0.20.3", "0.21.2", "0.21.2"]);
        assert!(!upstream.is_stand_in);
        let own = mirror(&["0.9.10", "0.10.0-rc1", "0.9.9"]).unwrap();
        assert_eq!([own.oldest, own.middle, own.newest, own.latest], ["0.9.9", "0.9.10", "0.10.0-rc1", "0.9.10"]);
        let told = mirror(&["0.19.2", "0.20.3"]).unwrap_err();
        assert!(told.contains("three releases at least") && told.contains("there are 2"), "{told}");
    }

    #[test]
    fn the_certificate_is_one_for_the_server() {
        let made = certificate().unwrap();
        assert_eq!(made.leaf().names, [HOST]);
        assert!(made.autocert_pem().unwrap().expose().contains("EC PRIVATE KEY"));
    }
}
