//! [`AcmeDirectory`]: the address of an ACME authority.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text_type::text_type;

/// The https URL of an ACME authority's directory (RFC 8555, section 7.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AcmeDirectory(String);

text_type!(AcmeDirectory, String);

impl AcmeDirectory {
    /// Let's Encrypt's.
    pub fn lets_encrypt() -> Self {
        Self(instant_acme::LetsEncrypt::Production.url().to_owned())
    }
}

impl FromStr for AcmeDirectory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
        // RFC 8555, section 6.1: https alone. A name or password in it would end up in messages.
        let plain = url.is_some_and(|url| url.username().is_empty() && url.password().is_none());
        if !plain || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!(
                "{text:?} is not the https URL of an ACME directory. Write it like https://acme-staging-v02.api.letsencrypt.org/directory"
            ));
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
            assert!(url.parse::<AcmeDirectory>().unwrap_err().starts_with(&format!("{url:?} is not the https URL")));
        }
    }
}
