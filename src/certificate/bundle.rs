//! [`Bundle`]: a private key and the certificate chain that belongs to it.
//!
//! GoToSocial keeps both in one file of its certificate folder, named after the host: the cache of
//! golang.org/x/crypto/acme/autocert. `cachePut()` there writes the key first, as `EC PRIVATE KEY` (SEC1), then the
//! certificates, leaf first. `cacheGet()` takes such a file only if nothing follows the last block, the key matches the leaf,
//! the leaf is for the host and valid now, and the key is an EC key (RSA belongs into a second file, `HOST+rsa`, for clients
//! that know no elliptic curves). Anything else is a cache miss: GoToSocial orders a new certificate.

use rustls::client::verify_server_name;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, SignatureAlgorithm};
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::pem;
use crate::deployment::{HostName, Secret};
use crate::utc::date;

/// A private key and its certificate chain, leaf first. That they belong together has been checked; for which host and
/// until when they are good, [`Bundle::check`] tells.
#[derive(Debug)]
pub struct Bundle {
    key: PrivateKeyDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    /// The public point or key of the leaf, as it stands in the certificate.
    public: Vec<u8>,
}

/// What the leaf certificate says (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// DNS names in its subjectAltName.
    pub names: Vec<String>,
    /// Who issued it, as a distinguished name.
    pub issuer: String,
    /// Valid from, seconds since 1970.
    pub not_before: u64,
    /// Valid until, seconds since 1970.
    pub not_after: u64,
    /// What kind of key it is for.
    pub key: KeyType,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Elliptic curve, P-256 or P-384.
    Ec,
    /// RSA.
    Rsa,
    /// Another one, such as Ed25519.
    Other,
}

/// Why a key and a chain cannot be used. Numbers of certificates count from 1; times are in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BundleError {
    /// Not PEM, or cut off.
    #[error("the file is damaged ({0}); take it from a backup, or order a new certificate")]
    Damaged(String),
    /// No private key.
    #[error("there is no private key in it; name the file that holds the key (PEM, with a PRIVATE KEY block)")]
    NoKey,
    /// More than one private key.
    #[error(
        "there are two private keys in it, and only one can be right; leave the one of this certificate in the file"
    )]
    TwoKeys,
    /// The key wants a passphrase.
    #[error(
        "the private key is encrypted with a passphrase, which nobody can type when the server starts; \
         write it without one (`openssl pkey -in KEY -out NEWKEY`)"
    )]
    Encrypted,
    /// The key is of a kind that is not supported, or broken.
    #[error("the private key cannot be used ({0}); use an EC key (P-256 or P-384) or an RSA key of 2048 bits or more")]
    Key(String),
    /// No certificate.
    #[error("there is no certificate in it; name the file that holds the certificate with its chain (fullchain)")]
    NoCertificate,
    /// The certificate with this number cannot be read, and why.
    #[error("certificate {0} of the chain cannot be read ({1}); take the file from a backup, or order a new one")]
    Certificate(usize, String),
    /// The key does not belong to the leaf, which is for these names.
    #[error(
        "the private key does not belong to the certificate for {0}; \
         they are from two different orders: name the pair that was written together"
    )]
    KeyMismatch(String),
    /// The leaf is not the first certificate, but the one with this number.
    #[error(
        "the certificate that the private key belongs to is number {0} of the chain; it must be the first, \
         followed by the one that issued it: put the chain in that order"
    )]
    LeafNotFirst(usize),
    /// The certificate with this number has another issuer than the one after it, or a wrong signature.
    #[error(
        "certificate {0} of the chain was not issued by the one after it ({1}); \
         put the chain in order, leaf first, each followed by its issuer"
    )]
    Order(usize, String),
    /// For these names, and not for that host.
    #[error("the certificate is for {0}, not for {1}; order one for {1}")]
    OtherHost(String, String),
    /// Not valid yet, but from this time.
    #[error("the certificate is valid only from {0}; if that is not in the future, set this host's clock right")]
    NotYetValid(String),
    /// Not valid any more since this time.
    #[error("the certificate expired on {0}; order a new one")]
    Expired(String),
    /// A key that GoToSocial's cache has no place for.
    #[error(
        "GoToSocial keeps only certificates with an EC key that names its curve, and this one has another key; \
         leave it out of the cache, and GoToSocial orders its own when the first https request comes in"
    )]
    NotForGoToSocial,
}

impl Bundle {
    /// Reads key and chain from one file, as GoToSocial keeps them. The key may also stand behind the certificates.
    ///
    /// # Errors
    /// The file is damaged, something is missing, or what is in it does not belong together.
    pub fn from_pem(text: &[u8]) -> Result<Self, BundleError> {
        Self::from_files(text, text)
    }

    /// Reads them from two files, as other ACME clients keep them.
    ///
    /// # Errors
    /// As for [`Bundle::from_pem`].
    pub fn from_files(key: &[u8], chain: &[u8]) -> Result<Self, BundleError> {
        let key = pem::read(key)?.key.ok_or(BundleError::NoKey)?;
        Self::new(key, pem::read(chain)?.certificates)
    }

