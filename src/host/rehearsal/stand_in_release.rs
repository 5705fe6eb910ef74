//! A stand-in for GoToSocial's release, so that a rehearsal needs no network.
//!
//! It is served on a loopback port in the way that upstream's server does it, and goes through the very same
//! download, verification and unpacking as the real one. What is in it is small and made anew each time from the
//! version, architecture and build alone, so it has the same digest each time.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::{Compression, GzBuilder};
use semver::Version;
use serde_json::json;

use crate::release::{Arch, BaseUrl, Error, Sha256Digest, Source, Variant, asset_name};

/// The versions that are always in the stand-in's catalogue: an old one, the newest, and a prerelease.
const VERSIONS: [&str; 3] = ["0.19.1", "0.19.2", "0.20.0-rc1"];

/// The builds that upstream makes for FreeBSD.
const BUILDS: [(Arch, Variant); 3] =
    [(Arch::Amd64, Variant::Default), (Arch::Amd64, Variant::Nowasm), (Arch::Arm64, Variant::Default)];

/// The time that every file carries, in seconds since 1970: 2025-01-01.
const MTIME: u64 = 1_735_689_600;

/// How long one client may keep the server waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest request line or header taken, in bytes.
const MAX_LINE: u64 = 8 * 1024;

/// The stand-in release, being served. It ends when the value is dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    is_ending: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Serves the stand-in on a free loopback port. Besides the versions that it always has (0.19.1, 0.19.2 and
    /// 0.20.0-rc1) it has those asked for.
    ///
    /// # Errors
    ///
    /// What the system says if there is no port or thread to be had.
    pub fn start(asked_for: &[Version]) -> io::Result<Self> {
        let mut versions: BTreeSet<Version> = VERSIONS.iter().filter_map(|text| text.parse().ok()).collect();
        versions.extend(asked_for.iter().cloned());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let is_ending = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&is_ending);
        let server = thread::Builder::new()
            .name("stand-in release".into())
            .spawn(move || serve(&listener, &versions, &ending))?;
        Ok(Self { address, is_ending, server: Some(server) })
    }

    /// The source to resolve and fetch from.
    ///
    /// # Errors
    ///
    /// None in practice: the address is one that this value made itself.
    pub fn source(&self) -> Result<Source, Error> {
        let base_url: BaseUrl = format!("http://{}", self.address).parse()?;
        Ok(Source::StandIn { base_url })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::SeqCst);
        // Wakes the server, which waits for a connection.
        let woken = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
        if let Some(server) = self.server.take()
            && woken
        {
            // A server that panicked has ended as well.
            let _ = server.join();
        }
    }
}

/// The archive that stands in for a release, laid out like upstream's: files at its root, no entries for folders.
///
/// # Errors
///
/// [`Error::NoNowasmBuild`] for a build that upstream does not make. The other errors cannot happen, as it is written
/// to memory.
pub fn stand_in_archive(version: &Version, arch: Arch, variant: Variant) -> Result<Vec<u8>, Error> {
    let asset = asset_name(version, arch, variant)?;
    // Stored, not compressed: the bytes then don't depend on how a compressor chooses.
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

/// A program that owns up to being none. It answers `--version` as the real one does.
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

/// The stand-in's `checksums.txt` for one version.
fn checksums(version: &Version) -> Result<String, Error> {
    let mut lines = Vec::new();
    for (arch, variant) in BUILDS {
        let digest = Sha256Digest::of(&stand_in_archive(version, arch, variant)?);
        lines.push(format!("{digest}  {}\n", asset_name(version, arch, variant)?));
    }
    lines.sort();
    Ok(lines.concat())
}

/// Release notes in upstream's form.
fn notes(version: &Version) -> String {
    format!(
        "# v{version} Stand-in Sloth\n\nNothing new.\n\n# Migration notes\n\nThis is what the notes of {version} say about \
         upgrading: back up your database, and do not interrupt migrations.\n\n# Changelog\n\n- Something else.\n"
    )
}

/// One page of the catalogue, newest first, in Forgejo's form.
fn catalogue(versions: &BTreeSet<Version>, query: &str) -> Result<String, Error> {
    let number = |name: &str, default: usize| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(default)
    };
    let limit = number("limit", 30);
    let first = number("page", 1).saturating_sub(1).saturating_mul(limit);
    let mut releases = Vec::new();
    for version in versions.iter().rev().skip(first).take(limit) {
        let mut assets = Vec::new();
        for (arch, variant) in BUILDS {
            assets.push(json!({
                "name": asset_name(version, arch, variant)?,
                "size": stand_in_archive(version, arch, variant)?.len(),
            }));
        }
        releases.push(json!({
            "tag_name": format!("v{version}"),
            "draft": false,
            "prerelease": !version.pre.is_empty(),
            "body": notes(version),
            "assets": assets,
        }));
    }
    Ok(serde_json::Value::Array(releases).to_string())
}

