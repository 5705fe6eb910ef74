//! The account at an authority: a key pair that the authority knows.

use instant_acme::{AccountCredentials, NewAccount};

use super::error::{Doing, translate};
use super::transport::Transport;
use super::{AcmeError, Authority, persistently, run};
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
        let Kept { directory } = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
        Ok(Self { directory, json: Secret::new(json) })
    }

    /// The directory of the authority that it is an account of.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    fn credentials(&self) -> Result<AccountCredentials, AcmeError> {
        serde_json::from_str(self.json.expose()).map_err(|error| unreadable(&error))
    }

    /// Opens the account for use, which fetches the directory.
    pub(super) async fn open(
        &self,
        authority: &Authority,
        transport: &Transport,
    ) -> Result<instant_acme::Account, AcmeError> {
        if self.directory != authority.directory {
            return Err(AcmeError::OtherAuthority {
                kept: self.directory.clone(),
                wanted: authority.directory.clone(),
            });
        }
        let credentials = self.credentials()?;
        let builder = instant_acme::Account::builder_with_http(Box::new(transport.clone()));
        builder
            .from_credentials(credentials)
            .await
            .map_err(|error| translate(error, &authority.directory, &Doing::Account, transport.asked_wait()))
    }
}

/// The JSON library's own words could quote the key.
fn unreadable(error: &serde_json::Error) -> AcmeError {
    let (line, column) = (error.line(), error.column());
    AcmeError::AccountFile { reason: format!("it is not as it was written, line {line} column {column}") }
}

/// Makes an account at an authority, and agrees to its terms of service. The caller keeps it before anything else is done
/// with it: authorities limit how many a host may make.
///
/// # Errors
/// The authority cannot be reached, or refuses.
pub fn register(authority: &Authority, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
    let transport = Transport::new(authority)?;
    let contact: Vec<String> = email.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    run(async {
        let made = persistently(async || {
            let builder = instant_acme::Account::builder_with_http(Box::new(transport.clone()));
            builder.create(&wanted, authority.directory.clone(), None).await
        });
        let (_, credentials) = made
            .await
            .map_err(|error| translate(error, &authority.directory, &Doing::Account, transport.asked_wait()))?;
        let json =
            serde_json::to_string(&credentials).map_err(|error| AcmeError::Internal { reason: error.to_string() })?;
        Ok(Account { directory: authority.directory.clone(), json: Secret::new(json) })
    })
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
