//! Certificates as a rehearsal shows them.

use std::path::Path;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::release::Sha256Digest;

use super::super::{HostError, Owner, ServedCertificate};
use super::authority;
use super::machine::{Access, ENOENT, Machine};
use super::model::Program;

/// What a certificate file says: the first certificate of a PEM file.
fn describe(text: &str) -> Option<ServedCertificate> {
    let pem = Pem::iter_from_buffer(text.as_bytes()).flatten().find(|pem| pem.label == "CERTIFICATE")?;
    let certificate = pem.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok().flatten().map(|extension| {
        let names = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_string()),
            _ => None,
        });
        names.collect()
    });
    Some(ServedCertificate {
        names: names.unwrap_or_default(),
        issuer: certificate.issuer().to_string(),
        not_after: u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0),
        sha256: Sha256Digest::of(&pem.contents).to_string(),
    })
}

/// The certificate in a file, as an account may read it.
pub(super) fn in_file(machine: &Machine, who: Owner, path: &Path) -> Result<Option<ServedCertificate>, HostError> {
    if machine.may(who, path, Access::Read).is_err() {
        return Ok(None);
    }
    Ok(describe(&machine.text(path)?))
}

/// What is wrong with a certificate and its key, for whoever loads them as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairFault {
    /// There is no file with a certificate.
    NoChain,
    /// There is no certificate in the file.
    BadChain,
    /// There is no file with a key.
    NoKey,
    /// There is no key in the file.
    BadKey,
    /// The key is another certificate's.
    Mismatch,
}

/// Loads a certificate and its key, as a web server's first process does.
pub(super) fn pair(machine: &Machine, chain: &Path, key: &Path) -> Result<ServedCertificate, PairFault> {
    let read = |path: &Path| machine.files.read(path).ok().flatten();
    let chain = read(chain).ok_or(PairFault::NoChain)?;
    let chain_text = String::from_utf8_lossy(&chain);
    let shown = describe(&chain_text).ok_or(PairFault::BadChain)?;
    let key = read(key).ok_or(PairFault::NoKey)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| PairFault::BadKey)?;
    let key = any_supported_type(&key).map_err(|_| PairFault::BadKey)?;
    match CertifiedKey::new(certificates, key).keys_match() {
        Ok(()) => Ok(shown),
        Err(_) => Err(PairFault::Mismatch),
    }
}

/// Whether a name, or a pattern with `*.` in front, is that of a host.
pub(super) fn covers(name: &str, host: &str) -> bool {
    let pattern = name.strip_prefix("*.").zip(host.split_once('.'));
    name.eq_ignore_ascii_case(host) || pattern.is_some_and(|(rest, (_, tail))| rest.eq_ignore_ascii_case(tail))
}

/// Why a client that checks would not take the certificate.
pub(super) fn fault(certificate: &ServedCertificate, host: &str, clock: u64) -> Option<String> {
    if certificate.not_after <= clock {
        return Some("the certificate has expired".into());
    }
    if !certificate.names.iter().any(|name| covers(name, host)) {
        return Some(format!("the certificate is not valid for {host}"));
    }
    None
}

/// Has the certificate authority issue a certificate for GoToSocial's host, as the first request for it does, and
/// stores it in the certificate folder. The error is what GoToSocial logs.
pub(super) fn obtain(machine: &mut Machine, program: &Program, folder: &Path) -> Result<ServedCertificate, String> {
    let host = &program.host;
    prepare_folder(machine, program.owner, folder)?;
    authority::refuses_gotosocial(machine, host)?;
    let text = authority::issue(machine, host).map_err(|error| error.to_string())?;
    let text = text.autocert_pem().map_err(|error| error.to_string())?;
    let text = text.expose();
    for (name, text) in [("acme_account+key", "stands for an account key\n"), (host.as_str(), text)] {
        let path = folder.join(name);
        let written = machine.write_as(program.owner, &path, text.as_bytes(), 0o600);
        written.map_err(|error| error.to_string())?;
    }
    describe(text).ok_or_else(|| "the certificate cannot be read back".into())
}

fn prepare_folder(machine: &mut Machine, who: Owner, folder: &Path) -> Result<(), String> {
    let denied = || format!("mkdir {}: permission denied", folder.display());
    match machine.may(who, folder, Access::Write) {
        Ok(()) => Ok(()),
        Err(ENOENT) => {
            let parent = folder.parent().ok_or_else(denied)?;
            machine.may(who, parent, Access::Write).map_err(|_| denied())?;
            machine.make_directory_as(who, folder, 0o700).map_err(|error| error.to_string())
        }
        Err(_) => Err(denied()),
    }
}
