//! The configuration files of FreeBSD itself, as text: sysctl.conf(5), loader.conf(5) and rc.conf(5).
//!
//! Each file has one reader and one editor here, and both the real host and the rehearsal use them. `transcription.rs`
//! holds the readers to what FreeBSD's own programs do.

mod conf_file;
pub mod loader_conf;
pub mod loader_files;
pub mod rc_conf;
pub mod sysctl_conf;
#[cfg(test)]
mod transcription;

pub use conf_file::{ConfFile, ConfFileError, Setting};
