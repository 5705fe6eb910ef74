//! `gts-bootstrap` installs GoToSocial on FreeBSD.
//!
//! What is wanted (a deployment) and what is there (a host that is only looked at) give a plan: a list of
//! changes, which are pure data. One executor applies them, with a journal; checks then prove the result on the
//! running system. `docs/architecture.md` describes the house.

pub mod host;
pub mod parts;
pub mod portacl;
