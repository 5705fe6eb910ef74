//! A certificate authority in memory, for the servers' own certificates and for certificates that were "issued".

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
