//! The certificate: made when the first TLS connection with the host's own name comes in, as the real program orders
//! it, and kept in autocert's form: a file `<host>` in the certificate folder, mode 0600, with the EC PRIVATE KEY block (SEC 1)
//! first and the certificate after it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

/// How long Let's Encrypt's certificates are valid.
const VALIDITY: Duration = Duration::from_secs(90 * 86_400);
/// The end of ring's PKCS #8 form of a P-256 key is an ECPrivateKey (RFC 5915): the header of a SEQUENCE, version and
/// private key; then the public key as `[1]`. These are the lengths of the two parts, in bytes.
const PRIVATE: usize = 39;
const PUBLIC: usize = 70;
/// What the first part begins with: a SEQUENCE of 107 bytes.
const HEADER: [u8; 2] = [0x30, 107];
/// `[0]`: the curve, P-256, which PKCS #8 has elsewhere.
const CURVE: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// What is served with, for `host`: from the folder, or made now.
pub(super) fn server_config(folder: &Path, host: &str) -> Result<Arc<ServerConfig>, String> {
    let path = folder.join(host);
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(_) => {
            let pem = make(host)?;
            store(folder, &path, pem.as_bytes())
                .map_err(|error| format!("mkdir {}: {}", folder.display(), words(&error)))?;
            pem.into_bytes()
        }
    };
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| format!("{}: {error}", path.display()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| format!("{}: {error}", path.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

/// A key and a certificate signed with it, as PEM.
fn make(host: &str) -> Result<String, String> {
    let said = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate().map_err(said)?;
    let mut params = CertificateParams::new([host.to_owned()]).map_err(said)?;
    params.distinguished_name.push(DnType::CommonName, "Stand-in for Let's Encrypt");
    let now = SystemTime::now();
    params.not_before = OffsetDateTime::from(now - Duration::from_secs(3600));
    params.not_after = OffsetDateTime::from(now + VALIDITY);
    let certificate = params.self_signed(&key).map_err(said)?;
    let sec1 = sec1(&key.serialize_der()).ok_or("the key is not in ring's form")?;
    Ok(block("EC PRIVATE KEY", &sec1) + &block("CERTIFICATE", certificate.der()))
}

/// A P-256 key in the form of SEC 1 (RFC 5915), from PKCS #8 as ring writes it.
fn sec1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let numbers = pkcs8.get(pkcs8.len().checked_sub(PRIVATE + PUBLIC)?..)?;
    let (private, public) = numbers.split_at_checked(PRIVATE)?;
    let content = private.strip_prefix(&HEADER)?;
    let length = content.len() + CURVE.len() + public.len();
    let mut sec1 = vec![HEADER[0], u8::try_from(length).ok()?];
    sec1.extend_from_slice(content);
    sec1.extend_from_slice(&CURVE);
    sec1.extend_from_slice(public);
    Some(sec1)
}

/// A PEM block, lines of 64 characters (RFC 7468).
fn block(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            block.push('\n');
        }
        block.push(character);
    }
    block + &format!("\n-----END {label}-----\n")
}

fn store(folder: &Path, path: &Path, pem: &[u8]) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(pem)
}

/// An error in Go's words.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
