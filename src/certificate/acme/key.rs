//! The key of an account, and what it signs. Only root has it, and the network is the child's: so root signs for the child,
//! and nothing but what its errand needs. A child that somebody has taken over can neither keep the key nor order for a key
//! of its own.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::AcmeError;

/// A request that is to be signed (RFC 8555, section 6.2).
#[derive(Serialize, Deserialize)]
pub(super) struct Unsigned {
    pub(super) nonce: String,
    pub(super) url: String,
    /// JSON; empty where something is only fetched.
    pub(super) payload: String,
}

/// A key (ECDSA, P-256).
pub(super) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    /// A new key, and its PKCS #8.
    pub(super) fn generate() -> Result<(Self, Vec<u8>), AcmeError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let pkcs8 = made.map_err(|_| AcmeError::Internal("no key could be made".into()))?.as_ref().to_vec();
        Ok((Self::of_pkcs8(&pkcs8)?, pkcs8))
    }

    pub(super) fn of_pkcs8(pkcs8: &[u8]) -> Result<Self, AcmeError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|_| AcmeError::AccountFile("its key is not one for P-256".into()))?;
        Ok(Self { pair, random })
    }

    /// The public key in the form that is hashed for the thumbprint: these members, in this order (RFC 7638).
    fn public(&self) -> Value {
        // An uncompressed point: a byte that says so, x, y.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({ "crv": "P-256", "kty": "EC", "x": BASE64URL_NOPAD.encode(x), "y": BASE64URL_NOPAD.encode(y) })
    }

    /// The answer to the challenge with this token (RFC 8555, section 8.1).
    pub(super) fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", BASE64URL_NOPAD.encode(&Sha256::digest(self.public().to_string())))
    }
}

/// A key that signs for one errand.
pub(super) struct Signer<'a> {
    pub(super) key: &'a Key,
    /// The URL of the account; `None` while there is none yet.
    pub(super) account: Option<&'a str>,
    /// What may be said to the authority, besides fetching.
    pub(super) permitted: Vec<Value>,
}

impl Signer<'_> {
    /// Signs a request, and returns its whole body.
    pub(super) fn sign(&self, request: &Unsigned) -> Result<String, AcmeError> {
        let payload = match request.payload.as_str() {
            "" => String::new(),
            text => self.permitted(text).ok_or_else(super::unasked)?,
        };
        let mut protected = Map::from_iter([("alg".to_owned(), json!("ES256"))]);
        let (name, value) = self.account.map_or_else(|| ("jwk", self.key.public()), |url| ("kid", json!(url)));
        protected.insert(name.into(), value);
        protected.insert("nonce".into(), json!(request.nonce));
        protected.insert("url".into(), json!(request.url));
        let [protected, payload] =
            [Value::Object(protected).to_string(), payload].map(|text| BASE64URL_NOPAD.encode(text.as_bytes()));
        let signature = self.key.pair.sign(&self.key.random, format!("{protected}.{payload}").as_bytes());
        let signature = signature.map_err(|_| AcmeError::Internal("the account's key does not sign".into()))?;
        let signature = BASE64URL_NOPAD.encode(signature.as_ref());
        Ok(json!({ "protected": protected, "payload": payload, "signature": signature }).to_string())
    }

    /// What is permitted, written anew: what is signed says what was looked at, and nothing twice.
    fn permitted(&self, text: &str) -> Option<String> {
        let asked: Value = serde_json::from_str(text).ok()?;
        let mut known = asked.clone();
        // Which certificate is replaced may be said or left out (RFC 9773, section 5).
        if known.get("identifiers").is_some() && asked["replaces"].is_string() {
            known.as_object_mut()?.remove("replaces");
        }
        self.permitted.contains(&known).then(|| asked.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    fn decoded(text: &Value) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn only_what_the_errand_needs_is_signed() {
        let (key, _) = Key::generate().unwrap();
        let order = json!({ "identifiers": [{ "type": "dns", "value": "social.example.org" }] });
        let signer = Signer {
            key: &key,
            account: Some("https://ca.example/1"),
            permitted: vec![json!({}), json!({ "csr": "AAAA" }), order],
        };
        let sign = |payload: &str| {
            signer.sign(&Unsigned { nonce: "n".into(), url: "https://ca.example/x".into(), payload: payload.into() })
        };
        for payload in [
            "",
            "{}",
            r#"{"csr":"AAAA"}"#,
            r#"{"identifiers":[{"type":"dns","value":"social.example.org"}]}"#,
            r#"{"replaces":"a.b","identifiers":[{"type":"dns","value":"social.example.org"}]}"#,
        ] {
            let body: Value = serde_json::from_str(&sign(payload).unwrap()).unwrap();
            assert_eq!(String::from_utf8(decoded(&body["payload"])).unwrap(), payload);
            let protected: Value = serde_json::from_slice(&decoded(&body["protected"])).unwrap();
            let wanted =
                json!({ "alg": "ES256", "kid": "https://ca.example/1", "nonce": "n", "url": "https://ca.example/x" });
            assert_eq!(protected, wanted);
            let signed = format!("{}.{}", body["protected"].as_str().unwrap(), body["payload"].as_str().unwrap());
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key());
            public.verify(signed.as_bytes(), &decoded(&body["signature"])).unwrap();
        }
        for payload in [
            // Somebody else's key, another name, more than one name, the end of the account, a revocation.
            r#"{"csr":"BBBB"}"#,
            r#"{"identifiers":[{"type":"dns","value":"other.example.org"}]}"#,
            r#"{"identifiers":[{"type":"dns","value":"social.example.org"},{"type":"dns","value":"other.example.org"}]}"#,
            r#"{"identifiers":[{"type":"dns","value":"social.example.org"}],"replaces":{}}"#,
            r#"{"identifiers":[{"type":"dns","value":"social.example.org"}],"notAfter":"2030-01-01T00:00:00Z"}"#,
            r#"{"status":"deactivated"}"#,
            r#"{"certificate":"AAAA"}"#,
            r#"{"csr":"AAAA","replaces":"a.b"}"#,
            "[]",
            "null",
            "{",
        ] {
            assert!(matches!(sign(payload), Err(AcmeError::Child(_))), "{payload}");
        }
        // What stands there twice is signed as it was understood here.
        let body: Value = serde_json::from_str(&sign(r#"{"csr":"BBBB","csr":"AAAA"}"#).unwrap()).unwrap();
        assert_eq!(decoded(&body["payload"]), br#"{"csr":"AAAA"}"#);
    }

    #[test]
    fn an_answer_is_bound_to_the_key() {
        let (key, pkcs8) = Key::generate().unwrap();
        let answer = key.authorization("a-token");
        let (token, thumbprint) = answer.split_once('.').unwrap();
        assert_eq!((token, thumbprint.len()), ("a-token", 43));
        assert_eq!(Key::of_pkcs8(&pkcs8).unwrap().authorization("a-token"), answer);
        assert!(matches!(Key::of_pkcs8(b"nonsense"), Err(AcmeError::AccountFile(_))));
    }
}
