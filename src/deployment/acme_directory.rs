//! [`AcmeDirectory`]: the address of an ACME authority.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The https URL of an ACME authority's directory (RFC 8555, section 7.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AcmeDirectory(String);

super::text_type::text_type!(AcmeDirectory, AcmeDirectoryError);

/// Not the URL of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not the https URL of an ACME directory. Write it like \
     https://acme-staging-v02.api.letsencrypt.org/directory"
)]
pub struct AcmeDirectoryError {
    /// What was given.
    pub text: String,
}

impl AcmeDirectory {
    /// Let's Encrypt's.
    pub fn lets_encrypt() -> Self {
        Self(instant_acme::LetsEncrypt::Production.url().to_owned())
    }
}

impl FromStr for AcmeDirectory {
    type Err = AcmeDirectoryError;

    fn from_str(text: &str) -> Result<Self, AcmeDirectoryError> {
        let url = reqwest::Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
        // RFC 8555, section 6.1: https alone. A name or password in it would end up in messages.
        let plain = url.is_some_and(|url| url.username().is_empty() && url.password().is_none());
        if !plain || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AcmeDirectoryError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_taken() {
        for url in
            ["https://acme-v02.api.letsencrypt.org/directory", "https://localhost:14000/dir", "https://[::1]/dir"]
        {
            assert_eq!(url.parse::<AcmeDirectory>().unwrap().as_str(), url);
        }
        for url in [
            "",
            "letsencrypt",
            "http://ca.example/dir",
            "https://",
            "https://a b/",
            "https://u:p@ca.example/",
            "ftp://a",
        ] {
            assert_eq!(url.parse::<AcmeDirectory>().unwrap_err().text, url);
        }
    }
}
