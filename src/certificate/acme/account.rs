//! The account at an authority: a key pair that the authority knows.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::AcmeError;
use super::key::Key;
use crate::deployment::Secret;

/// The longest URL of an account, in bytes.
const LONGEST_URL: usize = 1024;

/// An account: the key, its URL at the authority, and the directory of that authority.
#[derive(Debug, Clone)]
pub struct Account {
    directory: String,
    json: Secret,
}

/// The form in which it is kept, which is that of the ACME library.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    key_pkcs8: String,
    directory: String,
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
        #[derive(Deserialize)]
        struct Part {
            directory: String,
        }
        let Part { directory } = serde_json::from_str(json).map_err(unreadable)?;
        Ok(Self { directory, json: Secret::new(json) })
    }

    /// One that was just made, with the URL that the authority gave it.
    pub(super) fn made(url: String, pkcs8: &[u8], directory: &str) -> Result<Self, AcmeError> {
        let is_url = url.starts_with("https://") && url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_url || url.len() > LONGEST_URL {
            return Err(AcmeError::NotAcme(directory.to_owned(), "it names no account".into()));
        }
        let kept = Kept { id: url, key_pkcs8: BASE64URL_NOPAD.encode(pkcs8), directory: directory.to_owned() };
        let json = serde_json::to_string(&kept).map_err(|error| AcmeError::Internal(error.to_string()))?;
        Ok(Self { directory: kept.directory, json: Secret::new(json) })
    }

    /// The directory of the authority that it is an account of.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Its URL and its key.
    pub(super) fn open(&self) -> Result<(String, Key), AcmeError> {
        let Kept { id, key_pkcs8, .. } = serde_json::from_str(self.json.expose()).map_err(unreadable)?;
        let pkcs8 = BASE64URL_NOPAD.decode(key_pkcs8.as_bytes());
        Ok((id, Key::of_pkcs8(&pkcs8.unwrap_or_default())?))
    }

    /// Looks at its key, too.
    ///
    /// # Errors
    /// There is no key that could sign.
    pub fn check(&self) -> Result<(), AcmeError> {
        self.open().map(drop)
    }
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
            let error = Account::from_json(broken).and_then(|account| account.open().map(drop)).unwrap_err();
            assert!(matches!(error, AcmeError::AccountFile { .. }), "{broken}");
            assert!(!error.to_string().contains(key));
        }
    }

    #[test]
    fn what_was_made_is_kept_and_has_a_url() {
        let (_, pkcs8) = Key::generate().unwrap();
        let directory = "https://ca.example/dir";
        let account = Account::made("https://ca.example/1".into(), &pkcs8, directory).unwrap();
        let kept = Account::from_json(account.to_json().expose()).unwrap();
        assert_eq!((kept.directory(), kept.open().unwrap().0.as_str()), (directory, "https://ca.example/1"));
        for url in [
            "",
            "ca.example/1",
            "https://ca.example/\u{1b}[2J",
            "https://ca.example/1\n",
            &format!("https://{}", "a".repeat(1024)),
        ] {
            assert!(matches!(Account::made(url.to_owned(), &pkcs8, directory), Err(AcmeError::NotAcme(..))), "{url}");
        }
    }
}
