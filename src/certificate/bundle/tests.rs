#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Bundles made by a certificate authority of the tests' own.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
};

use super::*;

/// 2026-03-01, within the validity of every certificate below.
const NOW: u64 = 1_772_323_200;

/// An intermediate certificate and its key.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, key: &KeyPair, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn host() -> HostName {
    "social.example.org".parse().unwrap()
}

/// Key, leaf and intermediate of a certificate as it ought to be.
fn parts() -> (String, String, String) {
    let authority = Authority::new("Test CA");
    let key = key(&PKCS_ECDSA_P256_SHA256);
    let leaf = authority.issue(&key, &["social.example.org"]);
    (key.serialize_pem(), leaf, authority.pem)
}

fn error(text: &str) -> BundleError {
    Bundle::from_pem(text.as_bytes()).unwrap_err()
}

#[test]
fn a_good_bundle_is_read_and_told() {
    let (key, leaf, issuer) = parts();
    let bundle = Bundle::from_pem(format!("{key}{leaf}{issuer}").as_bytes()).unwrap();
    bundle.check(&host(), NOW).unwrap();
    assert_eq!(bundle.leaf().names, ["social.example.org"]);
    assert!(bundle.leaf().issuer.contains("Test CA"));
    assert_eq!(bundle.leaf().key, KeyType::Ec);
    assert_eq!(bundle.leaf().not_after - bundle.leaf().not_before, 90 * 86_400);
    assert_eq!(bundle.chain_pem(), format!("{leaf}{issuer}").replace("\r\n", "\n"));
    let two_files = Bundle::from_files(key.as_bytes(), format!("{leaf}{issuer}").as_bytes()).unwrap();
    assert_eq!(two_files.leaf(), bundle.leaf());
    assert!(!format!("{bundle:?}").contains("PRIVATE"));
}

#[test]
fn a_chain_without_its_key_is_read_and_written_anew() {
    let (_, leaf, issuer) = parts();
    let chain = read_chain(format!("a note\n{leaf}\nanother\n{issuer}\0").as_bytes()).unwrap();
    assert_eq!(chain, format!("{leaf}{issuer}").replace("\r\n", "\n"));
    assert_eq!(read_chain(b"<html>"), Err(BundleError::NoCertificate));
    assert!(matches!(read_chain(format!("{issuer}{leaf}").as_bytes()), Err(BundleError::Order(1, _))));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(read_chain(nonsense.as_bytes()), Err(BundleError::Certificate(1, _))));
}

#[test]
fn there_and_back_is_the_same_file() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let authority = Authority::new("Test CA");
        let pair = key(algorithm);
        let leaf = authority.issue(&pair, &["social.example.org"]);
        let ordered = format!("{}{leaf}{}", pair.serialize_pem(), authority.pem);
        let cache = Bundle::from_pem(ordered.as_bytes()).unwrap().autocert_pem().unwrap();
        let text = cache.expose();
        assert!(text.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "the key comes first, as SEC1");
        assert!(text.ends_with("-----END CERTIFICATE-----\n"), "nothing may follow the last block");
        assert_eq!(text.matches("-----BEGIN ").count(), 3);
        let again = Bundle::from_pem(text.as_bytes()).unwrap();
        again.check(&host(), NOW).unwrap();
        assert_eq!(again.autocert_pem().unwrap().expose(), text);
        assert!(again.key_pem().expose().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
    }
}

#[test]
fn the_sec1_form_is_the_one_that_go_and_openssl_write() {
    // Version 1, 32 bytes of key, the curve P-256, and 65 bytes of public key: x509.MarshalECPrivateKey.
    let (key, leaf, issuer) = parts();
    let bundle = Bundle::from_pem(format!("{key}{leaf}{issuer}").as_bytes()).unwrap();
    let text = bundle.autocert_pem().unwrap();
    let der = ::pem::parse_many(text.expose()).unwrap().remove(0).into_contents();
    assert_eq!(der.len(), 121);
    assert_eq!(der[..7], [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20]);
    let curve = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    assert_eq!(der[39..51], curve);
    assert_eq!(der[51..57], [0xa1, 0x44, 0x03, 0x42, 0x00, 0x04]);
    // A SEC1 key that names no curve, as it stands within PKCS#8, is one that Go could not read.
    let without_curve = [&der[..1], &[0x6b], &der[2..39], &der[51..]].concat();
    let sec1 = PrivateKeyDer::Sec1(without_curve.into());
    assert_eq!(super::pem::write_autocert_key(&sec1, &bundle.public), None);
}

