//! A certificate authority in memory, for the servers' own certificates and for certificates that were "issued"; and
//! authorities as the program sees them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gts_bootstrap::certificate::acme::{Account, AcmeError, Challenge, Internet};
use gts_bootstrap::certificate::renewal::Window;
use gts_bootstrap::certificate::{Bundle, CertificateAuthority};
use gts_bootstrap::child;
use gts_bootstrap::deployment::EmailAddress;
use gts_bootstrap::host::Observe;
use gts_bootstrap::host::freebsd::FreeBsd;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::orders::host;
use crate::children::PROGRAM;

/// The variable that names another program for the children.
pub const CHILD_PROGRAM: &str = "CHILD_PROGRAM";

/// An authority at this address.
#[derive(Clone)]
pub struct Authority {
    pub directory: String,
    pub internet: Internet,
}

impl Authority {
    /// One whose own certificate only the system's roots vouch for. Who talks with it is nobody, if these tests run as root.
    pub fn new(directory: String) -> Self {
        child::use_program(std::env::var_os(CHILD_PROGRAM).map_or_else(|| PROGRAM.into(), PathBuf::from));
        let stranger = FreeBsd::rooted(Path::new("/")).stranger().unwrap();
        Self { directory, internet: Internet::new(stranger) }
    }

    /// The same, with another root.
    pub fn trusting(mut self, root: &[u8]) -> Self {
        self.internet.roots.push(CertificateDer::from_pem_slice(root).unwrap().to_vec());
        self
    }

    /// The same, with these limits for an answer and an order, and with looks that often.
    pub fn patient_for(mut self, request: Duration, order: Duration, look: Duration) -> Self {
        self.internet = Internet { request, order, look, ..self.internet };
        self
    }
}

pub fn register(authority: &Authority, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
    authority.internet.register(&authority.directory, email)
}

/// Orders a certificate for the host.
pub fn order(
    authority: &Authority,
    account: &Account,
    replaces: Option<&Bundle>,
    challenge: &mut dyn Challenge,
) -> Result<Bundle, AcmeError> {
    authority.internet.order(account, &host(), replaces, challenge)
}

pub fn renewal_window(authority: &Authority, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
    authority.internet.renewal_window(account, bundle)
}

/// A root certificate and its key.
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

/// What it issues.
pub struct Issued {
    pub certificate: String,
    pub certificate_der: CertificateDer<'static>,
    pub key: String,
    pub key_der: PrivateKeyDer<'static>,
}

impl TestAuthority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub fn root(&self) -> &[u8] {
        self.root.as_bytes()
    }

    pub fn issue(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            certificate_der: certificate.der().clone(),
            key: key.serialize_pem(),
            key_der: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}
