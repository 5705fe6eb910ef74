//! What a host is asked to order from an ACME authority, and what comes of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::deployment::{AcmeDirectory, EmailAddress, HostName, Secret};

/// A certificate to be ordered (RFC 8555) with the challenge HTTP-01, for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateOrder {
    /// The name.
    pub name: HostName,
    /// The authority.
    pub directory: AcmeDirectory,
    /// Whom the authority may write to, told when the account is made.
    pub email: Option<EmailAddress>,
    /// The account's file, mode 0600. Without one an account is made, and kept there before anything is ordered.
    pub account: PathBuf,
    /// The folder of which the front serves `.well-known/acme-challenge/TOKEN`.
    pub webroot: PathBuf,
    /// Where the front answers http on this host: the challenge is tried there before the authority looks.
    pub http: SocketAddr,
    /// The certificate with its chain that is to be replaced; need not be there.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A certificate fresh from the authority, both as PEM.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate, followed by those that lead to a root.
    pub chain: String,
    /// Its key, which is new.
    pub key: Secret,
}
