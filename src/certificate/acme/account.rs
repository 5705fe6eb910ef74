//! The account at an authority: a key pair that the authority knows.

use instant_acme::{AccountBuilder, AccountCredentials, NewAccount};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;

use super::error::translate;
use super::transport::Transport;
use super::{AcmeError, persistently};
use crate::deployment::{EmailAddress, Secret};

/// An account: the key, its URL at the authority, and the directory of that authority.
#[derive(Debug, Clone)]
pub struct Account {
    directory: String,
    json: Secret,
}

impl Account {
    /// What to keep, JSON. The private key is in it: the file must be root's alone (0600).
    pub fn to_json(&self) -> &Secret {
        &self.json
    }

    /// An account that was kept. Its key is looked at when it is used.
    ///
    /// # Errors
    /// It is not of the form that [`Account::to_json`] gave.
    pub fn from_json(json: &str) -> Result<Self, AcmeError> {
        #[derive(serde::Deserialize)]
        struct Kept {
            directory: String,
        }
        let Kept { directory } = serde_json::from_str(json).map_err(unreadable)?;
        Ok(Self { directory, json: Secret::new(json) })
    }

    /// The directory of the authority that it is an account of.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Looks at its key, too.
    ///
    /// # Errors
    /// There is no key that could sign.
    pub fn check(&self) -> Result<(), AcmeError> {
        let key = PrivateKeyDer::Pkcs8(self.credentials()?.private_key().clone_key());
        any_supported_type(&key).map(drop).map_err(|_| AcmeError::AccountFile("its key cannot be used".to_owned()))
    }

    fn credentials(&self) -> Result<AccountCredentials, AcmeError> {
        serde_json::from_str(self.json.expose()).map_err(unreadable)
    }

    /// Opens the account for use, which fetches the directory.
    pub(super) async fn open(&self, transport: &Transport) -> Result<instant_acme::Account, AcmeError> {
        let opened = builder(transport).from_credentials(self.credentials()?).await;
        opened.map_err(|error| translate(error, transport, None))
    }

    /// Makes an account, and agrees to the authority's terms of service.
    pub(super) async fn register(transport: &Transport, email: Option<&EmailAddress>) -> Result<Self, AcmeError> {
        let contact = email.map(|address| format!("mailto:{address}"));
        let contact = contact.as_deref();
        let wanted =
            NewAccount { contact: contact.as_slice(), terms_of_service_agreed: true, only_return_existing: false };
        let directory = &transport.directory;
        let made = persistently(async || builder(transport).create(&wanted, directory.clone(), None).await).await;
        let (_, credentials) = made.map_err(|error| translate(error, transport, None))?;
        let json = serde_json::to_string(&credentials).map_err(|error| AcmeError::Internal(error.to_string()))?;
        Ok(Self { directory: directory.clone(), json: Secret::new(json) })
    }
}

fn builder(transport: &Transport) -> AccountBuilder {
    instant_acme::Account::builder_with_http(Box::new(transport.clone()))
}

/// The JSON library's own words could quote the key.
fn unreadable(error: serde_json::Error) -> AcmeError {
    let (line, column) = (error.line(), error.column());
    AcmeError::AccountFile(format!("it is not as it was written, line {line} column {column}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_and_hides_its_key() {
        let key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let json =
            format!(r#"{{"id":"https://ca.example/1","key_pkcs8":"{key}","directory":"https://ca.example/dir"}}"#);
        let account = Account::from_json(&json).unwrap();
        assert_eq!(account.directory(), "https://ca.example/dir");
        assert_eq!(account.to_json().expose(), json);
        assert!(!format!("{account:?}").contains(key));
        for broken in
            ["", "{}", &json.replace("key_pkcs8", "key"), &json.replace(key, "*"), &json.replace("directory", "x")]
        {
            let error = Account::from_json(broken).and_then(|account| account.credentials().map(drop)).unwrap_err();
            assert!(matches!(error, AcmeError::AccountFile { .. }), "{broken}");
            assert!(!error.to_string().contains(key));
        }
    }
}
