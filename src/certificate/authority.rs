//! Who issues certificates.

use super::Bundle;
use super::acme::{Account, AcmeError, Challenge};
use super::renewal::Window;
use crate::deployment::{EmailAddress, HostName};

/// A certificate authority. It writes nothing: what becomes of an account and of a certificate is the caller's to say.
pub trait CertificateAuthority {
    /// Makes an account at the authority with this directory URL. The caller keeps it before it orders anything: authorities
    /// limit how many accounts a host may make.
    ///
    /// # Errors
    /// The authority cannot be reached, or refuses.
    fn register(&self, directory: &str, email: Option<&EmailAddress>) -> Result<Account, AcmeError>;

    /// Orders a certificate with a new key, from the authority of the account, and waits for it. `replaces` is the certificate
    /// whose place it takes.
    ///
    /// # Errors
    /// The authority cannot be reached, refuses, or did not get the right answer to its challenge.
    fn order(
        &self,
        account: &Account,
        name: &HostName,
        replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError>;

    /// When the authority would like a certificate renewed (ARI, RFC 9773); `None` where it has no opinion.
    ///
    /// # Errors
    /// The authority cannot be reached, or does not answer as it should.
    fn renewal_window(&self, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError>;
}
