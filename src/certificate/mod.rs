//! The certificate of a web server in front of GoToSocial: carried over, ordered, renewed, or kept by somebody else.
//!
//! - [`Bundle`] is a private key with its certificate chain: read from GoToSocial's cache or from another client's files,
//!   checked, and written in the form that a front wants or in the one that GoToSocial wants back.
//! - [`renewal`] says when a certificate is due, and what there is to tell about it.
//! - [`record`] is what is remembered of failures between two looks.
//! - [`acme`] orders one.
//! - [`clients`] finds the files of other ACME clients.
//! - [`on_host`] orders with the account and the front of a host, [`webroot`] answers the challenge there.
//! - [`placeholder`] makes what a front shows until there is a certificate.
//!
//! Nothing in here writes a certificate or its key. What is returned goes through the plan, so a failure at any point leaves
//! the old certificate where it was. Written are an account that is new, and the answer to a challenge for a while. `docs/certificates.md` has the whole story.

pub mod acme;
pub mod bundle;
pub mod clients;
pub mod on_host;
mod pem;
pub mod placeholder;
pub mod record;
pub mod renewal;
pub mod webroot;

pub use bundle::{Bundle, BundleError, KeyType, Leaf};