/// What lies at a path of the server; `None` if nothing does.
fn content(versions: &BTreeSet<Version>, target: &str) -> Result<Option<Vec<u8>>, Error> {
    const REPOSITORY: &str = "/superseriousbusiness/gotosocial";
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path.strip_prefix("/api/v1/repos") == Some(&format!("{REPOSITORY}/releases")) {
        return Ok(Some(catalogue(versions, query)?.into_bytes()));
    }
    let Some((tag, name)) =
        path.strip_prefix(REPOSITORY).and_then(|path| path.strip_prefix("/releases/download/v")?.split_once('/'))
    else {
        return Ok(None);
    };
    let Some(version) = versions.iter().find(|version| version.to_string() == tag) else {
        return Ok(None);
    };
    if name == "checksums.txt" {
        return Ok(Some(checksums(version)?.into_bytes()));
    }
    for (arch, variant) in BUILDS {
        if asset_name(version, arch, variant)? == name {
            return stand_in_archive(version, arch, variant).map(Some);
        }
    }
    Ok(None)
}

fn serve(listener: &TcpListener, versions: &BTreeSet<Version>, is_ending: &AtomicBool) {
    for connection in listener.incoming() {
        if is_ending.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(connection) = connection {
            // A client that went away is the client's affair; it will say so itself.
            let _ = answer(connection, versions);
        }
    }
}

/// The parts of a request that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    method: String,
    target: String,
    range_start: Option<usize>,
    if_range: Option<String>,
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Asked> {
    let mut asked = Asked::default();
    let mut line = String::new();
    reader.by_ref().take(MAX_LINE).read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    asked.method = words.next().unwrap_or_default();
    asked.target = words.next().unwrap_or_default();
    loop {
        line.clear();
        reader.by_ref().take(MAX_LINE).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(asked);
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("range") {
            asked.range_start = value.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
        } else if name.eq_ignore_ascii_case("if-range") {
            asked.if_range = Some(value.to_owned());
        }
    }
}

