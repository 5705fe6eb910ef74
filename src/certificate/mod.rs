//! The certificate of a web server in front of GoToSocial: carried over, ordered, renewed, or kept by somebody else.
//!
//! - [`Bundle`] is a private key with its certificate chain: read from GoToSocial's cache or from another client's files,
//!   checked, and written in the form that a front wants or in the one that GoToSocial wants back.
//! - [`renewal`] says when a certificate is due, and what there is to tell about it.
//! - [`record`] is what is remembered of failures between two looks.
//! - [`CertificateAuthority`] issues one; [`acme`] does so over the network.
//! - [`placeholder`] makes what a front shows until there is a certificate.
//!
//! Nothing in here knows a host or writes a file. What is returned goes through the plan, so a failure at any point leaves the
//! old certificate where it was. `docs/certificates.md` has the whole story.

pub mod acme;
mod authority;
pub mod bundle;
mod pem;
pub mod placeholder;
pub mod record;
pub mod renewal;

pub use authority::CertificateAuthority;
pub use bundle::{Bundle, BundleError, KeyType, Leaf, date};
