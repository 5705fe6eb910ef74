//! `gts-bootstrap` installs GoToSocial on FreeBSD.
//!
//! What is wanted (a [`deployment`]) and what is there (a [`host`] that is only looked at) give a plan: a list of
//! [`change`]s, which are pure data, wanted by [`parts`]. One executor applies them, with a journal; [`check`]s then
//! prove the result on the running system. `docs/architecture.md` describes the house.

pub mod backup;
pub mod certificate;
pub mod change;
pub mod check;
pub mod child;
pub mod cli;
pub mod deployment;
mod descent;
pub mod error_code;
pub mod filter;
pub mod front;
pub mod gotosocial;
pub mod host;
pub mod net;
pub mod operation;
pub mod parts;
pub mod portacl;
pub mod release;
pub mod run;
pub mod shown;
pub mod status;
pub mod sysconf;
pub mod templates;
pub mod utc;