fn answer(mut connection: TcpStream, versions: &BTreeSet<Version>) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let asked = read_request(&mut BufReader::new(connection.try_clone()?))?;
    if asked.method != "GET" {
        return connection.write_all(
            b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let response = match content(versions, &asked.target) {
        Ok(Some(body)) => found(&asked, &body),
        Ok(None) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        Err(_) => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
    };
    connection.write_all(&response)?;
    connection.flush()
}

/// The answer with content: whole, or from where the client had got to, if it is still the same.
fn found(asked: &Asked, body: &[u8]) -> Vec<u8> {
    let etag = format!("\"{}\"", Sha256Digest::of(body));
    let total = body.len();
    let start = asked.range_start.filter(|_| asked.if_range.as_ref().is_none_or(|wanted| *wanted == etag));
    let (head, part) = match start {
        Some(start) if start >= total => {
            (format!("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\n"), &[][..])
        }
        Some(start) => (
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}\r\n", total - 1),
            &body[start..],
        ),
        None => ("HTTP/1.1 200 OK\r\n".to_owned(), body),
    };
    let mut response = format!(
        "{head}ETag: {etag}\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        part.len()
    )
    .into_bytes();
    response.extend_from_slice(part);
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::release::{
        HttpClient, Limits, LockedRelease, NoProgress, Request, Target, WantedVersion, fetch, newest, resolve, verify,
    };
    use std::process::Command;

    fn request() -> Request<'static> {
        Request {
            version: WantedVersion::Latest,
            prereleases: false,
            arch: Arch::Amd64,
            variant: Variant::Default,
            pinned: None,
            locked: None,
        }
    }

    fn lock(stand_in: &StandIn, request: &Request<'_>) -> Result<LockedRelease, Error> {
        resolve(request, &stand_in.source().unwrap(), &HttpClient::default(), &NoProgress)
    }

    #[test]
    fn a_rehearsal_goes_the_whole_way() {
        let stand_in = StandIn::start(&[]).unwrap();
        let lock = lock(&stand_in, &request()).unwrap();
        assert_eq!(lock.url, "rehearsal:v0.19.2/gotosocial_0.19.2_freebsd_amd64.tar.gz");
        assert!(lock.size.is_some());
        let parent = tempfile::tempdir().unwrap();
        let unpacked = fetch(
            &lock,
            &stand_in.source().unwrap(),
            Target { parent: parent.path(), name: "0.19.2", partial: None },
            &Limits::default(),
            &HttpClient::default(),
            &NoProgress,
        )
        .unwrap();
        assert!(verify(&unpacked.path).unwrap().is_intact());
        let program = unpacked.path.join("gotosocial");
        let told = Command::new(&program).arg("--version").output().unwrap();
        assert!(told.status.success());
        assert_eq!(told.stdout, b"gotosocial version 0.19.2\n");
        let run = Command::new(&program).args(["server", "start"]).output().unwrap();
        assert_eq!(run.status.code(), Some(1));
        assert!(String::from_utf8(run.stderr).unwrap().contains("stand-in"));
    }

    #[test]
    fn the_same_release_has_the_same_lock_on_any_port() {
        let (one, two) = (StandIn::start(&[]).unwrap(), StandIn::start(&[]).unwrap());
        assert_ne!(one.source().unwrap(), two.source().unwrap());
        assert_eq!(lock(&one, &request()).unwrap(), lock(&two, &request()).unwrap());
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
        let stand_in = StandIn::start(std::slice::from_ref(&asked)).unwrap();
        let exact = |version| Request { version: WantedVersion::Exact(version), ..request() };
        assert_eq!(lock(&stand_in, &exact(asked.clone())).unwrap().version, asked);
        assert!(matches!(lock(&stand_in, &exact(Version::new(0, 17, 0))), Err(Error::NoDigest { .. })));
    }

    #[test]
    fn the_prerelease_is_the_newest_only_if_wanted() {
        let stand_in = StandIn::start(&[]).unwrap();
        let newest = |prereleases| {
            newest(&stand_in.source().unwrap(), prereleases, &HttpClient::default(), &NoProgress)
                .unwrap()
                .version
                .to_string()
        };
        assert_eq!(newest(false), "0.19.2");
        assert_eq!(newest(true), "0.20.0-rc1");
    }

    #[test]
    fn a_lock_or_a_pin_of_the_real_release_is_refused_with_advice() {
        let stand_in = StandIn::start(&[]).unwrap();
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

    #[test]
    fn the_server_ends_with_its_value() {
        let stand_in = StandIn::start(&[]).unwrap();
        let shared_with_the_server = Arc::clone(&stand_in.is_ending);
        assert_eq!(Arc::strong_count(&shared_with_the_server), 3);
        drop(stand_in);
        assert_eq!(Arc::strong_count(&shared_with_the_server), 1);
    }

    #[test]
    fn ranges_are_served_if_the_file_is_the_same() {
        let body = b"0123456789";
        let etag = format!("\"{}\"", Sha256Digest::of(body));
        let ask = |range_start, if_range| {
            let asked = Asked { range_start, if_range, ..Asked::default() };
            String::from_utf8(found(&asked, body)).unwrap()
        };
        let part = ask(Some(4), Some(etag));
        assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n456789"));
        assert!(part.contains("Content-Range: bytes 4-9/10"));
        assert!(ask(Some(4), Some("\"other\"".into())).starts_with("HTTP/1.1 200"));
        assert!(ask(Some(10), None).starts_with("HTTP/1.1 416"));
        assert!(ask(None, None).ends_with("\r\n\r\n0123456789"));
    }

    #[test]
    fn requests_are_read_with_their_range() {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nrange: bytes=7-\r\nIf-Range: \"e\"\r\n\r\n";
        assert_eq!(
            read_request(&mut text.as_bytes()).unwrap(),
            Asked { method: "GET".into(), target: "/a?b".into(), range_start: Some(7), if_range: Some("\"e\"".into()) }
        );
    }
}
