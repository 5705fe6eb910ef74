//! What the two processes say to each other: root, who has the keys and the files, and the child, who has the network.

use serde::{Deserialize, Serialize};

use super::key::Unsigned;
use super::{AcmeError, Internet};
use crate::deployment::HostName;

/// What a child is told to do. No key is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) internet: Internet,
    /// The URL of the authority's directory.
    pub(super) directory: String,
    pub(super) errand: Errand,
}

/// What is wanted from an authority. Accounts are named by their URL; certificates are DER.
#[derive(Serialize, Deserialize)]
pub(super) enum Errand {
    /// An account; the answer is its URL.
    Register { contact: Option<String> },
    /// A certificate; the answer is its chain, PEM.
    Order { account: String, name: HostName, request: Vec<u8>, replaces: Option<Vec<u8>> },
    /// When the authority would like a certificate renewed; the answer is a window, if there is one.
    RenewalWindow { account: String, certificate: Vec<u8> },
}

/// A line from the child.
#[derive(Serialize, Deserialize)]
pub(super) enum Said<T> {
    /// It needs a request signed; the answer is the request's body.
    Sign(Unsigned),
    /// The answer to the challenge with this token is to be published; the answer is `null`.
    Publish(String),
    /// The answer to the errand.
    Done(T),
    /// Why there is none.
    Failed(AcmeError),
}