    /// Puts a key and a chain together.
    fn new(key: PrivateKeyDer<'static>, chain: Vec<CertificateDer<'static>>) -> Result<Self, BundleError> {
        let signing = any_supported_type(&key).map_err(|error| BundleError::Key(in_words(&error)))?;
        let parsed = parse(&chain)?;
        let first = parsed.first().ok_or(BundleError::NoCertificate)?;
        let kind = match signing.algorithm() {
            SignatureAlgorithm::ECDSA => KeyType::Ec,
            SignatureAlgorithm::RSA => KeyType::Rsa,
            _ => KeyType::Other,
        };
        let leaf = describe(first, kind);
        let public = first.public_key().subject_public_key.data.to_vec();
        let is_for = |certificate: &CertificateDer<'static>| {
            CertifiedKey::new(vec![certificate.clone()], signing.clone()).keys_match().is_ok()
        };
        match chain.iter().position(is_for) {
            Some(0) => {}
            Some(other) => return Err(BundleError::LeafNotFirst(other + 1)),
            None => return Err(BundleError::KeyMismatch(leaf.names.join(", "))),
        }
        in_order(&parsed)?;
        Ok(Self { key, leaf, public, chain })
    }

    /// What the leaf says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The leaf itself, DER.
    pub fn leaf_der(&self) -> &CertificateDer<'static> {
        // A chain without a certificate is never made.
        &self.chain[0]
    }

    /// Whether a client that asks for `host` would take it at `now` (seconds since 1970), its trust in the issuer aside.
    ///
    /// # Errors
    /// It is for other names, has expired, or is not valid yet.
    pub fn check(&self, host: &HostName, now: u64) -> Result<(), BundleError> {
        let other = || BundleError::OtherHost(self.leaf.names.join(", "), host.to_string());
        let name = ServerName::try_from(host.as_str()).map_err(|_| other())?;
        let leaf = ParsedCertificate::try_from(self.leaf_der())
            .map_err(|error| BundleError::Certificate(1, in_words(&error)))?;
        verify_server_name(&leaf, &name).map_err(|_| other())?;
        if now < self.leaf.not_before {
            return Err(BundleError::NotYetValid(date(self.leaf.not_before)));
        }
        if now > self.leaf.not_after {
            return Err(BundleError::Expired(date(self.leaf.not_after)));
        }
        Ok(())
    }

    /// The chain file of a front: leaf, then its issuers.
    pub fn chain_pem(&self) -> String {
        pem::write_chain(&self.chain)
    }

    /// The key file of a front.
    pub fn key_pem(&self) -> Secret {
        Secret::new(pem::write_key(&self.key))
    }

    /// The file for GoToSocial's certificate folder, named after the host: byte for byte what `cachePut()` would write.
    ///
    /// # Errors
    /// The key is not one that GoToSocial keeps under that name.
    pub fn autocert_pem(&self) -> Result<Secret, BundleError> {
        if self.leaf.key != KeyType::Ec {
            return Err(BundleError::NotForGoToSocial);
        }
        let key = pem::write_autocert_key(&self.key, &self.public).ok_or(BundleError::NotForGoToSocial)?;
        Ok(Secret::new(key + &self.chain_pem()))
    }
}

/// Reads a chain, leaf first, without its key, and gives it back in the one form that this program writes.
///
/// # Errors
/// It is damaged, empty, or not in order.
pub(super) fn read_chain(text: &[u8]) -> Result<String, BundleError> {
    let chain = pem::read(text)?.certificates;
    in_order(&parse(&chain)?)?;
    if chain.is_empty() { Err(BundleError::NoCertificate) } else { Ok(pem::write_chain(&chain)) }
}

/// Looks at a file that holds a private key alone.
///
/// # Errors
/// There is none in it, or none that can sign.
pub fn check_key(text: &[u8]) -> Result<(), BundleError> {
    let key = pem::read(text)?.key.ok_or(BundleError::NoKey)?;
    any_supported_type(&key).map(drop).map_err(|error| BundleError::Key(in_words(&error)))
}

/// What the TLS library says, without the wrapping of its errors.
fn in_words(error: &TlsError) -> String {
    match error {
        TlsError::General(text) => text.clone(),
        other => other.to_string(),
    }
}

fn parse<'a>(chain: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, BundleError> {
    let parse_one = |(index, der): (usize, &'a CertificateDer<'static>)| {
        let failed = |reason: String| BundleError::Certificate(index + 1, reason);
        let (rest, certificate) = parse_x509_certificate(der).map_err(|error| failed(error.to_string()))?;
        if rest.is_empty() { Ok(certificate) } else { Err(failed("there is more after its end".into())) }
    };
    chain.iter().enumerate().map(parse_one).collect()
}

/// The DNS names in the subjectAltName of a certificate.
pub(crate) fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten().map(|extension| &extension.value.general_names);
    let of_dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.into_iter().flatten().filter_map(of_dns).collect()
}

fn describe(certificate: &X509Certificate<'_>, key: KeyType) -> Leaf {
    let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    let validity = certificate.validity();
    Leaf {
        names: dns_names(certificate),
        issuer: certificate.issuer().to_string(),
        not_before: seconds(validity.not_before),
        not_after: seconds(validity.not_after),
        key,
    }
}

/// Whether each certificate was issued by the next one.
fn in_order(chain: &[X509Certificate<'_>]) -> Result<(), BundleError> {
    for (index, pair) in chain.windows(2).enumerate() {
        let [child, parent] = pair else { continue };
        let wrong = |reason: String| BundleError::Order(index + 1, reason);
        if child.issuer().as_raw() != parent.subject().as_raw() {
            let (issuer, next) = (child.issuer(), parent.subject());
            return Err(wrong(format!("it names {issuer} as its issuer, and what follows is {next}")));
        }
        match child.verify_signature(Some(parent.public_key())) {
            // An algorithm that cannot be judged here may still be one that browsers know.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => {}
            Err(_) => return Err(wrong("the name is right, but the signature is not by that key".into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
