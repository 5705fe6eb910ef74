//! The certificate of a web server in front of GoToSocial: carried over, ordered, renewed, or kept by somebody else.
//!
//! - [`Bundle`] is a private key with its certificate chain: read from GoToSocial's cache or from another client's files,
//!   checked, and written in the form that a front wants or in the one that GoToSocial wants back.
//! - [`renewal`] says when a certificate is due, and what there is to tell about it.
//! - [`acme`] orders one.
//! - [`clients`] finds the files of other ACME clients.
//!
//! Nothing in here writes a file. What is returned goes through the plan like any other file, so a failure at any point
//! leaves the old certificate where it was. `docs/certificates.md` has the whole story.

pub mod acme;
pub mod bundle;
pub mod clients;
mod pem;
pub mod renewal;

pub use bundle::{Bundle, BundleError, KeyType, Leaf};