#[test]
fn an_rsa_key_serves_a_front_but_not_gotosocial() {
    let authority = Authority::new("Test CA");
    let pair = KeyPair::from_pem(include_str!("rsa-key.pem")).unwrap();
    let leaf = authority.issue(&pair, &["social.example.org"]);
    let bundle = Bundle::from_pem(format!("{}{leaf}", pair.serialize_pem()).as_bytes()).unwrap();
    assert_eq!(bundle.leaf().key, KeyType::Rsa);
    assert!(bundle.key_pem().expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(bundle.autocert_pem().unwrap_err(), BundleError::NotForGoToSocial);
    let pair = key(&PKCS_ED25519);
    let leaf = authority.issue(&pair, &["social.example.org"]);
    let bundle = Bundle::from_pem(format!("{}{leaf}", pair.serialize_pem()).as_bytes()).unwrap();
    assert_eq!(bundle.leaf().key, KeyType::Other);
    assert_eq!(bundle.autocert_pem().unwrap_err(), BundleError::NotForGoToSocial);
}

#[test]
fn what_is_missing_or_twice_is_told() {
    let (key, leaf, issuer) = parts();
    assert_eq!(error(&format!("{leaf}{issuer}")), BundleError::NoKey);
    assert_eq!(error(&key), BundleError::NoCertificate);
    assert_eq!(error(&format!("{key}{leaf}{key}")), BundleError::TwoKeys);
    assert_eq!(error(""), BundleError::NoKey);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(error(&format!("{encrypted}{leaf}")), BundleError::Encrypted);
    let old_style =
        key.replace("-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    let old_style = old_style.replace("-----END PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
    assert_eq!(error(&format!("{old_style}{leaf}")), BundleError::Encrypted);
}

#[test]
fn a_damaged_file_is_told() {
    let (key, leaf, issuer) = parts();
    let cut = format!("{key}{leaf}{}", &issuer[..issuer.len() / 2]);
    assert!(matches!(error(&cut), BundleError::Damaged { .. }), "half a chain must not pass for a whole one");
    let swapped = format!("{key}{leaf}").replace("-----END CERTIFICATE-----", "-----END PRIVATE KEY-----");
    assert!(matches!(error(&swapped), BundleError::Damaged { .. }));
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(error(&format!("{key}{no_certificate}")), BundleError::Certificate(1, _)));
    assert!(matches!(error(&format!("{key}{leaf}{no_certificate}")), BundleError::Certificate(2, _)));
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(error(&format!("{no_key}{leaf}")), BundleError::Key { .. }));
}

#[test]
fn what_does_not_belong_together_is_told() {
    let (key, leaf, issuer) = parts();
    let (other_key, other_leaf, other_issuer) = parts();
    assert_eq!(error(&format!("{other_key}{leaf}{issuer}")), BundleError::KeyMismatch("social.example.org".into()));
    assert_eq!(error(&format!("{key}{issuer}{leaf}")), BundleError::LeafNotFirst(2));
    // The other authority has the same name, so it is the signature that tells.
    assert!(matches!(error(&format!("{key}{leaf}{other_issuer}")), BundleError::Order(1, _)));
    let stranger = Authority::new("Another CA");
    assert!(matches!(error(&format!("{key}{leaf}{}", stranger.pem)), BundleError::Order(1, _)));
    assert!(matches!(error(&format!("{key}{leaf}{issuer}{other_leaf}")), BundleError::Order(2, _)));
}

#[test]
fn host_and_time_are_checked() {
    let (key, leaf, issuer) = parts();
    let bundle = Bundle::from_pem(format!("{key}{leaf}{issuer}").as_bytes()).unwrap();
    let other: HostName = "example.org".parse().unwrap();
    assert!(matches!(bundle.check(&other, NOW), Err(BundleError::OtherHost { .. })));
    let Leaf { not_before, not_after, .. } = *bundle.leaf();
    assert!(matches!(bundle.check(&host(), not_before - 1), Err(BundleError::NotYetValid { .. })));
    bundle.check(&host(), not_before).unwrap();
    bundle.check(&host(), not_after).unwrap();
    let expired = bundle.check(&host(), not_after + 1).unwrap_err();
    assert_eq!(expired.to_string(), "the certificate expired on Apr 1 2026 00:00 UTC; order a new one");
    let authority = Authority::new("Test CA");
    let pair = KeyPair::generate().unwrap();
    let wildcard = authority.issue(&pair, &["*.example.org"]);
    let bundle = Bundle::from_pem(format!("{}{wildcard}", pair.serialize_pem()).as_bytes()).unwrap();
    bundle.check(&host(), NOW).unwrap();
    assert!(matches!(bundle.check(&other, NOW), Err(BundleError::OtherHost { .. })));
}
