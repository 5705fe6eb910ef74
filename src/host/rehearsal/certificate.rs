//! Certificates as a rehearsal shows them.

use std::path::Path;

use nix::errno::Errno;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::super::{HostError, Owner, ServedCertificate, WebFailure, WebRequest};
use super::authority;
use super::machine::{Access, Machine};
use super::model::{Authority, Model, Program};

/// The first certificate of a PEM file.
fn describe(pem: &[u8]) -> Option<ServedCertificate> {
    ServedCertificate::of_der(&CertificateDer::from_pem_slice(pem).ok()?)
}

/// The certificate in a file, if an account may read it.
pub(super) fn in_file(machine: &Machine, who: Owner, path: &Path) -> Result<Option<ServedCertificate>, HostError> {
    if machine.may(who, path, Access::Read).is_err() {
        return Ok(None);
    }
    Ok(machine.read(path)?.and_then(|pem| describe(&pem)))
}

/// Loads a certificate and its key as root, as a web server's first process does; or what is wrong with them.
pub(super) fn pair(machine: &Machine, chain: &Path, key: &Path) -> Result<ServedCertificate, String> {
    let read = |path: &Path| machine.read(path).ok().flatten().unwrap_or_default();
    let pem = read(chain);
    let shown = describe(&pem).ok_or_else(|| format!("{} holds no certificate", chain.display()))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    let signing = PrivateKeyDer::from_pem_slice(&read(key)).ok().and_then(|key| any_supported_type(&key).ok());
    let signing = signing.ok_or_else(|| format!("{} holds no key", key.display()))?;
    match CertifiedKey::new(certificates, signing).keys_match() {
        Ok(()) => Ok(shown),
        Err(_) => Err(format!("{} is not the key of {}", key.display(), chain.display())),
    }
}

/// Whether a name, or a pattern that starts with `*.`, covers a host.
fn covers(name: &str, host: &str) -> bool {
    let pattern = name.strip_prefix("*.").zip(host.split_once('.'));
    name.eq_ignore_ascii_case(host) || pattern.is_some_and(|(rest, (_, tail))| rest.eq_ignore_ascii_case(tail))
}

/// Refuses a certificate as a client that verifies it does.
pub(super) fn judge(shown: &ServedCertificate, request: &WebRequest, model: &Model) -> Result<(), WebFailure> {
    if request.verify && model.authority == Authority::Private {
        return Err(WebFailure::Tls("invalid peer certificate: UnknownIssuer".into()));
    }
    if request.verify && shown.not_after <= model.clock {
        return Err(WebFailure::Tls("the certificate has expired".into()));
    }
    if request.verify && !shown.names.iter().any(|name| covers(name, &request.host)) {
        return Err(WebFailure::Tls(format!("the certificate is not valid for {}", request.host)));
    }
    Ok(())
}

/// Makes the authority issue a certificate for GoToSocial's host, as the first request for it does, and stores it in the
/// certificate folder. The error is what GoToSocial logs.
pub(super) fn obtain(machine: &mut Machine, program: &Program, folder: &Path) -> Result<ServedCertificate, String> {
    let host = &program.host;
    let writable = match machine.may(program.owner, folder, Access::Write) {
        Err(Errno::ENOENT) => machine.make_directory_as(program.owner, folder, 0o700),
        may => may.is_ok(),
    };
    if !writable {
        return Err(format!("mkdir {}: permission denied", folder.display()));
    }
    authority::refuses_gotosocial(machine, host)?;
    let bundle = authority::issue(machine, host).map_err(|error| error.to_string())?;
    let text = bundle.autocert_pem().map_err(|error| error.to_string())?;
    let text = text.expose();
    let account = authority::cached_account_key().map_err(|error| error.to_string())?;
    for (name, text) in [("acme_account+key", account.as_str()), (host.as_str(), text)] {
        let written = machine.write_as(program.owner, &folder.join(name), text.as_bytes(), 0o600);
        written.map_err(|error| error.to_string())?;
    }
    describe(text.as_bytes()).ok_or_else(|| "the certificate cannot be read back".into())
}
