//! Root's side: it has the keys, publishes answers to challenges, and believes nothing that the child says.

use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::key::{Key, Signer};
use super::role::ACME;
use super::task::{Errand, Said, Task};
use super::{Account, AcmeError, Challenge, Internet, is_token, unasked};
use crate::certificate::renewal::Window;
use crate::certificate::{Bundle, BundleError, CertificateAuthority};
use crate::child::{Confinement, Conversation};
use crate::deployment::{EmailAddress, HostName};
use crate::net::web;

/// How much longer than an order its child may take, to start and to say that the order took too long.
const GRACE: Duration = Duration::from_secs(15);

/// The most challenges of one order: it is for one name.
const MOST_CHALLENGES: usize = 4;

/// The most requests of one errand that are signed. An order with all its looks and refused nonces needs some dozens.
const MOST_SIGNED: usize = 200;

/// The longest part of a request that is signed, in bytes.
const LONGEST_PART: usize = 2 * 1024;

/// The most certificates of a chain: each is verified with the next.
const MOST_CERTIFICATES: usize = 10;

impl CertificateAuthority for Internet {
    fn register(&self, directory: &str, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        let (key, pkcs8) = Key::generate()?;
        let contact = email.map(|address| format!("mailto:{address}"));
        let wanted = json!({ "contact": contact.as_slice(), "termsOfServiceAgreed": true });
        let signer = Signer { key: &key, account: None, permitted: vec![wanted] };
        let url = self.send(directory, Errand::Register { contact }, Some(&signer), &mut |_| Err(unasked()))?;
        Account::made(url, &pkcs8, directory)
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        let (url, key) = account.open()?;
        let (own_key, request) = request_for(name).map_err(|error| AcmeError::Internal(error.to_string()))?;
        let permitted = vec![
            json!({ "identifiers": [{ "type": "dns", "value": name }] }),
            // "Look at the challenge now."
            json!({}),
            json!({ "csr": data_encoding::BASE64URL_NOPAD.encode(&request) }),
        ];
        let signer = Signer { key: &key, account: Some(&url), permitted };
        let replaces = replaces.map(|bundle| bundle.leaf_der().to_vec());
        let errand = Errand::Order { account: url.clone(), name: name.clone(), request, replaces };
        let mut published = Vec::new();
        let chain = self.send::<String>(account.directory(), errand, Some(&signer), &mut |token| {
            if !is_token(&token) {
                return Err(AcmeError::Token(name.to_string()));
            }
            if published.len() >= MOST_CHALLENGES {
                return Err(unasked());
            }
            // Noted before, so that half a publication is withdrawn too.
            published.push(token.clone());
            let answered = challenge.publish(&token, &key.authorization(&token));
            answered.map_err(|reason| AcmeError::Publish(name.to_string(), reason.to_string()))
        });
        for token in &published {
            challenge.withdraw(token);
        }
        // The child has read it. That it is for this key and this name is proved here, by the reader that every later look at
        // the file uses.
        let chain = chain?;
        if chain.matches("-----BEGIN ").count() > MOST_CERTIFICATES {
            let why = format!("no more than {MOST_CERTIFICATES} are read");
            return Err(BundleError::Certificate(MOST_CERTIFICATES + 1, why).into());
        }
        let bundle = Bundle::from_files(own_key.as_bytes(), chain.as_bytes())?;
        bundle.check(name, bundle.leaf().not_before)?;
        Ok(bundle)
    }

    fn renewal_window(&self, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
        let (url, _) = account.open()?;
        let errand = Errand::RenewalWindow { account: url, certificate: bundle.leaf_der().to_vec() };
        self.send(account.directory(), errand, None, &mut |_| Err(unasked()))
    }
}

impl Internet {
    /// Sends a child on an errand, and does for it what it has no right to.
    fn send<T: DeserializeOwned>(
        &self,
        directory: &str,
        errand: Errand,
        signer: Option<&Signer<'_>>,
        publish: &mut dyn FnMut(String) -> Result<(), AcmeError>,
    ) -> Result<T, AcmeError> {
        let failed = |error: std::io::Error| AcmeError::Child(error.to_string());
        let task = Task { internet: self.clone(), directory: directory.to_owned(), errand };
        let (confinement, limit) = (Confinement::of(self.ids.clone()), self.order + GRACE);
        let mut child = Conversation::begin(ACME.0, &confinement, &task, &web::environment(), limit).map_err(failed)?;
        let mut signed = 0;
        loop {
            let answer = match child.hear::<Said<T>>().map_err(failed)? {
                Said::Sign(request) => {
                    signed += 1;
                    let mut parts = [&request.nonce, &request.url, &request.payload].into_iter();
                    if signed > MOST_SIGNED || parts.any(|part| part.len() > LONGEST_PART) {
                        return Err(unasked());
                    }
                    Value::from(signer.ok_or_else(unasked)?.sign(&request)?)
                }
                Said::Publish(token) => publish(token).map(|()| Value::Null)?,
                Said::Done(answer) => return Ok(answer),
                Said::Failed(error) => return Err(error),
            };
            child.say(&answer).map_err(failed)?;
        }
    }
}

/// A new key (P-256), PEM, and a certificate signing request for it, DER.
fn request_for(name: &HostName) -> Result<(String, Vec<u8>), rcgen::Error> {
    let mut params = CertificateParams::new([name.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let csr = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), csr.der().to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let name = "social.example.org".parse().unwrap();
        let (first, csr) = request_for(&name).unwrap();
        let (second, _) = request_for(&name).unwrap();
        assert_ne!(first, second);
        assert!(csr.windows(18).any(|window| window == b"social.example.org"));
    }
}
