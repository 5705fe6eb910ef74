//! A certificate that nobody trusts, for a front that needs one to start and to answer the challenge for a real one.

use std::error::Error;

use rcgen::{CertificateParams, DnType, KeyPair};
use x509_parser::time::ASN1Time;

use super::{Bundle, Leaf};
use crate::deployment::HostName;

/// Its subject, and, as it signs itself, its issuer.
const SUBJECT: &str = "gts-bootstrap placeholder until a certificate is ordered";
/// How long it is valid, seconds: longer than an order can fail before somebody looks.
const VALIDITY: u64 = 7 * 86_400;
/// Clocks differ.
const SKEW: u64 = 3600;

/// Why no placeholder could be made: no randomness for its key.
#[derive(Debug, thiserror::Error)]
#[error("no placeholder of a certificate could be made: {0}")]
pub struct PlaceholderError(String);

/// Makes one for `name`, with a key of its own, at `now` (seconds since 1970).
///
/// # Errors
/// There is no key to be had.
pub fn placeholder(name: &HostName, now: u64) -> Result<Bundle, PlaceholderError> {
    make(name, now).map_err(|error| PlaceholderError(error.to_string()))
}

fn make(name: &HostName, now: u64) -> Result<Bundle, Box<dyn Error>> {
    let time = |seconds| ASN1Time::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX));
    let mut params = CertificateParams::new([name.to_string()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, SUBJECT);
    params.not_before = time(now.saturating_sub(SKEW))?.to_datetime();
    params.not_after = time(now.saturating_add(VALIDITY))?.to_datetime();
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Bundle::from_files(key.serialize_pem().as_bytes(), certificate.pem().as_bytes())?)
}

/// Whether a certificate is one of these.
pub fn is_placeholder(leaf: &Leaf) -> bool {
    leaf.issuer == format!("CN={SUBJECT}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_is_and_ends_soon() {
        let name: HostName = "social.example.org".parse().unwrap();
        let now = 1_767_225_600;
        let made = placeholder(&name, now).unwrap();
        assert!(is_placeholder(made.leaf()), "{:?}", made.leaf());
        made.check(&name, now).unwrap();
        made.check(&name, now + VALIDITY + 1).unwrap_err();
        assert_eq!(made.leaf().names, ["social.example.org"]);
        assert_ne!(placeholder(&name, now).unwrap().key_pem().expose(), made.key_pem().expose());
        let mut other = made.leaf().clone();
        other.issuer = "C=US, O=Let's Encrypt, CN=E7".into();
        assert!(!is_placeholder(&other));
    }
}
