//! CA certificates: where they are, and which are taken.
//!
//! What `SSL_CERT_FILE` and `SSL_CERT_DIR` name counts alone, and all of it: who names a file wants to trust that and no more.
//! Otherwise the first of the system's places counts that holds a certificate, in the order of fetch(1) (`common.c` of
//! libfetch) and then of OpenSSL, the same from FreeBSD 13 to 15. libfetch stops at the first file that it may read, and then
//! trusts nobody if that holds none; here such a place is passed over with a note, as OpenSSL does with its own file.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::shown::Shown;

/// A file that counts instead of the system's places.
pub(crate) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Folders that do, with colons between them.
pub(crate) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";

/// The system's places: the administrator's file; the file that certctl(8) of 15 writes, or the package ca_root_nss on older
/// systems as a link; certctl's folder; the package's own file.
const PLACES: [&str; 4] =
    ["/usr/local/etc/ssl/cert.pem", "/etc/ssl/cert.pem", "/etc/ssl/certs", "/usr/local/share/certs/ca-root-nss.crt"];

/// For tests: the folder that the places are in, instead of `/`.
#[cfg(debug_assertions)]
pub(crate) const ROOT_FOR_TESTS: &str = "GTSB_CA_ROOT";

/// What is at a path, links followed.
pub(crate) enum Content {
    Nothing,
    File(Vec<u8>),
    Folder(Vec<String>),
}

/// Tells what is at a path, or in words why that cannot be told.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> Result<Content, String>;

/// The certificates that are trusted.
#[derive(Debug)]
pub(crate) struct Authorities {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// Where they are.
    pub(crate) places: Vec<PathBuf>,
    /// The places that were passed over, each with the reason.
    pub(crate) passed_over: Vec<String>,
    /// Whether variables named the places.
    pub(crate) named: bool,
}

impl Authorities {
    /// Those that this process may read.
    ///
    /// # Errors
    /// In words: there are none.
    pub(crate) fn of_this_process() -> Result<Self, String> {
        #[cfg(debug_assertions)]
        let root = std::env::var_os(ROOT_FOR_TESTS).map_or_else(|| PathBuf::from("/"), PathBuf::from);
        #[cfg(not(debug_assertions))]
        let root = PathBuf::from("/");
        Self::find(&|name| std::env::var_os(name), &|path| on_disk(&root.join(path.strip_prefix("/").unwrap_or(path))))
    }

    /// Those that the variables of `environment` name, or the system's.
    ///
    /// # Errors
    /// In words: there are none.
    pub(crate) fn find(environment: &dyn Fn(&str) -> Option<OsString>, read: Read<'_>) -> Result<Self, String> {
        let variable = |name| environment(name).filter(|value| !value.is_empty());
        let (file, folders) = (variable(SSL_CERT_FILE), variable(SSL_CERT_DIR));
        let folders = folders.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty());
        let mut places: Vec<PathBuf> = file.into_iter().map(PathBuf::from).chain(folders).collect();
        let named = !places.is_empty();
        if !named {
            places = PLACES.map(PathBuf::from).into();
        }
        let mut found = Self { certificates: Vec::new(), places: Vec::new(), passed_over: Vec::new(), named };
        let mut missing = Vec::new();
        for place in places {
            match certificates(&place, read) {
                Ok(None) => missing.push(format!("{} is not there", place.shown())),
                Err(why) => found.passed_over.push(format!("{} {why}", place.shown())),
                Ok(Some(certificates)) => {
                    found.certificates.extend(certificates);
                    found.places.push(place);
                    if !named {
                        break;
                    }
                }
            }
        }
        // What somebody has named should be there; of the system's places most are not.
        if named || found.certificates.is_empty() {
            found.passed_over.append(&mut missing);
        }
        if found.certificates.is_empty() {
            let only = if named { " (SSL_CERT_FILE and SSL_CERT_DIR name nothing else)" } else { "" };
            return Err(found.passed_over.join(", ") + only);
        }
        Ok(found)
    }
}

/// The certificates at a place; `None` if nothing is there.
fn certificates(place: &Path, read: Read<'_>) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let mut certificates = Vec::new();
    match read(place)? {
        Content::Nothing => return Ok(None),
        Content::File(bytes) => certificates.extend(authorities_in(&bytes)),
        Content::Folder(names) => {
            let mut unread = None;
            for name in &names {
                match read(&place.join(name)) {
                    Ok(Content::File(bytes)) => certificates.extend(authorities_in(&bytes)),
                    Ok(_) => {}
                    Err(why) => unread = Some(format!("{} {why}", name.shown())),
                }
            }
            // One certificate may have several names.
            certificates.sort_unstable_by(|a: &CertificateDer<'_>, b| a.as_ref().cmp(b.as_ref()));
            certificates.dedup();
            match unread {
                _ if names.is_empty() => return Err("is empty".to_owned()),
                Some(why) if certificates.is_empty() => {
                    return Err(format!("holds no certificate that can be read: {why}"));
                }
                _ => {}
            }
        }
    }
    if certificates.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(Some(certificates)) }
}

/// The certificates of a PEM file that can be trusted; what else is in it is left out.
fn authorities_in(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let blocks = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    blocks.filter(|block| RootCertStore::empty().add(block.clone()).is_ok()).collect()
}

