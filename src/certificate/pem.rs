//! PEM files (RFC 7468) and the DER forms of private keys in them.

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::asn1_rs::{Any, FromDer, OctetString, Oid, Sequence, Tag, oid};

use super::bundle::BundleError;

/// What a file of PEM blocks held: its private key and its certificates in their order. Other blocks, such as the
/// `EC PARAMETERS` that openssl writes, are left out.
#[derive(Default)]
pub(super) struct Blocks {
    /// The private key, if there is one.
    pub(super) key: Option<PrivateKeyDer<'static>>,
    /// The certificates.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Reads the blocks of a file.
///
/// # Errors
/// A block is cut off or is not base64, a key is encrypted, or there are two of them.
pub(super) fn read(text: &[u8]) -> Result<Blocks, BundleError> {
    let parsed = pem::parse_many(text).map_err(|error| BundleError::Damaged(error.to_string()))?;
    let begun = String::from_utf8_lossy(text).matches("-----BEGIN ").count();
    if begun != parsed.len() {
        // The parser leaves out what has no end, and half a chain would go unnoticed.
        return Err(BundleError::Damaged("a block has a BEGIN line and no END line".into()));
    }
    let mut blocks = Blocks::default();
    for block in parsed {
        let encrypted = block.headers().iter().any(|(_, value)| value.contains("ENCRYPTED"));
        let key: PrivateKeyDer<'static> = match block.tag() {
            "CERTIFICATE" => {
                blocks.certificates.push(block.into_contents().into());
                continue;
            }
            "ENCRYPTED PRIVATE KEY" => return Err(BundleError::Encrypted),
            _ if encrypted => return Err(BundleError::Encrypted),
            "EC PRIVATE KEY" => PrivateKeyDer::Sec1(block.into_contents().into()),
            "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(block.into_contents().into()),
            "PRIVATE KEY" => PrivateKeyDer::Pkcs8(block.into_contents().into()),
            _ => continue,
        };
        if blocks.key.replace(key).is_some() {
            return Err(BundleError::TwoKeys);
        }
    }
    Ok(blocks)
}

fn encode(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// A certificate chain, leaf first.
pub(super) fn write_chain(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// A private key in the form in which it came. nginx and httpd take all three.
pub(super) fn write_key(key: &PrivateKeyDer<'_>) -> String {
    let tag = match key {
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    encode(tag, key.secret_der())
}

/// A key in the form of `cachePut()` in golang.org/x/crypto/acme/autocert, which is SEC1. `public` is the public point as it
/// stands in the certificate. `None` for a key that is not EC, or whose DER is not understood.
pub(super) fn write_autocert_key(key: &PrivateKeyDer<'_>, public: &[u8]) -> Option<String> {
    match key {
        PrivateKeyDer::Sec1(sec1) => {
            // Go reads the curve from the key itself, so a key that leaves it out has to be refused.
            names_curve(sec1.secret_sec1_der()).then(|| write_key(key))
        }
        PrivateKeyDer::Pkcs8(pkcs8) => Some(encode("EC PRIVATE KEY", &sec1(pkcs8.secret_pkcs8_der(), public)?)),
        _ => None,
    }
}

/// The SEC1 form (RFC 5915) of an EC key in PKCS#8 (RFC 5958), with curve and public key, as Go writes it. The key inside
/// PKCS#8 usually names no curve, because its envelope does; `x509.ParseECPrivateKey` would refuse it.
fn sec1(pkcs8: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    const EC_PUBLIC_KEY: Oid<'static> = oid!(1.2.840.10045.2.1);
    let (_, envelope) = Sequence::from_der(pkcs8).ok()?;
    let (rest, _version) = Any::from_der(&envelope.content).ok()?;
    let (rest, algorithm) = Sequence::from_der(rest).ok()?;
    let (_, inner) = OctetString::from_der(rest).ok()?;
    let (curve, kind) = Oid::from_der(&algorithm.content).ok()?;
    if kind != EC_PUBLIC_KEY {
        return None;
    }
    // Parsed to be sure that a curve is named; the bytes are taken as they are.
    Oid::from_der(curve).ok()?;
    let (_, key) = Sequence::from_der(inner.as_cow()).ok()?;
    let (rest, _version) = Any::from_der(&key.content).ok()?;
    let (_, scalar) = OctetString::from_der(rest).ok()?;
    let bits: Vec<u8> = std::iter::once(0).chain(public.iter().copied()).collect();
    let content = [tlv(0x02, &[1]), tlv(0x04, scalar.as_cow()), tlv(0xa0, curve), tlv(0xa1, &tlv(0x03, &bits))];
    Some(tlv(0x30, &content.concat()))
}

/// Whether a SEC1 key names its curve.
fn names_curve(sec1: &[u8]) -> bool {
    let Ok((_, key)) = Sequence::from_der(sec1) else { return false };
    let mut rest: &[u8] = &key.content;
    while let Ok((after, field)) = Any::from_der(rest) {
        if field.tag() == Tag(0) && field.header.is_contextspecific() {
            return true;
        }
        rest = after;
    }
    false
}

/// One DER element. Keys of the curves that there are need two bytes of length at most.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let [.., high, low] = length.to_be_bytes();
    let mut der = match length {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn der_lengths_have_their_shortest_form() {
        assert_eq!(tlv(4, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(tlv(4, &[0; 0x7f])[..2], [4, 0x7f]);
        assert_eq!(tlv(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(tlv(4, &[0; 0x0102])[..4], [4, 0x82, 1, 2]);
    }

    #[test]
    fn what_is_no_ec_key_has_no_sec1_form() {
        for key in [&b""[..], b"\x30\x00", b"\x30\x03\x02\x01\x00", b"nonsense"] {
            assert_eq!(sec1(key, &[4]), None);
            assert!(!names_curve(key));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
            let _ = sec1(&bytes, &bytes);
            let _ = names_curve(&bytes);
        }
    }
}