/// Reads what this process may read.
fn on_disk(path: &Path) -> Result<Content, String> {
    let unreadable = |error: io::Error| format!("cannot be read ({error})");
    let of_names = |folder: fs::ReadDir| {
        let names = folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<Vec<_>>>()
    };
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::read(path).map(Content::File).map_err(unreadable),
        Ok(found) if found.is_dir() => fs::read_dir(path).and_then(of_names).map(Content::Folder).map_err(unreadable),
        Ok(_) => Err(NEITHER.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Err(DANGLES.to_owned()),
            Err(_) => Ok(Content::Nothing),
        },
        Err(error) => Err(unreadable(error)),
    }
}

/// Why a place cannot be read.
pub(crate) const DANGLES: &str = "is a link to what is not there";
pub(crate) const NEITHER: &str = "is neither a file nor a folder";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const A: &str = include_str!("../../tests/release/fixtures/loopback-cert.pem");
    const B: &str = include_str!("../../tests/release/fixtures/stranger-cert.pem");

    /// What is found where these files are, and those names in the folder.
    fn found(
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<(Vec<PathBuf>, usize, Vec<String>), String> {
        let files: BTreeMap<PathBuf, &str> = files.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
        let variable = |name: &str| Some(environment.iter().find(|(other, _)| *other == name)?.1.into());
        let read = |path: &Path| match files.get(path) {
            Some(&"dangles") => Err(DANGLES.to_owned()),
            Some(&"refused") => Err("cannot be read (Permission denied)".to_owned()),
            Some(&"folder") => {
                let below = files.keys().filter(|file| file.parent() == Some(path));
                Ok(Content::Folder(below.map(|file| file.file_name().unwrap().to_string_lossy().into()).collect()))
            }
            Some(text) => Ok(Content::File(text.as_bytes().to_vec())),
            None => Ok(Content::Nothing),
        };
        Authorities::find(&variable, &read).map(|found| (found.places, found.certificates.len(), found.passed_over))
    }

    fn taken(files: &[(&str, &str)]) -> (String, usize, String) {
        let (places, count, notes) = found(files, &[]).unwrap();
        (places.iter().map(|place| place.to_str().unwrap()).collect::<Vec<_>>().join(":"), count, notes.join("; "))
    }

    #[test]
    fn the_first_place_that_holds_a_certificate_counts_alone() {
        let [local, base, folder, package] = PLACES;
        let both = format!("{A}{B}");
        let link = format!("{folder}/0123abcd.0");
        let all = [(local, A), (base, &both), (folder, "folder"), (&link, A), (package, B)];
        assert_eq!(taken(&all), (local.into(), 1, String::new()));
        assert_eq!(taken(&all[1..]), (base.into(), 2, String::new()));
        assert_eq!(taken(&all[2..]), (folder.into(), 1, String::new()));
        assert_eq!(taken(&all[4..]), (package.into(), 1, String::new()));
    }

    #[test]
    fn what_holds_none_is_passed_over_with_a_note() {
        let [local, base, folder, package] = PLACES;
        for (text, why) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "holds no certificate"),
            ("dangles", DANGLES),
            ("refused", "cannot be read (Permission denied)"),
        ] {
            assert_eq!(taken(&[(local, text), (base, A)]), (base.into(), 1, format!("{local} {why}")), "{text}");
        }
        assert_eq!(taken(&[(folder, "folder"), (package, A)]), (package.into(), 1, format!("{folder} is empty")));
        let link = format!("{folder}/0123abcd.0");
        let note = format!("{folder} holds no certificate that can be read: 0123abcd.0 {DANGLES}");
        assert_eq!(taken(&[(folder, "folder"), (&link, "dangles"), (package, A)]), (package.into(), 1, note));
        // A broken link beside good ones takes nothing away, and two names are one certificate.
        let [good, again] = ["0", "1"].map(|number| format!("{folder}/4567.{number}"));
        let files = [(folder, "folder"), (&*link, "dangles"), (&*good, A), (&*again, A)];
        assert_eq!(taken(&files), (folder.into(), 1, String::new()));
    }

    #[test]
    fn what_variables_name_counts_alone() {
        let [local, ..] = PLACES;
        let files = [(local, A), ("/my/ca.pem", B), ("/my/empty.pem", ""), ("/my/a", "folder"), ("/my/a/x", A)];
        let with = |environment: &[(&str, &str)]| found(&files, environment);
        assert_eq!(with(&[(SSL_CERT_FILE, "/my/ca.pem")]), Ok((vec!["/my/ca.pem".into()], 1, vec![])));
        assert_eq!(with(&[(SSL_CERT_DIR, "/nowhere:/my/a")]).unwrap().0, [PathBuf::from("/my/a")]);
        let both = with(&[(SSL_CERT_FILE, "/my/ca.pem"), (SSL_CERT_DIR, "/my/a")]).unwrap();
        assert_eq!((both.0.len(), both.1), (2, 2));
        let missing = with(&[(SSL_CERT_FILE, "/my/other.pem")]).unwrap_err();
        assert!(missing.starts_with("/my/other.pem is not there (SSL_CERT_FILE and"), "{missing}");
        assert!(
            with(&[(SSL_CERT_FILE, "/my/empty.pem")]).unwrap_err().starts_with("/my/empty.pem holds no certificate")
        );
        assert_eq!(with(&[(SSL_CERT_FILE, "")]).unwrap().0, [PathBuf::from(local)]);
    }

    #[test]
    fn a_host_without_any_is_told_of_every_place() {
        let said = found(&[(PLACES[1], "refused")], &[]).unwrap_err();
        for place in PLACES {
            assert!(said.contains(place), "{said}");
        }
        assert!(said.contains("/etc/ssl/cert.pem cannot be read (Permission denied)"), "{said}");
    }
}
